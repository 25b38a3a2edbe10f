"""Monotone metrics: stored numbers, closed forms, other expressions of the same metric, limits."""

import itertools

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from qnat.geometry import (
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
    return request.param, stored, LogTraceExp(paulis(*stored["generators"])), -jnp.array(stored["theta"])


def metric(mirror, theta, kind):
    return monotone_metric(mirror.log_density, theta, kind).as_matrix()


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
    rho = gibbs_state(mirror.log_density(theta))
    d_rho = jnp.moveaxis(jax.jacfwd(lambda t: gibbs_state(mirror.log_density(t)))(theta), -1, 0)
    # R_jk = Tr(∂_jρ ρ⁻¹ ∂_kρ); the stored files use −θ, twice
    rld = jnp.einsum("jab,bc,kca->jk", d_rho, jnp.linalg.inv(rho), d_rho)
    wanted = np.array(stored["RLD_complex"]["re"]) + 1j * np.array(stored["RLD_complex"]["im"])
    assert min(np.abs(rld - wanted).max(), np.abs(rld.conj() - wanted).max()) < 1e-10 * np.abs(wanted).max()
    assert_norm_close(metric(mirror, theta, "harmonic"), rld.real, 1e-11)


def test_loewner_chain(family):
    name, stored, mirror, theta = family
    metrics = [metric(mirror, theta, kind) for kind in CHAIN]
    usable = metrics if name != "three_qubit_cold" else metrics[:3]  # beyond, the condition number is 1e18
    for below, above in itertools.pairwise(usable):
        assert jnp.linalg.eigvalsh(above - below)[0] >= -1e-12 * jnp.linalg.norm(above)
    sld, wigner_yanase, bkm = metrics[:3]
    assert jnp.linalg.eigvalsh(2 * sld - wigner_yanase)[0] >= -1e-12
    assert jnp.linalg.eigvalsh(np.array(stored["symmetrised_covariance"]) - bkm)[0] >= -1e-12


def test_symmetrised_covariance(family):
    _, stored, mirror, theta = family
    rho, eta, F = gibbs_state(mirror.log_density(theta)), mirror.to_dual(theta), mirror.generators
    covariance = jnp.einsum("ab,jbc,kca->jk", rho, F, F).real - jnp.outer(eta, eta)
    assert_norm_close(covariance, stored["symmetrised_covariance"], 1e-12)


def test_hessian_of_the_potential_is_bkm(family):
    _, _, mirror, theta = family
    assert_norm_close(HessianMetric(mirror).at(theta).as_matrix(), metric(mirror, theta, "bkm"), 1e-13)


def test_canonical_correlation_is_bkm(family):
    _, _, mirror, theta = family
    energies, V = jnp.linalg.eigh(mirror.log_density(theta))
    log_p = jax.nn.log_softmax(energies)
    F = V.conj().T @ mirror.generators @ V
    nodes, weights = np.polynomial.legendre.leggauss(60)
    total = 0
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        powers = jnp.exp((1 - node) * log_p[:, None] + node * log_p[None, :])
        total += weight * jnp.einsum("xy,jxy,kyx->jk", powers, F, F).real
    eta = mirror.to_dual(theta)
    assert_norm_close(total - jnp.outer(eta, eta), metric(mirror, theta, "bkm"), 1e-10)


@pytest.mark.parametrize("scale", [0.0, 1.0])  # 0: every eigenvalue coincides
@pytest.mark.parametrize("argument", [0, 1])
def test_hessian_of_relative_entropy_is_bkm(paulis, argument, scale):
    mirror, theta = LogTraceExp(paulis("ZZ", "XI", "IX", "YI")), scale * jnp.array([0.7, 0.4, 0.9, -0.25])

    def divergence(moving):
        points = [theta, theta]
        points[argument] = moving
        return relative_entropy(*map(mirror.log_density, points))

    np.testing.assert_allclose(jax.jit(jax.hessian(divergence))(theta), metric(mirror, theta, "bkm"), atol=1e-13)


def test_hessian_of_infidelity_is_half_of_sld(paulis):
    mirror, theta = LogTraceExp(paulis("ZZ", "XI", "IX", "YI")), jnp.array([0.7, 0.4, 0.9, -0.25])
    infidelity = jax.hessian(lambda t: 1 - fidelity(mirror.log_density(t), mirror.log_density(theta)))
    hessian = jax.jit(infidelity)(theta)
    np.testing.assert_allclose(hessian, metric(mirror, theta, "sld") / 2, atol=1e-13)


def test_one_qubit_closed_forms(paulis):
    mirror, theta = LogTraceExp(paulis("X", "Y", "Z")), jnp.array([0.3, -0.5, 0.8])
    length = jnp.linalg.norm(theta)
    r, radial = jnp.tanh(length), jnp.outer(theta, theta) / length**2
    tangential = jnp.eye(3) - radial
    for kind, factor in (("bkm", r / length), ("sld", (r / length) ** 2)):
        np.testing.assert_allclose(metric(mirror, theta, kind), (1 - r**2) * radial + factor * tangential, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS.values())
def test_every_kind_is_fisher_on_commuting_generators(paulis, kind):
    F = paulis("ZI", "IZ", "ZZ")
    theta = jnp.array([0.4, -0.3, 0.6])
    fisher = HessianMetric(LogPartition(jnp.diagonal(F, axis1=1, axis2=2))).at(theta).as_matrix()
    np.testing.assert_allclose(metric(LogTraceExp(F), theta, kind), fisher, atol=2e-15)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("kind", KINDS.values())
def test_degenerate_spectra(paulis, kind, dtype):
    F = paulis("ZZ", "XX", "XI", "ZI").astype(dtype)
    eps = jnp.finfo(dtype).eps
    # at the maximally mixed state every metric is Tr(FₐF_b)/d
    np.testing.assert_allclose(metric(LogTraceExp(F), jnp.zeros(4, dtype), kind), np.eye(4), atol=4 * eps)
    # two doublets, approached within and just outside of rounding
    exact = metric(LogTraceExp(F), jnp.array([1.0, 0, 0, 0], dtype), kind)
    for shift in (1e-3 * eps, 10 * eps):
        near = metric(LogTraceExp(F), jnp.array([1.0, shift, shift, 0], dtype), kind)
        np.testing.assert_allclose(near, exact, atol=100 * eps)
    assert jnp.all(jnp.isfinite(exact))


@pytest.mark.parametrize("kind", ["bkm", "sld", "wigner_yanase"])
def test_float32_keeps_its_digits_in_the_cold(paulis, kind):
    F = paulis("ZZI", "IZZ", "XII", "IXI", "IIX")
    theta = jnp.full(5, 6.0)  # cond(ρ) = 1e18
    wanted = metric(LogTraceExp(F), theta, kind)
    found = metric(LogTraceExp(F.astype(jnp.float32)), theta.astype(jnp.float32), kind)
    assert found.dtype == jnp.float32
    assert_norm_close(found, wanted, 2e-5)


def test_metrics_work_under_jit_and_vmap_and_on_pytrees(paulis):
    F = paulis("ZZ", "XI", "IX", "YI")
    theta = jnp.array([0.7, 0.4, 0.9, -0.25])

    def log_density(params):
        return jnp.tensordot(jnp.concatenate([params["a"], params["b"]]), F, axes=1)

    split = {"b": theta[1:], "a": theta[:1]}
    wanted = metric(LogTraceExp(F), theta, "sld")
    np.testing.assert_allclose(monotone_metric(log_density, split, "sld").as_matrix(), wanted, atol=1e-14)
    product = monotone_metric(log_density, split, "sld").mv(split)
    np.testing.assert_allclose(jnp.concatenate([product["a"], product["b"]]), wanted @ theta, atol=1e-14)
    batched = jax.jit(jax.vmap(lambda t: metric(LogTraceExp(F), t, "sld")))(jnp.stack([theta, 0 * theta]))
    np.testing.assert_allclose(batched[0], wanted, atol=1e-14)
    np.testing.assert_allclose(batched[1], jnp.eye(4), atol=1e-14)


@pytest.mark.parametrize("kind", ["bkm", "sld", "wyd:0.25"])
@pytest.mark.parametrize("strings", [("ZZI", "IXX", "XII", "IZX"), ("ZZI", "IXY", "YII", "IZX", "YYZ")])
def test_products_equal_the_matrix(paulis, strings, kind):
    mirror, theta = LogTraceExp(paulis(*strings)), jnp.linspace(-0.7, 0.9, len(strings))
    operator, vector = monotone_metric(mirror.log_density, theta, kind), jnp.linspace(0.3, 1.0, len(strings))
    pulled_back = PullbackMetric(mirror.log_density, petz(kind)).at(theta)
    np.testing.assert_allclose(operator.as_matrix(), pulled_back.as_matrix(), atol=1e-14)
    np.testing.assert_allclose(operator.mv(vector), operator.as_matrix() @ vector, atol=1e-14)
    system = damped(operator, 1e-2)
    direct = lx.linear_solve(system, vector, lx.Cholesky()).value
    iterated = jax.jit(lambda v: lx.linear_solve(system, v, TruncatedCG(1e-12, 50)).value)(vector)
    np.testing.assert_allclose(iterated, direct, rtol=1e-9)


def test_batches_reach_the_model(paulis):
    F = paulis("X", "Z")
    found = MonotoneMetric(lambda theta, scale: jnp.tensordot(scale * theta, F, axes=1), "bkm").at(jnp.ones(2), 0.5)
    np.testing.assert_allclose(found.as_matrix(), metric(LogTraceExp(F), jnp.full(2, 0.5), "bkm") / 4, atol=1e-15)


def test_unknown_kind_is_refused_when_the_metric_is_made():
    with pytest.raises(ValueError, match="Unknown metric kind 'fischer'"):
        MonotoneMetric(jnp.diag, "fischer")


def test_fubini_study_is_a_quarter_of_sld_and_the_quantum_geometric_tensor():
    def psi(angles):
        x, y = angles
        return jnp.array([jnp.cos(x / 2), jnp.exp(1j * y) * jnp.sin(x / 2)])

    point = jnp.array([0.7, 0.3])
    sphere = jnp.diag(jnp.array([1.0, jnp.sin(0.7) ** 2])) / 4  # the sphere of radius ½
    np.testing.assert_allclose(PullbackMetric(psi, fubini_study).at(point).as_matrix(), sphere, atol=1e-16)

    def log_density(angles):
        return 60 * jnp.outer(psi(angles), psi(angles).conj())

    np.testing.assert_allclose(monotone_metric(log_density, point, "sld").as_matrix(), 4 * sphere, atol=1e-13)


def test_pullback_of_the_softmax_fisher_metric_is_gauss_newton():
    W = jax.random.normal(jax.random.key(0), (3, 2))
    x = jax.random.normal(jax.random.key(1), (5, 2))

    def logits(params, batch):
        return jnp.tanh(batch @ params.T)

    def softmax_fisher(y, v):
        p = jax.nn.softmax(y)
        return (p * v - p * jnp.sum(p * v, axis=-1, keepdims=True)) / len(y)

    J = jax.jacobian(logits)(W, x).reshape(5, 3, 6)
    p = jax.nn.softmax(logits(W, x))
    H = jax.vmap(lambda q: jnp.diag(q) - jnp.outer(q, q))(p) / 5
    found = PullbackMetric(logits, softmax_fisher).at(W, x).as_matrix()
    np.testing.assert_allclose(found, jnp.einsum("nip,nij,njq->pq", J, H, J), atol=1e-15)


def test_euclidean_metric_is_the_identity():
    params = {"a": jnp.ones(2), "b": jnp.ones((2, 1))}
    np.testing.assert_array_equal(EuclideanMetric().at(params).as_matrix(), np.eye(4))
