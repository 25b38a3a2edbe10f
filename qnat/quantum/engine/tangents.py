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
from .evolve import States, gathered, multiplied
from .plan import Plan
from .routes import Route, Steps, route_of, stacked_steps
from .turns import planned, turns

_DEEP = 3  # wires of a window for rows of two ways: deep ones save most passes
_WIDE = 6  # wires of a window for rows that all go back to the input: fewer passes than with five, from 14 wires on
_CACHED = 2**19  # numbers that rows on their way are, single-precision ones two megabytes
STAGES = 4  # of growth in either direction; more are a little faster to run and slower to compile


def _births(inputs: Float[Array, "R *batch N planes"], turned: Float[Array, "R a a"]) -> Array:
    """The rows at the inputs of their windows, of the states there, by what `turns` gives."""
    return jnp.einsum("rna,rac->rnc", inputs.reshape(len(inputs), -1, turned.shape[-1]), turned).reshape(inputs.shape)


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


def _forwards(steps: Steps, starts: States) -> tuple[States, Float[Array, "T batch N planes"]]:
    """U|ψ⟩ of some states, and what they are at the input of every window."""

    def step(states: States, step: tuple) -> tuple[States, States]:
        w, index = step
        return gathered(multiplied(states, w), index), states

    return lax.scan(step, gathered(starts, steps.order[0]), (steps.matrices, steps.order[1:]))


def _sweep(
    plan: Plan, route: Route, angles: Float[Array, " P"], start: Float[Array, "N planes"]
) -> tuple[Float[Array, "N planes"], Float[Array, "R N planes"]]:
    """The state and the rows where they meet."""
    steps, meet, bounds = stacked_steps(plan, angles), route.meet, route.bounds
    final, inputs = (states.squeeze(-3) for states in _forwards(steps, start[None]))
    state = final if meet == plan.windows else inputs[meet]
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
    circuit: Circuit, angles: Float[Array, " P"], starts: Float[Array, "B N planes"], weights: Float[Array, "B N"]
) -> Float[Array, "P N planes"]:
    """Σⱼ wⱼ ∘ Aₖ|ψⱼ⟩ for every angle, with dU/dtₖ = U Aₖ: tangents of U(t)|ψⱼ⟩ that are pulled back to the input.

    Takes half of the work of `tangents`, as a row travels backwards from the window that takes its angle. A few rows at
    a time go all the way, as many as a cache holds: twice as fast as all of them window by window, and nothing but the
    result is as large as it.

    Args:
        circuit: U on n ≥ 2 wires, N = 2^n. angles: (P,) radians.
        starts: |ψⱼ⟩ as real numbers; one plane if the circuit is real, else Re and Im. weights: wⱼ.
    """
    rows = jnp.zeros((circuit.num_angles, *starts.shape[1:]), starts.dtype)
    if not circuit.num_angles:
        return rows
    plan = planned(circuit.n, circuit.block, circuit.layers, _WIDE)
    route, steps = route_of(plan, 0), stacked_steps(plan, angles)
    count, batch = len(route.angle), len(starts)
    size = max(1, min(route.most, _CACHED // starts.size))
    missing = -count % size
    turned = jnp.pad(turns(plan, route, angles, steps.before), ((0, missing), (0, 0), (0, 0)))
    window = np.pad(route.windows, (0, missing), mode="edge")
    angle = np.pad(route.angle, (0, missing), constant_values=circuit.num_angles)  # beyond the last one: dropped
    blocks = (turned, jnp.asarray(window), jnp.asarray(angle))
    inputs = _forwards(steps, starts)[1]

    def block(rows: States, block: tuple[Array, ...]) -> tuple[States, None]:
        turned, window, angle = block
        born = _births(inputs[window], turned).reshape(-1, *starts.shape[1:])
        at = jnp.repeat(window, batch)[:, None, None]

        def back(i: Int[Array, ""], moving: States) -> States:
            here = window[0] - i
            moved = multiplied(gathered(moving, steps.inverse[here]), steps.matrices[here - 1].T)
            return jnp.where(at >= here, moved, born)  # what is born later waits

        # the first window has its wires in an order of its own
        ended = gathered(lax.fori_loop(0, window[0], back, born), steps.inverse[0])
        ended = ended.reshape(size, *starts.shape)
        # a sum of few terms, written out: as a product of vectors for every amplitude it would take most of the time
        added = functools.reduce(jnp.add, (ended[:, j] * weights[j, :, None] for j in range(batch)))
        return rows.at[angle].add(added, mode="drop"), None

    return lax.scan(block, rows, jax.tree.map(lambda x: x.reshape(-1, size, *x.shape[1:]), blocks))[0]
