"""The exponential family: generators as matrices and as Pauli strings are the same family."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.geometry import HessianMetric, laws, monotone_metric
from qnat.quantum import GibbsFamily, PauliSum

SUMS = {
    "real": PauliSum.from_strings(["ZZI", "IXX", "XII", "YYI", "IIZ"]),
    "complex": PauliSum.from_terms([("ZZI", 1.0), ("IXY", 0.5), ("YII", -2.0), ("IZX", 1.0), ("YYY", 0.3)]),
}


@pytest.fixture(params=SUMS)
def families(request):
    """(of strings, of matrices), θ."""
    paulis = SUMS[request.param]
    matrices = np.asarray(paulis.coefficients)[:, None, None] * np.asarray(paulis.matrices())
    matrices = jnp.asarray(matrices, matrices.dtype)
    return GibbsFamily(paulis), GibbsFamily(matrices), np.array([0.5, -0.4, 0.3, 0.9, -0.2])


@jax.jit
def described(family, theta):
    """K(θ), the generators of the mirror map, and how the free energy in −K(θ) rises at 2θ."""
    K = family.log_density(theta)
    return {
        "log_density": K,
        "generators": family.mirror.generators,
        "pull": jax.grad(lambda t: family.free_energy(t, -K, 1.0))(2 * theta),
    }


def test_strings_and_matrices_are_one_family(families):
    strings, matrices, theta = families
    found, wanted = described(strings, theta), described(matrices, theta)
    assert found["log_density"].dtype == wanted["log_density"].dtype
    np.testing.assert_allclose(found["log_density"], wanted["log_density"], atol=1e-15)
    np.testing.assert_array_equal(found["generators"], matrices.generators)
    starts = [jax.eval_shape(family.init, jax.random.key(0)) for family in (strings, matrices)]
    assert starts[0].shape == starts[1].shape == theta.shape
    np.testing.assert_allclose(found["pull"], wanted["pull"], atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bkm", "sld", "wigner_yanase", "harmonic", "sandwiched:0.75"])
def test_metrics_by_strings_by_matrices_and_by_the_log_density(families, kind):
    strings, matrices, theta = families
    wanted = jax.jit(lambda t: monotone_metric(matrices.log_density, t, kind).as_matrix())(theta)
    for family in (strings, matrices):
        found = jax.jit(lambda t, family=family: family.metric(kind).at(t).as_matrix())(theta)
        np.testing.assert_allclose(found, wanted, atol=1e-13)
        laws.check_operator(family.metric(kind).at(theta), key=jax.random.key(3))
    if kind == "bkm":
        np.testing.assert_allclose(wanted, HessianMetric(strings.mirror).at(theta).as_matrix(), atol=1e-13)


@pytest.mark.slow
def test_metric_at_infinite_temperature_and_in_single_precision(families):
    strings, _, theta = families
    norms = jnp.diag(strings.generators.coefficients**2)
    np.testing.assert_allclose(strings.metric().at(0 * theta).as_matrix(), norms, atol=1e-14)
    single = strings.metric().at(theta.astype(jnp.float32)).as_matrix()
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, strings.metric().at(theta).as_matrix(), atol=1e-5)


def test_metrics_of_many_states_at_once(families):
    strings, _, theta = families
    points = np.stack([theta, 0 * theta])
    alone = jax.jit(lambda t: strings.metric("sld").at(t).as_matrix())
    both = np.asarray(jax.jit(jax.vmap(alone))(points))
    for point, found in zip(points, both, strict=True):
        np.testing.assert_allclose(found, alone(point), atol=1e-14)


def test_relative_entropies_have_digits_where_states_almost_agree(families):
    strings, _, theta = families
    change = np.array([1.0, -2.0, 0.5, 0.3, 1.0])

    @jax.jit
    def facts(theta):
        found = [strings.relative_entropy(theta + h * change, theta) for h in (0.0, 1e-9)]
        return jnp.stack(found), HessianMetric(strings.mirror).at(theta).mv(change) @ change

    (none, small), curvature = map(np.asarray, facts(theta))
    assert 0 <= none < 1e-30
    assert small == pytest.approx(curvature / 2 * 1e-18, rel=1e-5)
