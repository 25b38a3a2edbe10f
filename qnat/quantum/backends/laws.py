"""The axioms of a backend, with the small obvious oracle they are checked against."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float, PRNGKeyArray

from ..circuit import Circuit, Gate, cnot, phase, rotation
from ..pauli import PauliSum
from .base import AbstractBackend

_PAULI = {"I": np.eye(2), "X": [[0, 1], [1, 0]], "Y": [[0, -1j], [1j, 0]], "Z": np.diag([1, -1])}


def dense_pauli(string: str) -> np.ndarray:
    """The (2^n, 2^n) matrix of a Pauli string as a Kronecker product, wire 0 leftmost."""
    return functools.reduce(np.kron, [np.asarray(_PAULI[letter], complex) for letter in string])


def _dense_gate(gate: Gate, angle: float, n: int) -> np.ndarray:
    letters = dict(zip(gate.wires, gate.pauli, strict=False))
    if gate.kind == "rotation":
        pauli = dense_pauli("".join(letters.get(wire, "I") for wire in range(n)))
        return scipy.linalg.expm(-0.5j * angle * pauli)
    ones = functools.reduce(np.kron, [np.diag([0, 1]) if w in gate.wires else np.eye(2) for w in range(n)])
    if gate.kind == "phase":
        return np.eye(2**n) + (np.exp(1j * angle) - 1) * ones
    control, target = gate.wires
    on = functools.reduce(np.kron, [np.diag([0, 1]) if w == control else np.eye(2) for w in range(n)])
    flip = dense_pauli("".join("X" if w == target else "I" for w in range(n)))
    return np.eye(2**n) - on + on @ flip


def dense_unitary(circuit: Circuit, angles: Float[Array, " P"]) -> np.ndarray:
    """U(t) by matrix exponentials and Kronecker products: slow, obvious, independent of every backend."""
    unitary, parameters = np.eye(2**circuit.n, dtype=complex), iter(np.asarray(angles, float))
    for _ in range(circuit.layers):
        for gate in circuit.block:
            angle = 0.0 if gate.kind == "cnot" else next(parameters)
            unitary = _dense_gate(gate, angle, circuit.n) @ unitary
    return unitary


def random_circuit(n: int, gates: int, layers: int, seed: int) -> Circuit:
    """A circuit of random gates of every kind on random wires."""
    rng = np.random.default_rng(seed)
    block = []
    for _ in range(gates):
        wires = [int(w) for w in rng.permutation(n)[: rng.integers(1, min(n, 3) + 1)]]
        kind = rng.integers(3)
        if kind == 0 and len(wires) > 1:
            block.append(cnot(*wires[:2]))
        elif kind == 1:
            block.append(phase(*wires))
        else:
            block.append(rotation("".join(rng.choice(list("XYZ"), len(wires))), *wires))
    return Circuit(n, tuple(block), layers)


def check_backend(backend: AbstractBackend, *, key: PRNGKeyArray, dtype: jnp.dtype = jnp.float64) -> None:
    """Raises AssertionError unless the backend agrees with the dense oracle in `dtype`.

    Checks amplitudes, norm and wire order on random circuits of every gate kind, expectations of a random Pauli sum,
    and, by a five-sigma bound on every bit string, the sampled frequencies.
    """
    tolerance = 200 * jnp.finfo(dtype).eps
    shots = 4000
    for seed in range(3):
        circuit = random_circuit(3, 8, 2, seed)
        angle_key, sample_key, key = jax.random.split(key, 3)
        angles = jax.random.normal(angle_key, (circuit.num_angles,), dtype)
        bits = jnp.array([seed & 1, 1, 0])
        wanted = dense_unitary(circuit, angles)[:, int("".join(map(str, bits.tolist())), 2)]
        state = np.asarray(backend.state(circuit, angles, bits))
        assert np.abs(state - wanted).max() < tolerance, f"amplitudes differ from the dense oracle for {circuit}"

        observable = PauliSum.from_terms([("ZXY", 0.7), ("IZI", -1.2), ("YIY", 0.4)])
        dense = sum(float(c) * dense_pauli(s) for c, s in zip(observable.coefficients, observable.strings, strict=True))
        value = float(backend.expectation(circuit, angles, bits, observable))
        assert abs(value - (wanted.conj() @ dense @ wanted).real) < tolerance, "an expectation differs from the oracle"

        outcomes = np.asarray(backend.sample(circuit, angles, bits, shots=shots, key=sample_key))
        assert outcomes.shape == (shots, 3), f"sample must give (shots, n); got {outcomes.shape}"
        counts = np.bincount(outcomes @ np.array([4, 2, 1]), minlength=8)
        p = np.abs(wanted) ** 2
        sigma = np.sqrt(shots * p * (1 - p)) + 1
        assert (np.abs(counts - shots * p) < 5 * sigma).all(), "sampled frequencies miss the Born rule by five sigma"
