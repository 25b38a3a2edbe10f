"""The QuTiP adapter against QuTiP itself."""

import jax
import numpy as np
import pytest
import qutip
from qutip.solver.integrator import IntegratorException

from qnat.quantum import PauliSum, tfim
from qnat.quantum.backends.laws import check_backend, dense_pauli
from qnat.quantum.backends.qutip import (
    QuTiP,
    evolve,
    from_density_matrix,
    from_pauli_sum,
    sigma_minus,
    states_from_mcsolve,
    states_from_mesolve,
    to_density_matrix,
    to_pauli_sum,
)

TIMES = np.linspace(0, 2, 5)
QUIET = {"progress_bar": ""}


def test_qutip_passes_the_laws():
    check_backend(QuTiP(), key=jax.random.key(0))


def test_operators_go_and_come():
    """An asymmetric sum, so that a wrong order of wires shows."""
    ours = PauliSum.from_terms([("III", 0.3), ("IZI", -1.2), ("XII", 0.2), ("YIY", 0.4), ("ZXY", 0.7)])
    there = from_pauli_sum(ours)
    assert there.dims == [[2, 2, 2], [2, 2, 2]]
    wanted = sum(c * dense_pauli(s) for c, s in zip(np.asarray(ours.coefficients), ours.strings, strict=True))
    np.testing.assert_allclose(there.full(), wanted, atol=1e-15)
    back = to_pauli_sum(there)
    assert back.strings == ours.strings
    np.testing.assert_allclose(back.coefficients, ours.coefficients, atol=1e-15)


def test_any_hermitian_operator_of_qubits_becomes_a_pauli_sum():
    dense = qutip.rand_herm([2, 2, 2], seed=1)
    np.testing.assert_allclose(to_pauli_sum(dense).matrix(), dense.full(), atol=1e-14)
    heisenberg = sum(qutip.tensor(op(), op()) for op in (qutip.sigmax, qutip.sigmay, qutip.sigmaz))
    assert to_pauli_sum(heisenberg).strings == ("XX", "YY", "ZZ")
    zero = to_pauli_sum(0 * qutip.qeye([2, 2]))
    np.testing.assert_array_equal(zero.matrix(), np.zeros((4, 4)))


def test_states_go_and_come():
    ket = (qutip.basis([2, 2], [0, 1]) + 2 * qutip.basis([2, 2], [1, 1])).unit()  # |01⟩ + 2|11⟩
    rho = np.asarray(to_density_matrix(ket))
    np.testing.assert_allclose(np.diagonal(rho), [0, 0.2, 0, 0.8], atol=1e-15)
    back = from_density_matrix(rho)
    assert back == ket.proj()
    assert back.dims == [[2, 2], [2, 2]]


def test_what_is_no_state_or_hamiltonian_of_qubits_is_refused():
    for convert, qobj, match in [
        (to_pauli_sum, qutip.qeye(4), r"dims \[\[4\], \[4\]\]"),
        (to_pauli_sum, qutip.sigmam(), "Hermitian"),
        (to_pauli_sum, qutip.basis(2, 0), "Hermitian"),
        (to_density_matrix, qutip.basis(3, 0), "no ket or operator of qubits"),
        (to_density_matrix, qutip.qeye(2), "trace 2"),
        (from_density_matrix, np.eye(3), r"\(2\^n, 2\^n\)"),
    ]:
        with pytest.raises(ValueError, match=match):
            convert(qobj)


def test_a_spin_decays_from_bit_0_to_bit_1():
    """p₀(t) = e^{−γt} under √γ σ₋ alone, and ⟨X⟩ at half that rate."""
    gamma, idle = 0.7, PauliSum.from_terms([("II", 0.0)])
    plus = qutip.tensor((qutip.basis(2, 0) + qutip.basis(2, 1)).unit(), qutip.basis(2, 1))
    states, trajectories = evolve(idle, plus, TIMES, [np.sqrt(gamma) * sigma_minus(0, 2)])
    assert trajectories is None
    states = np.asarray(states)
    np.testing.assert_allclose(np.einsum("tii->t", states), 1, atol=1e-9)
    np.testing.assert_allclose(states[:, 1, 1].real, np.exp(-gamma * TIMES) / 2, atol=1e-9)
    np.testing.assert_allclose(states[:, 1, 3].real, np.exp(-gamma * TIMES / 2) / 2, atol=1e-9)
    assert np.linalg.eigvalsh(states).min() > -1e-9


