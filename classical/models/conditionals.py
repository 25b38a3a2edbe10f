"""Normal distributions of one entry of a row, given the others."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray


class ConditionalParams(NamedTuple):
    """Of d conditionals, in units of the columns.

    Attributes:
        bias: (d,). slopes: (d, d), of which the diagonal is not used. log_deviation: (d,).
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

    def start(self, key: PRNGKeyArray) -> ConditionalParams:
        """The marginals of independent columns; a random body to which no head listens yet."""
        width = len(self.centre)
        sizes, dtype = (width, *self.hidden), self.centre.dtype
        keys = jax.random.split(key, len(self.hidden) + 1)
        body = tuple(
            (jax.random.normal(each, (given, made), dtype) / jnp.sqrt(given).astype(dtype), jnp.zeros(made, dtype))
            for each, given, made in zip(keys, sizes, sizes[1:], strict=False)
        )
        zeros = jnp.zeros(width, dtype)
        heads = jnp.zeros((2, width, sizes[-1] if self.hidden else 0), dtype)
        return ConditionalParams(zeros, jnp.zeros((width, width), dtype), zeros, body, heads)

    def __call__(
        self, params: ConditionalParams, x: Float[Array, "N d"], entry: Int[Array, " N"]
    ) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
        """Mean and standard deviation of one entry a row; what x holds there does not matter."""
        z = (x - self.centre) / self.scale
        z = z.at[jnp.arange(len(z)), entry].set(0)
        mean = params.bias[entry] + jnp.sum(params.slopes[entry] * z, axis=1)
        log_deviation = params.log_deviation[entry]
        if self.hidden:
            for weights, bias in params.body:
                z = jnp.tanh(z @ weights + bias)
            mean += jnp.sum(params.heads[0, entry] * z, axis=1)
            log_deviation += jnp.sum(params.heads[1, entry] * z, axis=1)
        scale = self.scale[entry]
        return self.centre[entry] + scale * mean, scale * jnp.exp(log_deviation)
