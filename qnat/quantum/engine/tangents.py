"""Derivatives of U(t)|ψ⟩ by every angle: tangents are born in the window that takes it and travel as rows of a batch.

Inner products do not care where rows meet, as unitaries keep them. So a metric lets the tangents of the first half of
the circuit travel forwards and those of the second half backwards, with one product of rows a window for all of them,
and half as many passes. The batch grows in a few stages, so that the traced program does not grow with the circuit.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from ..circuits.circuit import Circuit
from .evolve import States
from .plan import Plan
from .routes import Route, Steps, gathered, multiplied, route_of, stacked_steps
from .turns import planned, turns

_DEEP = 3  # wires of a window for rows of two ways: deep ones save most passes
_WIDE = 6  # wires of a window for rows that all go back to the input: fewer passes than with five, from 14 wires on
_CACHED = 2**19  # numbers, single-precision ones two megabytes
STAGES = 4  # of growth in either direction; more are a little faster to run and slower to compile


def _births(inputs: States, turns: Float[Array, "B a a"]) -> States:
    """The rows at the inputs of their windows, of the states there."""
    return jnp.einsum("bna,bac->bnc", inputs.reshape(len(inputs), -1, turns.shape[-1]), turns).reshape(inputs.shape)


def _travel(
    births: Float[Array, "R+most N planes"],
    bounds: Int[np.ndarray, " S+1"],
    most: int,
    matrices: Float[Array, "S a a"],
    index: Int[Array, "S N"],
    *,
    forwards: bool,
) -> Float[Array, "r N planes"]:
    """Rows that join at every step and take it and all later ones: a product and a gather, or the other way round."""
    rows = births[:0]

    def step(rows: States, step: tuple) -> tuple[States, None]:
        start, w, index = step
        born = lax.dynamic_slice_in_dim(births, start, most)
        # as long for every step, so maybe too long; the next step puts its own rows over the excess
        rows = lax.dynamic_update_slice_in_dim(rows, born, start - int(bounds[0]), 0)
        return (gathered(multiplied(rows, w), index) if forwards else multiplied(gathered(rows, index), w.T)), None

    count = len(matrices)
    for part in np.array_split(np.arange(count), min(STAGES, count)) if count else ():
        some = slice(part[0], part[-1] + 1)
        room = int(bounds[part[-1]] - bounds[0]) + most
        rows = jnp.pad(rows, ((0, max(0, room - len(rows))), (0, 0), (0, 0)))
        rows = lax.scan(step, rows, (jnp.asarray(bounds[some]), matrices[some], index[some]))[0]
    return rows[: bounds[-1] - bounds[0]]


def _forwards(steps: Steps, start: Float[Array, "N planes"]) -> tuple[States, Float[Array, "T N planes"]]:
    """U|ψ⟩, and the states at the input of every window."""

    def step(states: States, step: tuple) -> tuple[States, States]:
        w, index = step
        return gathered(multiplied(states, w), index), states[0]

    return lax.scan(step, gathered(start[None], steps.order[0]), (steps.matrices, steps.order[1:]))


def _to_input(
    inputs: States, turns: Float[Array, "R a a"], window: Int[np.ndarray, " R"], steps: Steps
) -> Float[Array, "R N planes"]:
    """Rows that are born at the inputs of those descending windows, pulled back to the input of the circuit.

    A few rows at a time go all the way, as many as a cache holds: twice as fast as all rows window by window.
    """
    count = len(turns)
    size = max(1, min(np.bincount(window).max(), _CACHED // inputs[0].size))
    missing = -count % size
    blocks = jnp.pad(turns, ((0, missing), (0, 0), (0, 0))).reshape(-1, size, *turns.shape[1:])
    windows = jnp.asarray(np.pad(window, (0, missing), mode="edge").reshape(-1, size))

    def block(rows: tuple[Float[Array, "size a a"], Int[Array, " size"]]) -> States:
        turns, at = rows
        born = _births(inputs[at], turns)

        def back(i: Int[Array, ""], rows: States) -> States:
            here = at[0] - i
            moved = multiplied(gathered(rows, steps.inverse[here]), steps.matrices[here - 1].T)
            return jnp.where((at >= here)[:, None, None], moved, born)  # what is born later waits

        # the first window has its wires in an order of its own
        return gathered(lax.fori_loop(0, at[0], back, born), steps.inverse[0])

    return lax.map(block, (blocks, windows)).reshape(-1, *inputs.shape[1:])[:count]


def _sweep(
    plan: Plan, route: Route, angles: Float[Array, " P"], start: Float[Array, "N planes"]
) -> tuple[Float[Array, "N planes"], Float[Array, "R N planes"]]:
    """The state and the rows where they meet."""
    steps, meet, bounds = stacked_steps(plan, angles), route.meet, route.bounds
    final, inputs = _forwards(steps, start)
    state = final[0] if meet == plan.windows else inputs[meet]
    if not len(route.angle):
        return state, jnp.zeros((0, *state.shape), state.dtype)
    births = _births(inputs[route.windows], turns(plan, route, angles, steps.before))
    births = jnp.pad(births, ((0, route.most), (0, 0), (0, 0)))  # rows that do not matter
    there = steps.matrices[:meet], steps.order[1 : meet + 1]
    rows = [_travel(births, bounds[: meet + 1], route.most, *there, forwards=True)]
    if meet < plan.windows:
        # from the input of the last window; what is born in window `meet` is where it should be
        back = steps.matrices[meet : plan.windows - 1][::-1], steps.inverse[meet + 1 : plan.windows][::-1]
        rows.append(_travel(births, bounds[meet : plan.windows], route.most, *back, forwards=False))
        rows.append(births[bounds[plan.windows - 1] : bounds[plan.windows]])
    return state, jnp.concatenate([part for part in rows if len(part)])


def _start(plan: Plan, basis: int, dtype: jnp.dtype) -> Float[Array, "N planes"]:
    return jnp.zeros((2**plan.n, plan.planes), dtype).at[basis, 0].set(1)


@functools.partial(jax.jit, static_argnames=("circuit", "basis"))
def tangents(
    circuit: Circuit, angles: Float[Array, " P"], basis: int = 0
) -> tuple[Float[Array, "N planes"], Float[Array, "P N planes"]]:
    """U(t)|b⟩ and its derivatives by all angles, as real numbers; one plane if the circuit is real, else Re and Im.

    Args:
        circuit: U on n wires, N = 2^n. angles: (P,) radians; their precision is that of the result.
        basis: b as an integer, wire 0 its most significant bit.
    """
    if circuit.n == 1:  # as the first of two wires
        state, rows = tangents(Circuit(2, circuit.block, circuit.layers), angles, 2 * basis)
        return state[::2], rows[:, ::2]
    plan = planned(circuit.n, circuit.block, circuit.layers, _DEEP)
    route = route_of(plan, plan.windows)
    state, rows = _sweep(plan, route, angles, _start(plan, basis, angles.dtype))
    return state, jnp.zeros((plan.num_angles, *state.shape), state.dtype).at[route.angle].add(rows)


@functools.partial(jax.jit, static_argnames=("circuit", "basis"))
def tangent_gram(circuit: Circuit, angles: Float[Array, " P"], basis: int = 0) -> Float[Array, "P P"]:
    """Re(⟨∂ₖψ|∂ₗψ⟩ − ⟨∂ₖψ|ψ⟩⟨ψ|∂ₗψ⟩) of ψ = U(t)|b⟩: the real part of the quantum geometric tensor.

    Takes what `tangents` takes, and half of its work.
    """
    if circuit.n == 1:
        return tangent_gram(Circuit(2, circuit.block, circuit.layers), angles, 2 * basis)
    plan = planned(circuit.n, circuit.block, circuit.layers, _DEEP)
    route, count = route_of(plan, plan.windows // 2), plan.num_angles
    state, rows = _sweep(plan, route, angles, _start(plan, basis, angles.dtype))
    if len(rows) > count:  # an angle has rows in several windows
        rows = jnp.zeros((count, *state.shape), state.dtype).at[route.angle].add(rows)
        order = np.arange(count)
    else:
        order = np.argsort(route.angle)
    flat = rows.reshape(count, state.size)
    gram = flat @ flat.T
    if plan.planes == 2:
        # ⟨ψ|∂ψ⟩ is imaginary; ψ multiplied by i has the planes (−Im, Re)
        phases = flat @ jnp.stack([-state[:, 1], state[:, 0]], -1).reshape(-1)
        gram = gram - jnp.outer(phases, phases)
    return gram if (order == np.arange(count)).all() else gram[order[:, None], order]


@functools.partial(jax.jit, static_argnames="circuit")
def frame_rows(
    circuit: Circuit, angles: Float[Array, " P"], start: Float[Array, "N planes"]
) -> Float[Array, "P N planes"]:
    """Aₖ|ψ⟩ for every angle, with dU/dtₖ = U Aₖ: the tangents of U(t)|ψ⟩, pulled back to the input of the circuit.

    Takes half of the work of `tangents`: a row travels backwards from the window that takes its angle.

    Args:
        circuit: U on n ≥ 2 wires, N = 2^n. angles: (P,) radians.
        start: |ψ⟩ as real numbers; one plane if the circuit is real, else Re and Im.
    """
    if not circuit.num_angles:
        return jnp.zeros((0, *start.shape), start.dtype)
    plan = planned(circuit.n, circuit.block, circuit.layers, _WIDE)
    route, steps = route_of(plan, 0), stacked_steps(plan, angles)
    inputs = _forwards(steps, start)[1]
    rows = _to_input(inputs, turns(plan, route, angles, steps.before), route.windows, steps)
    if len(rows) > plan.num_angles:  # an angle has rows in several windows
        return jnp.zeros((plan.num_angles, *start.shape), rows.dtype).at[route.angle].add(rows)
    return rows[np.argsort(route.angle)]
