"""States through a plan: one gather and one product of rows for every window, and the way back for gradients.

States are real arrays (batch, 2^n, planes). Every window matrix is orthogonal, so the adjoint method recovers each state
from the next one: a gradient holds two states, whatever the depth.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from .plan import Plan, Tables

States = Float[Array, "batch N planes"]
Differentiation = Literal["reverse", "forward"]


class _Gathers(NamedTuple):
    high: Int[Array, "steps hi"]
    low: Int[Array, "steps lo"]


def _gathers(tables: Tables, *, inverse: bool = False) -> _Gathers:
    if inverse:
        return _Gathers(jnp.asarray(tables.inverse_high), jnp.asarray(tables.inverse_low))
    return _Gathers(jnp.asarray(tables.high), jnp.asarray(tables.low))


def _gather(states: States, high: Int[Array, "*chunks hi"], low: Int[Array, " lo"]) -> States:
    index = (high[..., None] ^ low).reshape(-1)
    if states.shape[0] == 1:
        return states[0].at[index].get(mode="promise_in_bounds", unique_indices=True)[None]
    return states.at[:, index].get(mode="promise_in_bounds", unique_indices=True)


def _rows(states: States, w: Float[Array, "a a"]) -> Float[Array, "rows a"]:
    return states.reshape(-1, w.shape[-1])


def _forward(plan: Plan, matrices: Float[Array, "T a a"], states: States) -> States:
    """All windows of a state in one piece."""
    tables = _gathers(plan.inner)

    def window(states: States, step: tuple) -> tuple[States, None]:
        w, high, low = step
        if not all(plan.inner.trivial):
            states = _gather(states, high, low)
        return (_rows(states, w) @ w).reshape(states.shape), None

    return lax.scan(window, states, (matrices, *tables))[0]


def _run(plan: Plan, matrices: Float[Array, "T a a"], states: States) -> States:
    states = _forward(plan, matrices, states)
    outer = _gathers(plan.outer)
    return states if plan.outer.trivial[-1] else _gather(states, outer.high[-1], outer.low[-1])


def _run_back(
    plan: Plan, matrices: Float[Array, "T a a"], states: States, cotangent: States
) -> tuple[Float[Array, "T a a"], States]:
    """Cotangents of the matrices and of the first states, from the last states and their cotangent."""
    outer, inner = _gathers(plan.outer, inverse=True), _gathers(plan.inner, inverse=True)
    if not plan.outer.trivial[-1]:
        states, cotangent = (_gather(x, outer.high[-1], outer.low[-1]) for x in (states, cotangent))

    def window(carry: tuple[States, States], step: tuple) -> tuple[tuple[States, States], Float[Array, "a a"]]:
        states, cotangent = carry
        w, high, low = step
        before = _rows(states, w) @ w.T
        slope = lax.dot_general(before, _rows(cotangent, w), (((0,), (0,)), ((), ())))
        states, cotangent = before.reshape(states.shape), (_rows(cotangent, w) @ w.T).reshape(states.shape)
        if not all(plan.inner.trivial):
            states, cotangent = _gather(states, high, low), _gather(cotangent, high, low)
        return (states, cotangent), slope

    (_, first), slopes = lax.scan(window, (states, cotangent), (matrices, *inner), reverse=True)
    return slopes, first


def evolve(plan: Plan, matrices: Float[Array, "T a a"], states: States, mode: Differentiation = "reverse") -> States:
    """The states after the circuit."""
    if mode == "forward":
        return _run(plan, matrices, states)
    run = jax.custom_vjp(lambda matrices, states: _run(plan, matrices, states))

    def forward(matrices: Float[Array, "T a a"], states: States) -> tuple[States, tuple]:
        states = _run(plan, matrices, states)
        return states, (matrices, states)

    def backward(kept: tuple, cotangent: States) -> tuple[Float[Array, "T a a"], States]:
        return _run_back(plan, *kept, cotangent)

    run.defvjp(forward, backward)
    return run(matrices, states)
