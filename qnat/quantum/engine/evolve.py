"""States through a plan: one gather and one product of rows for every window, and the way back for gradients.

States are real arrays (batch, 2^n, planes). Every window matrix is orthogonal, so the adjoint method recovers each
state from the next one: a gradient holds a few states, whatever the depth.
"""

import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Inexact, Int

from .plan import Plan, Tables

States = Float[Array, "batch N planes"]
Matrices = Float[Array, "T a a"]
Mode = Literal["reverse", "forward"]


class _Gathers(NamedTuple):
    high: Int[Array, "steps hi"]
    low: Int[Array, "steps lo"]


def gathers(tables: Tables, *, inverse: bool = False) -> _Gathers:
    """The tables of a plan on the device, scanned over."""
    if inverse:
        return _Gathers(jnp.asarray(tables.inverse_high), jnp.asarray(tables.inverse_low))
    return _Gathers(jnp.asarray(tables.high), jnp.asarray(tables.low))


def to_amplitudes(planes: Float[Array, "batch d planes"]) -> Inexact[Array, "batch d"]:
    """Complex amplitudes, or real ones of one plane."""
    return lax.complex(planes[..., 0], planes[..., 1]) if planes.shape[-1] == 2 else planes[..., 0]


def gathered(states: States, index: Int[Array, " N"]) -> States:
    """new[y] = old[index[y]]."""
    return states.at[:, index].get(mode="promise_in_bounds", unique_indices=True)


def gather(states: States, high: Int[Array, " hi"], low: Int[Array, " lo"]) -> States:
    """new[y] = old[high[y >> low bits] ^ low[y & mask]]."""
    index = (high[:, None] ^ low).reshape(-1)
    if states.shape[0] == 1:  # one index less to compute for every amplitude
        return states[0].at[index].get(mode="promise_in_bounds", unique_indices=True)[None]
    return gathered(states, index)


def multiplied(states: States, w: Float[Array, "a a"]) -> States:
    """Every row of a window times w."""
    return (states.reshape(-1, w.shape[0]) @ w).reshape(states.shape)


def _gram(left: States, right: States, size: int) -> Float[Array, "a a"]:
    return lax.dot_general(left.reshape(-1, size), right.reshape(-1, size), (((0,), (0,)), ((), ())))


def window(
    plan: Plan, states: States, w: Float[Array, "a a"], high: Int[Array, " hi"], low: Int[Array, " lo"]
) -> States:
    """One gather and one product of rows."""
    if not all(plan.inner.trivial):
        states = gather(states, high, low)
    return multiplied(states, w)


def window_back(
    plan: Plan,
    states: States,
    cotangent: States,
    w: Float[Array, "a a"],
    high: Int[Array, " hi"],
    low: Int[Array, " lo"],
) -> tuple[States, States, Float[Array, "a a"]]:
    """States and cotangent before a window, and the cotangent of W; the tables are those of the inverse gather."""
    before = multiplied(states, w.T)
    slope = _gram(before, cotangent, w.shape[0])
    cotangent = multiplied(cotangent, w.T)
    if not all(plan.inner.trivial):
        before, cotangent = gather(before, high, low), gather(cotangent, high, low)
    return before, cotangent, slope


def _chunks(high: Int[Array, " C"], together: int) -> Int[Array, "groups chunks"]:
    return high.reshape(-1, min(together, high.size))


def _load(states: States, high: Int[Array, " chunks"], low: Int[Array, " M"]) -> Float[Array, "batch_chunks M planes"]:
    """Some chunks of a gathered state, as a larger batch."""
    chunks = gather(states, high, low)
    return chunks.reshape(-1, low.size, states.shape[-1])


def _store(chunks: Float[Array, "groups batch_chunks M planes"], states: States) -> States:
    groups, batch = chunks.shape[0], states.shape[0]
    return jnp.moveaxis(chunks.reshape(groups, batch, -1, states.shape[-1]), 0, 1).reshape(states.shape)


