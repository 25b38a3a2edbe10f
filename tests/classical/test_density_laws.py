"""The law of processes for all that fits a density, in whole and online, in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classical.problems.density import falling
from classical.tasks.density import DensitySpec
from qnat.inference import em
from qnat.inference.laws import check_process

ROWS = 30
LATENT = {
    **{each: {"components": 2, "covariance": each} for each in ("full", "tied", "diagonal", "spherical")},
    "fa": {"density": "fa", "dimension": 1},
    "ppca": {"density": "ppca", "dimension": 1},
    "hmm": {"density": "hmm", "states": 2, "sequence": "id"},
    "symbols": {"density": "hmm", "states": 2, "emission": "categorical", "columns": "symbol", "sequence": "id"},
    "lds": {"density": "lds", "dimension": 1, "sequence": "id"},
}
MIXTURE = {"components": 2, "data": "whole"}
SURROGATES = {
    "negative_binomial": {"columns": "count"},
    "negative_binomial_mixture": {"columns": "count", "components": 2},
    "skew_normal": {},
    "skew_normal_mixture": {"components": 2},
    "skew_t": {},
    "t_copula": {},
}
OTHERS = {
    "natural, draws": MIXTURE | {"process": "natural", "chart": "squared", "draws": 20},
    "natural, quadrature": MIXTURE | {"process": "natural", "chart": "centred", "columns": "a"},
    "adam": MIXTURE | {"process": "adam", "chart": "ordered"},
    "bfgs": MIXTURE | {"process": "bfgs", "chart": "relative"},
    **{f"{name}, sngd": {"density": name, "data": "whole"} | words for name, words in SURROGATES.items()},
    **{
        f"{name}, {process}": {"density": name, "process": process, "data": "whole"} | SURROGATES[name]
        for name, process in (("skew_t", "adam"), ("negative_binomial", "bfgs"))
    },
}
DEAR = (
    "t_copula, sngd",
    "negative_binomial, bfgs",
    "natural, draws",
    "natural, quadrature",
    "bfgs",
    "skew_normal, sngd",
    "negative_binomial_mixture, sngd",
    "skew_normal_mixture, sngd",
    "skew_t, adam",
)
# in double precision, which is harder to break, at night
both_precisions = pytest.mark.parametrize("dtype", [pytest.param("float64", marks=pytest.mark.slow), "float32"])


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two tables: of numbers of which some are missing, symbols and sequences; of whole rows and counts."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS, 2)) * [1.0, 2.0] + 4 * (np.arange(ROWS)[:, None] % 2)
    holes = np.where(generator.random(x.shape) < 0.2, np.nan, x)
    other = np.column_stack([generator.integers(0, 3, ROWS), np.arange(ROWS) // 7])
    folder = tmp_path_factory.mktemp("tables")
    for name, columns, head in (
        ("holes", np.column_stack([holes, other]), "a,b,symbol,id"),
        ("whole", np.column_stack([x, generator.negative_binomial(2, 0.2, ROWS)]), "a,b,count"),
    ):
        np.savetxt(folder / f"{name}.csv", columns, delimiter=",", header=head, comments="")
    return folder


def check(tables, words, dtype, *, online: bool = False) -> None:
    given = {"columns": "a,b", "data": "holes"} | words
    spec = DensitySpec(**given | {"data": str(tables / f"{given['data']}.csv")})
    task, key = spec.task(), jax.random.key(0)

    def cast(leaf):
        inexact = isinstance(leaf, np.ndarray | jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating)
        return leaf.astype(dtype) if inexact else leaf

    start, task = jax.tree.map(cast, (task.init(key), task))
    process = em(task.density.model, falling(1.0, 0.6)) if online else spec.transform(task)
    check_process(process, start, task.density.data if online else None, key=key)


@both_precisions
@pytest.mark.parametrize(
    "name",
    [name if name in ("tied", "fa", "hmm", "lds") else pytest.param(name, marks=pytest.mark.slow) for name in LATENT],
)
def test_expectation_maximisation_obeys_the_law(name, dtype, tables):
    check(tables, LATENT[name], dtype)


@pytest.mark.slow
@both_precisions
@pytest.mark.parametrize("name", LATENT)
def test_online_expectation_maximisation_obeys_the_law(name, dtype, tables):
    check(tables, LATENT[name], dtype, online=True)


@both_precisions
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in DEAR else name for name in OTHERS]
)
def test_descents_obey_the_law(name, dtype, tables):
    check(tables, OTHERS[name], dtype)
