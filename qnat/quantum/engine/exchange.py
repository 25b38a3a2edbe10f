"""Gathers of a state that lies on many devices, as one exchange of equal blocks between two gathers on every device.

Amplitude (h, l) of 2^n is the l-th of 2^m on device h. A gather new[y] = old[F(y)], F affine, takes from device
A h' ⊕ B l' ⊕ c what device h' has at l'. The rank r of B says how much travels: every device hears from the 2^r devices
of a coset of W = im B. Numbering devices anew after every gather makes that coset its own, and then

    F = (local) ∘ E ∘ (local),    E (h', u, w) = (h' ⊕ W(rank h' ⊕ u), rank h', w),

where u are the r highest local bits and the rank of a device is its number within the coset: E is `all_to_all` in
groups of 2^r devices. Windows act on local bits alone and do not see the numbering; the last gather undoes it.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from ..circuits.circuit import Circuit, Gate
from .affine import Affine
from .choose import predicted
from .parity import Basis, echelon, pivot, rank, reduce
from .plan import Plan, draft

_WIDTHS = (3, 4, 5)


class Split(NamedTuple):
    """F = first ∘ E ∘ second: local maps of n bits, and the reduced basis of W, a subspace of the device bits."""

    first: Affine
    basis: Basis
    second: Affine


class Locals(NamedTuple):
    """Gathers on device h: new[y] = old[high[y >> low bits] ^ low[y & mask] ^ offset[h]], one a row."""

    high: Int[np.ndarray, "steps hi"]
    low: Int[np.ndarray, "steps lo"]
    offset: Int[np.ndarray, "steps D"]


class Moves(NamedTuple):
    """Gathers of the whole state, one a row: `first`, the exchange of number `which`, `second`."""

    first: Locals
    which: Int[np.ndarray, " steps"]
    second: Locals


class ShardedPlan(NamedTuple):
    """A plan whose chunks are the shards of a state.

    Attributes:
        chunk: the passes over a shard; it has no outer gathers.
        devices: D.
        moves, inverse: the outer gathers, one before every phase and one at the end, and what undoes them.
        bases: the exchanges that `which` counts.
        last: device s sends its shard to last[s] at the end.
    """

    chunk: Plan
    devices: int
    moves: Moves
    inverse: Moves
    bases: tuple[Basis, ...]
    last: tuple[int, ...]


def _rows(columns: Sequence[int], bits: Iterable[int]) -> list[int]:
    return [sum((column >> bit & 1) << j for j, column in enumerate(columns)) for bit in bits]


def _renumbering(gather: Affine, m: int) -> tuple[Basis, Affine]:
    """W and a map T of device bits with A T(h) ⊕ c ∈ h ⊕ W; the identity where that will do."""
    basis = echelon(column >> m for column in gather.columns[:m])
    pivots = [pivot(vector) for vector in basis]
    kept = [reduce(column >> m, basis) for column in gather.columns[m:]]
    span = echelon(_rows(kept, (bit for bit in range(len(kept)) if bit not in pivots)))
    chosen: list[int] = []  # bits that tell the devices of a coset apart
    for j in (*pivots, *range(len(kept))):
        if reduce(1 << j, span):
            span = echelon((*span, 1 << j))
            chosen.append(j)
    place = dict(zip(chosen, pivots, strict=True))
    known = Affine(tuple(column | (1 << place[j] if j in place else 0) for j, column in enumerate(kept)))
    wanted = [reduce(1 << j, basis) | (1 << j if j in pivots else 0) for j in range(len(kept))]
    return basis, known.inverse().after(Affine(tuple(wanted), reduce(gather.offset >> m, basis)))


def exchange(basis: Basis, m: int, n: int) -> Affine:
    """E, its own inverse."""
    columns = list(Affine.identity(n).columns)
    for i, vector in enumerate(basis):
        place = m - len(basis) + i
        columns[place] = vector << m
        columns[m + pivot(vector)] ^= vector << m | 1 << place
    return Affine(tuple(columns))


def split(gather: Affine, m: int) -> tuple[Split, Affine]:
    """A gather after which devices are numbered anew, and that numbering T: its factors give gather ∘ T."""
    n = len(gather.columns)
    basis, numbering = _renumbering(gather, m)
    gather = gather.after(numbering.embedded(tuple(range(m, n)), n))
    up = [rank(x >> m, basis) for x in (*gather.columns, gather.offset)]  # what a bit, or nothing, adds to u
    leaving = [pivot(row) for row in echelon(_rows(up[:m], range(len(basis))))]
    staying = [j for j in range(m) if j not in leaving]
    place = {j: i for i, j in enumerate(staying)} | {j: j for j in range(m, n)}
    to = [u << len(staying) | (1 << place[j] if j in place else 0) for j, u in enumerate(up)]
    second = Affine(tuple(to[:n]), to[n])
    first = gather.after(second.inverse()).after(exchange(basis, m, n))
    return Split(first, basis, second), numbering


def groups(basis: Basis, devices: int) -> list[list[int]]:
    """The cosets of W, devices in the order of their rank."""
    members = [0]
    for vector in basis:
        members += [member ^ vector for member in members]
    return [[start ^ member for member in members] for start in range(devices) if reduce(start, basis) == start]


def _locals(maps: list[Affine], m: int) -> Locals:
    n, low = len(maps[0].columns), m // 2
    tables = [Affine(map_.columns[:m]).tables(low) for map_ in maps]
    offsets = [[map_(h << m) & (2**m - 1) for h in range(2 ** (n - m))] for map_ in maps]
    return Locals(np.array([t[0] for t in tables]), np.array([t[1] for t in tables]), np.array(offsets, np.int32))


def _moves(splits: list[Split], m: int, bases: tuple[Basis, ...]) -> Moves:
    which = np.array([bases.index(each.basis) for each in splits], np.int32)
    return Moves(_locals([each.first for each in splits], m), which, _locals([each.second for each in splits], m))


@functools.lru_cache(maxsize=32)
def _plan(n: int, block: tuple[Gate, ...], layers: int, devices: int) -> ShardedPlan:
    circuit, m = Circuit(n, block, layers), n - pivot(devices)
    sketches = [draft(circuit, k, m, beam=1)[0] for k in sorted({min(k, m) for k in _WIDTHS})]
    k = min(sketches, key=lambda sketch: predicted(sketch._replace(n=m), 1)).k
    chunk, gathers = draft(circuit, k, m)
    splits, numbering = [], Affine.identity(n - m)
    for gather in gathers:
        back = numbering.inverse().embedded(tuple(range(m, n)), n)
        factors, numbering = split(back.after(gather), m)
        splits.append(factors)
    bases = tuple(sorted({each.basis for each in splits}))
    inverse = [Split(each.second.inverse(), each.basis, each.first.inverse()) for each in splits]
    last = tuple(numbering(h) for h in range(devices))
    return ShardedPlan(chunk, devices, _moves(splits, m, bases), _moves(inverse, m, bases), bases, last)


def sharded_plan(circuit: Circuit, devices: int) -> ShardedPlan:
    """The plan of a circuit on D = 2^g devices, made once for every circuit."""
    return _plan(circuit.n, circuit.block, circuit.layers, devices)
