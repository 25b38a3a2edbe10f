"""A circuit as an OpenQASM 3 program."""

import cmath
import math
from collections.abc import Iterator

from jaxtyping import Float
from numpy import ndarray

from ..circuits.circuit import Circuit, Gate, Matrix, cnot, cz, hadamard, pauli, swap

_NAMES: dict[Matrix, str] = {hadamard(0).matrix: "h", cnot(0, 1).matrix: "cx", cz(0, 1).matrix: "cz"} | {
    swap(0, 1).matrix: "swap",
    **{pauli(letter, 0).matrix: letter.lower() for letter in "XYZ"},
}
_TO_Z = {"X": ["h"], "Y": ["sdg", "h"], "Z": []}
_FROM_Z = {"X": ["h"], "Y": ["h", "s"], "Z": []}


def to_openqasm(circuit: Circuit, angles: Float[ndarray, " P"]) -> str:
    """A program that reads `bits`, prepares that basis state and applies the circuit.

    Wire i is `q[i]`, and bit i of the input its start. The gates are those of stdgates.inc, with `ctrl @` for further
    controls; global phases are left out. It measures nothing: that is for whoever runs it.

    Args:
        circuit: U. angles: (P,) radians, written with all digits.

    Raises:
        ValueError: a fixed gate on several wires that has no name.

    Reference: A. Cross et al., ACM Trans. Quantum Comput. 3, 12 (2022).
    """
    lines = ["OPENQASM 3.0;", 'include "stdgates.inc";', f"input bit[{circuit.n}] bits;", f"qubit[{circuit.n}] q;"]
    lines += [f"if (bits[{wire}]) x q[{wire}];" for wire in range(circuit.n)]
    remaining = iter([float(angle) for angle in angles])
    for _ in range(circuit.layers):
        for gate in circuit.block:
            lines += _statements(gate, remaining)
    return "\n".join(lines) + "\n"


def _statements(gate: Gate, angles: Iterator[float]) -> list[str]:
    if gate.kind == "fixed":
        return _fixed(gate)
    angle = next(angles)
    if gate.kind == "phase":
        return [_one(f"p({angle!r})", gate.wires[-1:], gate.wires[:-1])] if gate.wires else []
    if len(gate.pauli) == 1:
        return [_one(f"r{gate.pauli.lower()}({angle!r})", gate.wires, gate.controls)]
    # exp(−i t P/2) is a rotation about Z of the parity of the wires, in the eigenbases of the letters
    pairs = list(zip(gate.pauli, gate.wires, strict=True))
    *others, last = gate.wires
    ladder = [_one("cx", (wire, last)) for wire in others]
    turned = [_one(name, (wire,)) for letter, wire in pairs for name in _TO_Z[letter]]
    back = [_one(name, (wire,)) for letter, wire in pairs for name in _FROM_Z[letter]]
    return [*turned, *ladder, _one(f"rz({angle!r})", (last,), gate.controls), *ladder, *back]


def _fixed(gate: Gate) -> list[str]:
    if name := _NAMES.get(gate.matrix):
        return [_one(name, gate.wires)]
    if len(gate.wires) > 1:
        raise ValueError(f"The fixed gate on wires {gate.wires} has no name in OpenQASM; write it as named gates.")
    (a, b), (c, d) = gate.matrix
    theta = 2 * math.atan2(abs(c), abs(a))
    if a and c:
        phi, lam = cmath.phase(c / a), cmath.phase(-b / a)
    else:  # only the ratio of the two entries is one of the gate
        phi, lam = (0.0, cmath.phase(d / a)) if a else (cmath.phase(-c / b), 0.0)
    return [_one(f"U({theta!r}, {phi!r}, {lam!r})", gate.wires)]


def _one(name: str, wires: tuple[int, ...], controls: tuple[int, ...] = ()) -> str:
    prefix = {0: "", 1: "ctrl @ "}.get(len(controls), f"ctrl({len(controls)}) @ ")
    return f"{prefix}{name} {', '.join(f'q[{wire}]' for wire in (*controls, *wires))};"
