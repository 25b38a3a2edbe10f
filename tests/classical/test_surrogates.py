"""Descent by surrogates: goldens, and what it promises."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize
import scipy.stats
from jax.flatten_util import ravel_pytree

from classical.methods.free import free_descent
from classical.methods.lengths import halved, searched
from classical.methods.sngd import apart, sngd
from classical.models import gaussian
from classical.models.copula import TCopula
from classical.models.counts import NegativeBinomial, NegativeBinomialMixture
from classical.models.skew import SkewNormal, SkewNormalMixture, SkewT, at_saddle
from classical.models.surrogate import AbstractSurrogateDensity, Parameters
from qnat.geometry import Dual
from qnat.geometry.families import Gamma, Gaussian
from qnat.geometry.mirror import AbstractMirrorMap
from qnat.inference.laws import check_process
from qnat.optim import mirror_descent, with_rate

GOLDEN = {
    name: json.loads((pathlib.Path(__file__).parents[1] / "golden" / f"sngd_{name}.json").read_text())
    for name in ("negbin", "skewnormal", "gaussian_identity")
}


def numbers(values):
    return np.array(values, float)


def natural(mean, covariance):
    """θ of a Gaussian, in NumPy."""
    precision = np.linalg.inv(covariance)
    return precision @ mean, -precision / 2


def moved(density, params, data, rates, steps=1):
    """Parameters after some steps of SNGD, the loss before each, and the lengths of the steps."""

    @jax.jit
    def walk(params, data):
        process = sngd(density, *rates, data=data)

        def step(state, _):
            state, info = process.step(state)
            return state, (info.value, info.scalars["length"])

        state, said = jax.lax.scan(step, process.init(params), None, steps)
        return process.params(state), *said

    return jax.tree.map(np.asarray, walk(params, data))


def test_sngd_negbin_golden():
    golden, density = GOLDEN["negbin"], NegativeBinomial()
    params, x = Parameters(numbers(golden["eta"])), numbers(golden["x"])

    @jax.jit
    def described(params, x, after):
        value, slope = jax.value_and_grad(density.loss)(params, x)
        fisher = density.surrogate.hessian(params.surrogate).as_matrix()
        means = density.surrogate.to_dual(params.surrogate), density.surrogate.to_dual(after.surrogate)
        return value, slope.surrogate, fisher, jnp.linalg.solve(fisher, slope.surrogate), *means, density.loss(after, x)

    after, _, _ = moved(density, params, x, [float(golden["step"])])
    names = "nll", "grad_wrt_natural", "gamma_fisher_natural", "surrogate_natgrad_in_natural_coords", "meanparams"
    names = *names, "new_meanparams", "new_nll"
    for name, found in zip(names, described(params, x, after), strict=True):
        np.testing.assert_allclose(found, numbers(golden[name]), rtol=1e-12, err_msg=name)
    np.testing.assert_allclose([1, -1] * after.surrogate + [1, 0], numbers(golden["new_alpha_beta"]), rtol=1e-12)


def test_sngd_skew_normal_golden():
    golden, density = GOLDEN["skewnormal"], SkewNormal()
    x = numbers(golden["X"])
    params = Parameters(natural(numbers(golden["xi"]), numbers(golden["Omega"])), numbers(golden["eta"]))
    value, slope = jax.jit(jax.value_and_grad(density.loss))(params, x)
    np.testing.assert_allclose(value, golden["nll"], rtol=1e-14)
    for found, name in (
        (slope.surrogate[0], "grad_h"),
        (slope.surrogate[1], "grad_Lambda"),
        (slope.auxiliary, "grad_eta"),
    ):
        np.testing.assert_allclose(found, golden[name], rtol=1e-12)
    after, _, lengths = moved(density, params, x, [golden["step"]])
    mean, second = jax.jit(density.surrogate.to_dual)(after.surrogate)
    np.testing.assert_allclose(mean, golden["new_xi"], rtol=1e-12)
    np.testing.assert_allclose(second - np.outer(mean, mean), golden["new_Omega"], rtol=1e-12)
    assert lengths == 1


def test_sngd_identity_surrogate():
    """Where the target is its surrogate, a unit step fits the sample moments: natural gradient, at once."""
    golden, density = GOLDEN["gaussian_identity"], SkewNormal()
    x = numbers(golden["X"])
    params = Parameters(natural(numbers(golden["xi"]), numbers(golden["Omega"])), np.zeros(2))
    slope = jax.jit(jax.grad(density.loss))(params, x)
    np.testing.assert_allclose(slope.surrogate[0], golden["grad_h"], atol=1e-14)
    np.testing.assert_allclose(slope.surrogate[1], golden["grad_Lambda"], atol=1e-14)
    after, _, _ = moved(density, params, x, [1.0, 0.0])
    mean, second = jax.jit(density.surrogate.to_dual)(after.surrogate)
    np.testing.assert_allclose(mean, golden["expected_mean"], rtol=1e-13)
    np.testing.assert_allclose(second, golden["expected_second"], rtol=1e-13)


# Descent

COUNTS = scipy.stats.nbinom.rvs(5, 1 / 11, size=300, random_state=np.random.default_rng(5)).astype(float)
TWO = np.concatenate([COUNTS, scipy.stats.nbinom.rvs(40, 0.1, size=200, random_state=np.random.default_rng(6))])


def best(density, x, params):
    """The least loss, by SciPy in free coordinates."""
    flat, unravel = ravel_pytree(density.to_free(params))
    both = jax.jit(jax.value_and_grad(lambda flat: density.loss(density.from_free(unravel(flat)), x)))
    found = scipy.optimize.minimize(lambda p: [np.asarray(a, float) for a in both(p)], flat, jac=True, method="BFGS")
    return float(found.fun)


def test_counts_are_fitted_in_a_few_steps_of_a_line_search_that_never_rises():
    density = NegativeBinomial()
    start = density.from_free(np.array([np.log(2.0), 1.0]))
    _, losses, lengths = moved(density, start, COUNTS, [None], steps=8)
    assert np.all(np.diff(losses) <= 0)
    assert losses[5] - best(density, COUNTS, start) < 1e-6 < losses[0] - losses[1]
    assert np.all((lengths > 0) & (lengths <= 1) | (np.diff(losses, append=losses[-1]) == 0))


def test_a_line_search_takes_the_best_of_its_points():
    density = NegativeBinomial()
    start = density.from_free(np.array([np.log(30.0), 2.0]))
    _, _, (length,) = moved(density, start, COUNTS, [None])

    @jax.jit
    @jax.vmap
    def tried(length):
        transform = mirror_descent(length, density.surrogate, accept=None)
        change, _ = transform.update(
            jax.grad(density.loss)(start, COUNTS).surrogate, transform.init(start.surrogate), start.surrogate
        )
        return density.loss(Parameters(start.surrogate + change), COUNTS)

    lengths = np.arange(1, 1001) / 1000
    np.testing.assert_allclose(length, lengths[np.nanargmin(tried(lengths))], rtol=1e-12)
    assert 0.001 < length < 1


def test_a_line_search_uphill_takes_no_step():
    @jax.jit
    def uphill(at):
        transform = searched(optax.sgd(1.0))
        value, slope = jax.value_and_grad(lambda p: jnp.sum(p**2))(at)
        return transform.update(-slope, transform.init(at), at, value=value, value_fn=lambda p: jnp.sum(p**2))

    change, state = uphill(np.array([1.0, -2.0]))
    assert not np.any(change)
    assert state.diagnostics.length == 0


def test_mixtures_of_counts_never_rise_and_find_both_components():
    density = NegativeBinomialMixture(2)
    start = density.start(TWO, key=jax.random.key(0))
    after, losses, _ = moved(density, start, TWO, [None], steps=25)
    assert np.all(np.diff(losses) <= 0)
    weights, (first, _) = jax.jit(lambda t: (density.surrogate.to_dual(t)[0], gamma_moments(density, t)))(
        after.surrogate
    )
    order = np.argsort(first)
    np.testing.assert_allclose(weights[order], [0.6, 0.4], atol=0.05)
    np.testing.assert_allclose(first[order], [50, 360], rtol=0.1)


def gamma_moments(density, theta):
    """Means and variances of the components."""
    shape, rate = theta[1][:, 0] + 1, -theta[1][:, 1]
    return shape / rate, shape / rate**2


class Affine(AbstractMirrorMap):
    """The mirror map of ψ(Aφ + b)."""

    mirror: AbstractMirrorMap
    matrix: np.ndarray
    shift: np.ndarray

    def potential(self, theta):
        return self.mirror.potential(self.matrix @ theta + self.shift)

    def to_primal(self, eta):
        return jnp.linalg.solve(self.matrix, self.mirror.to_primal(jnp.linalg.solve(self.matrix.T, eta)) - self.shift)


class Moved(AbstractSurrogateDensity):
    """A negative binomial by affine coordinates of its surrogate."""

    surrogate: Affine

    def log_prob(self, params, x):
        return NegativeBinomial().log_prob(Parameters(self.there(params.surrogate)), x)

    def there(self, theta):
        return self.surrogate.matrix @ theta + self.surrogate.shift

    def start(self, x, *, key):
        raise NotImplementedError

    def inside(self, theta):
        return NegativeBinomial().inside(self.there(theta))

    to_free = from_free = None


def test_affine_coordinates_of_the_surrogate_leave_the_path_unchanged():
    matrix, shift = np.array([[0.7, -3.0], [0.02, 0.1]]), np.array([0.3, -0.1])
    theta, density = np.array([1.5, -0.3]), Moved(Affine(Gamma(), matrix, shift))
    wanted, losses, _ = moved(NegativeBinomial(), Parameters(theta), COUNTS[:50], [0.3], 3)
    there, same, _ = moved(density, Parameters(np.linalg.solve(matrix, theta - shift)), COUNTS[:50], [0.3], 3)
    np.testing.assert_allclose(same, losses, rtol=1e-9)
    np.testing.assert_allclose(density.there(there.surrogate), wanted.surrogate, rtol=1e-9)


def test_steps_out_of_the_domain_are_halved():
    density = NegativeBinomial()
    start = density.from_free(np.array([np.log(2.0), 1.0]))
    after, _, lengths = moved(density, start, COUNTS, [64.0])
    assert lengths[0] in 0.5 ** np.arange(1, 20)
    assert jax.jit(density.inside)(after.surrogate)
    again, _, (half,) = moved(density, start, COUNTS, [64.0 * 2 * lengths[0]])
    assert half == 0.5  # the next longer one is not inside
    np.testing.assert_array_equal(again.surrogate, after.surrogate)

    @jax.jit
    def never(theta):
        transform = halved(mirror_descent(1.0, Gamma(), accept=None), lambda _: jnp.asarray(False))
        change, state = transform.update(jnp.ones(2), transform.init(theta), theta)
        return change, state.diagnostics.length

    change, length = never(start.surrogate)
    assert not np.any(change)
    assert length == 0


W, Z1, Z2 = np.random.default_rng(8).normal(size=(3, 400))
SKEWED = np.stack([2 * np.abs(W) + Z1, 2 * Z2 - Z1 + np.abs(W)], axis=1)
TAILS = np.random.default_rng(9).standard_gamma(3, size=(400, 1)) ** -0.5
STARTED = {
    "negative binomial": (NegativeBinomial(), COUNTS, [None], 8),
    "negative binomials": (NegativeBinomialMixture(2), TWO, [0.5], 50),
    "skew-normal": (SkewNormal(), SKEWED, [0.3], 150),
    "skew-normals": (SkewNormalMixture(2), np.concatenate([SKEWED, 3 - SKEWED[:200] @ [[1, 0], [-1, 1]]]), [0.3], 300),
    "skew-t": (SkewT(), SKEWED * TAILS, [0.3], 150),
    "t copula": (TCopula(), scipy.stats.rankdata((SKEWED * TAILS)[:150], axis=0) / 151, [0.3], 60),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow)
        if name in ("negative binomials", "skew-normals", "t copula")
        else name
        for name in STARTED
    ],
)
def test_every_density_starts_inside_and_is_fitted(name):
    density, data, rates, steps = STARTED[name]
    start = density.start(data, key=jax.random.key(0))
    after, losses, lengths = moved(density, start, data, rates, steps)
    assert np.all(np.isfinite(losses))
    assert np.all(lengths[:5] > 0)
    gap = losses[-1] - best(density, data, after)
    assert gap < 0.1 * (losses[0] - losses[-1] + gap)


def test_the_start_of_a_skew_normal_has_the_moments_of_the_data():
    start = SkewNormal().start(SKEWED, key=jax.random.key(0))
    precision = -2 * np.asarray(start.surrogate[1])
    scale, eta = np.linalg.inv(precision), np.asarray(start.auxiliary)
    b = scale @ eta / np.sqrt(1 + eta @ scale @ eta)
    centred = SKEWED - SKEWED.mean(axis=0)
    np.testing.assert_allclose(scale @ start.surrogate[0] + np.sqrt(2 / np.pi) * b, SKEWED.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(scale - 2 / np.pi * np.outer(b, b), np.cov(SKEWED.T, bias=True), rtol=1e-10)
    np.testing.assert_allclose(np.sqrt(2 / np.pi) * (4 / np.pi - 1) * b**3, (centred**3).mean(axis=0), rtol=1e-9)


def test_the_saddle_at_no_skewness_is_known_and_left_by_the_start():
    density = SkewNormal()
    fit = Parameters(natural(SKEWED.mean(axis=0), np.cov(SKEWED.T, bias=True)), np.zeros(2))

    @jax.jit
    def described(fit):
        def loss(shift, eta):
            return density.loss(Parameters((shift, fit.surrogate[1]), eta), SKEWED)

        slope, unravel = jax.grad(density.loss)(fit, SKEWED), ravel_pytree((fit.surrogate[0], fit.auxiliary))[1]
        flat = ravel_pytree((fit.surrogate[0], fit.auxiliary))[0]
        return ravel_pytree(slope)[0], jax.hessian(lambda flat: loss(*unravel(flat)))(flat)

    slope, hessian = described(fit)
    np.testing.assert_allclose(slope, 0, atol=1e-12)
    values = np.linalg.eigvalsh(hessian)
    assert np.all(np.abs(values[:2]) < 1e-12)  # as many flat directions as columns
    assert np.all(values[2:] > 0.1)
    judged = jax.jit(lambda params: at_saddle(density, params, SKEWED))
    assert judged(fit)
    rest, losses, _ = moved(density, fit._replace(auxiliary=np.zeros(2)), SKEWED, [0.3], steps=200)
    assert judged(rest)
    start = density.start(SKEWED, key=jax.random.key(0))
    better, lower, _ = moved(density, start, SKEWED, [0.3], steps=200)
    assert not judged(start)
    assert not judged(better)
    assert lower[-1] < losses[-1] - 0.01
    assert not judged(Parameters(fit.surrogate, np.full(2, 0.1)))
    assert not judged(Parameters(natural(SKEWED.mean(axis=0) + 0.1, np.eye(2)), np.zeros(2)))


def test_steps_in_the_natural_chart_are_variational_inference():
    """The posterior of a logistic regression by a skew-normal, whose expectations are weighed ones of its surrogate."""
    rng = np.random.default_rng(11)
    inputs = rng.normal(size=(12, 2))
    labels = (inputs @ [2.0, -1.0] + rng.logistic(size=12) > 0).astype(float)
    nodes, weights = np.polynomial.hermite_e.hermegauss(16)
    z = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    weights = np.outer(weights, weights).ravel() / (2 * np.pi)
    density, family = SkewNormal(), Gaussian()

    def free_energy(params):
        mean, root = gaussian.mean_and_root(params.surrogate)
        w = mean + jax.scipy.linalg.solve_triangular(root.T, z.T, lower=False).T
        logits = w @ inputs.T
        log_joint = jnp.sum(labels * logits - jax.nn.softplus(logits), axis=1) - jnp.sum(w**2, axis=1) / 8
        skewing = 2 * jax.scipy.stats.norm.cdf((w - mean) @ params.auxiliary)
        return jnp.sum(weights * skewing * (density.log_prob(params, w) - log_joint))

    def of_means(params):
        return free_energy(params._replace(surrogate=family.to_primal(params.surrogate)))

    @jax.jit
    def inferred(start):
        transform = apart(mirror_descent(0.3, Dual(family), accept=None), with_rate(optax.scale_by_adam(), 0.05))

        def step(loop, _):
            params, state = loop
            value, slope = jax.value_and_grad(of_means)(params)
            change, state = transform.update(slope, state, params)
            return (optax.apply_updates(params, change), state), value

        means = start._replace(surrogate=family.to_dual(start.surrogate))
        return jax.lax.scan(step, (means, transform.init(means)), None, 700)[1]

    flat, unravel = ravel_pytree(((np.zeros(2), np.zeros((2, 2))), np.full(2, 0.3)))
    both = jax.jit(jax.value_and_grad(lambda flat: free_energy(density.from_free(unravel(flat)))))

    def least(skewed):
        def objective(flat):
            value, slope = both(np.where(free, flat, 0))
            return float(value), np.where(free, slope, 0)

        free = np.arange(flat.size) < flat.size - 2 * (not skewed)
        return scipy.optimize.minimize(objective, flat, jac=True, method="BFGS").fun

    values = np.asarray(inferred(Parameters((np.zeros(2), -np.eye(2) / 2), np.full(2, 0.3))))
    assert values[20] - least(True) < 0.1 * (values[0] - least(True))
    assert abs(values[-1] - least(True)) < 1e-5
    assert values[-1] < least(False) - 1e-3  # a Gaussian


BAD = {
    "counts 0, 1, 2, …; 1 are not, such as 2.5": (NegativeBinomial, [1, 2.5, 9]),
    "such as -1.0": (NegativeBinomial, [1, -1, 9]),
    "such as nan": (NegativeBinomialMixture, [1, np.nan, 9]),
    "variance above its mean; these counts have mean 9.5 and variance 0.25": (NegativeBinomial, [9, 10, 9, 10]),
    r"a vector of at least two numbers; these have shape \(2, 1\)": (NegativeBinomial, [[1], [9]]),
    "at least 1 component; got 0": (lambda: NegativeBinomialMixture(0), [1, 9, 30]),
    "as many different items; there are 3": (lambda: NegativeBinomialMixture(4), [1, 9, 9, 30]),
    r"data of shape \(N, d\); these have shape \(3,\)": (SkewNormal, [1, 2, 3]),
    "finite numbers; 1 of these are not": (SkewNormal, [[1.0], [np.inf], [2]]),
    "more rows than columns; there are 2": (SkewT, [[1.0, 2], [3, 5]]),
    "Column 1 is constant": (SkewT, [[1.0, 2], [3, 2], [4, 2]]),
    "a linear function of the others": (SkewNormal, [[1.0, 2], [3, 6], [4, 8]]),
    "take fewer components": (lambda: SkewNormalMixture(3), [[1.0, 2], [3, 2], [4, 7]]),
    r"numbers in \(0, 1\)": (TCopula, [[0.1, 0.4], [0.3, 1.0], [0.2, 0.2]]),
    "at least two columns; there is one": (TCopula, [[0.1], [0.3]]),
    "begin at 0 or above; got -1": (lambda: SkewT(-1.0), None),
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_data_are_refused_in_one_sentence(sentence):
    make, data = BAD[sentence]
    make = (lambda: NegativeBinomialMixture(2)) if make is NegativeBinomialMixture else make
    with pytest.raises(ValueError, match=sentence):
        make().start(data, key=jax.random.key(0))


PROCESSES = {
    "line search": (NegativeBinomial(), lambda density: sngd(density, None), COUNTS),
    "halved": (SkewNormal(), lambda density: sngd(density, 0.3), SKEWED),
    "free": (SkewT(), lambda density: free_descent(density, optax.adam(0.1)), SKEWED),
    "quasi-Newton": (NegativeBinomial(), lambda density: free_descent(density, optax.lbfgs()), COUNTS),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_processes_obey_their_law(name):
    density, process, data = PROCESSES[name]
    start = density.start(data[:20], key=jax.random.key(0))
    check_process(process(density), start, data[:20], key=jax.random.key(0))
