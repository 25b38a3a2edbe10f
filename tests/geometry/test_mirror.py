"""Mirror maps: both directions, targets that cannot be attained, agreement with natural gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.geometry import Euclidean, HessianMetric, LogPartition, LogTraceExp, NegativeEntropy, gibbs_state

FAMILIES = ("one_qubit_XYZ", "two_qubit_tfim_like", "three_qubit_tfim", "two_qubit_commuting", "three_qubit_cold")


@pytest.mark.parametrize("name", FAMILIES)
def test_stored_families(golden, paulis, name):
    stored = golden("metrics_expfam")["families"][name]
    mirror, theta = LogTraceExp(paulis(*stored["generators"])), -jnp.array(stored["theta"])
    assert mirror.potential(theta) == pytest.approx(stored["logZ"], rel=1e-10)
    eta = mirror.to_dual(theta)
    np.testing.assert_allclose(eta, stored["eta"], rtol=1e-10)
    assert mirror.potential(theta) - theta @ eta == pytest.approx(stored["entropy"], rel=1e-10)  # −ψ*(η)
    spectrum = jnp.linalg.eigvalsh(gibbs_state(mirror.log_density(theta)))[::-1]
    np.testing.assert_allclose(spectrum, stored["spectrum"], rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(mirror.to_primal(eta), theta, rtol=1e-10 if "cold" in name else 1e-12)


def test_means_and_their_inverse():
    s = jnp.array([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0], [1.0, -1.0, -1.0, 1.0]])
    mirror, theta = LogPartition(s), jnp.array([0.4, -0.3, 3.0])
    p = jax.nn.softmax(theta @ s)
    np.testing.assert_allclose(mirror.to_dual(theta), s @ p, rtol=1e-14)
    np.testing.assert_allclose(eqx.filter_jit(mirror.to_primal)(s @ p), theta, rtol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_unattainable_expectations_give_nan_inside_jit_and_vmap(paulis, dtype):
    mirror = LogTraceExp(paulis("X", "Z").astype(dtype))
    targets = jnp.array([[0.3, 0.4], [0.8, 0.8], [2.0, 0.0], [jnp.nan, 0.0]], dtype)  # the moment set is the unit disc
    found = jax.jit(jax.vmap(mirror.to_primal))(targets)
    length = np.arctanh(0.5)
    np.testing.assert_allclose(found[0], length * np.array([0.6, 0.8]), rtol=100 * jnp.finfo(dtype).eps)
    assert found.dtype == dtype
    assert jnp.all(jnp.isnan(found[1:]))


def test_far_targets_converge():
    # almost a vertex of the simplex, where an undamped Newton step from 0 overshoots by many orders
    mirror, theta = LogPartition(jnp.eye(3, 4)), jnp.array([25.0, -3.0, 1.0])
    eta = mirror.to_dual(theta)
    np.testing.assert_allclose(mirror.to_dual(mirror.to_primal(eta)), eta, atol=1e-14)


def test_mirror_descent_on_the_simplex_is_the_exponentiated_gradient():
    p, g = jax.nn.softmax(jnp.array([0.1, -0.4, 1.0])), jnp.array([0.3, -0.2, 0.7])
    mirror = NegativeEntropy()
    wanted = p * jnp.exp(-0.1 * g) / jnp.sum(p * jnp.exp(-0.1 * g))
    np.testing.assert_allclose(mirror.to_primal(mirror.to_dual(p) - 0.1 * g), wanted, rtol=1e-15)


def test_dual_step_is_the_natural_gradient_to_first_order(paulis):
    mirror, theta, g = LogTraceExp(paulis("ZZ", "XI", "IX")), jnp.array([0.7, 0.4, 0.9]), jnp.array([0.3, -0.2, 0.7])
    h = 1e-6
    step = (mirror.to_primal(mirror.to_dual(theta) - h * g) - theta) / h
    natural = -jnp.linalg.solve(HessianMetric(mirror).at(theta).as_matrix(), g)
    np.testing.assert_allclose(step, natural, rtol=1e-5)


def test_euclidean_map_is_the_identity_on_pytrees():
    theta = {"a": jnp.ones(2), "b": jnp.array(3.0)}
    assert Euclidean().potential(theta) == 5.5
    assert jax.tree.all(jax.tree.map(jnp.array_equal, Euclidean().to_dual(theta), theta))
    assert Euclidean().to_primal(theta) is theta


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"\(P, N\); they have shape \(3,\)"):
        LogPartition(jnp.ones(3))
    with pytest.raises(ValueError, match=r"\(P, d, d\); they have shape \(1, 2, 3\)"):
        LogTraceExp(jnp.ones((1, 2, 3)))
