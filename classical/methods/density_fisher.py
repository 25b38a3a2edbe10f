"""The Fisher metric of a density by quadrature, and by draws."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from qnat.geometry.metric import AbstractMetric, PullbackMetric
from qnat.geometry.operators import Gram, psd_operator


def quadrature_fisher(
    log_prob: Callable[[PyTree[Array]], Float[Array, " N"]], widths: Float[Array, " N"]
) -> PullbackMetric:
    """Σₙ wₙ p(xₙ) ∇log p(xₙ) ∇log p(xₙ)ᵀ, matrix-free: exact in few dimensions, latent variables summed over in p.

    For densities that are analytic, as those of mixtures are, equal widths on a grid that reaches far enough into the
    tails converge exponentially.

    Args:
        log_prob: of the nodes xₙ, in nats. widths: wₙ, with Σ wₙ f(xₙ) ≈ ∫ f.
    """

    def weigh(log_p: Float[Array, " N"], tangent: Float[Array, " N"]) -> Float[Array, " N"]:
        return widths * jnp.exp(log_p) * tangent

    return PullbackMetric(log_prob, weigh)


class SampledFisher(AbstractMetric):
    """The mean of ∇log p ∇log pᵀ over draws from the density itself, fresh for every key: unbiased.

    Attributes:
        log_prob: (params, x) ↦ log p of every item. sample: (params, count, key) ↦ items. draws: how many.
    """

    log_prob: Callable[[PyTree[Array], Array], Float[Array, " N"]]
    sample: Callable[[PyTree[Array], int, PRNGKeyArray], Array]
    draws: int = eqx.field(static=True)

    def at(
        self, params: PyTree[Array], batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> lx.AbstractLinearOperator:
        if key is None:
            raise ValueError("SampledFisher draws items; pass key=.")
        x = jax.lax.stop_gradient(self.sample(params, self.draws, key))
        flat, unravel = ravel_pytree(params)
        _, push = jax.linearize(lambda at: self.log_prob(at, x), params)
        # the scores of all draws, once: their matrix and all products then are those of a small matrix
        scores = jax.vmap(lambda v: push(unravel(v)))(jnp.eye(flat.size, dtype=flat.dtype)) / np.sqrt(self.draws)
        product = psd_operator(lambda v: unravel(scores @ (ravel_pytree(v)[0] @ scores)), params)
        return Gram(product, jax.tree_util.Partial(lambda: scores))
