"""Derivatives of U(t)|ψ⟩ by every angle: tangents are born in the window that takes it and travel as rows of a batch.

Inner products do not care where rows meet, as unitaries keep them. So a metric lets the tangents of the first half of
the circuit travel forwards and those of the second half backwards, with one product of rows a window for all of them,
and half as many passes. The batch grows in a few stages, so that the traced program does not grow with the circuit.
"""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Inexact, Int

from ..circuits.circuit import Circuit, Gate
from .evolve import States, gathers
from .frames import generators
from .plan import Plan, make_plan
from .routes import Route, route_of, stacked_steps

_WIDE = 5  # wires of a window for rows that all travel the same way: half of the time that three take, at 12 wires
STAGES = 4  # of growth in either direction; more are a little faster to run and slower to compile


def _gather(states: States, index: Int[Array, " N"]) -> States:
    return states.at[:, index].get(mode="promise_in_bounds", unique_indices=True)


def _times(states: States, w: Float[Array, "a a"]) -> States:
    return (states.reshape(-1, w.shape[0]) @ w).reshape(states.shape)


def _on_pairs(
    matrices: Inexact[Array, "G 4 4"], states: Float[Array, "G N planes"], below: int
) -> Float[Array, "G N planes"]:
    """Matrices applied to the pair of wires that has `below` wires under it."""
    split = states.reshape(len(states), -1, 4, 2**below, states.shape[-1])
    x = lax.complex(split[..., 0], split[..., 1]) if states.shape[-1] == 2 else split[..., 0]
    y = functools.reduce(operator.add, (matrices[:, None, :, j, None] * x[:, :, j, None, :] for j in range(4)))
    parts = jnp.stack([y.real, y.imag], -1) if states.shape[-1] == 2 else y
    return parts.reshape(states.shape)


def _births(
    plan: Plan, route: Route, angles: Float[Array, " P"], before: Float[Array, "T J a a"], inputs: States
) -> Float[Array, "R+most N planes"]:
    """−i G U≤|ψ⟩ of every row, pulled back to the input of its window, and some more rows that do not matter.

    `inputs` are the states at the windows.
    """
    where, window, size = route.where, route.window, before.shape[-1]
    turned = -1j * generators(plan, where, angles)
    if plan.planes == 1:
        turned = turned.real
    layered = inputs[:, None]
    if before.shape[1] > 1:
        layered = (inputs.reshape(plan.windows, 1, -1, size) @ before).reshape(*before.shape[:2], *inputs.shape[1:])
    keys = np.stack([where.below, where.layer > 0], 1)
    parts, order = [], []
    for below, inside in np.unique(keys, axis=0):
        group = np.flatnonzero((keys == (below, inside)).all(1))
        at = window[group], where.layer[group]
        rows = _on_pairs(turned[group], layered[at], int(below))
        if inside:
            rows = jnp.einsum("gna,gba->gnb", rows.reshape(len(rows), -1, size), before[at]).reshape(rows.shape)
        parts.append(rows)
        order.append(group)
    rows, number = jnp.concatenate(parts), route.row[np.concatenate(order)]
    count, more = len(route.angle), route.most
    if count < len(number):
        return jnp.zeros((count + more, *rows.shape[1:]), rows.dtype).at[number].add(rows)
    return rows[np.pad(np.argsort(number), (0, more))]


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
        return (_gather(_times(rows, w), index) if forwards else _times(_gather(rows, index), w.T)), None

    count = len(matrices)
    for part in np.array_split(np.arange(count), min(STAGES, count)) if count else ():
        some = slice(part[0], part[-1] + 1)
        room = int(bounds[part[-1]] - bounds[0]) + most
        rows = jnp.pad(rows, ((0, max(0, room - len(rows))), (0, 0), (0, 0)))
        rows = lax.scan(step, rows, (jnp.asarray(bounds[some]), matrices[some], index[some]))[0]
    return rows[: bounds[-1] - bounds[0]]


def _sweep(
    plan: Plan, route: Route, angles: Float[Array, " P"], start: Float[Array, "N planes"]
) -> tuple[Float[Array, "N planes"], Float[Array, "R N planes"]]:
    """The state and the rows where they meet."""
    steps, meet, bounds = stacked_steps(plan, angles), route.meet, route.bounds

    def step(states: States, step: tuple) -> tuple[States, States]:
        w, index = step
        return _gather(_times(states, w), index), states[0]

    final, inputs = lax.scan(step, _gather(start[None], steps.order[0]), (steps.matrices, steps.order[1:]))
    state = final[0] if meet == plan.windows else inputs[meet]
    if not len(route.angle):
        return state, jnp.zeros((0, *state.shape), state.dtype)
    births = _births(plan, route, angles, steps.before, inputs)
    there = steps.matrices[:meet], steps.order[1 : meet + 1]
    rows = [_travel(births, bounds[: meet + 1], route.most, *there, forwards=True)]
    if meet < plan.windows:
        # from the input of the last window; what is born in window `meet` is where it should be
        back = steps.matrices[meet : plan.windows - 1][::-1], steps.inverse[meet + 1 : plan.windows][::-1]
        rows.append(_travel(births, bounds[meet : plan.windows], route.most, *back, forwards=False))
        rows.append(births[bounds[plan.windows - 1] : bounds[plan.windows]])
    return state, jnp.concatenate([part for part in rows if len(part)])


@functools.lru_cache(maxsize=128)
def _planned(n: int, block: tuple[Gate, ...], layers: int, width: int = 3) -> Plan:
    # of four wires, one product takes a whole layer of gates; beyond, deep windows of three wires save most passes
    return make_plan(Circuit(n, block, layers), n if n <= 4 else width, flat=n <= 4)


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
    plan = _planned(circuit.n, circuit.block, circuit.layers)
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
    plan = _planned(circuit.n, circuit.block, circuit.layers)
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
    plan = _planned(circuit.n, circuit.block, circuit.layers, _WIDE)
    route = route_of(plan, 0)
    _, rows = _sweep(plan, route, angles, start)
    first = gathers(plan.inner, inverse=True)  # rows end at the input of the first window, whose order is its own
    rows = _gather(rows, (first.high[0][:, None] ^ first.low[0]).reshape(-1))
    if len(rows) > plan.num_angles:  # an angle has rows in several windows
        return jnp.zeros((plan.num_angles, *start.shape), rows.dtype).at[route.angle].add(rows)
    return rows[np.argsort(route.angle)]
