"""Derivatives of U(t)|ψ⟩ by every angle: tangents are born in the window that takes it and travel as rows of a batch.

Inner products do not care where rows meet, as unitaries keep them. So a metric lets the tangents of the first half of
the circuit travel forwards and those of the second half backwards, with one product of rows a window for all of them,
and half as many passes. The batch grows in a few stages, so that the traced program does not grow with the circuit.
"""

import functools
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Inexact, Int

from ..circuits.circuit import Circuit, Gate
from .evolve import States, gathers
from .frames import Insertions, generators, insertions
from .matrices import layer_rows
from .plan import Plan, make_plan

STAGES = 4  # of growth in either direction; more are a little faster to run and slower to compile


class Route(NamedTuple):
    """How rows travel: tangents of windows 0 … meet − 1 forwards, of T − 1 … meet backwards, in this order of windows.

    Attributes:
        meet: rows end at the input of this window, T for the end of the circuit.
        where: the operations in the order of travel. window: of each.
        row: of each operation; operations of a window that share an angle share a row.
        angle: of every row. bounds: first row of every window as they are travelled, and the number of rows.
    """

    meet: int
    where: Insertions
    window: Int[np.ndarray, " G"]
    row: Int[np.ndarray, " G"]
    angle: Int[np.ndarray, " R"]
    bounds: Int[np.ndarray, " T+1"]

    @property
    def most(self) -> int:
        """Rows of the window that has most of them."""
        return int(np.diff(self.bounds).max(initial=0))


class _Steps(NamedTuple):
    """What states pass through: W_t, gathers before every window and at the end, and what comes before a layer."""

    matrices: Float[Array, "T a a"]
    order: Int[Array, "T+1 N"]
    inverse: Int[Array, "T+1 N"]
    before: Float[Array, "T J a a"]


def _route(plan: Plan, meet: int) -> Route:
    where, count = insertions(plan), plan.windows
    window = np.repeat(np.arange(count), np.diff(where.bounds))
    turn = np.where(window < meet, window, count - 1 + meet - window)
    order = np.argsort(turn, kind="stable")
    where = Insertions(where.bounds, *(column[order] for column in where[1:]))
    pairs, first, row = np.unique(
        np.stack([turn[order], where.angle], 1), axis=0, return_index=True, return_inverse=True
    )
    rank = np.argsort(np.argsort(first))  # rows in the order of their first operation
    turns = np.sort(pairs[:, 0])
    bounds = np.searchsorted(turns, np.arange(count + 1))
    return Route(meet, where, window[order], rank[row.reshape(-1)], where.angle[np.sort(first)], bounds)


def _steps(plan: Plan, angles: Float[Array, " P"]) -> _Steps:
    tables: list[Int[Array, "T+1 N"]] = []
    for inverse in (False, True):
        parts = gathers(plan.inner, inverse=inverse), gathers(plan.outer, inverse=inverse)
        inner, outer = ((high[:, :, None] ^ low[:, None]).reshape(-1, 2**plan.n) for high, low in parts)
        tables.append(jnp.concatenate([inner, outer[-1:]]))
    there, back = tables
    layers, orders = layer_rows(plan, angles)
    if layers.shape[1] == 1:  # the first layer has its wires as they come
        return _Steps(layers[:, 0], there, back, layers)
    swaps = jnp.asarray(orders, layers.dtype)
    through = lax.associative_scan(jnp.matmul, swaps @ layers, axis=1)
    before = jnp.concatenate([swaps[:, :1], through[:, :-1] @ swaps[:, 1:]], axis=1)
    return _Steps(through[:, -1], there, back, before)


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
    steps, meet, bounds = _steps(plan, angles), route.meet, route.bounds

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
def _planned(n: int, block: tuple[Gate, ...], layers: int) -> Plan:
    # of four wires, one product takes a whole layer of gates; beyond, deep windows of three wires save most passes
    return make_plan(Circuit(n, block, layers), n if n <= 4 else 3, flat=n <= 4)


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
    route = _route(plan, plan.windows)
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
    route, count = _route(plan, plan.windows // 2), plan.num_angles
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
