"""The objective of variational Gibbs inference, and how far its conditionals are from those of the density."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..data.imputed import Picked, with_entries
from ..models.conditionals import ConditionalParams, GaussianConditionals
from ..models.gaussian import LOG_2PI

LogProb = Callable[[PyTree[Array], Float[Array, "N d"]], Float[Array, " N"]]
"""(point, whole rows) ↦ log p of each, in nats."""


def lower_bound(
    log_prob: LogProb,
    conditionals: GaussianConditionals,
    point: PyTree[Array],
    params: ConditionalParams,
    x: Float[Array, "N d"],
    picked: Picked,
    noise: Float[Array, " N"],
) -> Float[Array, " N"]:
    """log p(x) − log q_j(x_j) of every row with the picked entry drawn as m_j + s_j·noise, of which J is the mean.

    Where none is picked it is log p(x). The parameters of log q_j are held: the derivative in them has mean zero, and
    without it that of J does not scatter once q_j is the conditional of p (G. Roeder, Y. Wu, D. Duvenaud, 2017).
    """
    mean, deviation = conditionals(params, x, picked.entry)
    value = mean + deviation * noise
    mean, deviation = jax.lax.stop_gradient((mean, deviation))
    surprise = ((value - mean) / deviation) ** 2 / 2 + jnp.log(deviation) + LOG_2PI / 2
    return log_prob(point, with_entries(x, picked, value)) + jnp.where(picked.some, surprise, 0)


def divergence(
    log_prob: LogProb,
    conditionals: GaussianConditionals,
    point: PyTree[Array],
    params: ConditionalParams,
    x: Float[Array, "N d"],
    picked: Picked,
) -> Float[Array, " N"]:
    """KL(q_j ‖ p(x_j | x_−j)) in nats, of log p that is quadratic in each entry; 0 where none is picked."""
    mean, deviation = conditionals(params, x, picked.entry)
    whole = Picked(picked.entry, jnp.ones_like(picked.some))

    def slope(at: Float[Array, " N"]) -> Float[Array, " N"]:
        return jax.jvp(lambda at: log_prob(point, with_entries(x, whole, at)), (at,), (jnp.ones_like(at),))[1]

    first, second = jax.jvp(slope, (mean,), (jnp.ones_like(mean),))
    # p is normal with precision −second, and its mean is first/second before that of q
    ratio = -second * deviation**2
    return jnp.where(picked.some, (ratio - 1 - jnp.log(ratio) - first**2 / second) / 2, 0)
