"""Latent models of rows with missing entries and weights: against enumeration, dense Gaussians and scikit-learn."""

import dataclasses
import itertools
import json
import pathlib
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from sklearn.decomposition import PCA
from sklearn.decomposition import FactorAnalysis as TheirFactorAnalysis
from sklearn.mixture import GaussianMixture

from classical.data.missing import rows, sequences
from classical.models.chains import HiddenMarkov
from classical.models.dynamical import DynamicalParams, LinearDynamical, first_of, move_of
from classical.models.emissions import DiagonalGaussians, FullGaussians, Symbols
from classical.models.factor import FactorAnalysis, Linear, from_linear, to_linear
from classical.models.mixture import IncompleteMixture, Mixture
from qnat.geometry.families import Gaussian
from qnat.inference import em
from qnat.inference.chunks import summed

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "hmm.json"
PRINCIPAL = GOLDEN.with_name("linear_vae_ppca.json")
K, D = 3, 4
EMISSIONS = {
    "full": FullGaussians(),
    "tied": FullGaussians(tied=True),
    "diagonal": DiagonalGaussians(),
    "spherical": DiagonalGaussians(spherical=True),
}
every_emission = pytest.mark.parametrize("name", EMISSIONS)


def items(count: int = 150) -> np.ndarray:
    generator = np.random.default_rng(0)
    centres = 3 * generator.normal(size=(K, D))
    noise = generator.normal(size=(count, D)) @ (np.eye(D) + 0.3 * generator.normal(size=(D, D)))
    x = centres[generator.integers(0, K, count)] + noise
    return x - x.mean(axis=0)


def holes(x: np.ndarray, share: float = 0.3) -> np.ndarray:
    return np.where(np.random.default_rng(1).random(x.shape) < share, np.nan, x)


def statistics(name: str, x: np.ndarray):
    """Expected ones of a start: three rows, and the covariance of all."""
    second = x[:K, :, None] * x[:K, None] + np.cov(x.T)
    second = second if name in ("full", "tied") else np.einsum("kii->ki", second)
    return np.full(K, 1 / K), (x[:K] / K, second / K)


def moved(process, state):
    state, info = process.step(state)
    return state, info.value


def fitted(model, eta, data, steps: int):
    """θ and the loss before every step."""

    @jax.jit
    def fit(eta):
        process = em(model, data=data)
        start = process.init(model.maximise(eta))
        state, losses = jax.lax.scan(lambda state, _: moved(process, state), start, None, steps)
        return process.params(state), losses

    return jax.tree.map(np.asarray, fit(eta))


def gaussians(name: str, theta):
    """Weights, means and covariances of a point of a mixture, in NumPy."""
    logits, (shift, half) = theta
    half = half if half.ndim == 3 else np.stack([np.diag(each) for each in half])
    covariances = np.linalg.inv(-(half + half.swapaxes(1, 2)))
    means = np.einsum("kij,kj->ki", covariances, shift)
    potentials = [m @ s / 2 + np.linalg.slogdet(c)[1] / 2 for m, s, c in zip(means, shift, covariances, strict=True)]
    return np.exp(logits + np.array(potentials)), means, covariances


def densities(means, covariances, row):
    """Of what is seen of a row, in every component."""
    seen = ~np.isnan(row)
    if not seen.any():
        return np.ones(len(means))
    parts = zip(means[:, seen], covariances[:, seen][:, :, seen], strict=True)
    return np.array([scipy.stats.multivariate_normal(*part).pdf(row[seen]) for part in parts])


@every_emission
def test_complete_rows_are_fitted_as_by_scikit_learn(name):
    x = items()
    _, losses = fitted(IncompleteMixture(EMISSIONS[name]), statistics(name, x), rows(x, chunk=64), 40)
    precision = np.linalg.inv(np.cov(x.T))
    variances = np.diag(np.cov(x.T))
    theirs = {
        "full": ("full", np.stack([precision] * K)),
        "tied": ("tied", precision),
        "diagonal": ("diag", np.stack([1 / variances] * K)),
        "spherical": ("spherical", np.full(K, 1 / variances.mean())),
    }[name]
    mixture = GaussianMixture(
        K,
        covariance_type=theirs[0],
        max_iter=40,
        tol=0,
        reg_covar=0,
        weights_init=np.full(K, 1 / K),
        means_init=x[:K],
        precisions_init=theirs[1],
    )
    with warnings.catch_warnings(action="ignore"):  # that it did not converge
        mixture.fit(x)
    if name == "full":  # elsewhere the first covariance is ours, of one kind for all
        np.testing.assert_allclose(-losses[-1], mixture.lower_bound_, rtol=1e-12)
    np.testing.assert_allclose(-losses[-1], mixture.lower_bound_, rtol=1e-6)
    assert np.all(np.diff(losses) < 1e-12)


