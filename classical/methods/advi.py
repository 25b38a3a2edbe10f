"""Automatic differentiation variational inference: the best Gaussian by pathwise gradients."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from qnat.geometry.families import DiagonalGaussian, Gaussian
from qnat.inference.process import Info, Process, descend
from qnat.optim import with_rate
from qnat.optim.rate import Scalar, once

from ..models import gaussian
from ..models.gaussian_posterior import Theta
from .laplace import FollowedState
from .variational import Energy


class _Advi(eqx.Module):
    energy: Energy
    family: Gaussian | DiagonalGaussian
    rate: Scalar
    samples: int = eqx.field(static=True)

    def descent(self) -> Process:
        return descend(self.value_and_grad, with_rate(once("scale_by_adam"), self.rate))

    def value_and_grad(self, free: PyTree[Array], batch: Any, key: Any) -> tuple[Scalar, PyTree[Array]]:
        def loss(free: PyTree[Array]) -> Scalar:
            # by the root itself: on the way it may be too ill-conditioned for a precision
            mean, root = free
            noise = jax.random.normal(key, (self.samples, mean.size), mean.dtype)
            if root.ndim == 2:
                scales = jnp.diagonal(root)
                moved = noise @ (jnp.tril(root, -1) + jnp.diag(jnp.exp(scales))).T
            else:
                scales = root
                moved = noise * jnp.exp(scales)
            entropy = jnp.sum(scales) + mean.size * (1 + gaussian.LOG_2PI) / 2
            return jnp.mean(jax.vmap(self.energy)(mean + moved)) - entropy

        return jax.value_and_grad(loss)(free)

    def to_point(self, free: PyTree[Array]) -> Theta:
        if isinstance(self.family, Gaussian):
            return gaussian.from_free(free)
        mean, log_deviation = free
        precision = jnp.exp(-2 * log_deviation)
        return precision * mean, -precision / 2

    def init(self, params: Theta, *, key: PRNGKeyArray | None = None) -> FollowedState:
        if isinstance(self.family, Gaussian):
            return FollowedState(self.descent().init(gaussian.to_free(params)), params)
        precision = -2 * params[1]
        return FollowedState(self.descent().init((params[0] / precision, -jnp.log(precision) / 2)), params)

    def step(
        self, state: FollowedState, batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> tuple[FollowedState, Info]:
        descent, info = self.descent().step(state.descent, key=key)
        return FollowedState(descent, self.to_point(descent.params)), info

    def params(self, state: FollowedState) -> Theta:
        return state.theta


def advi(
    energy: Energy, family: Gaussian | DiagonalGaussian, rate: float | Scalar = 0.003, *, samples: int = 50
) -> Process:
    """Automatic differentiation variational inference: Adam on the mean and the root of the covariance of a Gaussian.

    Gradients are pathwise, the entropy is exact. The value is the free energy in nats.

    Args:
        energy: x ↦ −log p(x, data), differentiable. family: of q. rate: of Adam. samples: draws of a step.

    Reference: A. Kucukelbir, D. Tran, R. Ranganath, A. Gelman, D. Blei, J. Mach. Learn. Res. 18, 14 (2017).
    """
    method = _Advi(energy, family, jnp.asarray(rate, float), samples)
    return Process(method.init, method.step, method.params)
