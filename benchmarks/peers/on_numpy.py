"""Plain NumPy: one tensor contraction a gate, and dense linear algebra. The yardstick that everybody can read."""

import numpy as np

from . import neutral
from .job import Job
from .neutral import Spec


def apply(state: np.ndarray, gate: neutral.Gate, angle: float) -> np.ndarray:
    """The gate on a state of shape (2, …, 2)."""
    width = len(gate.wires)
    tensor = neutral.matrix(gate, angle).reshape((2,) * (2 * width))
    moved = np.tensordot(tensor, state, axes=(range(width, 2 * width), gate.wires))
    return np.moveaxis(moved, range(width), gate.wires)


def evaluation(spec: Spec) -> Job:
    """The final state from |0…0⟩."""
    n, gates, angles = spec["n"], neutral.gates(spec), neutral.angles(spec)

    def run() -> np.ndarray:
        state = np.zeros((2,) * n, complex)
        state[(0,) * n] = 1
        for gate in gates:
            state = apply(state, gate, 0.0 if gate.angle is None else angles[gate.angle])
        return state.reshape(-1)

    return Job(run, neutral.state_numbers)


def _rows(strings: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(P, d) indices and phases with (Pₖ v)[r] = phase[k, r] v[index[k, r]]."""
    index, phase = [], []
    basis = np.arange(2 ** len(strings[0]))
    for string in strings:
        flip, factor = 0, np.ones(basis.size, complex)
        for wire, letter in enumerate(string):
            bit = len(string) - 1 - wire
            sign = 1 - 2 * (basis >> bit & 1)
            flip |= (letter in "XY") << bit
            factor *= {"I": 1, "X": 1, "Y": -1j * sign, "Z": sign}[letter]
        index.append(basis ^ flip)
        phase.append(factor)
    return np.stack(index), np.stack(phase)


def _mixed_weights(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities p = softmax(levels), and the logarithmic means (p − q)/(log p − log q)."""
    p = np.exp(levels - levels.max())
    p /= p.sum()
    gap = levels[:, None] - levels[None]
    close = np.abs(gap) < 1e-9
    slope = (p[:, None] - p[None]) / np.where(close, 1, gap)
    return p, np.where(close, (p[:, None] + p[None]) / 2, slope)


def thermal_metric(spec: Spec) -> Job:
    """The BKM metric of ρ ∝ exp(Σ θ P): eigendecomposition, rotated generators, logarithmic means, one Gram product."""
    index, phase = _rows(neutral.pauli_strings(spec["n"], spec["terms"]))
    theta, d = neutral.thermal_parameters(spec), 2 ** spec["n"]

    def run() -> np.ndarray:
        K = np.zeros((d, d), complex)
        for coefficient, columns, factors in zip(theta, index, phase):
            K[np.arange(d), columns] += coefficient * factors
        levels, V = np.linalg.eigh(K)
        p, weights = _mixed_weights(levels)
        rotated = V.conj().T @ (phase[:, :, None] * V[index])
        means = np.einsum("kxx,x->k", rotated, p).real
        rows = (rotated * np.sqrt(weights)).reshape(len(theta), -1)
        planes = np.concatenate([rows.real, rows.imag], axis=1)  # strided views would miss the BLAS
        return planes @ planes.T - np.outer(means, means)

    return Job(run, neutral.array_numbers)


TASKS = {"evaluation": evaluation, "thermal_metric": thermal_metric}
