"""The PennyLane adapter against PennyLane itself."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest

from qnat.optim import natural_gradient
from qnat.quantum import PauliSum, PureMetric, PureState, Statevector, bits_from_qiskit, tfim, thermal
from qnat.quantum.backends.laws import check_backend, dense_unitary, random_circuit
from qnat.quantum.backends.pennylane import MOLECULES, PennyLane, from_circuit, from_pauli_sum, molecule, to_pauli_sum
from qnat.quantum.circuits.circuit import Circuit, cnot, rotation

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "hamiltonians.json").read_text())
OBSERVABLE = PauliSum.from_terms([("ZXY", 0.7), ("IZI", -1.2), ("YIY", 0.4), ("III", 0.3)])
BITS = np.array([1, 0, 1])


def random_angles(circuit, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=circuit.num_angles), float)


@pytest.mark.parametrize("name", ["default.qubit", "lightning.qubit"])
def test_devices_pass_the_laws(name):
    check_backend(PennyLane(name), key=jax.random.key(0))


def test_a_device_of_ones_own_keeps_its_wire_order_and_its_spare_wires():
    circuit = random_circuit(3, 8, 1, 0)
    angles = random_angles(circuit)
    backend = PennyLane(qml.device("default.qubit", wires=["b", 7, "a", "spare"], seed=1))
    wanted = dense_unitary(circuit, angles)[:, 0b101]
    np.testing.assert_allclose(backend.state(circuit, angles, BITS), wanted, atol=1e-14)
    value = backend.expectation(circuit, angles, BITS, OBSERVABLE)
    energy = wanted.conj() @ np.asarray(OBSERVABLE.matrix()) @ wanted
    assert float(value) == pytest.approx(energy.real, abs=1e-13)
    assert backend.sample(circuit, angles, BITS, shots=7, key=jax.random.key(0)).shape == (7, 3)


@pytest.fixture(scope="module")
def ours():
    """A circuit with controlled rotations and fixed matrices, its angles, an expectation and its gradient."""
    circuit = random_circuit(3, 6, 1, 48)
    assert {gate.kind for gate in circuit.block} == {"rotation", "phase", "fixed"}
    assert any(gate.controls and len(gate.wires) > 1 for gate in circuit.block)
    angles = random_angles(circuit)
    expectation = jax.value_and_grad(lambda t: Statevector().expectation(circuit, t, BITS, OBSERVABLE))
    return circuit, angles, *jax.jit(expectation)(angles)


@pytest.mark.parametrize("name", ["default.qubit", "lightning.qubit", "default.mixed"])
def test_gradients_of_every_device_equal_ours(name, ours):
    """Adjoint on the first two, parameter shifts on the third."""
    circuit, angles, value, slope = ours
    found, gradient = PennyLane(name).expectation_and_grad(circuit, angles, BITS, OBSERVABLE)
    assert float(found) == pytest.approx(float(value), abs=1e-13)
    np.testing.assert_allclose(gradient, slope, atol=1e-13)


def test_a_circuit_without_angles_has_an_empty_gradient():
    value, gradient = PennyLane().expectation_and_grad(
        Circuit(2, (cnot(0, 1),)), np.zeros(0), np.array([1, 0]), PauliSum.from_strings(["IZ"])
    )
    assert (float(value), gradient.shape) == (-1.0, (0,))


def test_shots_scatter_around_the_exact_values():
    """⟨Z⟩ = cos t of one RX: the error of N shots is |sin t|/√N, that of the shifted difference at most 1/√(2N)."""
    circuit, t, shots = Circuit(1, (rotation("X", 0),)), 0.7, 4000
    backend = PennyLane(qml.device("default.qubit", seed=3), shots=shots)
    z, start = PauliSum.from_strings(["Z"]), np.zeros(1, int)
    value, slope = backend.expectation_and_grad(circuit, np.array([t]), start, z)
    for found in (value, backend.expectation(circuit, np.array([t]), start, z)):
        assert 0 < abs(float(found) - np.cos(t)) < 4 * np.sin(t) / np.sqrt(shots)
    assert 0 < abs(slope.item() + np.sin(t)) < 4 / np.sqrt(2 * shots)


def test_a_key_repeats_the_samples_of_a_named_device():
    circuit, bits = Circuit(2, (rotation("X", 0), rotation("Y", 1))), np.zeros(2, int)
    first, again, other = (
        np.asarray(PennyLane("lightning.qubit").sample(circuit, np.ones(2), bits, shots=50, key=jax.random.key(seed)))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_devices_refuse_what_they_cannot_do():
    circuit = random_circuit(3, 4, 1, 0)
    angles = random_angles(circuit)
    with pytest.raises(ValueError, match="density matrices"):
        PennyLane("default.mixed").state(circuit, angles, BITS)
    with pytest.raises(ValueError, match=r"circuit has 3 wires, the device default\.qubit only 2"):
        PennyLane(qml.device("default.qubit", wires=2)).state(circuit, angles, BITS)
    with pytest.raises(ValueError, match="shots must be at least 1"):
        PennyLane(shots=0)


def test_operators_go_and_come():
    labels = ["b", 0, "a"]
    there = from_pauli_sum(OBSERVABLE, labels)
    np.testing.assert_allclose(qml.matrix(there, wire_order=labels), OBSERVABLE.matrix(), atol=1e-15)
    back = to_pauli_sum(there, labels)
    assert back.strings == OBSERVABLE.strings
    np.testing.assert_array_equal(back.coefficients, OBSERVABLE.coefficients)


@pytest.mark.parametrize(
    "operator",
    [
        0.5 * qml.X(0) @ qml.Y(2) - qml.Z(1) + 0.25 * (qml.Z(1) + qml.X(0)),
        qml.s_prod(2.0, qml.prod(qml.X(2), qml.X(0))),
        qml.Hermitian(np.array([[1.0, 2 - 1j], [2 + 1j, -0.5]]), 2),
        qml.spin.transverse_ising("chain", [3], coupling=1.0, h=0.7),
        qml.Projector([1, 0, 1], [0, 1, 2]),
    ],
    ids=lambda operator: operator.name,
)
def test_any_hermitian_operator_becomes_a_pauli_sum(operator):
    np.testing.assert_allclose(
        to_pauli_sum(operator, range(3)).matrix(), qml.matrix(operator, wire_order=range(3)), atol=1e-14
    )


def test_transverse_ising_has_the_same_sign_and_scale():
    theirs = to_pauli_sum(qml.spin.transverse_ising("chain", [4], coupling=1.3, h=0.7, boundary_condition=True))
    np.testing.assert_allclose(theirs.matrix(), tfim(1, 4, coupling=1.3, field=0.7, periodic=True).matrix(), atol=1e-15)


def test_operators_that_are_no_hamiltonian_are_refused():
    with pytest.raises(ValueError, match="coefficient 1j of 'ZI' is complex"):
        to_pauli_sum(1j * qml.Z(0), wires=[0, 1])
    with pytest.raises(ValueError, match="not Hermitian"):
        to_pauli_sum(qml.QubitUnitary(np.diag([1, 1j]), 0))
    with pytest.raises(ValueError, match="no natural order"):
        to_pauli_sum(qml.Z("a"))
    with pytest.raises(ValueError, match=r"\[2\] are used"):
        to_pauli_sum(qml.Z(2), wires=[0, 1])


def test_hydrogen_equals_the_golden_values():
    golden, hydrogen = GOLDEN["H2_sto3g"], molecule("H2", bond_length=1.401)
    energies = np.linalg.eigvalsh(hydrogen.matrix())
    np.testing.assert_allclose(energies[:6], golden["spectrum_head"], atol=1e-12)
    for row in golden["rows"]:
        exact = thermal(energies, row["beta"])
        assert float(exact.log_z) == pytest.approx(row["logZ"], abs=1e-11)
        assert float(exact.energy) == pytest.approx(row["energy"], abs=1e-11)
        assert float(exact.entropy) == pytest.approx(row["entropy"], abs=1e-11)
    positions = [[0, 0, 0], [0, 0, 1.401]]
    np.testing.assert_allclose(molecule(["H", "H"], positions).matrix(), hydrogen.matrix(), atol=1e-14)


def test_molecules_have_the_right_number_of_qubits():
    assert [molecule(name).n for name in ("HeH+", "H3+")] == [4, 6]
    for bad, match in [
        ({"symbols": "H20"}, "Unknown molecule"),
        ({"symbols": "H2", "bond_length": -1.0}, "positive number of bohr"),
        ({"symbols": "H2", "coordinates": np.zeros((2, 3))}, "known shape"),
        ({"symbols": ["H", "H"], "coordinates": np.zeros(3)}, r"shape \(2, 3\)"),
    ]:
        with pytest.raises(ValueError, match=match):
            molecule(**bad)
    assert set(MOLECULES) == {"H2", "HeH+", "H3+", "H4"}


def test_qng_optimizer_steps_as_our_natural_gradient_does():
    """PennyLane's metric is a quarter of ours, so its rate is a quarter as well."""
    circuit = Circuit(
        3,
        (
            *(rotation("Y", q) for q in range(3)),
            cnot(0, 1),
            rotation("ZZ", 1, 2),
            *(rotation("X", q) for q in range(3)),
        ),
    )
    hamiltonian, angles = tfim(1, 3), random_angles(circuit)
    device = qml.device("default.qubit", wires=3)

    @qml.qnode(device)
    def energy(angles):
        from_circuit(circuit, angles)
        return qml.expval(from_pauli_sum(hamiltonian))

    model = PureState(circuit)
    tape = qml.workflow.construct_tape(energy)(qml.numpy.array(angles, requires_grad=True))
    theirs = qml.adjoint_metric_tensor(tape)
    np.testing.assert_allclose(4 * theirs, PureMetric(model).at({"angles": angles}).as_matrix(), atol=1e-13)

    rate = 0.2
    step = qml.QNGOptimizer(rate / 4, lam=1e-8).step(
        energy, qml.numpy.array(angles, requires_grad=True), metric_tensor_fn=qml.adjoint_metric_tensor(energy)
    )
    optimizer = natural_gradient(rate, PureMetric(model), damping=4e-8, trust=None, box=None, accept=None)

    @jax.jit
    def stepped(params):
        change, _ = optimizer.update(jax.grad(model.energy)(params, hamiltonian), optimizer.init(params), params)
        return params["angles"] + change["angles"]

    np.testing.assert_allclose(stepped({"angles": angles}), step, atol=1e-9)


def test_qiskit_outcomes_are_read_from_the_right():
    np.testing.assert_array_equal(bits_from_qiskit(["011", "100"]), [[1, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(bits_from_qiskit({"0 1": 2, "1 0": 1}), [[1, 0], [1, 0], [0, 1]])
    with pytest.raises(ValueError, match="bit strings of one length"):
        bits_from_qiskit(["01", "1"])
    with pytest.raises(ValueError, match="Counts are whole numbers"):
        bits_from_qiskit({"01": -1})
