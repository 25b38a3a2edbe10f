"""Geometry against the packages whose users will check it: QuTiP and PennyLane, with every convention between us."""

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest
import qutip

from qnat.geometry import (
    PullbackMetric,
    entropy,
    fidelity,
    fubini_study,
    gibbs_state,
    log_density,
    monotone_metric,
    relative_entropy,
    trace_distance,
)
from qnat.quantum import Circuit, Statevector, tfim, thermal
from qnat.quantum.backends.statevector import unitary as unitary_of
from qnat.quantum.circuits.circuit import cnot, cz, hadamard, pauli, phase, rotation, swap, unitary

BLOCK = (rotation("X", 0), rotation("Y", 1), cnot(0, 1), rotation("Z", 1), rotation("X", 1))
ANGLES = np.array([0.1, 0.2, 0.3, 0.4])


@pytest.fixture(scope="module")
def pair():
    """Two thermal states, and our numbers of them."""
    K_rho = -1.3 * np.asarray(tfim(1, 2, field=0.6).matrix())
    K_sigma = -0.4 * np.asarray(tfim(1, 2, coupling=-0.5, field=1.1).matrix()) + 0.2 * np.diag(np.arange(4.0))

    @jax.jit
    def described(K_rho, K_sigma):
        numbers = {
            "entropy": entropy(K_rho),
            "relative_entropy": relative_entropy(K_rho, K_sigma),
            "fidelity": fidelity(K_rho, K_sigma),
            "trace_distance": trace_distance(K_rho, K_sigma),
        }
        return gibbs_state(K_rho), gibbs_state(K_sigma), numbers

    return jax.device_get(described(K_rho, K_sigma))


def test_states_and_distances_equal_qutip(pair):
    """QuTiP's fidelity is the square root of ours."""
    rho, sigma, ours = qutip.Qobj(pair[0]), qutip.Qobj(pair[1]), pair[2]
    assert ours["entropy"] == pytest.approx(qutip.entropy_vn(rho), rel=1e-12)
    assert ours["relative_entropy"] == pytest.approx(qutip.entropy_relative(rho, sigma), rel=1e-11)
    assert ours["fidelity"] == pytest.approx(qutip.fidelity(rho, sigma) ** 2, rel=1e-10)
    assert ours["trace_distance"] == pytest.approx(qutip.tracedist(rho, sigma), rel=1e-10)


def test_states_and_distances_equal_pennylane(pair):
    """PennyLane's fidelity is squared, as ours is."""
    rho, sigma, ours = pair[0].astype(complex), pair[1].astype(complex), pair[2]
    assert ours["entropy"] == pytest.approx(float(qml.math.vn_entropy(rho, [0, 1])), rel=1e-12)
    assert ours["fidelity"] == pytest.approx(float(qml.math.fidelity(rho, sigma)), rel=1e-10)
    assert ours["relative_entropy"] == pytest.approx(float(qml.math.relative_entropy(rho, sigma)), rel=1e-11)


def test_thermal_state_equals_qutip():
    hamiltonian = tfim(1, 3, field=0.7, periodic=True)
    rho = (-1.7 * qutip.Qobj(np.asarray(hamiltonian.matrix()))).expm()
    exact = thermal(np.linalg.eigvalsh(hamiltonian.matrix()), 1.7)
    assert float(exact.log_z) == pytest.approx(float(np.log(rho.tr().real)), rel=1e-13)
    assert float(exact.entropy) == pytest.approx(qutip.entropy_vn(rho / rho.tr()), rel=1e-11)


def test_pure_state_metric_equals_pennylane():
    """Fubini–Study is PennyLane's metric tensor; SLD is four times it."""
    circuit = Circuit(2, BLOCK)
    metric = PullbackMetric(lambda t: Statevector(mode="forward").state(circuit, t, np.zeros(2, int)), fubini_study)
    operations = [
        qml.RX(0.1, 0),
        qml.RY(0.2, 1),
        qml.CNOT([0, 1]),
        qml.RZ(0.3, 1),
        qml.RX(0.4, 1),
    ]
    tape = qml.tape.QuantumScript(operations, [qml.expval(qml.Z(0))], trainable_params=range(4))
    ours = jax.jit(lambda angles: metric.at(angles).as_matrix())(ANGLES)
    np.testing.assert_allclose(ours, qml.adjoint_metric_tensor(tape), atol=1e-12)