@every_emission
def test_missing_entries_are_integrated_over_row_by_row(name):
    x = holes(items(150))
    weights = np.random.default_rng(2).random(150)
    model = IncompleteMixture(EMISSIONS[name])
    data = rows(x, weights, chunk=32)
    theta, losses = fitted(model, statistics(name, np.nan_to_num(x)), data, 15)
    assert np.all(np.diff(losses) < 1e-12)
    shares, means, covariances = gaussians(name, theta)
    np.testing.assert_allclose(shares.sum(), 1, rtol=1e-10)
    logs = [np.log(shares @ densities(means, covariances, row)) for row in x]
    found = jax.jit(model.clamped)(theta, data)
    np.testing.assert_allclose(found, np.average(logs, weights=weights), rtol=1e-12)


def test_whole_weights_are_repeated_rows():
    x = holes(items(40))
    times = np.random.default_rng(3).integers(0, 4, 40)
    model, start = IncompleteMixture(FullGaussians()), statistics("full", np.nan_to_num(x))
    weighed, _ = fitted(model, start, rows(x, times.astype(float)), 5)
    repeated, _ = fitted(model, start, rows(np.repeat(x, times, axis=0)), 5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), weighed, repeated)


def test_complete_rows_are_those_of_a_mixture_of_the_family():
    x = items(50)
    ours, theirs = IncompleteMixture(FullGaussians()), Mixture(Gaussian())

    @jax.jit
    def both(eta):
        theta = theirs.maximise(eta)
        return [model.expected(theta, data) for model, data in ((ours, rows(x)), (theirs, x))]

    one, other = both(statistics("full", x))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13), one, other)


@every_emission
def test_a_prior_is_rows_of_its_own(name):
    """Two rows of mean 0 and variances v for each component: the maximum of one component is known, that of three is
    climbed to, with no weight below that of the rows of the prior."""
    x, v, count = items(30), np.arange(1.0, D + 1), 2.0
    emission = dataclasses.replace(EMISSIONS[name], prior=count / len(x), variances=v)
    model, data = IncompleteMixture(emission), rows(x)
    eta = statistics(name, x)
    alone = jax.tree.map(lambda part: part[:1] / part[0].sum() if part.ndim == 1 else K * part[:1], eta)
    shares, means, covariances = gaussians(name, fitted(model, alone, data, 2)[0])
    total = len(x) + count
    np.testing.assert_allclose(shares, 1, rtol=1e-12)  # normalised, whatever the prior
    np.testing.assert_allclose(means[0], x.sum(axis=0) / total, atol=1e-14)
    covariance = (x.T @ x + count * np.diag(v)) / total - np.outer(means[0], means[0])
    wanted = {
        "diagonal": np.diag(np.diag(covariance)),
        "spherical": np.eye(D) * np.trace(covariance) / D,
    }.get(name, covariance)
    np.testing.assert_allclose(covariances[0], wanted, rtol=1e-12, atol=1e-13)
    theta, losses = fitted(model, eta, data, 60)
    assert np.all(np.diff(losses) < 1e-12)
    assert gaussians(name, theta)[0].min() > count / (total + (K - 1) * count) * (1 - 1e-12)


def test_sums_in_chunks_have_the_derivative_of_the_sum():
    x = np.random.default_rng(0).normal(size=(5, 7, 3))

    def part(theta, chunk):
        return jnp.sum(jnp.tanh(chunk @ theta["w"]) ** 2) + theta["b"] ** 3

    @jax.jit
    def both(theta):
        chunked = jax.value_and_grad(lambda theta: 2 * summed(part, theta, x))(theta)
        plain = jax.value_and_grad(lambda theta: 2 * sum(part(theta, chunk) for chunk in x))(theta)
        single = jax.grad(lambda theta: summed(part, theta, x[:1]))(theta)
        return chunked, plain, single, jax.grad(part)(theta, x[0])

    chunked, plain, single, alone = both({"w": jnp.arange(3.0), "b": jnp.asarray(0.3)})
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-13), (chunked, single), (plain, alone))


