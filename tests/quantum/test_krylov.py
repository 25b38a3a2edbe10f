"""Lanczos and exponentials of Pauli sums acting on states, against dense matrices and stored numbers."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from qnat.quantum import PauliSum, exp_action, lanczos, tfim

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "typicality.json").read_text())
H = tfim(1, 8)
COMPLEX = PauliSum.from_terms([("XYII", 0.7), ("IZZI", -1.1), ("IIYX", 0.4), ("YIII", 0.9), ("IIIX", -0.8)])


def planes(states):
    return np.stack([states.real, states.imag], axis=-1)


def test_stored_vector():
    j = np.arange(256)
    r = np.cos(0.37 * j * j) + 1j * np.sin(0.5 * j)
    found = exp_action(H, planes(r)[None], 0.5)
    assert float(found.residual) < 1e-12
    np.testing.assert_allclose(np.sum(np.asarray(found.states) ** 2), GOLDEN["deterministic"]["norm"], rtol=1e-12)
    (energy,) = np.asarray(H.expectation_planes(found.states))
    np.testing.assert_allclose(energy, GOLDEN["deterministic"]["energy_num"], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("hamiltonian", [tfim(1, 4), COMPLEX], ids=["real", "complex"])
def test_exponentials_of_a_batch_are_those_of_the_matrix(hamiltonian):
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(3, 16)) + 1j * rng.normal(size=(3, 16))
    wanted = batch @ scipy.linalg.expm(-0.7 * np.asarray(hamiltonian.matrix())).T
    found = exp_action(hamiltonian, planes(batch), 0.7, krylov=20)
    np.testing.assert_allclose(found.states, planes(wanted), rtol=0, atol=1e-12 * np.abs(wanted).max())
    shifted = exp_action(hamiltonian, planes(batch), 0.7, krylov=20, shift=-5.0)
    np.testing.assert_allclose(shifted.states, np.exp(0.7 * -5.0) * found.states, rtol=1e-10, atol=1e-12)


def test_a_real_hamiltonian_keeps_one_plane():
    state = np.sin(np.arange(16.0))
    found = exp_action(tfim(1, 4), state[None, :, None], 0.7, krylov=20)
    wanted = scipy.linalg.expm(-0.7 * np.asarray(tfim(1, 4).matrix())) @ state
    np.testing.assert_allclose(np.asarray(found.states)[0, :, 0], wanted, rtol=1e-12)


@pytest.mark.slow
def test_the_basis_is_orthonormal_and_tridiagonalises():
    state = jax.random.normal(jax.random.key(0), (256, 1))
    space = lanczos(H, state, krylov=40)
    basis = space.basis[..., 0]
    np.testing.assert_allclose(basis @ basis.T, np.eye(40), atol=1e-14)
    ritz = space.vectors.T @ basis
    np.testing.assert_allclose(ritz @ H.matrix() @ ritz.T, jnp.diag(space.energies), atol=1e-12)
    exact = scipy.linalg.eigvalsh(np.asarray(H.matrix()))
    assert abs(space.energies[0] - exact[0]) < 1e-9
    # Gauss quadrature of m nodes: moments up to 2m − 1 are exact
    few, moment = lanczos(H, state, krylov=3), state[:, 0]
    for power in range(6):
        half = jnp.sum(moment * state[:, 0])
        np.testing.assert_allclose(few.weights @ few.energies**power, half, rtol=1e-11, atol=1e-9)
        moment = H.matrix() @ moment


@pytest.mark.slow
def test_an_exhausted_space_is_exact():
    """Two qubits have four dimensions, an eigenstate one: more Krylov vectors add nothing, not even noise."""
    small, state = tfim(1, 2), jnp.array([1.0, 0.3, -0.2, 0.5])
    for hamiltonian, start in ((small, state), (PauliSum.from_strings(["ZZ"]), jnp.array([0.0, 1.0, 0.0, 0.0]))):
        found = exp_action(hamiltonian, start[None, :, None], 1.3, krylov=12)
        wanted = scipy.linalg.expm(-1.3 * np.asarray(hamiltonian.matrix())) @ start
        np.testing.assert_allclose(found.states[0, :, 0], wanted, rtol=0, atol=1e-13 * np.abs(wanted).max())
        assert found.residual == 0


@pytest.mark.slow
def test_the_residual_tells_when_the_space_is_too_small():
    state = jax.random.normal(jax.random.key(1), (1, 256, 1))
    wanted = scipy.linalg.expm(-np.asarray(H.matrix())) @ state[0, :, 0]
    for krylov in (6, 12, 18):
        found = exp_action(H, state, 1.0, krylov=krylov)
        error = jnp.linalg.norm(found.states[0, :, 0] - wanted) / jnp.linalg.norm(wanted)
        assert 0.01 * found.residual < error < 10 * found.residual
    with pytest.raises(ValueError, match="krylov=0"):
        lanczos(H, state[0], krylov=0)


@pytest.mark.slow
def test_no_matrix_is_ever_made():
    """At fourteen qubits a matrix would take 2 GB; the compiled program asks for the basis and a few states."""
    n, krylov = 14, 8
    hamiltonian, state = tfim(1, n), jnp.zeros((1, 2**n, 1)).at[0, 5, 0].set(1.0)
    product = jax.jit(lambda h, v: h.apply_planes(v)).lower(hamiltonian, state).compile()
    assert product.memory_analysis().temp_size_in_bytes < 4 * state.nbytes
    # by hand: H|b⟩ = E_zz|b⟩ − Σᵢ |b with bit i flipped⟩, b = 5 having four walls
    image = np.asarray(product(hamiltonian, state))[0, :, 0]
    wanted = np.zeros(2**n)
    wanted[5], wanted[5 ^ 2 ** np.arange(n)] = -(13 - 2 * 3), -1.0
    np.testing.assert_allclose(image, wanted, atol=1e-15)
    whole = exp_action.lower(hamiltonian, state, 0.5, krylov=krylov).compile()
    assert whole.memory_analysis().temp_size_in_bytes < (krylov + 12) * state.nbytes
