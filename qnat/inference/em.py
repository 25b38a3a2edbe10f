"""Expectation maximisation, in whole or online, of models that say no more than their likelihood."""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from qnat.optim.rate import Scalar, ScalarOrSchedule, Schedule, rate_at, traced_rate

from .process import Info, Process


class AbstractLatentModel(eqx.Module):
    """A model p(x, z) of the exponential family in (x, z), of which only x is seen."""

    @abc.abstractmethod
    def clamped(self, theta: PyTree[Array], data: Any) -> Float[Array, ""]:
        """log Σ_z exp⟨θ, t(x, z)⟩, the mean over items in nats: log p(x) where θ is normalised.

        Nobody writes an E-step: its gradient in θ is E[t(x, z) | x]. A matrix in θ should be made symmetric inside.
        """

    @abc.abstractmethod
    def maximise(self, eta: PyTree[Array]) -> PyTree[Array]:
        """The normalised θ of maximum likelihood for the expected statistics η, shaped like θ."""

    def expected(self, theta: PyTree[Array], data: Any) -> tuple[PyTree[Array], Float[Array, ""]]:
        """(E[t | x], log p(x)), means over items; final."""
        value, eta = jax.value_and_grad(self.clamped)(theta, data)
        return eta, value


class EMState(NamedTuple):
    """theta: the parameters. eta: expected statistics, averaged over steps. step: steps so far."""

    theta: PyTree[Array]
    eta: PyTree[Array]
    step: Int[Array, ""]


class _EM(eqx.Module):
    model: AbstractLatentModel
    rate: Scalar | Schedule
    data: Any

    def init(self, theta: PyTree[Array], *, key: PRNGKeyArray | None = None) -> EMState:
        return EMState(theta, jax.tree.map(jnp.zeros_like, theta), jnp.zeros((), jnp.int32))

    def step(self, state: EMState, batch: Any = None, *, key: PRNGKeyArray | None = None) -> tuple[EMState, Info]:
        target, value = self.model.expected(state.theta, self.data if batch is None else batch)
        # the first statistics are taken whole: there are no others yet to average them with
        rho = jnp.where(state.step == 0, 1.0, rate_at(self.rate, state.step))
        eta = jax.tree.map(lambda old, new: old + (rho * (new - old)).astype(old.dtype), state.eta, target)
        return EMState(self.model.maximise(eta), eta, state.step + 1), Info(-value, {})

    def params(self, state: EMState) -> PyTree[Array]:
        return state.theta


def em(model: AbstractLatentModel, rate: ScalarOrSchedule = 1.0, *, data: Any = None) -> Process:
    """Expectation maximisation: η ← (1 − ρ) η + ρ E[t | x], then θ of maximum likelihood for η.

    With ρ = 1 the loss −log p(x) never rises, and in the coordinates of θ a step is a mirror step of length one. With
    batches and a schedule ρ(step) < 1 it is online EM, which is stochastic variational inference for these models.

    Args:
        model: says the likelihood of its data and the maximum-likelihood parameters of expected statistics.
        rate: ρ in (0, 1], a number or a function of the step; the first step takes 1.
        data: what every step sees, where the problem feeds no batches.

    Reference: A. Dempster, N. Laird, D. Rubin, J. R. Stat. Soc. B 39, 1 (1977); O. Cappé, E. Moulines, J. R. Stat.
    Soc. B 71, 593 (2009); S. Amari, Neural Netw. 8, 1379 (1995).
    """
    method = _EM(model, traced_rate(rate), data)
    return Process(method.init, method.step, method.params)
