"""Which wires meet where on the way of tangents through a circuit."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from .evolve import gathers
from .insertions import Insertions, insertions
from .matrices import layer_rows
from .plan import Plan


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
    def windows(self) -> Int[np.ndarray, " R"]:
        """The window of every row."""
        turn = np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))
        return np.where(turn < self.meet, turn, len(self.bounds) - 2 + self.meet - turn)

    @property
    def most(self) -> int:
        """Rows of the window that has most of them."""
        return int(np.diff(self.bounds).max(initial=0))


class Steps(NamedTuple):
    """What states pass through: W_t, gathers before every window and at the end, and what comes before a layer."""

    matrices: Float[Array, "T a a"]
    order: Int[Array, "T+1 N"]
    inverse: Int[Array, "T+1 N"]
    before: Float[Array, "T J a a"]


def route_of(plan: Plan, meet: int) -> Route:
    """The births of all rows, those before the meeting first."""
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


def stacked_steps(plan: Plan, angles: Float[Array, " P"]) -> Steps:
    """The steps of both ways, stacked."""
    tables: list[Int[Array, "T+1 N"]] = []
    for inverse in (False, True):
        parts = gathers(plan.inner, inverse=inverse), gathers(plan.outer, inverse=inverse)
        inner, outer = ((high[:, :, None] ^ low[:, None]).reshape(-1, 2**plan.n) for high, low in parts)
        tables.append(jnp.concatenate([inner, outer[-1:]]))
    there, back = tables
    layers, orders = layer_rows(plan, angles)
    if layers.shape[1] == 1:  # the first layer has its wires as they come
        return Steps(layers[:, 0], there, back, layers)
    swaps = jnp.asarray(orders, layers.dtype)
    through = lax.associative_scan(jnp.matmul, swaps @ layers, axis=1)
    before = jnp.concatenate([swaps[:, :1], through[:, :-1] @ swaps[:, 1:]], axis=1)
    return Steps(through[:, -1], there, back, before)
