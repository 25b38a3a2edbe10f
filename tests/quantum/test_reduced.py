"""Partial traces."""

import functools

import numpy as np
import pytest

from qnat.quantum import reduced_density_matrix


def random_state(d, seed):
    a = np.random.default_rng(seed).normal(size=(2, d, d))
    rho = (a[0] + 1j * a[1]) @ (a[0] + 1j * a[1]).conj().T
    return rho / np.trace(rho).real


def test_parts_of_a_product_state_in_the_order_asked_for():
    parts = [random_state(2, seed) for seed in range(3)]
    whole = functools.reduce(np.kron, parts)
    np.testing.assert_allclose(reduced_density_matrix(whole, (2, 0)), np.kron(parts[2], parts[0]), atol=1e-15)
    np.testing.assert_allclose(reduced_density_matrix(whole, (0, 1, 2)), whole, atol=1e-15)
    np.testing.assert_allclose(reduced_density_matrix(whole, ()), [[1.0]], atol=1e-15)
    np.testing.assert_allclose(reduced_density_matrix(whole.tolist(), (1,)), parts[1], atol=1e-15)


def test_amplitudes_and_their_projector_agree():
    psi = np.random.default_rng(0).normal(size=16) + 1j * np.random.default_rng(1).normal(size=16)
    psi /= np.linalg.norm(psi)
    for keep in ((1,), (3, 1), (0, 2, 3)):
        found = reduced_density_matrix(psi, keep)
        np.testing.assert_allclose(found, reduced_density_matrix(np.outer(psi, psi.conj()), keep), atol=1e-15)
        assert np.trace(found) == pytest.approx(1)


@pytest.mark.parametrize(
    ("shape", "keep", "message"),
    [
        ((6,), (0,), r"2\^n amplitudes.*got \(6,\)"),
        ((4, 2), (0,), r"got \(4, 2\)"),
        ((4,), (2,), r"among 0\.\.1; got \(2,\)"),
        ((4,), (1, 1), r"distinct wires"),
    ],
)
def test_bad_input_is_refused(shape, keep, message):
    with pytest.raises(ValueError, match=message):
        reduced_density_matrix(np.zeros(shape), keep)