def _run(plan: Plan, matrices: Matrices, states: States) -> States:
    inner, outer = gathers(plan.inner), gathers(plan.outer)

    def one_window(states: States, step: tuple) -> tuple[States, None]:
        return window(plan, states, *step), None

    def phase(states: States, step: tuple) -> tuple[States, None]:
        high, low, start, stop = step

        def group(high: Int[Array, " chunks"]) -> States:
            def body(t: Int[Array, ""], chunk: States) -> States:
                return window(plan, chunk, matrices[t], inner.high[t], inner.low[t])

            return lax.fori_loop(start, stop, body, _load(states, high, low))

        return _store(lax.map(group, _chunks(high, plan.together)), states), None

    if plan.m == plan.n:
        states = lax.scan(one_window, states, (matrices, *inner))[0]
    elif plan.windows:
        bounds = jnp.asarray(plan.bounds)
        states = lax.scan(phase, states, (outer.high[:-1], outer.low[:-1], bounds[:-1], bounds[1:]))[0]
    return states if plan.outer.trivial[-1] else gather(states, outer.high[-1], outer.low[-1])


def _run_back(plan: Plan, matrices: Matrices, states: States, cotangent: States) -> tuple[Matrices, States]:
    """Cotangents of the matrices and of the first states, from the last states and their cotangent."""
    inner, outer = gathers(plan.inner, inverse=True), gathers(plan.outer, inverse=True)

    def one_window(pair: tuple[States, States], step: tuple) -> tuple[tuple[States, States], Float[Array, "a a"]]:
        states, cotangent, slope = window_back(plan, *pair, *step)
        return (states, cotangent), slope

    def phase(carry: tuple[States, States, Matrices], step: tuple) -> tuple[tuple[States, States, Matrices], None]:
        states, cotangent, slopes = carry
        high, low, start, stop = step

        def group(slopes: Matrices, high: Int[Array, " chunks"]) -> tuple[Matrices, tuple[States, States]]:
            def body(i: Int[Array, ""], carry: tuple[States, States, Matrices]) -> tuple[States, States, Matrices]:
                chunk, adjoint, slopes = carry
                t = start + stop - 1 - i
                chunk, adjoint, slope = window_back(plan, chunk, adjoint, matrices[t], inner.high[t], inner.low[t])
                return chunk, adjoint, slopes.at[t].add(slope)

            loaded = (_load(states, high, low), _load(cotangent, high, low), slopes)
            chunk, adjoint, slopes = lax.fori_loop(start, stop, body, loaded)
            return slopes, (chunk, adjoint)

        slopes, pair = lax.scan(group, slopes, _chunks(high, plan.together))
        states, cotangent = (_store(chunks, states) for chunks in pair)
        return (states, cotangent, slopes), None

    if plan.m == plan.n or not plan.windows:
        if not plan.outer.trivial[-1]:
            states, cotangent = (gather(x, outer.high[-1], outer.low[-1]) for x in (states, cotangent))
        (_, first), slopes = lax.scan(one_window, (states, cotangent), (matrices, *inner), reverse=True)
        return slopes, first
    bounds = jnp.asarray(plan.bounds)
    steps = (outer.high[1:], outer.low[1:], bounds[:-1], bounds[1:])
    carry = (states, cotangent, jnp.zeros_like(matrices))
    (_, first, slopes), _ = lax.scan(phase, carry, steps, reverse=True)
    return slopes, first if plan.outer.trivial[0] else gather(first, outer.high[0], outer.low[0])


def reversible(run: Callable[..., States], back: Callable[..., tuple[Matrices, States]]) -> Callable[..., States]:
    """`run(matrices, states)` that derives backwards by `back(matrices, last states, cotangent)` and keeps no other."""
    wrapped = jax.custom_vjp(run)

    def forward(matrices: Matrices, states: States) -> tuple[States, tuple[Matrices, States]]:
        states = run(matrices, states)
        return states, (matrices, states)

    def backward(kept: tuple[Matrices, States], cotangent: States) -> tuple[Matrices, States]:
        return back(*kept, cotangent)

    wrapped.defvjp(forward, backward)
    return wrapped


def evolve_planes(plan: Plan, matrices: Matrices, states: States, mode: Mode = "reverse") -> States:
    """The states after the circuit."""
    run = functools.partial(_run, plan)
    return (run if mode == "forward" else reversible(run, functools.partial(_run_back, plan)))(matrices, states)
