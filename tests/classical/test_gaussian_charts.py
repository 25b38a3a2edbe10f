"""Free coordinates of mixtures of Gaussians of each covariance: the law, Fisher's metric, and fits in them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jax.scipy.stats import multivariate_normal

from classical.data.tables import Table
from classical.models.emissions import DiagonalGaussians, FullGaussians
from classical.models.gaussian_chart import GaussianMixtureChart, MixtureCoordinates
from classical.models.mixture_charts import CentredMeans, OrderedMeans, SquaredMeans, StandardMeans
from classical.problems.densities import centred
from classical.problems.density import DensityTask
from classical.problems.mixtures import gaussian_mixture
from classical.tasks import processes
from qnat.geometry import laws
from qnat.inference import em

EMISSIONS = {
    "full": FullGaussians(),
    "tied": FullGaussians(tied=True),
    "diagonal": DiagonalGaussians(),
    "spherical": DiagonalGaussians(spherical=True),
}
DIRECTION = np.array([2.0, -1.0, 2.0]) / 3
MEANS = {
    "standard": lambda _: StandardMeans(),
    "centred": CentredMeans,
    "ordered": lambda weights: OrderedMeans(weights, DIRECTION.astype(weights.dtype)),
    "squared": lambda weights: SquaredMeans(weights, DIRECTION.astype(weights.dtype)),
}
both_precisions = pytest.mark.parametrize(
    "dtype", [pytest.param(np.float32, id="float32", marks=pytest.mark.slow), pytest.param(np.float64, id="float64")]
)


def coordinates(kind, count, dim, dtype=float):
    """Means in order along all axes."""
    rng = np.random.default_rng(3)
    triangle = dim * (dim + 1) // 2
    shape = {"full": (count, triangle), "tied": (1, triangle), "diagonal": (count, dim), "spherical": (count, 1)}[kind]
    means = 1.5 * np.arange(count)[:, None] + rng.normal(size=(count, dim)) / 3
    found = rng.normal(size=count - 1) / 2, means, rng.normal(size=shape) / 3
    return MixtureCoordinates(*(np.asarray(each, dtype) for each in found))


def mixture(kind, x):
    """The density with its data, of two components; coordinates are in units of the columns' standard deviations."""
    return gaussian_mixture(centred(Table(x, tuple(f"x{i}" for i in range(x.shape[1])))), 2, kind, 0.0)


def written_out(here, kind, x):
    """log p of rows from the coordinates, the means being their own, as the definition has it."""
    count, dim = here.means.shape
    if kind in ("diagonal", "spherical"):
        roots = jnp.exp(jnp.broadcast_to(here.scales, (count, dim)))[:, None] * jnp.eye(dim)
    else:
        low = jnp.zeros((count, dim, dim)).at[:, *np.tril_indices(dim)].set(here.scales)
        roots = jnp.where(np.eye(dim, dtype=bool), jnp.exp(low), low)
    weights = jax.nn.softmax(jnp.concatenate([jnp.zeros(1), here.log_odds]))
    parts = [w * multivariate_normal.pdf(x, m, r @ r.T) for w, m, r in zip(weights, here.means, roots, strict=True)]
    return jnp.log(sum(parts))


def exact_fisher(here, kind, nodes, width):
    flat, unravel = ravel_pytree(here)
    scores = jax.jacfwd(lambda c: written_out(unravel(c), kind, nodes))(flat)
    return width * jnp.einsum("n,ni,nj->ij", jnp.exp(written_out(here, kind, nodes)), scores, scores)


@both_precisions
@pytest.mark.parametrize(
    ("kind", "means"),
    [
        ("full", "squared"),
        ("spherical", "ordered"),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (("full", "centred"), ("tied", "standard"), ("diagonal", "squared"))
        ),
    ],
)
def test_coordinates_obey_the_law(kind, means, dtype):
    laws.check_chart(GaussianMixtureChart(MEANS[means], EMISSIONS[kind]), coordinates(kind, 3, 3, dtype))