def test_rows_are_sorted_by_what_they_miss_and_found_again():
    x = holes(items(57))
    weights = np.arange(57.0)
    found = rows(x, weights, chunk=8)
    flat = np.asarray(found.x).reshape(-1, D)
    np.testing.assert_array_equal(flat[found.place], np.nan_to_num(x))
    np.testing.assert_allclose(found.weights.reshape(-1)[found.place], weights / weights.sum())
    np.testing.assert_allclose(found.weights.sum(), 1)
    patterns = np.repeat(found.pattern.reshape(-1), found.x.shape[2])[found.place]
    np.testing.assert_array_equal(found.missing[patterns], np.isnan(x))


def test_a_chunk_of_a_sorted_file_is_like_the_whole():
    x = np.column_stack([np.arange(512.0), np.where(np.arange(512) % 2, 1, np.nan)])
    found = rows(x, chunk=64)
    heavy = found.weights / found.weights.sum(axis=(1, 2), keepdims=True)
    means = np.sum(heavy * found.x[..., 0], axis=(1, 2))
    np.testing.assert_allclose(means, 255.5, atol=60)  # three standard errors of 64 of them
    assert all(len(np.unique(pattern)) == 2 for pattern in found.pattern)


def chain(generator, states: int):
    return generator.dirichlet(np.ones(states)), generator.dirichlet(np.ones(states), size=states)


def ragged(generator, width: int):
    """Twenty sequences of two to five rows, three entries in ten missing."""
    of = np.repeat(np.arange(20), generator.integers(2, 6, 20))
    x = generator.normal(size=(len(of), width))
    return np.where(generator.random(x.shape) < 0.3, np.nan, x), of


def test_a_hidden_markov_model_sums_over_all_paths():
    generator = np.random.default_rng(0)
    x, of = ragged(generator, D)
    start, move = chain(generator, K)
    means = generator.normal(size=(K, D))
    covariances = np.stack([(0.7 + 0.3 * k) * np.eye(D) + 0.2 for k in range(K)])
    model, data = HiddenMarkov(FullGaussians()), sequences(x, of)
    eta = (np.ones(K), (means, means[:, :, None] * means[:, None] + covariances))

    @jax.jit
    def value(eta):
        return model.clamped((jnp.log(start), jnp.log(move), model.emission.maximise(eta)), data)

    total = 0.0
    for sequence in range(20):
        seen = np.array([densities(means, covariances, row) for row in x[of == sequence]])
        paths = itertools.product(range(K), repeat=len(seen))
        total += np.log(
            sum(
                start[path[0]]
                * np.prod([move[a, b] for a, b in itertools.pairwise(path)])
                * np.prod([seen[t, state] for t, state in enumerate(path)])
                for path in paths
            )
        )
    np.testing.assert_allclose(value(eta), total / len(x), rtol=1e-13)
    counts = (start, move, eta)
    _, losses = fitted(model, counts, data, 60)
    assert np.all(np.diff(losses) < 1e-12)


def test_symbols_their_paths_and_the_best_path():
    golden = {name: np.array(value) for name, value in json.loads(GOLDEN.read_text()).items()}
    y = golden["y"]
    model, data = HiddenMarkov(Symbols(sizes=(4,))), sequences(y[:, None].astype(float), np.zeros(len(y), int))
    start, move = np.log(golden["pi"]), np.log(golden["A"])
    theta = (start, move, (np.zeros(3), np.log(golden["B"])))

    @jax.jit
    def found(theta):
        scores = model.emission.scores(theta[2], data.rows)[data.order]
        paths = jax.value_and_grad(lambda scores: model.path_sum(start, move, scores, data))(scores)
        best = jax.value_and_grad(lambda scores: model.path_sum(start, move, scores, data, best=True))(scores)
        return paths, best

    (total, smoothed), (best, path) = jax.tree.map(lambda each: np.asarray(each) * len(y), found(theta))
    np.testing.assert_allclose(total, golden["loglik_enumeration"], rtol=1e-14)
    np.testing.assert_allclose(smoothed[0], golden["smoothing"], atol=1e-14)
    np.testing.assert_allclose(best, golden["viterbi_logp"], rtol=1e-14)
    np.testing.assert_array_equal(path[0], np.eye(3)[golden["viterbi"]])


