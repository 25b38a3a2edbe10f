"""Where the generators of a circuit are inserted between its windows."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from .factors import Program
from .plan import Plan


class Insertions(NamedTuple):
    """Where a plan takes angles; one row an operation, sorted by window.

    Attributes:
        bounds: first row of every window, and the number of rows.
        layer: of the window. below: how many wires of the window stand below the pair of the operation.
        place: (block, step) of every operation. on: 2 for both wires of the block, else the wire, 0 or 1.
        number: which operation of its size. run: (run, position) in it, for one wire.
        angle: the parameter.
    """

    bounds: Int[np.ndarray, " T+1"]
    layer: Int[np.ndarray, " G"]
    below: Int[np.ndarray, " G"]
    place: Int[np.ndarray, "G 2"]
    on: Int[np.ndarray, " G"]
    number: Int[np.ndarray, " G"]
    run: Int[np.ndarray, "G 2"]
    angle: Int[np.ndarray, " G"]


def _in_run(program: Program, run: int, wire: int) -> list[tuple[int, ...]]:
    """(wire, operation, run, position, angle) of the parametrised operations of a run."""
    taken = [(position, one, program.ones.angle[one]) for position, one in enumerate(program.runs[run])]
    return [(wire, one, run, position, angle) for position, one, angle in taken if angle >= 0]


def _in_block(program: Program, block: int) -> list[tuple[int, ...]]:
    """(block, step, wire, operation, run, position, angle) of the parametrised operations of a block."""
    rows: list[tuple[int, ...]] = []
    for step, (two, first, second) in enumerate(program.steps[block]):
        found = _in_run(program, first, 0) + _in_run(program, second, 1)
        if program.twos.angle[two] >= 0:
            found.append((2, two, 0, 0, program.twos.angle[two]))
        rows += [(block, step, *row) for row in found]
    return rows


def insertions(plan: Plan) -> Insertions:
    """The parametrised operations of a plan of two or more wires."""
    program, k, rows, bounds = plan.program, plan.k, [], [0]
    for blocks, singles in zip(program.blocks, program.singles, strict=True):
        for layer in range(len(blocks)):
            for i, block in enumerate(blocks[layer]):
                rows += [(layer, k - 2 - 2 * i, *row) for row in _in_block(program, block)]
            for run in singles[layer]:  # as the second wire of a pair with its neighbour
                rows += [(layer, 0, 0, 0, *row) for row in _in_run(program, run, 1)]
        bounds.append(len(rows))
    table = np.array(rows, int).reshape(-1, 9)
    # columns: layer, below, block, step, on, index, run, position, angle
    columns = (table[:, 0], table[:, 1], table[:, 2:4], table[:, 4], table[:, 5], table[:, 6:8], table[:, 8])
    return Insertions(np.array(bounds), *columns)
