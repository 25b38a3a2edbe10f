"""The Fisher metric of a density by quadrature, and by draws."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree

from qnat.geometry.metric import AbstractMetric, PullbackMetric
from qnat.geometry.operators import Gram, psd_operator

_Weighed = tuple[Float[Array, " N"], Float[Array, " N"]]


def quadrature_fisher(
    log_prob: Callable[[PyTree[Array], Array], Float[Array, " N"]],
    rule: Callable[[PyTree[Array]], tuple[Float[ArrayLike, "N d"], Float[ArrayLike, " N"]]],
) -> PullbackMetric:
    """Σₙ wₙ p(xₙ) ∇log p(xₙ) ∇log p(xₙ)ᵀ, matrix-free: exact in few dimensions, latent variables summed over in p.

    For densities that are analytic, as those of mixtures are, equal widths on a grid that reaches far enough into the
    tails converge exponentially, and so do `panels` around their components.

    Args:
        log_prob: (params, x) ↦ log p of every node, in nats.
        rule: params ↦ the nodes xₙ and their widths wₙ, with Σ wₙ f(xₙ) ≈ ∫ f.
    """

    def logs(params: PyTree[Array]) -> _Weighed:
        x, widths = jax.tree.map(lambda leaf: jax.lax.stop_gradient(jnp.asarray(leaf)), rule(params))
        return log_prob(params, x), widths

    def weigh(point: _Weighed, tangent: _Weighed) -> _Weighed:
        log_p, widths = point
        return widths * jnp.exp(log_p) * tangent[0], jnp.zeros_like(widths)

    return PullbackMetric(logs, weigh)


_REACH, _ORDER = 10, 16
"""Standard deviations to which panels go, each one long at most; and nodes of a panel. Beyond stands 1e-22."""


def panels(means: Float[Array, " K"], deviations: Float[Array, " K"]) -> tuple[Float[Array, "N 1"], Float[Array, " N"]]:
    """Nodes and widths of Gauss and Legendre, for densities that are sums of bells of any widths and distances.

    Every bell cuts the line one standard deviation apart, so that between two cuts none of them does much.
    """
    steps = jnp.arange(-_REACH, _REACH + 1, dtype=means.dtype)
    cuts = jnp.sort((means[:, None] + deviations[:, None] * steps).ravel())
    nodes, weights = (jnp.asarray(each, means.dtype) for each in np.polynomial.legendre.leggauss(_ORDER))
    half = jnp.diff(cuts)[:, None] / 2
    return (cuts[:-1, None] + half * (1 + nodes)).reshape(-1, 1), (half * weights).ravel()


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
