"""What iterates: descent, expectation maximisation, a sampler, a chain; one shape for all of them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import lineax as lx
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

Scalar = Float[Array, ""]
ValueAndGrad = Callable[[PyTree[Array], Any, PRNGKeyArray | None], tuple[Scalar, PyTree[Array]]]
"""(params, batch, key) ↦ (value, gradient), as `qnat.experiment.Task.value_and_grad`."""


class Linearised(NamedTuple):
    """An objective at one point, seen by a natural gradient.

    Attributes:
        value, gradient: there. metric: a lineax operator on trees like the parameters.
        judge: params ↦ the value by which a trial of this step is judged; None for the objective itself.
    """

    value: Scalar
    gradient: PyTree[Array]
    metric: lx.AbstractLinearOperator
    judge: Callable[[PyTree[Array]], Scalar] | None = None


Linearise = Callable[[PyTree[Array], Any, PRNGKeyArray | None], Linearised]
"""(params, batch, key) ↦ what is there, as `qnat.experiment.Task.linearise`."""


class Info(NamedTuple):
    """What a step says of itself.

    Attributes:
        value: the objective in the state before the step, such as a loss or minus a log-density in nats.
        scalars: further numbers, by name; the same names at every step.
    """

    value: Scalar
    scalars: Mapping[str, Scalar]


class Process(NamedTuple):
    """What iterates, as pure functions.

    Attributes:
        init: `init(params, key=…)`, a state, which is a pytree of arrays.
        step: `step(state, batch, key=…)`, the next state and an `Info`; the batch is None where the problem feeds none.
        params: state ↦ the parameters that are evaluated, stored and continued from.
        traceable: whether JAX can trace `step`; a step that calls a simulator outside JAX runs in Python.
    """

    init: Callable[..., PyTree[Array]]
    step: Callable[..., tuple[PyTree[Array], Info]]
    params: Callable[[PyTree[Array]], PyTree[Array]]
    traceable: bool = True


class DescentState(NamedTuple):
    """params: where the descent is. optimizer: the state of its optax transform."""

    params: PyTree[Array]
    optimizer: PyTree[Array]


class _Descent(eqx.Module):
    value_and_grad: ValueAndGrad
    optimizer: optax.GradientTransformation
    linearise: Linearise | None

    def init(self, params: PyTree[Array], *, key: PRNGKeyArray | None = None) -> DescentState:
        return DescentState(params, self.optimizer.init(params))

    def step(
        self, state: DescentState, batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> tuple[DescentState, Info]:
        params, inner = state
        # a trial is judged on the batch and the random numbers of the step, which optax's line searches hand on by name
        extra: dict[str, Any] = {
            "value_fn": lambda trial, batch=batch, key=key: self.value_and_grad(trial, batch, key)[0]
        }
        if self.linearise is None:
            value, grads = self.value_and_grad(params, batch, key)
        else:
            value, grads, extra["operator"], judge = self.linearise(params, batch, key)
            extra["value_fn"] = judge or extra["value_fn"]
        updates, inner = optax.with_extra_args_support(self.optimizer).update(
            grads,
            inner,
            params,
            value=value,
            grad=grads,
            batch=batch,
            key=key,
            **extra,
        )
        return DescentState(optax.apply_updates(params, updates), inner), Info(value, diagnostics(inner))

    def params(self, state: DescentState) -> PyTree[Array]:
        return state.params


def descend(
    value_and_grad: ValueAndGrad,
    optimizer: optax.GradientTransformation,
    *,
    linearise: Linearise | None = None,
    traceable: bool = True,
) -> Process:
    """Descent by an optax transform, which is also handed `value`, `value_fn`, `batch` and `key`, as line searches are.

    Args:
        value_and_grad: of the objective. optimizer: any optax transform.
        linearise: where one sweep over a model gives value, gradient and metric at once; the transform is handed the
            metric as `operator`, which `qnat.optim.natural_gradient` without a metric of its own takes.
        traceable: as in `Process`.
    """
    method = _Descent(value_and_grad, optimizer, linearise)
    return Process(method.init, method.step, method.params, traceable)


def diagnostics(state: PyTree[Array]) -> dict[str, Scalar]:
    """The fields of every `diagnostics` in an optimiser's state; a name met again gets a number."""
    found: dict[str, Scalar] = {}
    for count, (_, each) in enumerate(optax.tree_utils.tree_get_all_with_path(state, "diagnostics")):
        for name, value in each._asdict().items():
            found[f"{name}_{count}" if name in found else name] = jnp.asarray(value)
    return found
