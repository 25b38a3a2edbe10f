"""Every public object through its laws, in both precisions; and broken ones, which the laws must catch."""

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from qnat.geometry import (
    AbstractMetric,
    AbstractMirrorMap,
    BlockDiagonal,
    Dual,
    Euclidean,
    EuclideanMetric,
    HessianMetric,
    LogPartition,
    LogTraceExp,
    MonotoneMetric,
    NegativeEntropy,
    PullbackMetric,
    bregman,
    bures_distance,
    damped,
    fidelity,
    fubini_study,
    kl,
    laws,
    relative_entropy,
    trace_distance,
)

MONOTONE = (
    "bkm",
    "sld",
    "wigner_yanase",
    "geometric",
    "harmonic",
    "wyd:-0.5",
    "wyd:0.25",
    "sandwiched:0.75",
    "sandwiched:5",
)
STATISTICS = np.array([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]])


@pytest.fixture(scope="module")
def key():
    return jax.random.key(3)


both_precisions = pytest.mark.parametrize(
    "dtype", [pytest.param(jnp.float32, id="float32", marks=pytest.mark.slow), pytest.param(jnp.float64, id="float64")]
)


def all_but(*names, among):
    """The names, these at night."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in names else name for name in among]


def cast(tree, dtype):
    """In that precision, whether real or complex."""

    def one(x):
        return x.astype(jnp.result_type(dtype, jnp.complex64) if jnp.iscomplexobj(x) else dtype)

    return jax.tree.map(one, tree)


@both_precisions
@pytest.mark.parametrize("kind", [*MONOTONE, "sandwiched:0.3"])
def test_kernels(kind, dtype, key):
    laws.check_kernel(kind, key=key, dtype=dtype)


@both_precisions
@pytest.mark.parametrize("kind", MONOTONE)
def test_channels_do_not_increase_monotone_metrics(kind, dtype, key):
    laws.check_monotone(kind, key=key, dtype=dtype)


@both_precisions
def test_a_channel_increases_sandwiched_below_one_half(dtype, key):
    with pytest.raises(AssertionError, match=r"sandwiched:0.3: not monotone, a channel multiplied the metric by 1\."):
        laws.check_monotone("sandwiched:0.3", key=key, dtype=dtype)


@both_precisions
@pytest.mark.parametrize("name", ["Euclidean", "NegativeEntropy", "LogPartition", "LogTraceExp"])
def test_mirror_maps(paulis, name, dtype, key):
    mirror, theta = {
        "Euclidean": (Euclidean(), {"a": jnp.array([0.4, -0.3]), "b": jnp.array(1.2)}),
        "NegativeEntropy": (NegativeEntropy(), jnp.array([0.2, 0.3, 0.5])),
        "LogPartition": (LogPartition(STATISTICS), jnp.array([0.4, -0.3])),
        "LogTraceExp": (LogTraceExp(paulis("ZZ", "XI", "YI")), jnp.array([0.7, 0.4, -0.25])),
    }[name]
    laws.check_mirror_map(cast(mirror, dtype), cast(theta, dtype), key=key)


@both_precisions
@pytest.mark.parametrize("name", all_but("LogPartition", among=["Euclidean", "LogPartition", "LogTraceExp"]))
def test_duals_are_mirror_maps_and_their_duals_the_maps_themselves(paulis, name, dtype, key):
    mirror, theta = {
        "Euclidean": (Euclidean(), {"a": np.array([0.4, -0.3]), "b": np.array(1.2)}),
        "LogPartition": (LogPartition(STATISTICS), np.array([0.4, -0.3])),
        "LogTraceExp": (LogTraceExp(paulis("ZZ", "XI", "YI")), np.array([0.7, 0.4, -0.25])),
    }[name]
    mirror, theta = cast(mirror, dtype), cast(theta, dtype)

    @eqx.filter_jit
    def described(mirror, theta):
        twice, dual, eta = Dual(Dual(mirror)), Dual(mirror), mirror.to_dual(theta)
        step = jax.tree.map(lambda leaf: leaf / 7, theta)
        pairs = [
            (twice.potential(theta), mirror.potential(theta)),
            (twice.to_dual(theta), eta),
            (twice.to_primal(eta), mirror.to_primal(eta)),
            (twice.retract(theta, step), mirror.retract(theta, step)),
            # by automatic differentiation of ψ*, also where θ is found by iteration
            (jax.grad(dual.potential)(eta), theta),
        ]
        here, there = (m.hessian(x).as_matrix() for m, x in ((mirror, theta), (dual, eta)))
        pairs.append((here @ there, jnp.eye(len(here))))
        return eta, pairs

    eta, pairs = described(mirror, theta)
    laws.check_mirror_map(Dual(mirror), eta, key=key)
    for found, wanted in pairs:
        for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=100 * np.finfo(dtype).eps)


@both_precisions
@pytest.mark.parametrize(
    "divergence",
    [relative_entropy, lambda a, b: 1 - fidelity(a, b), lambda a, b: -jnp.log(fidelity(a, b))],
    ids=["relative entropy", "1 - fidelity", "-log fidelity"],
)
def test_divergences_of_states(divergence, dtype, key):
    def sample(key):
        a = jax.random.normal(key, (3, 3), jnp.result_type(dtype, jnp.complex64))
        return (a + a.conj().T) / 2

    laws.check_divergence(divergence, sample, key=key)


@both_precisions
@pytest.mark.parametrize("name", ["kl", "LogPartition", "LogTraceExp", "NegativeEntropy"])
def test_divergences_of_parameters(paulis, name, dtype, key):
    divergence, size = {
        "kl": (kl, 4),
        "LogPartition": (bregman(LogPartition(cast(STATISTICS, dtype))), 2),
        "LogTraceExp": (bregman(LogTraceExp(cast(paulis("ZZ", "XI", "IY"), dtype))), 3),
        "NegativeEntropy": (bregman(NegativeEntropy()), 4),
    }[name]

    def sample(key):
        x = jax.random.normal(key, (size,), dtype)
        return jax.nn.softmax(x) if name == "NegativeEntropy" else x

    laws.check_divergence(divergence, sample, key=key)


def test_a_distance_is_not_a_divergence_but_its_square_may_be(key):
    points = {0: jnp.diag(jnp.array([0.3, -0.2])), 1: jnp.array([[0.1, 0.4], [0.4, 0.0]])}

    def sample(key):
        return points[int(jax.random.bits(key)) % 2]

    with pytest.raises(AssertionError, match=r"flat|curvature|positive"):
        laws.check_divergence(trace_distance, sample, key=key)
    assert bures_distance(points[0], points[1]) > 0


def models(paulis, dtype):
    F = cast(paulis("ZZ", "XI", "IX", "YI"), dtype)
    theta = jnp.array([0.7, 0.4, 0.9, -0.25], dtype)

    def log_density(params):
        return jnp.tensordot(params, F, axes=1)

    return log_density, theta


@both_precisions
@pytest.mark.parametrize("kind", all_but("geometric", "harmonic", "wyd:-0.5", "sandwiched:0.75", among=MONOTONE))
def test_monotone_metrics(paulis, kind, dtype, key):
    log_density, theta = models(paulis, dtype)
    laws.check_metric(
        MonotoneMetric(log_density, kind),
        theta,
        key=key,
        in_chart=lambda chart: MonotoneMetric(lambda x: log_density(chart(x)), kind),
    )


@both_precisions
def test_other_metrics(paulis, dtype, key):
    theta = jnp.array([0.7, 0.4, 0.9, -0.25], dtype)
    laws.check_metric(EuclideanMetric(), {"a": theta}, key=key)
    laws.check_metric(HessianMetric(LogPartition(cast(STATISTICS, dtype))), theta[:2], key=key)
    laws.check_metric(HessianMetric(lambda t: jax.nn.logsumexp(t) + jnp.sum(t**2)), theta, key=key)

    def psi(params):
        a, b = params["x"]
        amplitudes = jnp.stack([jnp.cos(a) + 0j, jnp.sin(a) * jnp.cos(b), 1j * jnp.sin(a) * jnp.sin(b)])
        return amplitudes * jnp.exp(1j * a)

    laws.check_metric(
        PullbackMetric(psi, fubini_study),
        {"x": theta[:2]},
        key=key,
        in_chart=lambda chart: PullbackMetric(lambda x: psi(chart(x)), fubini_study),
    )


@both_precisions
def test_operators(dtype, key):
    a = jax.random.normal(key, (3, 3), dtype)
    gram = lx.MatrixLinearOperator(a @ a.T, lx.positive_semidefinite_tag)
    blocks = BlockDiagonal(
        {"x": gram, "y": lx.MatrixLinearOperator(jnp.ones((1, 1), dtype), lx.positive_semidefinite_tag)}
    )
    for operator in (gram, blocks, damped(blocks, 0.1), BlockDiagonal((blocks, gram)), lx.MatrixLinearOperator(a)):
        laws.check_operator(operator, key=key)


def test_laws_catch_kernels_that_are_not(key):
    for kernel, words in (
        (lambda r: 2 * jnp.exp(-(r**2)), r"k\(0\) must be 1"),
        (lambda r: 1 / (1 + jnp.exp(r)) * 2, "derivative|k′"),
        (lambda r: jnp.where(r == 0, 1.0, (r / 2) / jnp.sinh(r / 2)), "k′.*NaN|finite"),
        (lambda r: jnp.exp(-(r**2)), "finite|positive"),  # compiled, log exp is nothing
    ):
        with pytest.raises(AssertionError, match=words):
            laws.check_kernel(kernel, key=key)


class Misdirected(AbstractMirrorMap):
    """Its inverse is off by a factor."""

    def potential(self, theta):
        return jnp.sum(theta**2) / 2

    def to_primal(self, eta):
        return 2 * eta


class Overshooting(AbstractMirrorMap):
    """Its retraction goes twice as far."""

    def potential(self, theta):
        return jnp.sum(theta**2) / 2

    def to_primal(self, eta):
        return eta

    def retract(self, theta, step):
        return theta + 2 * step


class Concave(AbstractMirrorMap):
    def potential(self, theta):
        return -jnp.sum(theta**2)

    def to_primal(self, eta):
        return -eta / 2


class Indefinite(AbstractMetric):
    tags: frozenset = eqx.field(static=True, default=frozenset({lx.positive_semidefinite_tag}))

    def at(self, params, batch=None, *, key=None):
        return lx.MatrixLinearOperator(jnp.diag(jnp.array([1.0, -1.0])), self.tags)


def test_laws_catch_mirror_maps_metrics_and_operators_that_are_not(key):
    theta = jnp.array([0.3, -0.4])
    with pytest.raises(AssertionError, match="to_primal must invert"):
        laws.check_mirror_map(Misdirected(), theta, key=key)
    with pytest.raises(AssertionError, match="retraction"):
        laws.check_mirror_map(Overshooting(), theta, key=key)
    with pytest.raises(AssertionError, match="convex"):
        laws.check_mirror_map(Concave(), theta, key=key)
    with pytest.raises(AssertionError, match="Said to be positive semidefinite"):
        laws.check_metric(Indefinite(), theta, key=key)
    with pytest.raises(AssertionError, match="must carry"):
        laws.check_metric(Indefinite(frozenset()), theta, key=key)
    with pytest.raises(AssertionError, match="act on vectors like"):
        laws.check_metric(Indefinite(), {"x": theta}, key=key)
    with pytest.raises(AssertionError, match="JᵀGJ"):
        laws.check_metric(EuclideanMetric(), theta, key=key, in_chart=lambda chart: EuclideanMetric())
    skew = lx.MatrixLinearOperator(jnp.array([[1.0, 1.0], [0.0, 1.0]]), lx.symmetric_tag)
    with pytest.raises(AssertionError, match=r"asymmetric|transpose"):
        laws.check_operator(skew, key=key)


def test_laws_catch_divergences_that_are_not(key):
    def sample(key):
        return jax.random.normal(key, (3,))

    for divergence, words in (
        (lambda x, y: jnp.sum((x - y) ** 2) - 1, r"D\(x, x\)"),
        (lambda x, y: jnp.sum((x - y) ** 2 * 0), "must be positive"),
        (lambda x, y: jnp.sum((x - y) ** 4), "curvature"),
        (lambda x, y: jnp.sum(jnp.where(x >= y, x - y, y - x)), "slopes"),
        (lambda x, y: jnp.sum((x - y) ** 2) + jnp.sum((x - jax.lax.stop_gradient(y)) ** 2), "one Hessian"),
    ):
        with pytest.raises(AssertionError, match=words):
            laws.check_divergence(divergence, sample, key=key)