def test_operators_of_every_type_evolve_alike():
    hamiltonian, jump = tfim(1, 2), PauliSum.from_terms([("XZ", 0.4)])
    rho = from_density_matrix(np.diag([0.7, 0.1, 0.2, 0.0]))
    wanted, _ = evolve(from_pauli_sum(hamiltonian), rho, TIMES, [from_pauli_sum(jump)])
    found, _ = evolve(hamiltonian, rho.full(), TIMES, [np.asarray(jump.matrix())])
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    np.testing.assert_allclose(evolve(hamiltonian.matrix(), rho, TIMES, [jump]).states, wanted, atol=1e-9)


@pytest.mark.parametrize("mixed", [False, True])
def test_trajectories_average_to_the_master_equation(mixed):
    """Largest error over the times in the Frobenius norm, within 4/√N."""
    count, hamiltonian, jumps = 200, tfim(1, 2), [np.sqrt(0.3) * sigma_minus(0, 2)]
    start = qutip.basis([2, 2], [0, 1])
    if mixed:
        start = 0.6 * start.proj() + 0.4 * qutip.fock_dm([2, 2], [1, 0])
    exact = evolve(hamiltonian, start, TIMES, jumps).states
    sampled = evolve(hamiltonian, start, TIMES, jumps, trajectories=count, key=jax.random.key(3))
    assert sampled.trajectories == count
    errors = np.linalg.norm(np.asarray(sampled.states) - np.asarray(exact), axis=(1, 2))
    assert 0 < errors.max() < 4 / np.sqrt(count)


def test_results_of_the_solvers_are_read():
    H, jumps, ket = from_pauli_sum(tfim(1, 1)), [sigma_minus(0, 1)], qutip.basis([2], [0])
    solved = qutip.mesolve(H, ket, TIMES, jumps, options=QUIET)
    states = np.asarray(states_from_mesolve(solved).states)
    np.testing.assert_allclose(states[-1], solved.states[-1].full(), atol=1e-15)
    kept = qutip.mcsolve(H, ket, TIMES, jumps, ntraj=3, seeds=0, options=QUIET | {"keep_runs_results": True})
    found = states_from_mcsolve(kept)
    assert found.trajectories == 3
    np.testing.assert_allclose(
        np.asarray(found.states)[2], np.mean([run[2].proj().full() for run in kept.runs_states], axis=0), atol=1e-12
    )


def test_results_without_states_are_refused():
    H, jumps, ket = from_pauli_sum(tfim(1, 1)), [sigma_minus(0, 1)], qutip.basis([2], [0])
    z = [qutip.tensor(qutip.sigmaz())]
    with pytest.raises(ValueError, match=r'mesolve holds no states; solve with .*"store_states": True'):
        states_from_mesolve(qutip.mesolve(H, ket, TIMES, jumps, e_ops=z, options=QUIET))
    with pytest.raises(ValueError, match=r'mcsolve holds no states; solve with .*"store_states": True'):
        states_from_mcsolve(qutip.mcsolve(H, ket, TIMES, jumps, e_ops=z, ntraj=2, seeds=0, options=QUIET))
    with pytest.raises(ValueError, match="at least one collapse operator"):
        evolve(H, ket, TIMES, trajectories=5, key=jax.random.key(0))


def test_a_solver_that_does_not_arrive_says_so(monkeypatch):
    def stuck(*_, **__):
        raise IntegratorException("Excess work done on this call.")

    for name, more in (("mesolve", {}), ("mcsolve", {"trajectories": 5, "key": jax.random.key(0)})):
        monkeypatch.setattr(qutip, name, stuck)
        with pytest.raises(ValueError, match=r"does not solve the dynamics \(Excess work .*\); choose shorter times"):
            evolve(from_pauli_sum(tfim(1, 1)), qutip.basis([2], [0]), TIMES, [sigma_minus(0, 1)], **more)
