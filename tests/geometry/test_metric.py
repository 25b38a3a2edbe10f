"""Monotone metrics: stored numbers, closed forms, other expressions of the same metric, limits."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
import scipy.special
from jax.flatten_util import ravel_pytree

from qnat.geometry import (
    DivergenceMetric,
    EuclideanMetric,
    HessianMetric,
    LogPartition,
    LogTraceExp,
    MonotoneMetric,
    PullbackMetric,
    TruncatedCG,
    damped,
    fidelity,
    fubini_study,
    gibbs_state,
    monotone_metric,
    petz,
    relative_entropy,
)

KINDS = {
    "SLD": "sld",
    "WY": "wigner_yanase",
    "BKM": "bkm",
    "GEO": "geometric",
    "HARM": "harmonic",
    "WYD0.25": "wyd:0.25",
    "SAND2": "sandwiched:2",
    "SAND0.75": "sandwiched:0.75",
}
FAMILIES = ("one_qubit_XYZ", "two_qubit_tfim_like", "three_qubit_tfim", "two_qubit_commuting", "three_qubit_cold")
CHAIN = ("sld", "wigner_yanase", "bkm", "geometric", "harmonic")


@pytest.fixture(params=FAMILIES)
def family(request, golden, paulis):
    """(name, stored values, mirror map, θ). The files write ρ = exp(−Σ θG)/Z: θ changes its sign."""
    stored = golden("metrics_expfam")["families"][request.param]
    return request.param, stored, LogTraceExp(paulis(*stored["generators"])), -np.array(stored["theta"])


@eqx.filter_jit
def metrics(mirror, theta):
    """The matrix of every kind: a program of all eight compiles in a third of the time that eight would take."""
    return {kind: monotone_metric(mirror.log_density, theta, kind).as_matrix() for kind in KINDS.values()}


def metric(mirror, theta, kind):
    return np.asarray(metrics(mirror, theta)[kind])


@eqx.filter_jit
def described(mirror, theta):
    """The state and its derivatives, the means, and the Hessian of the potential."""

    def state(t):
        return gibbs_state(mirror.log_density(t))

    return {
        "rho": state(theta),
        "d_rho": jnp.moveaxis(jax.jacfwd(state)(theta), -1, 0),
        "means": mirror.to_dual(theta),
        "hessian": HessianMetric(mirror).at(theta).as_matrix(),
    }


def assert_norm_close(found, wanted, rtol):
    wanted = np.asarray(wanted)
    assert np.linalg.norm(found - wanted) <= rtol * np.linalg.norm(wanted)


def test_stored_metrics(family):
    name, stored, mirror, theta = family
    for label, wanted in stored["metrics"].items():
        # at cond(ρ) = 1e18 these two are dominated by the rounding of the smallest eigenvalues
        cold = name == "three_qubit_cold" and label in ("GEO", "HARM", "SAND2")
        assert_norm_close(metric(mirror, theta, KINDS[label]), wanted, 1e-4 if cold else 1e-10)


def test_rld_real_part_is_harmonic(family):
    _name, stored, mirror, theta = family
    if "RLD_complex" not in stored:
        pytest.skip("not stored for this family")
    rho, d_rho = (np.asarray(described(mirror, theta)[name]) for name in ("rho", "d_rho"))
    # R_jk = Tr(∂_jρ ρ⁻¹ ∂_kρ); the stored files use −θ, twice
    rld = np.einsum("jab,bc,kca->jk", d_rho, np.linalg.inv(rho), d_rho)
    wanted = np.array(stored["RLD_complex"]["re"]) + 1j * np.array(stored["RLD_complex"]["im"])
    assert min(np.abs(rld - wanted).max(), np.abs(rld.conj() - wanted).max()) < 1e-10 * np.abs(wanted).max()
    assert_norm_close(metric(mirror, theta, "harmonic"), rld.real, 1e-11)


def test_loewner_chain(family):
    name, stored, mirror, theta = family
    chain = [metric(mirror, theta, kind) for kind in CHAIN]
    usable = chain if name != "three_qubit_cold" else chain[:3]  # beyond, the condition number is 1e18
    for below, above in itertools.pairwise(usable):
        assert np.linalg.eigvalsh(above - below)[0] >= -1e-12 * np.linalg.norm(above)
    sld, wigner_yanase, bkm = chain[:3]
    assert np.linalg.eigvalsh(2 * sld - wigner_yanase)[0] >= -1e-12
    assert np.linalg.eigvalsh(np.array(stored["symmetrised_covariance"]) - bkm)[0] >= -1e-12


def test_symmetrised_covariance(family):
    _, stored, mirror, theta = family
    (rho, eta), F = (np.asarray(described(mirror, theta)[name]) for name in ("rho", "means")), mirror.generators
    covariance = np.einsum("ab,jbc,kca->jk", rho, F, F).real - np.outer(eta, eta)
    assert_norm_close(covariance, stored["symmetrised_covariance"], 1e-12)


def test_hessian_of_the_potential_is_bkm(family):
    _, _, mirror, theta = family
    assert_norm_close(np.asarray(described(mirror, theta)["hessian"]), metric(mirror, theta, "bkm"), 1e-13)


def test_canonical_correlation_is_bkm(family):
    _, _, mirror, theta = family
    energies, V = np.linalg.eigh(np.tensordot(theta, mirror.generators, axes=1))
    log_p = scipy.special.log_softmax(energies)
    F = V.conj().T @ mirror.generators @ V
    nodes, weights = np.polynomial.legendre.leggauss(60)
    total = 0
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        powers = np.exp((1 - node) * log_p[:, None] + node * log_p[None, :])
        total += weight * np.einsum("xy,jxy,kyx->jk", powers, F, F).real
    eta = np.asarray(described(mirror, theta)["means"])
    assert_norm_close(total - np.outer(eta, eta), metric(mirror, theta, "bkm"), 1e-10)


@eqx.filter_jit
def hessians_of_relative_entropy(mirror, theta):
    """In the first and in the second argument, where the two agree."""

    def divergence(one, other):
        return relative_entropy(mirror.log_density(one), mirror.log_density(other))

    return [jax.hessian(divergence, argnums=argument)(theta, theta) for argument in (0, 1)]


@pytest.mark.parametrize("scale", [0.0, 1.0])  # 0: every eigenvalue coincides
@pytest.mark.parametrize("argument", [0, 1])
def test_hessian_of_relative_entropy_is_bkm(paulis, argument, scale):
    mirror, theta = LogTraceExp(paulis("ZZ", "XI", "IX", "YI")), scale * np.array([0.7, 0.4, 0.9, -0.25])
    hessian = hessians_of_relative_entropy(mirror, theta)[argument]
    np.testing.assert_allclose(hessian, metric(mirror, theta, "bkm"), atol=1e-13)


def test_hessian_of_infidelity_is_half_of_sld(paulis):
    mirror, theta = LogTraceExp(paulis("ZZ", "XI", "IX", "YI")), np.array([0.7, 0.4, 0.9, -0.25])
    infidelity = jax.hessian(lambda t: 1 - fidelity(mirror.log_density(t), mirror.log_density(theta)))
    hessian = jax.jit(infidelity)(theta)
    np.testing.assert_allclose(hessian, metric(mirror, theta, "sld") / 2, atol=1e-13)


def test_one_qubit_closed_forms(paulis):
    mirror, theta = LogTraceExp(paulis("X", "Y", "Z")), np.array([0.3, -0.5, 0.8])
    length = np.linalg.norm(theta)
    r, radial = np.tanh(length), np.outer(theta, theta) / length**2
    tangential = np.eye(3) - radial
    for kind, factor in (("bkm", r / length), ("sld", (r / length) ** 2)):
        np.testing.assert_allclose(metric(mirror, theta, kind), (1 - r**2) * radial + factor * tangential, atol=1e-15)


@eqx.filter_jit
def fisher(statistics, theta):
    return HessianMetric(LogPartition(statistics)).at(theta).as_matrix()


@pytest.mark.parametrize("kind", KINDS.values())
def test_every_kind_is_fisher_on_commuting_generators(paulis, kind):
    F = paulis("ZI", "IZ", "ZZ")
    theta = np.array([0.4, -0.3, 0.6])
    wanted = fisher(np.diagonal(F, axis1=1, axis2=2), theta)
    np.testing.assert_allclose(metric(LogTraceExp(F), theta, kind), wanted, atol=2e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS.values())
def test_degenerate_spectra(paulis, kind, dtype):
    mirror = LogTraceExp(paulis("ZZ", "XX", "XI", "ZI").astype(dtype))
    eps = np.finfo(dtype).eps
    # at the maximally mixed state every metric is Tr(FₐF_b)/d
    np.testing.assert_allclose(metric(mirror, np.zeros(4, dtype), kind), np.eye(4), atol=4 * eps)
    # two doublets, approached within and just outside of rounding
    exact = metric(mirror, np.array([1.0, 0, 0, 0], dtype), kind)
    for shift in (1e-3 * eps, 10 * eps):
        near = metric(mirror, np.array([1.0, shift, shift, 0], dtype), kind)
        np.testing.assert_allclose(near, exact, atol=100 * eps)
    assert np.all(np.isfinite(exact))


@pytest.mark.parametrize("kind", ["bkm", "sld", "wigner_yanase"])
def test_float32_keeps_its_digits_in_the_cold(paulis, kind):
    F = paulis("ZZI", "IZZ", "XII", "IXI", "IIX")
    theta = np.full(5, 6.0)  # cond(ρ) = 1e18
    wanted = metric(LogTraceExp(F), theta, kind)
    found = metric(LogTraceExp(F.astype(np.float32)), theta.astype(np.float32), kind)
    assert found.dtype == np.float32
    assert_norm_close(found, wanted, 2e-5)


def test_metrics_work_under_jit_and_vmap_and_on_pytrees(paulis):
    mirror, theta = LogTraceExp(paulis("ZZ", "XI", "IX", "YI")), np.array([0.7, 0.4, 0.9, -0.25])

    def log_density(params):
        return mirror.log_density(jnp.concatenate([params["a"], params["b"]]))

    split = {"b": theta[1:], "a": theta[:1]}
    wanted = metric(mirror, theta, "sld")
    operator = monotone_metric(log_density, split, "sld")
    np.testing.assert_allclose(operator.as_matrix(), wanted, atol=1e-14)
    product = jax.jit(lambda vector: ravel_pytree(operator.mv(vector))[0])(split)
    np.testing.assert_allclose(product, wanted @ theta, atol=1e-14)
    batched = jax.jit(jax.vmap(lambda t: monotone_metric(mirror.log_density, t, "sld").as_matrix()))
    one, mixed = np.asarray(batched(np.stack([theta, 0 * theta])))
    np.testing.assert_allclose(one, wanted, atol=1e-14)
    np.testing.assert_allclose(mixed, np.eye(4), atol=1e-14)


PRODUCTS = ("bkm", "sld", "wyd:0.25")


@eqx.filter_jit
def products(mirror, theta, vector):
    """Of a few kinds the matrix, the same pulled back, a product, and solutions of the damped system."""

    def of(kind):
        operator = monotone_metric(mirror.log_density, theta, kind)
        system = damped(operator, 1e-2)
        return {
            "matrix": operator.as_matrix(),
            "pulled back": PullbackMetric(mirror.log_density, petz(kind)).at(theta).as_matrix(),
            "product": operator.mv(vector),
            "direct": lx.linear_solve(system, vector, lx.Cholesky()).value,
            "iterated": lx.linear_solve(system, vector, TruncatedCG(1e-12, 50)).value,
        }

    return {kind: of(kind) for kind in PRODUCTS}


@pytest.mark.parametrize("kind", PRODUCTS)
@pytest.mark.parametrize(
    "strings",
    [pytest.param(("ZZI", "IXX", "XII", "IZX"), marks=pytest.mark.slow), ("ZZI", "IXY", "YII", "IZX", "YYZ")],
)
def test_products_equal_the_matrix(paulis, strings, kind):
    theta, vector = np.linspace(-0.7, 0.9, len(strings)), np.linspace(0.3, 1.0, len(strings))
    found = products(LogTraceExp(paulis(*strings)), theta, vector)[kind]
    np.testing.assert_allclose(found["matrix"], found["pulled back"], atol=1e-14)
    np.testing.assert_allclose(found["product"], np.asarray(found["matrix"]) @ vector, atol=1e-14)
    np.testing.assert_allclose(found["iterated"], found["direct"], rtol=1e-9)


def test_batches_reach_the_model(paulis):
    F = paulis("X", "Z")

    @jax.jit
    def matrices(theta, scale):
        found = MonotoneMetric(lambda theta, scale: jnp.tensordot(scale * theta, F, axes=1), "bkm").at(theta, scale)
        return found.as_matrix(), monotone_metric(LogTraceExp(F).log_density, scale * theta, "bkm").as_matrix()

    found, unscaled = matrices(np.ones(2), 0.5)
    np.testing.assert_allclose(found, np.asarray(unscaled) / 4, atol=1e-15)


def test_complex_parameters_are_refused_by_the_name_of_the_metric():
    """A metric is a real bilinear form; of complex parameters it would silently be something else."""

    def log_density(p):
        return jnp.sum(p["x"]).real * np.diag([1.0, -1.0])

    def length(p, _=None):
        return jnp.sum(jnp.abs(p["x"]) ** 2)

    for made in (
        MonotoneMetric(log_density),
        PullbackMetric(log_density, petz("sld")),
        HessianMetric(length),
        DivergenceMetric(length),
        EuclideanMetric(),
    ):
        for at in (made.at, jax.jit(lambda p, made=made: made.at(p).mv(p))):
            with pytest.raises(ValueError, match=rf"{type(made).__name__} is a metric of real.*x.*complex128"):
                at({"x": np.array([1.0, 1j])})


def test_unknown_kind_is_refused_when_the_metric_is_made():
    with pytest.raises(ValueError, match="Unknown metric kind 'fischer'"):
        MonotoneMetric(jnp.diag, "fischer")


def test_fubini_study_is_a_quarter_of_sld_and_the_quantum_geometric_tensor():
    def psi(angles):
        x, y = angles
        return jnp.array([jnp.cos(x / 2), jnp.exp(1j * y) * jnp.sin(x / 2)])

    def log_density(angles):
        return 60 * jnp.outer(psi(angles), psi(angles).conj())

    @jax.jit
    def tensors(point):
        pure = PullbackMetric(psi, fubini_study).at(point).as_matrix()
        return pure, monotone_metric(log_density, point, "sld").as_matrix()

    pure, sld = tensors(np.array([0.7, 0.3]))
    sphere = np.diag([1.0, np.sin(0.7) ** 2]) / 4  # the sphere of radius ½
    np.testing.assert_allclose(pure, sphere, atol=1e-16)
    np.testing.assert_allclose(sld, 4 * sphere, atol=1e-13)


def test_pullback_of_the_softmax_fisher_metric_is_gauss_newton():
    rng = np.random.default_rng(0)
    W, x = rng.normal(size=(3, 2)), rng.normal(size=(5, 2))

    def logits(params, batch):
        return jnp.tanh(batch @ params.T)

    def softmax_fisher(y, v):
        p = jax.nn.softmax(y)
        return (p * v - p * jnp.sum(p * v, axis=-1, keepdims=True)) / len(y)

    @jax.jit
    def pulled_back(W, x):
        found = PullbackMetric(logits, softmax_fisher).at(W, x).as_matrix()
        return found, jax.jacobian(logits)(W, x), jax.nn.softmax(logits(W, x))

    found, J, p = map(np.asarray, pulled_back(W, x))
    J, H = J.reshape(5, 3, 6), np.array([np.diag(q) - np.outer(q, q) for q in p]) / 5
    np.testing.assert_allclose(found, np.einsum("nip,nij,njq->pq", J, H, J), atol=1e-15)


def test_euclidean_metric_is_the_identity():
    params = {"a": np.ones(2), "b": np.ones((2, 1))}
    found = jax.jit(lambda params: EuclideanMetric().at(params).as_matrix())(params)
    np.testing.assert_array_equal(found, np.eye(4))
