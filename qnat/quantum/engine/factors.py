"""A window as a short product of Kronecker layers, described by index tables.

Runs are products of 2×2 gates, blocks products of 4×4 steps G·(Rₐ ⊗ R_b), layers Kronecker products of disjoint blocks
and, where the window has an odd number of wires, one run. Index 0 is the identity everywhere.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float, Int

from .lowering import Kind, Op
from .windows import Window


class Gates(NamedTuple):
    """Operations of one size: V_g = terms[g, 0] + cos(ω_g t) terms[g, 1] + sin(ω_g t) terms[g, 2], t its angle."""

    terms: Complex[np.ndarray, "G 3 k k"]
    generator: Complex[np.ndarray, "G k k"]  # dV/dt = −i generator V
    omega: Float[np.ndarray, " G"]
    angle: Int[np.ndarray, " G"]


class Program(NamedTuple):
    """How the window matrices follow from the angles.

    Attributes:
        ones, twos: operations on one and on two wires.
        runs: (R, J₁) indices into `ones`, first acts first.
        steps: (B, J₂, 3) indices (two, run on the first wire, run on the second) of every block.
        blocks, singles: (T, J, ⌊k/2⌋) blocks and (T, J, k mod 2) runs of every layer.
        orders: (T, J, k) wire positions of every layer, blocks first: which input wire of the window stands where.
    """

    ones: Gates
    twos: Gates
    runs: Int[np.ndarray, "R J1"]
    steps: Int[np.ndarray, "B J2 3"]
    blocks: Int[np.ndarray, "T J pairs"]
    singles: Int[np.ndarray, "T J rest"]
    orders: Int[np.ndarray, "T J k"]


class _Block:
    """Steps on two wires while a window is read."""

    def __init__(self, wires: tuple[int, int], layer: int) -> None:
        self.wires, self.layer = wires, layer
        self.steps: list[tuple[int, int, int]] = []


class Writer:
    """Collects operations, runs, blocks and layers window by window; `program` makes the tables."""

    def __init__(self, k: int) -> None:
        self.k = k
        self.ops: tuple[list[Op], list[Op]] = ([], [])
        self.runs: list[list[int]] = [[]]
        self.steps: list[list[tuple[int, int, int]]] = [[]]
        self.layers: list[list[tuple[list[int], list[int], list[int]]]] = []

    def _number(self, op: Op) -> int:
        ops = self.ops[len(op.wires) - 1]
        ops.append(op)
        return len(ops)

    def _run(self, pending: dict[int, list[Op]], wire: int) -> int:
        ops = pending.pop(wire, [])
        if not ops:
            return 0
        self.runs.append([self._number(op) for op in ops])
        return len(self.runs) - 1

    def _read(self, window: Window) -> tuple[list[_Block], dict[int, list[Op]]]:
        """The blocks of a window, and what remains for wires that are in none."""
        blocks: list[_Block] = []
        last: dict[int, _Block] = {}
        pending: dict[int, list[Op]] = {}
        for read in (op for item in window.items for op in item.ops):
            op = read
            if len(op.wires) == 1:
                pending.setdefault(op.wires[0], []).append(op)
                continue
            block = last.get(op.wires[0])
            if block is None or last.get(op.wires[1]) is not block:
                layer = max((last[wire].layer + 1 for wire in op.wires if wire in last), default=0)
                block = _Block((op.wires[0], op.wires[1]), layer)
                blocks.append(block)
                last.update(dict.fromkeys(op.wires, block))
            if block.wires != op.wires:
                op = Op(_exchanged(op.kind), block.wires, op.angle)
            first, second = (self._run(pending, wire) for wire in block.wires)
            block.steps.append((self._number(op), first, second))
        for block in last.values():
            if any(wire in pending and last[wire] is block for wire in block.wires):
                own = (wire if last[wire] is block else -1 for wire in block.wires)
                first, second = (self._run(pending, wire) for wire in own)
                block.steps.append((0, first, second))
        return blocks, pending

    def add(self, window: Window) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Writes a window; returns its wires in the order of its input and of its output, most significant first."""
        blocks, pending = self._read(window)
        layers = []
        orders: list[list[int]] = []
        for depth in range(max((block.layer for block in blocks), default=0) + 1):
            present = [block for block in blocks if block.layer == depth]
            order = [wire for block in present for wire in block.wires]
            rest = [wire for wire in (orders[-1] if orders else sorted(window.wires)) if wire not in order]
            numbers = []
            for block in present:
                self.steps.append(block.steps)
                numbers.append(len(self.steps) - 1)
            for first, second in zip(rest[0::2], rest[1::2], strict=False):
                step = (0, self._run(pending, first), self._run(pending, second))
                self.steps.append([step])
                numbers.append(len(self.steps) - 1 if any(step) else 0)
            single = [self._run(pending, rest[-1])] if self.k % 2 else []
            orders.append(order + rest)
            layers.append((numbers, single, [orders[0].index(wire) for wire in order + rest]))
        self.layers.append(layers)
        return tuple(orders[0]), tuple(orders[-1])

    def program(self) -> Program:
        """The tables, padded with identities."""
        depth = max((len(layers) for layers in self.layers), default=1)
        padded = [
            layers + [([0] * (self.k // 2), [0] * (self.k % 2), layers[-1][2])] * (depth - len(layers))
            for layers in self.layers
        ]

        def table(part: int, width: int) -> Int[np.ndarray, "T J width"]:
            rows = [[layer[part] for layer in layers] for layers in padded]
            return np.array(rows, int).reshape(len(padded), depth, width)

        return Program(
            _gates(self.ops[0], 2),
            _gates(self.ops[1], 4),
            _pad(self.runs, 0),
            _pad(self.steps, (0, 0, 0)),
            table(0, self.k // 2),
            table(1, self.k % 2),
            table(2, self.k),
        )


def _exchanged(kind: Kind) -> Kind:
    """The same operation, named with its two wires the other way round."""
    order = [0, 2, 1, 3]
    return kind._replace(
        terms=kind.terms[:, order][:, :, order], generator=kind.generator[order][:, order], axes=kind.axes[::-1]
    )


def _gates(ops: list[Op], size: int) -> Gates:
    identity = np.zeros((1, 3, size, size), complex)
    identity[0, 0] = np.eye(size)
    terms = np.concatenate([identity, *(op.kind.terms[None] for op in ops)])
    generators = np.array([np.zeros((size, size)), *(op.kind.generator for op in ops)], complex)
    return Gates(
        terms, generators, np.array([0.0, *(op.kind.omega for op in ops)]), np.array([-1, *(op.angle for op in ops)])
    )


def _pad(rows: list[list], filler: object) -> np.ndarray:
    width = max(1, *(len(row) for row in rows))
    return np.array([row + [filler] * (width - len(row)) for row in rows], int)