@both_precisions
@pytest.mark.parametrize("kind", EMISSIONS)
def test_the_metric_of_one_column_is_that_of_the_density(kind, dtype):
    density = mixture(kind, np.random.default_rng(4).normal(size=(30, 1)) * 2)
    nodes = np.linspace(-15, 15, 1501)[:, None]

    @jax.jit
    def both(here):
        return density.fisher(density.chart("standard"), 1).at(here).as_matrix(), exact_fisher(here, kind, nodes, 0.02)

    found, exact = both(coordinates(kind, 2, 1, dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e3 * np.finfo(dtype).eps)


def test_the_metric_of_one_column_sees_components_that_are_narrow_and_far_apart():
    """Then each has its own: p/σ² of the mean, 2p of log σ, p(1 − p) of the log-odds, in units of the columns."""
    density = mixture("diagonal", np.concatenate([np.linspace(-1, 1, 20), 1e2 + np.linspace(-1, 1, 40) / 300])[:, None])
    chart, share, widths = density.chart("standard"), np.array([1 / 3, 2 / 3]), np.array([0.6, 0.003])
    scale = float(density.scale[0])

    @jax.jit
    def matrix(here):
        return density.fisher(chart, 1).at(here).as_matrix()

    means = np.array([[-2e2 / 3], [1e2 / 3]])
    found = matrix(MixtureCoordinates(np.log([2.0]), means / scale, np.log(widths / scale)[:, None]))
    wanted = np.concatenate([[share.prod()], share * (scale / widths) ** 2, 2 * share])
    np.testing.assert_allclose(found / np.sqrt(np.outer(wanted, wanted)), np.eye(5), atol=1e-5)


@pytest.mark.parametrize("kind", ["tied", "diagonal"])
def test_the_metric_of_draws_is_that_of_the_density_up_to_their_number(kind):
    """In units of the exact one; of 4000 draws an entry errs by some 0.03."""
    density = mixture(kind, np.random.default_rng(4).normal(size=(30, 2)))
    axis = np.arange(-8, 9, 0.25)
    nodes = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)

    @jax.jit
    def both(here):
        operator = density.fisher(density.chart("standard"), 4000).at(here, key=jax.random.key(0))
        vector = jax.tree.map(jnp.ones_like, here)
        return operator.as_matrix(), exact_fisher(here, kind, nodes, 1 / 16), ravel_pytree(operator.mv(vector))[0]

    found, exact, product = jax.tree.map(np.asarray, both(coordinates(kind, 2, 2)))
    root = np.linalg.inv(np.linalg.cholesky(exact))
    np.testing.assert_allclose(root @ found @ root.T, np.eye(len(exact)), atol=0.2)
    np.testing.assert_allclose(product, found.sum(axis=1), rtol=1e-12)


@functools.cache
def table():
    """Two clouds in a plane, and some entries that nobody saw."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(40, 2)) * [1, 0.5] + np.repeat([[-2, -1], [2, 1]], 20, axis=0)
    x[::7, 0], x[3::9, 1] = np.nan, np.nan
    return x


@pytest.mark.parametrize(
    "process", ["natural", *(pytest.param(name, marks=pytest.mark.slow) for name in ("adam", "bfgs"))]
)
@pytest.mark.parametrize(
    "kind", ["tied", "spherical", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("full", "diagonal"))]
)
def test_every_process_finds_the_maximum_of_em(kind, process):
    density = mixture(kind, table())
    task = DensityTask(density)
    part, steps = {
        "natural": (processes.Natural(draws=200, chart="centred"), 40),
        "adam": (processes.Adam(), 3000),
        "bfgs": (processes.Bfgs(chart="squared"), 60),
    }[process]

    @jax.jit
    def losses(start):
        def last(method, count):
            def step(i, state):
                return method.step(state, key=jax.random.fold_in(jax.random.key(0), i))[0]

            return task.loss(method.params(jax.lax.fori_loop(0, count, step, method.init(start))))

        return task.loss(start), last(em(density.model, data=density.data), 300), last(part.build(task), steps)

    first, best, found = losses(density.start(jax.random.key(1)))
    assert first > best + 0.1
    np.testing.assert_allclose(found, best, rtol=0, atol=1e-6)
