"""Laplace's approximation of a posterior: a Gaussian about its mode."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from qnat.geometry.families import Gaussian
from qnat.inference.process import DescentState, Info, Process, descend
from qnat.optim.rate import Scalar, once

from ..models import gaussian_posterior
from ..models.gaussian_posterior import Theta
from .variational import Energy


class FollowedState(NamedTuple):
    """descent: of the optimiser's coordinates. theta: the Gaussian there."""

    descent: DescentState
    theta: Theta


class _Laplace(eqx.Module):
    energy: Energy

    def descent(self) -> Process:
        return descend(self.value_and_grad, once("lbfgs"))

    def value_and_grad(
        self, x: Float[Array, " d"], batch: Any, key: PRNGKeyArray | None
    ) -> tuple[Scalar, Float[Array, " d"]]:
        return jax.value_and_grad(self.energy)(x)

    def init(self, params: Theta, *, key: PRNGKeyArray | None = None) -> FollowedState:
        descent = self.descent().init(gaussian_posterior.mean_of(Gaussian(), params))
        return FollowedState(descent, self.about(descent.params))

    def step(
        self, state: FollowedState, batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> tuple[FollowedState, Info]:
        descent, info = self.descent().step(state.descent)
        return FollowedState(descent, self.about(descent.params)), info

    def about(self, x: Float[Array, " d"]) -> Theta:
        curvature = jax.hessian(self.energy)(x)
        return gaussian_posterior.at(Gaussian(), x, -(curvature + curvature.T) / 4)

    def params(self, state: FollowedState) -> Theta:
        return state.theta


def laplace(energy: Energy) -> Process:
    """Laplace's approximation: a Gaussian about the mode, whose precision is the Hessian of the energy there.

    Steps are those of L-BFGS to the mode; the value is the energy. Parameters are natural ones, of no Gaussian where
    the Hessian is not positive definite, as it may be on the way.

    Args:
        energy: x ↦ −log p(x, data) in nats.

    Reference: L. Tierney, J. B. Kadane, J. Am. Stat. Assoc. 81, 82 (1986).
    """
    method = _Laplace(energy)
    return Process(method.init, method.step, method.params)
