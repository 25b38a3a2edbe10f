"""A circuit, planned: which gathers and which products carry the state through it.

The state is kept in an order of its own: amplitude y of the array belongs to basis state L(y), L affine over GF(2). A
CNOT changes L and nothing else. A window moves its wires to the low bits by one gather and multiplies rows by W.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from ..circuits.circuit import Circuit
from .affine import Affine
from .factors import Program, Writer
from .lowering import is_real, lower
from .windows import Item, Window, merge_runs, pick_windows

EFFORT = 2500  # bound on the number of plans kept in the search times that of items


class Tables(NamedTuple):
    """Gathers new[y] = old[high[y >> low bits] ^ low[y & mask]], one a row, and their inverses."""

    high: Int[np.ndarray, "steps hi"]
    low: Int[np.ndarray, "steps lo"]
    inverse_high: Int[np.ndarray, "steps hi"]
    inverse_low: Int[np.ndarray, "steps lo"]
    trivial: tuple[bool, ...]  # which of them do nothing


def _tables(maps: list[Affine], n: int, low: int) -> Tables:
    rows = [(*map_.tables(low), *map_.inverse().tables(low)) for map_ in maps]
    sizes = (2 ** (n - low), 2**low) * 2
    high, low_, back_high, back_low = (
        np.array([row[i] for row in rows], np.int32).reshape(len(rows), size) for i, size in enumerate(sizes)
    )
    return Tables(high, low_, back_high, back_low, tuple(map_ == Affine.identity(n) for map_ in maps))


class Plan(NamedTuple):
    """Everything about a circuit that does not depend on its angles.

    The state passes through `len(bounds)` phases. A phase gathers the state, so that its m wires are the low bits, and
    sends each chunk of 2^m amplitudes through windows bounds[i] … bounds[i+1] − 1; with m = n there is one phase and
    one chunk. A last gather restores the order of basis states.

    Attributes:
        n, m, k: wires of the state, of a chunk and of a window.
        planes: real numbers of an amplitude, 1 for a real circuit and 2 otherwise.
        num_angles: P.
        program: how W follows from the angles.
        outer: gathers of whole states, one before every phase and one at the end.
        inner: gathers of chunks, one before every window.
        bounds: first window of every phase, and the number of windows.
        together: chunks that pass at a time, so that several threads have work.
    """

    n: int
    m: int
    k: int
    planes: int
    num_angles: int
    program: Program
    outer: Tables
    inner: Tables
    bounds: tuple[int, ...]
    together: int

    @property
    def windows(self) -> int:
        """T, the number of passes over the state."""
        return self.bounds[-1]


class _Order:
    """Which basis state of n wires stands where, while a plan is written."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.wires = list(range(n))  # as they stand, most significant first
        self.map = Affine.identity(n)  # from places to basis states

    def apply(self, items: tuple[Item, ...]) -> None:
        for op in (op for item in items for op in item.ops):
            assert op.kind.affine is not None
            places = tuple(self.n - 1 - wire for wire in reversed(op.wires))
            self.map = op.kind.affine.embedded(places, self.n).after(self.map)

    def _standing(self, wires: list[int]) -> Affine:
        """From bits as the wires stand to bits as they are numbered."""
        return Affine.moving(tuple(self.n - 1 - wire for wire in reversed(wires)))

    def bring_low(self, before: tuple[int, ...], after: tuple[int, ...]) -> Affine:
        """The gather that puts wires into the low bits in the order `before`; a window leaves them in `after`."""
        rest = [wire for wire in self.wires if wire not in before]
        gather = self.map.inverse().after(self._standing([*rest, *before]))
        self.wires = [*rest, *after]
        self.map = self._standing(self.wires)
        return gather


def _relabelled(items: tuple[Item, ...], wires: tuple[int, ...]) -> list[Item]:
    """The items on wires numbered as they stand in `wires`."""
    number = {wire: i for i, wire in enumerate(wires)}

    def local(old: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(number[wire] for wire in old)

    return [
        item._replace(ops=tuple(op._replace(wires=local(op.wires)) for op in item.ops), wires=local(item.wires))
        for item in items
    ]


def draft(
    circuit: Circuit, k: int, m: int, *, flat: bool = False, beam: int = 8, together: int = 4
) -> tuple[Plan, list[Affine]]:
    """A plan without outer tables, which are as large as a chunk, and the outer gathers as maps."""
    n, k = circuit.n, min(k, m)
    items = tuple(merge_runs(lower(circuit)))
    beam = max(1, min(beam, EFFORT // max(len(items), 1)))
    everything = Window((), tuple(range(n)), items)
    phases, rest = ([everything], ()) if m == n else pick_windows(n, list(items), m, beam=beam)
    writer, order = Writer(k), _Order(n)
    outer, inner, bounds = [], [], [0]
    for phase in phases:
        order.apply(phase.before)
        wires = tuple(wire for wire in order.wires if wire in phase.wires)
        outer.append(order.bring_low(wires, wires))
        windows, tail = pick_windows(m, _relabelled(phase.items, wires), k, flat=flat, beam=beam)
        chunk = _Order(m)
        for window in windows:
            chunk.apply(window.before)
            inner.append(chunk.bring_low(*writer.add(window)))
        chunk.apply(tail)
        order.map = order.map.after(chunk.map.embedded(tuple(range(m)), n))
        # as they stand now: the next phase keeps their order, so that neighbours in memory stay near one another
        order.wires[n - m :] = [wires[wire] for wire in chunk.wires]
        bounds.append(len(inner))
    order.apply(rest)
    outer.append(order.map.inverse())
    tables = _tables([], n, m), _tables(inner, m, m // 2)
    return Plan(
        n, m, k, 1 if is_real(circuit) else 2, circuit.num_angles, writer.program(), *tables, tuple(bounds), together
    ), outer


def make_plan(
    circuit: Circuit, k: int, m: int | None = None, *, flat: bool = False, beam: int = 8, together: int = 4
) -> Plan:
    """Plans a circuit with windows of k wires, in phases of m wires where m < n.

    With `flat` a window is one Kronecker layer, cheaper to make; `beam` is how many plans the search keeps, fewer for
    long circuits.
    """
    m = circuit.n if m is None else min(m, circuit.n)
    plan, outer = draft(circuit, k, m, flat=flat, beam=beam, together=together)
    return plan._replace(outer=_tables(outer, circuit.n, m))
