"""The axioms of a backend, with the small obvious oracle they are checked against."""

import functools
from collections.abc import Callable
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.stats
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from ..circuits.circuit import Circuit, Gate, cnot, hadamard, pauli, phase, rotation, swap, unitary
from ..operators.pauli import PauliSum
from .base import AbstractBackend

_PAULI = {"I": np.eye(2), "X": [[0, 1], [1, 0]], "Y": [[0, -1j], [1j, 0]], "Z": np.diag([1, -1])}


def dense_pauli(string: str) -> np.ndarray:
    """The (2^n, 2^n) matrix of a Pauli string as a Kronecker product, wire 0 leftmost."""
    return functools.reduce(np.kron, [np.asarray(_PAULI[letter], complex) for letter in string])


def _on_wires(matrix: np.ndarray, wires: tuple[int, ...], n: int) -> np.ndarray:
    """A matrix on some wires as a matrix on all of them: first on the leading wires, then the wires put in place."""
    order = [*wires, *(wire for wire in range(n) if wire not in wires)]
    axes = np.argsort(order)
    full = np.kron(matrix, np.eye(2 ** (n - len(wires)))).reshape((2,) * (2 * n))
    return full.transpose([*axes, *(axes + n)]).reshape(2**n, 2**n)


def _dense_gate(gate: Gate, angle: float, n: int) -> np.ndarray:
    if gate.kind == "fixed":
        return _on_wires(np.array(gate.matrix), gate.wires, n)
    generator = (
        -dense_pauli(gate.pauli) / 2 if gate.kind == "rotation" else np.diag([0.0] * (2 ** len(gate.wires) - 1) + [1])
    )
    on = np.zeros((2 ** len(gate.controls),) * 2)
    on[-1, -1] = 1
    return scipy.linalg.expm(1j * angle * _on_wires(np.kron(on, generator), gate.controls + gate.wires, n))


def dense_unitary(circuit: Circuit, angles: Float[ArrayLike, " P"]) -> np.ndarray:
    """U(t) by matrix exponentials and Kronecker products: slow, obvious, independent of every backend."""
    product, parameters = np.eye(2**circuit.n, dtype=complex), iter(np.asarray(angles, float))
    for _ in range(circuit.layers):
        for gate in circuit.block:
            angle = next(parameters) if gate.parametrised else 0.0
            product = _dense_gate(gate, angle, circuit.n) @ product
    return product