def noisy(angles):
    """RX, RY, depolarising channels, CNOT, RZ, RX by QuTiP's matrices; full rank with a simple spectrum."""
    one, *paulis = (p.full() for p in (qutip.qeye(2), qutip.sigmax(), qutip.sigmay(), qutip.sigmaz()))
    first, second = ([np.kron(p, one) for p in paulis], [np.kron(one, p) for p in paulis])

    def rotate(rho, pauli, angle):
        u = jnp.cos(angle / 2) * np.eye(4) - 1j * jnp.sin(angle / 2) * pauli
        return u @ rho @ u.conj().T

    def depolarise(rho, errors, p):
        return (1 - p) * rho + p / 3 * sum(error @ rho @ error for error in errors)

    rho = jnp.zeros((4, 4), complex).at[0, 0].set(1)
    rho = rotate(rotate(rho, first[0], angles[0]), second[1], angles[1])
    rho = depolarise(depolarise(rho, first, 0.3), second, 0.1)
    flip = np.eye(4)[[0, 1, 3, 2]]
    return rotate(rotate(flip @ rho @ flip, second[2], angles[2]), second[0], angles[3])


def test_mixed_state_metric_of_a_noisy_circuit():
    """SLD by its definition, (Lρ + ρL)/2 = ∂ρ and g = Re Tr ∂ρ L, on a state that no pure-state metric describes."""

    def log_state(angles):
        values, vectors = jnp.linalg.eigh(noisy(angles))
        return (vectors * jnp.log(values)) @ vectors.conj().T

    @jax.jit
    def described(angles):
        metric = monotone_metric(log_state, angles, "sld").as_matrix()
        return metric, noisy(angles), jnp.moveaxis(jax.jacfwd(noisy)(angles), -1, 0), log_state(angles)

    ours, rho, tangents, K = map(np.asarray, described(ANGLES))
    lyapunov = np.kron(rho, np.eye(4)) + np.kron(np.eye(4), rho.T)
    scores = [np.linalg.solve(lyapunov / 2, t.ravel()).reshape(4, 4) for t in tangents]
    wanted = [[np.trace(t @ score).real for score in scores] for t in tangents]
    np.testing.assert_allclose(ours, wanted, atol=1e-10)
    np.testing.assert_allclose(log_density(rho), K, atol=1e-10)


def test_every_gate_equals_pennylane():
    t = np.array([0.3, -0.7, 1.1, 0.4, -1.3, 0.9, 2.1, 0.6])
    gates = (
        rotation("X", 0, controls=(2,)),
        rotation("ZZ", 0, 3),
        hadamard(1),
        rotation("XYZY", 3, 1, 0, 2),
        cz(1, 3),
        phase(0, 2),
        phase(3, 1, 0),
        swap(0, 2),
        rotation("Y", 1, controls=(0, 3)),
        unitary(np.diag([1, np.exp(0.25j * np.pi)]), 2),
        rotation("YY", 2, 3, controls=(1,)),
        rotation("Y", 3),
        pauli("Y", 0),
    )

    def theirs() -> None:
        qml.CRX(t[0], [2, 0])
        qml.IsingZZ(t[1], [0, 3])
        qml.Hadamard(1)
        qml.PauliRot(t[2], "XYZY", [3, 1, 0, 2])
        qml.CZ([1, 3])
        qml.ControlledPhaseShift(t[3], [0, 2])
        qml.ctrl(qml.PhaseShift(t[4], 0), [3, 1])
        qml.SWAP([0, 2])
        qml.ctrl(qml.RY(t[5], 1), [0, 3])
        qml.T(2)
        qml.ctrl(qml.PauliRot(t[6], "YY", [2, 3]), 1)
        qml.RY(t[7], 3)
        qml.Y(0)

    wanted = qml.matrix(theirs, wire_order=range(4))()
    np.testing.assert_allclose(unitary_of(Circuit(4, gates), t), wanted, atol=1e-14)
