"""Mirror maps: both directions, targets that cannot be attained, agreement with natural gradients."""

import equinox as eqx
import jax
import numpy as np
import pytest
import scipy.special

from qnat.geometry import Euclidean, HessianMetric, LogPartition, LogTraceExp, NegativeEntropy, gibbs_state

FAMILIES = ("one_qubit_XYZ", "two_qubit_tfim_like", "three_qubit_tfim", "two_qubit_commuting", "three_qubit_cold")


@eqx.filter_jit
def described(mirror, theta, step):
    """ψ, the state, the means, the metric, and where a step leads to that is subtracted from the means."""
    eta = mirror.to_dual(theta)
    return {
        "potential": mirror.potential(theta),
        "state": gibbs_state(mirror.log_density(theta)),
        "means": eta,
        "metric": HessianMetric(mirror).at(theta).as_matrix(),
        "moved": mirror.to_primal(eta - step),
    }


to_dual = eqx.filter_jit(lambda mirror, theta: mirror.to_dual(theta))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "two_qubit_commuting" else name for name in FAMILIES]
)
def test_stored_families(golden, paulis, name):
    stored = golden("metrics_expfam")["families"][name]
    theta = -np.array(stored["theta"])
    found = jax.tree.map(np.asarray, described(LogTraceExp(paulis(*stored["generators"])), theta, 0 * theta))
    assert found["potential"] == pytest.approx(stored["logZ"], rel=1e-10)
    np.testing.assert_allclose(found["means"], stored["eta"], rtol=1e-10)
    assert found["potential"] - theta @ found["means"] == pytest.approx(stored["entropy"], rel=1e-10)  # −ψ*(η)
    spectrum = np.linalg.eigvalsh(found["state"])[::-1]
    np.testing.assert_allclose(spectrum, stored["spectrum"], rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(found["moved"], theta, rtol=1e-10 if "cold" in name else 1e-12)


def test_means_and_their_inverse():
    s = np.array([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0], [1.0, -1.0, -1.0, 1.0]])
    mirror, theta = LogPartition(s), np.array([0.4, -0.3, 3.0])
    p = scipy.special.softmax(theta @ s)
    np.testing.assert_allclose(to_dual(mirror, theta), s @ p, rtol=1e-14)
    np.testing.assert_allclose(mirror.to_primal(s @ p), theta, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unattainable_expectations_give_nan_inside_jit_and_vmap(paulis, dtype):
    mirror = LogTraceExp(paulis("X", "Z").astype(dtype))
    targets = np.array([[0.3, 0.4], [0.8, 0.8], [2.0, 0.0], [np.nan, 0.0]], dtype)  # the moment set is the unit disc
    found = np.asarray(jax.jit(jax.vmap(mirror.to_primal))(targets))
    length = np.arctanh(0.5)
    np.testing.assert_allclose(found[0], length * np.array([0.6, 0.8]), rtol=100 * np.finfo(dtype).eps)
    assert found.dtype == dtype
    assert np.all(np.isnan(found[1:]))


def test_far_targets_converge():
    # almost a vertex of the simplex, where an undamped Newton step from 0 overshoots by many orders
    mirror, theta = LogPartition(np.eye(3, 4)), np.array([25.0, -3.0, 1.0])
    eta = to_dual(mirror, theta)
    np.testing.assert_allclose(to_dual(mirror, mirror.to_primal(eta)), eta, atol=1e-14)


def test_mirror_descent_on_the_simplex_is_the_exponentiated_gradient():
    p, g = scipy.special.softmax([0.1, -0.4, 1.0]), np.array([0.3, -0.2, 0.7])
    mirror = NegativeEntropy()
    wanted = p * np.exp(-0.1 * g) / np.sum(p * np.exp(-0.1 * g))
    found = jax.jit(lambda p, g: mirror.to_primal(mirror.to_dual(p) - 0.1 * g))(p, g)
    np.testing.assert_allclose(found, wanted, rtol=1e-15)


def test_dual_step_is_the_natural_gradient_to_first_order(paulis):
    mirror, theta, g = LogTraceExp(paulis("ZZ", "XI", "IX")), np.array([0.7, 0.4, 0.9]), np.array([0.3, -0.2, 0.7])
    h = 1e-6
    found = jax.tree.map(np.asarray, described(mirror, theta, h * g))
    np.testing.assert_allclose((found["moved"] - theta) / h, -np.linalg.solve(found["metric"], g), rtol=1e-5)


def test_euclidean_map_is_the_identity_on_pytrees():
    mirror, theta = Euclidean(), {"a": np.ones(2), "b": np.array(3.0)}
    potential, dual = jax.jit(lambda t: (mirror.potential(t), mirror.to_dual(t)))(theta)
    assert potential == 5.5
    assert jax.tree.all(jax.tree.map(np.array_equal, dual, theta))
    assert mirror.to_primal(theta) is theta


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"\(P, N\); they have shape \(3,\)"):
        LogPartition(np.ones(3))
    with pytest.raises(ValueError, match=r"\(P, d, d\); they have shape \(1, 2, 3\)"):
        LogTraceExp(np.ones((1, 2, 3)))