Kind = Literal["rotation", "controlled", "phase", "unitary", "diagonal", "permutation", "hadamard"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Every kind of gate that a backend must know."""


def make_gate(kind: Kind, wires: tuple[int, ...], letters: str, rng: np.random.Generator) -> Gate:
    """A gate of a kind.

    Args:
        kind: which.
        wires: all wires of the circuit, in the order in which the gate takes them: as many as there are letters, one or
            two for "unitary", "permutation" and "hadamard", and for "controlled" up to two more.
        letters: one to three of X, Y, Z; how many also is the width of "phase" and "diagonal".
        rng: of the elements of "unitary" and "diagonal", and which "permutation".
    """
    width, pair = len(letters), wires[:2]
    makers: dict[Kind, Callable[[], Gate]] = {
        "rotation": lambda: rotation(letters, *wires[:width]),
        "controlled": lambda: rotation(letters, *wires[:width], controls=wires[width : width + 2]),
        "phase": lambda: phase(*wires[:width]),
        "unitary": lambda: unitary(scipy.stats.unitary_group.rvs(2 ** len(pair), random_state=rng), *pair),
        "diagonal": lambda: unitary(np.diag(np.exp(1j * rng.normal(size=2**width))), *wires[:width]),
        "permutation": lambda: (cnot, swap)[int(rng.integers(2))](*pair) if len(wires) > 1 else pauli("X", 0),
        "hadamard": lambda: hadamard(wires[0]),
    }
    return makers[kind]()


def _random_gate(n: int, rng: np.random.Generator) -> Gate:
    """A gate of any kind on random wires."""
    wires = tuple(int(wire) for wire in rng.permutation(n))
    width = int(rng.integers(1, min(n, 3) + 1))
    letters = "".join(rng.choice(list("XYZ"), width))
    return make_gate(rng.choice(np.array(KINDS)), wires, letters, rng)


def random_circuit(n: int, gates: int, layers: int, seed: int) -> Circuit:
    """A circuit of random gates of every kind on random wires."""
    rng = np.random.default_rng(seed)
    return Circuit(n, tuple(_random_gate(n, rng) for _ in range(gates)), layers)


def _dense_sum(observable: PauliSum) -> np.ndarray:
    terms = zip(np.asarray(observable.coefficients), observable.strings, strict=True)
    return np.sum([coefficient * dense_pauli(string) for coefficient, string in terms], axis=0)


@functools.partial(jax.jit, static_argnames=("shape", "dtype"))
def _draws(key: PRNGKeyArray, shape: tuple[int, int], dtype: jnp.dtype) -> tuple[Array, list[PRNGKeyArray]]:
    """Angles of several circuits, and a key for the samples of each."""
    angle_key, *keys = jax.random.split(key, 1 + shape[0])
    return jax.random.normal(angle_key, shape, dtype), keys


def _check_gradient(
    backend: AbstractBackend,
    circuit: Circuit,
    angles: Float[Array, " P"],
    bits: Array,
    observable: PauliSum,
    limit: float,
) -> None:
    """The gradient of an expectation against central differences of the dense oracle."""
    slope = np.asarray(jax.jit(jax.grad(lambda t: backend.expectation(circuit, t, bits, observable)))(angles))
    basis, dense, step = int("".join(map(str, bits.tolist())), 2), _dense_sum(observable), 1e-5
    for k in range(circuit.num_angles):
        shift = step * np.eye(circuit.num_angles)[k]
        there, back = (dense_unitary(circuit, np.asarray(angles, float) + s * shift)[:, basis] for s in (1, -1))
        wanted = (there.conj() @ dense @ there - back.conj() @ dense @ back).real / (2 * step)
        assert abs(slope[k] - wanted) < limit, "a gradient differs from the oracle"


def check_backend(backend: AbstractBackend, *, key: PRNGKeyArray, dtype: jnp.dtype = jnp.float64) -> None:
    """Raises AssertionError unless the backend agrees with the dense oracle in `dtype`.

    Checks amplitudes, norm and wire order on random circuits of every gate kind, expectations of a random Pauli sum
    and, where the backend is traceable, their gradients, and, by a five-sigma bound on every bit string, the sampled
    frequencies.
    """
    tolerance = 200 * float(jnp.finfo(dtype).eps)
    shots = 4000
    circuits = [random_circuit(3, 8, 2, seed) for seed in range(3)]
    draws, keys = _draws(key, (3, max(circuit.num_angles for circuit in circuits)), dtype)
    observable = PauliSum.from_terms([("ZXY", 0.7), ("IZI", -1.2), ("YIY", 0.4)])
    dense = _dense_sum(observable)
    for seed, (circuit, each, sample_key) in enumerate(zip(circuits, np.asarray(draws), keys, strict=True)):
        angles, bits = jnp.asarray(each[: circuit.num_angles], dtype), jnp.asarray(np.array([seed & 1, 1, 0]), int)
        wanted = dense_unitary(circuit, angles)[:, int("".join(map(str, bits.tolist())), 2)]
        state = np.asarray(backend.state(circuit, angles, bits))
        assert np.abs(state - wanted).max() < tolerance, f"amplitudes differ from the dense oracle for {circuit}"

        value = float(backend.expectation(circuit, angles, bits, observable))
        assert abs(value - (wanted.conj() @ dense @ wanted).real) < tolerance, "an expectation differs from the oracle"

        if backend.traceable and seed == 0:  # compiling a gradient takes longest
            _check_gradient(backend, circuit, angles, bits, observable, max(1e-7, tolerance))

        outcomes = np.asarray(backend.sample(circuit, angles, bits, shots=shots, key=sample_key))
        assert outcomes.shape == (shots, 3), f"sample must give (shots, n); got {outcomes.shape}"
        counts = np.bincount(outcomes @ np.array([4, 2, 1]), minlength=8)
        p = np.abs(wanted) ** 2
        sigma = np.sqrt(shots * p * (1 - p)) + 1
        assert (np.abs(counts - shots * p) < 5 * sigma).all(), "sampled frequencies miss the Born rule by five sigma"
