"""PennyLane circuits as ours and back, against PennyLane's own matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest

from qnat.quantum import Statevector
from qnat.quantum.backends.laws import dense_unitary, random_circuit
from qnat.quantum.backends.pennylane import from_circuit, to_circuit
from qnat.quantum.circuits.circuit import rotation


def every_gate(t):
    """One of each, the angles affine in t; 31 rotations and phases of ours."""
    qml.Hadamard(0)
    qml.RX(t[0], 0)
    qml.RY(2 * t[1] + 0.3, 1)
    qml.RZ(t[2], 2)
    qml.PhaseShift(t[3], 0)
    qml.U1(t[0], 1)
    qml.Rot(t[0], t[1], t[2], 2)
    qml.U2(t[0], t[1], 1)
    qml.U3(t[3], t[1], t[2], 0)
    qml.IsingXX(t[0], [0, 2])
    qml.IsingYY(t[1], [2, 1])
    qml.IsingZZ(t[2], [0, 1])
    qml.IsingXY(t[3], [1, 0])
    qml.PauliRot(t[0], "XIY", [2, 1, 0])
    qml.MultiRZ(t[1], [0, 2, 1])
    qml.ControlledPhaseShift(t[2], [1, 0])
    qml.CRX(t[0], [0, 1])
    qml.CRY(t[1], [1, 2])
    qml.CRZ(t[2], [2, 0])
    qml.CRot(t[0], t[1], t[2], [0, 2])
    qml.ctrl(qml.RX(t[3], 1), [0, 2], control_values=[0, 1])
    qml.ctrl(qml.PhaseShift(t[3], 2), [0, 1])
    qml.ctrl(qml.GlobalPhase(t[1]), [0])
    qml.ctrl(qml.PauliRot(t[0], "XY", [0, 1]), [2])
    qml.adjoint(qml.RY(t[0], 0))
    qml.adjoint(qml.IsingXX(t[1], [0, 1]))
    qml.SingleExcitation(t[2], [0, 1])
    qml.BasicEntanglerLayers(t[None, :3], wires=range(3))


def fixed_gates(t):
    qml.RX(t[0], 0)
    for make, wires in [(qml.X, 0), (qml.Y, 1), (qml.Z, 2), (qml.S, 0), (qml.T, 1), (qml.SX, 2), (qml.Identity, 0)]:
        make(wires)
    for make in (qml.CNOT, qml.CZ, qml.CY, qml.CH, qml.SWAP, qml.ISWAP):
        make([2, 0])
    qml.Toffoli([0, 2, 1])
    qml.CCZ([0, 1, 2])
    qml.CSWAP([1, 0, 2])
    qml.adjoint(qml.S(1))
    qml.adjoint(qml.T)(2)
    qml.QubitUnitary(np.array([[1, 1j], [1j, 1]]) / np.sqrt(2), 1)
    qml.ctrl(qml.S(1), [0], control_values=[0])
    qml.RY(np.pi / 3, 2)  # constants, not parameters
    qml.PauliRot(0.4, "XYZ", [0, 1, 2])
    qml.ctrl(qml.RX(0.2, 0), [1, 2])
    qml.GlobalPhase(0.3)
    qml.Barrier([0, 1])
    qml.QFT(wires=[0, 1, 2])
    qml.RZ(-t[1] / 2, 1)


def assert_equal_up_to_phase(ours, theirs):
    np.testing.assert_allclose(abs(np.trace(ours.conj().T @ theirs)), len(ours), atol=1e-12)


@pytest.mark.parametrize(("function", "count"), [(every_gate, 38), (fixed_gates, 2)])
def test_every_gate_of_a_quantum_function_is_understood(function, count):
    circuit, angles = to_circuit(function, np.zeros(4), wires=[0, 1, 2])
    assert circuit.num_angles == count
    t = np.array([0.3, -0.7, 1.1, 2.4])
    theirs = qml.matrix(function, wire_order=range(3))(t)
    at = np.asarray(angles(t))
    ours = dense_unitary(circuit, at)
    assert_equal_up_to_phase(ours, theirs)
    Statevector().state(circuit, at, np.zeros(3, int))  # the engine takes every gate, too
    back = qml.matrix(qml.tape.QuantumScript(from_circuit(circuit, at)), wire_order=range(3))
    np.testing.assert_allclose(back, ours, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_circuits_go_and_come(seed):
    circuit = random_circuit(3, 10, 2, seed)
    angles = np.random.default_rng(seed).normal(size=circuit.num_angles)
    labels = ["b", 0, "a"]

    def there(angles):
        return qml.tape.QuantumScript(from_circuit(circuit, angles, labels))

    tape, wanted = there(angles), dense_unitary(circuit, angles)
    np.testing.assert_allclose(qml.matrix(tape, wire_order=labels), wanted, atol=1e-13)
    traced = jax.jit(lambda angles: there(angles).get_parameters(trainable_only=False))(angles)
    for found, parameter in zip(traced, tape.get_parameters(trainable_only=False), strict=True):
        np.testing.assert_allclose(found, parameter, rtol=1e-15)
    tape.trainable_params = [k for k, p in enumerate(tape.get_parameters(trainable_only=False)) if np.ndim(p) == 0]
    again, at = to_circuit(tape, wires=labels)
    np.testing.assert_allclose(dense_unitary(again, at(*tape.get_parameters())), wanted, atol=1e-13)
    assert again.num_angles == circuit.num_angles


def test_the_map_of_angles_follows_shared_and_scaled_parameters():
    device = qml.device("lightning.qubit", wires=["l", "r"])

    @qml.qnode(device)
    def qnode(weights, layers, shift):
        for layer in range(layers):
            qml.RY(np.pi * weights[layer], "l")
            qml.IsingZZ(weights[layer] + shift, ["r", "l"])
            qml.RX(jnp.sin(0.3), "r")
        return qml.expval(qml.Z("l"))

    circuit, angles = to_circuit(qnode, np.zeros(2), 2, 0.5)
    assert (circuit.n, circuit.num_angles) == (2, 4)
    np.testing.assert_allclose(angles(np.array([0.1, 0.2]), 2, 0.5), [0.1 * np.pi, 0.6, 0.2 * np.pi, 0.7], rtol=1e-15)
    slope = jax.jit(jax.jacobian(lambda w, s: angles(w, 2, s), argnums=(0, 1)))(np.zeros(2), 0.0)
    np.testing.assert_allclose(slope[0], [[np.pi, 0], [1, 0], [0, np.pi], [0, 1]])
    np.testing.assert_allclose(slope[1], [0, 1, 0, 1])
    with pytest.raises(ValueError, match="other gates, or other constants"):
        angles(np.zeros(3), 3, 0.5)


def test_a_qnode_with_transforms_is_refused_and_a_tape_that_they_made_is_not():
    @qml.qnode(qml.device("default.qubit", wires=1))
    def qnode(t):
        qml.Hadamard(0)
        qml.Hadamard(0)
        qml.RX(t, 0)
        return qml.expval(qml.Z(0))

    shorter = qml.transforms.cancel_inverses(qnode)
    assert len(to_circuit(qnode, 0.3)[0].block) == 3
    with pytest.raises(ValueError, match=r"has transforms, .*cancel_inverses"):
        to_circuit(shorter, 0.3)
    tape = qml.workflow.construct_tape(shorter)(qml.numpy.array(0.3, requires_grad=True))
    assert to_circuit(tape)[0].block == (rotation("X", 0),)


def measures(t):
    qml.RX(t, 0)
    qml.measure(0)


def conditional(t):
    qml.cond(qml.measure(0), qml.RX)(t, 0)


def numpy_inside(t):
    qml.RX(np.sin(np.asarray(t)), 0)


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (measures, "mid-circuit measurement"),
        (conditional, "mid-circuit measurement"),
        (numpy_inside, "jax.numpy"),
        (lambda t: qml.BasisState(np.array([1]), 0), "'BasisState' on wires .0. is a state preparation"),
        (lambda t: qml.DepolarizingChannel(0.1, 0), "'DepolarizingChannel' on wires .0. is a noise channel"),
        (lambda t: qml.QubitUnitary(jnp.diag(jnp.exp(1j * t * jnp.arange(2))), 0), "matrix of 'QubitUnitary'"),
        (lambda t: qml.RX(t * jnp.ones(2), 0), "batch of parameters"),
        (lambda t: qml.RX(t, "a"), "no natural order"),
        pytest.param(
            lambda t: qml.SpecialUnitary(t * jnp.ones(3), 0), "through its angle only", marks=pytest.mark.slow
        ),
        (lambda t: qml.RX(1.0, 0) if t < 0.4 else qml.RY(1.0, 0), "through its angle only"),
        (lambda t: qml.RX(jax.lax.stop_gradient(t), 0), "through its angle only"),
    ],
)
def test_what_a_circuit_cannot_be_is_refused_by_name(function, match):
    with pytest.raises(ValueError, match=match):
        to_circuit(function, 0.3)
