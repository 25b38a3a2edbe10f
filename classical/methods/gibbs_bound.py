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
    """J of every row with the picked entry drawn as m_j + s_j·noise; log p(x) where none is picked."""
    mean, deviation = conditionals(params, x, picked.entry)
    drawn = with_entries(x, picked, mean + deviation * noise)
    return log_prob(point, drawn) + jnp.where(picked.some, jnp.log(deviation) + (LOG_2PI + 1) / 2, 0)


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
