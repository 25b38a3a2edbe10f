"""The Fisher metric of a density by quadrature."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from qnat.geometry.metric import PullbackMetric


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