def test_symbols_are_counted_and_a_missing_one_says_nothing():
    generator = np.random.default_rng(5)
    x, of = ragged(generator, 2)
    symbols = np.where(np.isnan(x), np.nan, np.where(x > 0, 1, 0))
    model = HiddenMarkov(Symbols(sizes=(2, 2)))
    start, move = chain(generator, 2)
    emission = np.concatenate([generator.dirichlet(np.ones(2), size=2) for _ in range(2)], axis=1)
    theta, losses = fitted(model, (start, move, (np.ones(2), emission)), sequences(symbols, of), 60)
    assert np.all(np.diff(losses) < 1e-12)
    assert losses[-1] < losses[0] - 0.01
    for columns in np.split(np.exp(theta[2][1]), 2, axis=1):
        np.testing.assert_allclose(columns.sum(axis=1), 1, rtol=1e-12)


def test_a_dynamical_system_is_one_large_normal_distribution():
    generator = np.random.default_rng(0)
    x, of = ragged(generator, 3)
    m, d = 2, 3
    matrix = 0.9 * np.linalg.qr(generator.normal(size=(m, m)))[0]
    move, seen, bias = 0.3 * np.eye(m) + 0.1, generator.normal(size=(d, m)), generator.normal(size=d)
    noise, mean, first = 0.2 + generator.random(d), generator.normal(size=m), 0.7 * np.eye(m)
    model, data = LinearDynamical(), sequences(x, of)

    @jax.jit
    def params():
        return DynamicalParams(
            first_of(jnp.asarray(mean), jnp.asarray(first + np.outer(mean, mean))),
            move_of(jnp.asarray(matrix), jnp.asarray(move)),
            from_linear(Linear(*map(jnp.asarray, (seen, bias, noise)))),
        )

    total = 0.0
    for sequence in range(20):
        row = x[of == sequence]
        steps = len(row)
        means, covariance = [mean], np.zeros((steps * m, steps * m))
        covariance[:m, :m] = first
        for t in range(1, steps):
            now, before = slice(t * m, (t + 1) * m), slice((t - 1) * m, t * m)
            means.append(matrix @ means[-1])
            covariance[now, : t * m] = matrix @ covariance[before, : t * m]
            covariance[: t * m, now] = covariance[now, : t * m].T
            covariance[now, now] = matrix @ covariance[before, before] @ matrix.T + move
        map_ = np.kron(np.eye(steps), seen)
        there = ~np.isnan(row.ravel())
        if there.any():
            mu = map_ @ np.concatenate(means) + np.tile(bias, steps)
            wide = map_ @ covariance @ map_.T + np.diag(np.tile(noise, steps))
            part = scipy.stats.multivariate_normal(mu[there], wide[np.ix_(there, there)])
            total += part.logpdf(row.ravel()[there])
    theta = params()
    np.testing.assert_allclose(jax.jit(model.clamped)(theta, data), total / len(x), rtol=1e-13)

    @jax.jit
    def fit(theta):
        process = em(model, data=data)
        return jax.lax.scan(lambda state, _: moved(process, state), process.init(theta), None, 40)[1]

    losses = np.asarray(fit(theta))
    assert np.all(np.diff(losses) < 1e-12)
    assert losses[-1] < losses[0] - 0.1


def factors(count: int, share: float = 0.0):
    generator = np.random.default_rng(4)
    loadings = generator.normal(size=(8, 2))
    x = generator.normal(size=(count, 2)) @ loadings.T + generator.normal(size=(count, 8)) * (0.5 + generator.random(8))
    return np.where(generator.random(x.shape) < share, np.nan, x - x.mean(axis=0))


