"""Normal distributions of one entry of a row, given the others."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ..data.imputed import IncompleteTable


class ConditionalParams(NamedTuple):
    """Of d conditionals, in units of the columns.

    Attributes:
        bias: (d,). slopes: (d, d) in the other entries over √d, so that one rate of learning suits all widths; the
            diagonal is not used. log_deviation: (d,).
        body: weights and biases of the layers that all conditionals share; () where they are linear.
        heads: (2, d, h) what the last layer adds to mean and log-deviation; h = 0 where they are linear.
    """

    bias: Float[Array, " d"]
    slopes: Float[Array, "d d"]
    log_deviation: Float[Array, " d"]
    body: tuple[tuple[Array, Array], ...]
    heads: Float[Array, "2 d h"]


class GaussianConditionals(eqx.Module):
    """q_j(x_j | x_−j) = N(m_j, s_j²): linear, or linear and a network with one body and d heads.

    Attributes:
        centre, scale: (d,) of the columns; the functions take and give what is left of rows by them.
        hidden: widths of the layers of the body, tanh; () for conditionals that are linear with a deviation each.
    """

    centre: Float[Array, " d"]
    scale: Float[Array, " d"]
    hidden: tuple[int, ...] = eqx.field(static=True, default=())

    def start(self, key: PRNGKeyArray, table: IncompleteTable) -> ConditionalParams:
        """Ridge regressions of the entries that are seen; a random body to which no head listens yet.

        They are those of rows in which a missing entry is drawn from its column alone, in expectation: what predicts
        best where imputations start. The ridge counts as d further rows, of entries that do not depend on each other.
        """
        count, width = table.x.shape
        sizes, dtype = (width, *self.hidden), self.centre.dtype
        keys = jax.random.split(key, len(self.hidden) + 1)
        # the first layer is given entries over √d
        spread = (1.0, *(made**-0.5 for made in self.hidden))
        body = tuple(
            (size * jax.random.normal(each, (given, made), dtype), jnp.zeros(made, dtype))
            for each, size, given, made in zip(keys, spread, sizes, sizes[1:], strict=False)
        )
        z = jnp.where(table.missing, 0, (table.x - self.centre) / self.scale)
        # of every column: the weights of the rows that have it, of sum 1
        weights = table.weights[:, None] * ~table.missing
        weights = weights / jnp.sum(weights, axis=0)
        drawn = jnp.vecdot(table.weights, table.missing, axis=0) + width / count
        inverse = jnp.linalg.inv(z.T @ (table.weights[:, None] * z) + jnp.diag(drawn))
        slopes = (weights * z).T @ z @ inverse
        # an entry is left out of its own regression
        slopes -= inverse * (jnp.diagonal(slopes) / jnp.diagonal(inverse))[:, None]
        variance = jnp.sum(weights * (z - z @ slopes.T) ** 2, axis=0) + slopes**2 @ drawn
        heads = jnp.zeros((2, width, sizes[-1] if self.hidden else 0), dtype)
        return ConditionalParams(jnp.zeros(width, dtype), slopes * width**0.5, jnp.log(variance) / 2, body, heads)

    def __call__(
        self, params: ConditionalParams, x: Float[Array, "N d"], entry: Int[Array, " N"]
    ) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
        """Mean and standard deviation of one entry a row; what x holds there does not matter."""
        z = jnp.where(jnp.arange(x.shape[1]) == entry[:, None], 0, (x - self.centre) / (self.scale * x.shape[1] ** 0.5))
        mean = params.bias[entry] + jnp.sum(params.slopes[entry] * z, axis=1)
        log_deviation = params.log_deviation[entry]
        if self.hidden:
            for weights, bias in params.body:
                z = jnp.tanh(z @ weights + bias)
            mean += jnp.sum(params.heads[0, entry] * z, axis=1)
            log_deviation += jnp.sum(params.heads[1, entry] * z, axis=1)
        scale = self.scale[entry]
        return self.centre[entry] + scale * mean, scale * jnp.exp(log_deviation)
