"""Expectation maximisation whose M-step is a few steps of a gradient, in coordinates of one's own."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from qnat.geometry.mirror import pairing
from qnat.inference.em import AbstractLatentModel
from qnat.inference.process import Info, Process
from qnat.optim.rate import Scalar, number


class _State(NamedTuple):
    coordinates: PyTree[Array]


class _GradientEM(eqx.Module):
    model: AbstractLatentModel
    to_theta: Callable[[PyTree[Array]], PyTree[Array]]
    rate: Scalar
    data: Any
    steps: int = eqx.field(static=True)

    def init(self, coordinates: PyTree[Array], *, key: PRNGKeyArray | None = None) -> _State:
        return _State(coordinates)

    def step(self, state: _State, batch: Any = None, *, key: PRNGKeyArray | None = None) -> tuple[_State, Info]:
        eta, value = self.model.expected(self.to_theta(state.coordinates), self.data if batch is None else batch)

        def expected_log_joint(coordinates: PyTree[Array]) -> Float[Array, ""]:
            return pairing(eta, self.to_theta(coordinates))

        def climb(_: Array, coordinates: PyTree[Array]) -> PyTree[Array]:
            gradient = jax.grad(expected_log_joint)(coordinates)
            return jax.tree.map(lambda c, g: c + self.rate.astype(c.dtype) * g, coordinates, gradient)

        return _State(jax.lax.fori_loop(0, self.steps, climb, state.coordinates)), Info(-value, {})

    def params(self, state: _State) -> PyTree[Array]:
        return state.coordinates


def gradient_em(
    model: AbstractLatentModel,
    to_theta: Callable[[PyTree[Array]], PyTree[Array]],
    rate: float | Scalar,
    *,
    steps: int = 1,
    data: Any = None,
) -> Process:
    """Gradient EM: E[t | x], then `steps` steps up the gradient of Q(c) = ⟨E[t | x], θ(c)⟩.

    Unlike EM it depends on the coordinates. With one step it is gradient descent on −log p(x), as the gradients of Q
    and of log p(x) are equal where the expectation was taken.

    Args:
        model: of labels and items. to_theta: c ↦ its parameters, normalised, such as a chart and what follows.
        rate: of the gradient steps. steps: of them between two expectations.
        data: what every step sees, where the problem feeds no batches.

    Reference: S. Balakrishnan, M. Wainwright, B. Yu, Ann. Stat. 45, 77 (2017).
    """
    method = _GradientEM(model, to_theta, number(rate), data, steps)
    return Process(method.init, method.step, method.params)