def learnt(model, x, steps):
    @jax.jit
    def fit():
        process = em(model, data=rows(x, chunk=256))
        loadings = jnp.asarray(np.random.default_rng(0).normal(size=(8, 2)))
        start = process.init(from_linear(Linear(loadings, jnp.zeros(8), jnp.ones(8))))
        state, losses = jax.lax.scan(lambda state, _: moved(process, state), start, None, steps)
        return to_linear(state.theta), losses, model.clamped(state.theta, rows(x))

    return jax.tree.map(np.asarray, fit())


def test_factor_analysis_is_that_of_scikit_learn():
    x = factors(500)
    with warnings.catch_warnings(action="ignore"):  # that it did not converge, where steps gain less than rounding
        theirs = TheirFactorAnalysis(2, tol=1e-13, max_iter=5000, svd_method="lapack").fit(x)
    _, losses, value = learnt(FactorAnalysis(), x, 600)
    np.testing.assert_allclose(value, theirs.score(x), atol=1e-9)
    assert np.all(np.diff(losses) < 1e-12)


def test_probabilistic_principal_components_have_a_closed_form():
    x = factors(500)
    linear, losses, value = learnt(FactorAnalysis(isotropic=True), x, 600)
    spectrum = np.linalg.eigvalsh(x.T @ x / len(x))[::-1]
    noise = spectrum[2:].mean()
    np.testing.assert_allclose(linear.noise, noise, rtol=1e-9)
    logs = 8 * np.log(2 * np.pi) + np.log(spectrum[:2]).sum() + 6 * np.log(noise) + 8
    np.testing.assert_allclose(value, -logs / 2, rtol=1e-10)
    # whose variances divide by N − 1
    np.testing.assert_allclose(value, PCA(2).fit(x).score(x), rtol=1e-5)
    assert np.all(np.diff(losses) < 1e-12)


@pytest.mark.parametrize("isotropic", [False, True])
def test_a_prior_of_noise_is_rows_of_noise(isotropic):
    """Without loadings, which then stay 0, the maximum is that of the rows with those of the prior."""
    x, v, count = factors(50), np.arange(1.0, 9), 3.0
    model = FactorAnalysis(isotropic, count / len(x), v)

    @jax.jit
    def fit():
        start = from_linear(Linear(jnp.zeros((8, 2)), jnp.zeros(8), jnp.ones(8)))
        process = em(model, data=rows(x + 1, chunk=16))
        return to_linear(process.params(process.step(process.init(start))[0]))

    found, total = fit(), len(x) + count
    bias = (x + 1).sum(axis=0) / total
    noise = (np.sum((x + 1) ** 2, axis=0) + count * v) / total - bias**2
    np.testing.assert_allclose(found.loadings, 0, atol=1e-14)
    np.testing.assert_allclose(found.bias, bias, rtol=1e-12)
    np.testing.assert_allclose(found.noise, np.full(8, noise.mean()) if isotropic else noise, rtol=1e-12)


def test_the_stored_principal_components_are_where_expectation_maximisation_rests():
    golden = {name: np.array(value) for name, value in json.loads(PRINCIPAL.read_text()).items()}
    model, data = FactorAnalysis(isotropic=True), rows(golden["Y"])

    @jax.jit
    def both():
        start = from_linear(Linear(golden["W_ml"], jnp.zeros(4), jnp.full(4, golden["sigma2"])))
        eta, value = model.expected(start, data)
        return to_linear(model.maximise(eta)), value

    linear, value = both()
    np.testing.assert_allclose(value, golden["loglik_per_row"], rtol=1e-14)
    np.testing.assert_allclose(linear.loadings, golden["W_ml"], rtol=0, atol=1e-13)
    np.testing.assert_allclose(linear.noise, golden["sigma2"], rtol=1e-13)
    np.testing.assert_allclose(linear.bias, 0, atol=1e-13)


def test_factors_of_incomplete_rows_are_those_of_what_is_seen():
    x = factors(80, share=0.3)
    linear, losses, value = learnt(FactorAnalysis(), x, 30)
    covariance = linear.loadings @ linear.loadings.T + np.diag(linear.noise)
    logs = [np.log(densities(linear.bias[None], covariance[None], row)[0]) for row in x]
    np.testing.assert_allclose(value, np.mean(logs), rtol=1e-12)
    assert np.all(np.diff(losses) < 1e-12)
