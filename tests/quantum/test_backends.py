"""Backends through their laws, and the statevector against PennyLane."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest

from qnat.quantum.backends import Statevector, statevector
from qnat.quantum.backends.laws import check_backend, dense_unitary, random_circuit
from qnat.quantum.circuits.ansatz import ANSATZE, ansatz, hea, real
from qnat.quantum.circuits.circuit import Circuit, cnot, phase, rotation
from qnat.quantum.engine import frames
from qnat.quantum.engine.frames import antisymmetric, once


@pytest.mark.parametrize("dtype", [jnp.float64, pytest.param(jnp.float32, marks=pytest.mark.slow)])
def test_statevector_passes_the_laws(dtype):
    check_backend(Statevector(), key=jax.random.key(0), dtype=dtype)


def test_laws_notice_a_wrong_backend():
    class Mirrored(Statevector):
        def state(self, circuit, angles, bits):
            return super().state(circuit, angles, bits[::-1])

    with pytest.raises(AssertionError, match="amplitudes"):
        check_backend(Mirrored(), key=jax.random.key(0))


@pytest.mark.parametrize("name", ANSATZE)
def test_ansatz_equals_pennylane(name):
    n, layers = 3, 2
    circuit = ansatz(name, n, layers)
    angles = np.random.default_rng(1).normal(size=circuit.num_angles)

    def apply() -> None:
        parameters = iter(angles)
        for _ in range(circuit.layers):
            for gate in circuit.block:
                if gate.kind == "fixed":
                    qml.QubitUnitary(np.array(gate.matrix), wires=gate.wires)
                elif gate.kind == "phase":
                    qml.ControlledPhaseShift(next(parameters), wires=gate.wires)
                else:
                    qml.PauliRot(next(parameters), gate.pauli, wires=gate.wires)

    theirs = qml.matrix(apply, wire_order=range(n))()
    np.testing.assert_allclose(statevector.unitary(circuit, angles), theirs, atol=1e-14)


def test_real_ansatz_is_real_and_precision_follows_the_angles():
    def dtype_of(name, dtype):
        circuit = ansatz(name, 3, 2)
        angles = jax.ShapeDtypeStruct((circuit.num_angles,), dtype)
        return jax.eval_shape(functools.partial(statevector.unitary, circuit), angles).dtype

    assert dtype_of("real", jnp.float64) == jnp.float64
    assert dtype_of("real", jnp.float32) == jnp.float32
    assert dtype_of("hea_ring", jnp.float32) == jnp.complex64


@pytest.mark.parametrize(
    "circuit",
    [  # in one window, and on five wires in several ones with layers inside
        random_circuit(3, 7, 2, 0),
        *(pytest.param(random_circuit(3, 7, 2, seed), marks=pytest.mark.slow) for seed in range(1, 4)),
        *(real(n, 2) for n in (1, 3, 5)),
        random_circuit(5, 20, 2, 4),
    ],
)
def test_frames_are_logarithmic_derivatives(circuit):
    angles = np.random.default_rng(circuit.num_angles).normal(size=circuit.num_angles)
    basis, rotations = map(np.asarray, frames(circuit, angles))
    if rotations.ndim == 4:
        rotations, pairs = np.asarray(antisymmetric(rotations)), rotations
        np.testing.assert_allclose(once(rotations), pairs, atol=1e-15)
    np.testing.assert_allclose(basis, dense_unitary(circuit, angles), atol=1e-14)
    step = 1e-6
    for k in range(circuit.num_angles):
        shift = step * np.eye(circuit.num_angles)[k]
        change = (dense_unitary(circuit, angles + shift) - dense_unitary(circuit, angles - shift)) / (2 * step)
        frame = basis.conj().T @ change
        np.testing.assert_allclose(rotations[k], frame.real + frame.imag, atol=1e-9)


def test_gradients_through_the_states_equal_finite_differences():
    circuit = random_circuit(3, 7, 3, 5)
    angles = np.random.default_rng(0).normal(size=circuit.num_angles)

    @jax.jit
    def value(angles: jax.Array) -> jax.Array:
        return jnp.sum(jnp.cos(jnp.arange(64.0)).reshape(8, 8) * statevector.unitary(circuit, angles).imag)

    slope = np.asarray(jax.jit(jax.grad(value))(angles))
    for k in range(circuit.num_angles):
        shift = 1e-6 * np.eye(circuit.num_angles)[k]
        difference = float(value(angles + shift)) - float(value(angles - shift))
        assert slope[k] == pytest.approx(difference / 2e-6, abs=1e-7)


def test_empty_and_fixed_circuits():
    identity = Circuit(2, (rotation("X", 0),), layers=0)
    assert identity.num_angles == 0
    np.testing.assert_array_equal(statevector.unitary(identity, np.zeros(0)), np.eye(4))
    _, rotations = frames(identity, np.zeros(0))
    assert rotations.shape == (0, 2, 2, 2)
    bell = Circuit(2, (cnot(0, 1),), layers=1)
    np.testing.assert_array_equal(frames(bell, np.zeros(0))[0], dense_unitary(bell, np.zeros(0)).real)


def test_closed_chains_have_one_bond_more():
    assert hea(4, 1).num_angles == 11
    assert hea(4, 1, closed=True).num_angles == 12
    assert hea(2, 1, closed=True).num_angles == hea(2, 1).num_angles


def test_wrong_circuits_are_refused():
    with pytest.raises(ValueError, match="distinct wires"):
        Circuit(2, (phase(0, 2),))
    with pytest.raises(ValueError, match="layers"):
        Circuit(2, (phase(0, 1),), layers=-1)
    with pytest.raises(ValueError, match="one letter"):
        rotation("XY", 0)
    with pytest.raises(ValueError, match="Unknown ansatz"):
        ansatz("qaoa", 2, 1)
    with pytest.raises(ValueError, match="has 2 angles"):
        statevector.unitary(Circuit(1, (rotation("X", 0),), layers=2), np.zeros(3))
