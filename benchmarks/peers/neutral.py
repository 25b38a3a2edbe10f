"""Circuits, starting points and check sums that belong to no system; every worker makes the same ones from a spec.

A spec is a small dictionary that travels as JSON: {"family": "ladder", "n": 8, "layers": 8, ...}. Wire 0 is the most
significant bit of a basis state, rotations are exp(−i t P/2).
"""

import functools
from typing import Any, NamedTuple

import numpy as np

Spec = dict[str, Any]

SINGLES = {"RX": 0.27, "RY": 0.27, "RZ": 0.27, "H": 0.1, "T": 0.09}
PAIRS = {"CNOT": 0.35, "CZ": 0.15, "CRX": 0.1, "CRZ": 0.1, "CP": 0.1, "RZZ": 0.1, "RXX": 0.05, "SWAP": 0.05}
FIXED = ("H", "T", "CNOT", "CZ", "SWAP")

_I = np.eye(2)
_PAULI = {"X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])}
_FIXED = {
    "H": np.array([[1, 1], [1, -1]]) / np.sqrt(2),
    "T": np.diag([1, np.exp(0.25j * np.pi)]),
    "CNOT": np.eye(4)[[0, 1, 3, 2]],
    "CZ": np.diag([1, 1, 1, -1]),
    "SWAP": np.eye(4)[[0, 2, 1, 3]],
}


class Gate(NamedTuple):
    """A gate by name; `angle` is the index of its angle, None for a fixed gate. Controls are the first wire."""

    name: str
    wires: tuple[int, ...]
    angle: int | None = None


def _numbered(gates: list[tuple[str, tuple[int, ...]]]) -> list[Gate]:
    angles = iter(range(len(gates)))
    return [Gate(name, wires, None if name in FIXED else next(angles)) for name, wires in gates]


def ladder_block(n: int) -> list[tuple[str, tuple[int, ...]]]:
    """RX, RY, RZ on every wire, then CNOTs i → i + 1."""
    turns = [(name, (wire,)) for wire in range(n) for name in ("RX", "RY", "RZ")]
    return turns + [("CNOT", (wire, wire + 1)) for wire in range(n - 1)]


def ising_block(n: int) -> list[tuple[str, tuple[int, ...]]]:
    """RZZ on the bonds of the open chain, then RX on every wire."""
    return [("RZZ", (wire, wire + 1)) for wire in range(n - 1)] + [("RX", (wire,)) for wire in range(n)]


def hea_block(n: int) -> list[tuple[str, tuple[int, ...]]]:
    """RX, RZ on every wire, then controlled phases on even and on odd bonds: qnat's open hardware-efficient ansatz."""
    turns = [(name, (wire,)) for wire in range(n) for name in ("RX", "RZ")]
    return turns + [("CP", (wire, wire + 1)) for start in (0, 1) for wire in range(start, n - 1, 2)]


def irregular_gates(n: int, layers: int, seed: int) -> list[tuple[str, tuple[int, ...]]]:
    """As many gates on one and two wires as the ladder has, of mixed kinds, on random wires, in random order."""
    rng = np.random.default_rng(seed)
    widths = rng.permutation([1] * (3 * n * layers) + [2] * ((n - 1) * layers))
    gates = []
    for width in widths:
        kinds = SINGLES if width == 1 else PAIRS
        name = str(rng.choice(list(kinds), p=list(kinds.values())))
        gates.append((name, tuple(int(wire) for wire in rng.choice(n, width, replace=False))))
    return gates


_BLOCKS = {"ladder": ladder_block, "ising": ising_block, "hea": hea_block}


def block(spec: Spec) -> tuple[list[Gate], int]:
    """(gates of one block, how often it stands); an irregular circuit is one long block."""
    if spec["family"] == "irregular":
        return _numbered(irregular_gates(spec["n"], spec["layers"], spec["seed"])), 1
    return _numbered(_BLOCKS[spec["family"]](spec["n"])), spec["layers"]


def gates(spec: Spec) -> list[Gate]:
    """The whole circuit, gate by gate."""
    unit, repeats = block(spec)
    per_block = sum(gate.angle is not None for gate in unit)
    return [
        gate if gate.angle is None else gate._replace(angle=gate.angle + turn * per_block)
        for turn in range(repeats)
        for gate in unit
    ]


def num_angles(spec: Spec) -> int:
    """P."""
    return sum(gate.angle is not None for gate in gates(spec))


def angles(spec: Spec) -> np.ndarray:
    """(P,) angles, uniform on the circle; the same for every system."""
    return np.random.default_rng(7).uniform(0, 2 * np.pi, num_angles(spec))


def matrix(gate: Gate, angle: float) -> np.ndarray:
    """The (2^w, 2^w) unitary of a gate on its wires."""
    if gate.name in FIXED:
        return _FIXED[gate.name]
    if gate.name == "CP":
        return np.diag([1, 1, 1, np.exp(1j * angle)])
    letters = gate.name.removeprefix("C")[1:]
    pauli = functools.reduce(np.kron, [_PAULI[letter] for letter in letters])
    turn = np.cos(angle / 2) * np.eye(len(pauli)) - 1j * np.sin(angle / 2) * pauli
    return np.kron(np.diag([1, 0]), _I) + np.kron(np.diag([0, 1]), turn) if gate.name.startswith("C") else turn


def basis_states(spec: Spec) -> np.ndarray:
    """(batch,) indices of the basis states that a batch starts from."""
    return np.random.default_rng(11).integers(2 ** spec["n"], size=spec["batch"])


def tfim_strings(n: int) -> list[str]:
    """Pauli strings of −Σ ZZ − Σ X on the open chain; every coefficient is −1."""
    bonds = ["I" * i + "ZZ" + "I" * (n - 2 - i) for i in range(n - 1)]
    return bonds + ["I" * i + "X" + "I" * (n - 1 - i) for i in range(n)]


def tfim_energy(state: np.ndarray) -> float:
    """⟨ψ|H|ψ⟩ of the open chain, bond by bond and site by site."""
    n = state.size.bit_length() - 1
    weights = np.abs(state) ** 2
    energy = 0.0
    for i in range(n - 1):
        pair = weights.reshape(2**i, 2, 2, -1).sum((0, 3))
        energy -= pair[0, 0] + pair[1, 1] - pair[0, 1] - pair[1, 0]
    for i in range(n):
        down, up = np.moveaxis(state.reshape(2**i, 2, -1), 1, 0)
        energy -= 2 * np.vdot(down, up).real
    return float(energy)


def _phases(size: int) -> np.ndarray:
    """Fixed unit numbers without a pattern: a sum with them sees wrong orders, signs and phases."""
    return np.exp(2j * np.pi * (np.arange(size) * 0.6180339887498949 % 1.0))


def state_numbers(state: Any) -> dict[str, float]:
    """What two final states must agree in: norm, energy, and a complex check sum that sees order and phase."""
    state = np.asarray(state, complex).reshape(-1)
    check = np.vdot(_phases(state.size), state)
    return {
        "norm": float(np.linalg.norm(state)),
        "energy": tfim_energy(state),
        "check_real": float(check.real),
        "check_imag": float(check.imag),
    }


def batch_numbers(states: Any) -> dict[str, float]:
    """What two batches (batch, 2^n) of states must agree in."""
    states = np.asarray(states, complex)
    check = np.vdot(_phases(states.size), states.reshape(-1))
    return {"norm": float(np.linalg.norm(states)), "check_real": float(check.real), "check_imag": float(check.imag)}


def array_numbers(array: Any) -> dict[str, float]:
    """What two real arrays (gradients, metrics) must agree in."""
    flat = np.asarray(array, float).reshape(-1)
    return {"sum_abs": float(np.abs(flat).sum()), "check": float(_phases(flat.size).real @ flat)}


def pauli_strings(n: int, count: int) -> list[str]:
    """`count` different Pauli strings: the chain's ZZ, X and Y first, then random ones on two wires."""
    rng = np.random.default_rng(3)
    strings = dict.fromkeys(tfim_strings(n) + ["I" * i + "Y" + "I" * (n - 1 - i) for i in range(n)])
    while len(strings) < count:
        letters = ["I"] * n
        for wire in rng.choice(n, 2, replace=False):
            letters[wire] = str(rng.choice(list("XYZ")))
        strings["".join(letters)] = None
    return list(strings)[:count]


def thermal_parameters(spec: Spec) -> np.ndarray:
    """(P,) natural parameters θ of K = Σ θ P."""
    return 0.3 * np.random.default_rng(5).standard_normal(spec["terms"])


def gibbs_start(spec: Spec) -> tuple[np.ndarray, np.ndarray]:
    """(latent (n,), angles (P,)) at which a variational Gibbs step is taken; small, as a start of a training is."""
    rng = np.random.default_rng(13)
    return 0.1 * rng.standard_normal(spec["n"]), 0.1 * np.pi * rng.standard_normal(num_angles(spec))


def spins(n: int) -> np.ndarray:
    """(2^n, n) spins s = 1 − 2b of every bit string; the energy of the product distribution is Σ θᵢ sᵢ."""
    return 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n)[::-1] & 1)
