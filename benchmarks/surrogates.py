"""Maximum likelihood by the natural gradient of a surrogate (SNGD) against natural gradient, BFGS, Adam and descent.

Three problems: 1000 negative binomial counts, a skew-normal density in 20 dimensions, and one of eight columns of
scikit-learn's diabetes data. Rates are chosen on seeds that the tables do not show. Writes
benchmarks/results/surrogates.json and the tables of docs/surrogates.md; a few minutes on two cores.
"""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.optimize
import scipy.stats
from jax.flatten_util import ravel_pytree

from classical.methods.free import free_descent
from classical.methods.sngd import searched, sngd
from classical.models.counts import NegativeBinomial
from classical.models.surrogate import AbstractSurrogateDensity, Parameters
from qnat.inference import Process

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
OUT = ROOT / "benchmarks" / "results" / "surrogates.json"
TUNING, SEEDS = range(5), range(10, 15)
Made = Callable[[Any], Process]


def losses(made: Made, data: np.ndarray, start: Parameters, steps: int) -> tuple[Parameters, np.ndarray]:
    """The parameters after the last step, and the loss after 0, 1, … steps."""

    @jax.jit
    def walk(data, start):
        process = made(data)

        def step(state, _):
            state, info = process.step(state)
            return state, info.value

        state, values = jax.lax.scan(step, process.init(start), None, steps)
        return process.params(state), values

    end, values = walk(data, start)
    return end, np.asarray(values)


def needed(made: Made, cases: list[tuple[np.ndarray, Parameters, float]], most: int) -> list[float]:
    """Steps until the loss is below a bound, for every case of (data, start, bound); infinity beyond the most."""

    @jax.jit
    def walk(data, start, bound):
        process = made(data)

        def unfinished(loop):
            _, value, step = loop
            return ~(value <= bound) & (step < most)

        def move(loop):
            state, info = process.step(loop[0])
            return state, info.value, loop[2] + 1

        # the value of a step is that of the state before it
        return jax.lax.while_loop(unfinished, move, (process.init(start), jnp.inf, -1))[1:]

    found = [walk(*case) for case in cases]
    return [float(step) if value <= bound else float("inf") for (value, step), (_, _, bound) in zip(found, cases)]


def first(values: np.ndarray, bound: float) -> float:
    """Steps until the loss is below a bound; infinity where it never is."""
    below = np.flatnonzero(values <= bound)
    return float(below[0]) if below.size else float("inf")


def scipy_fit(
    density: AbstractSurrogateDensity, data: np.ndarray, start: Parameters, method: str
) -> tuple[float, list]:
    """The least loss of a SciPy optimiser in free coordinates, and the losses after 0, 1, … iterations."""
    flat, unravel = ravel_pytree(density.to_free(start))
    both = jax.jit(jax.value_and_grad(lambda flat: density.loss(density.from_free(unravel(flat)), data)))

    def objective(flat):
        value, slope = both(flat)
        return float(value), np.asarray(slope)

    values = [objective(flat)[0]]
    found = scipy.optimize.minimize(
        objective, np.asarray(flat), jac=True, method=method, options={"gtol": 1e-10, "maxiter": 20000},
        callback=lambda flat: values.append(objective(flat)[0]),
    )  # fmt: skip
    return float(found.fun), values


# Negative binomial counts

COUNTS = NegativeBinomial()
COUNT_GAP, COUNT_STEPS = 1e-6, 200
MEAN, VARIANCE, ITEMS = 50.0, 50 + 0.2 * 50**2, 1000
SUPPORT = np.arange(6000.0)


def counts(seed: int) -> tuple[np.ndarray, Parameters]:
    """Data, and a start that does not know them."""
    success = MEAN / VARIANCE
    size = MEAN * success / (1 - success)
    data = scipy.stats.nbinom.rvs(size, success, size=ITEMS, random_state=np.random.default_rng([seed, 0]))
    rng = np.random.default_rng([seed, 1])
    r, s = rng.gamma((5 / 2) ** 2, 2**2 / 5), rng.uniform(0.05, 0.95)
    return data.astype(float), COUNTS.from_free(jnp.array([np.log(r), np.log(s / (1 - s))]))


def exact_natural(gradient, free):
    """−F⁻¹g in (log r, logit s), F summed over counts."""

    def log_p(free):
        return COUNTS.log_prob(COUNTS.from_free(free), SUPPORT)

    scores = jax.jacfwd(log_p)(free)
    return -jnp.linalg.solve(scores.T @ (jnp.exp(log_p(free))[:, None] * scores), gradient)


COUNT_METHODS: dict[str, tuple[Callable[[float], Made], tuple[float, ...]]] = {
    "SNGD": (lambda _: lambda x: sngd(COUNTS, None, data=x), (1.0,)),
    "natural gradient in (log r, logit s)": (
        lambda _: lambda x: free_descent(COUNTS, searched(optax.stateless(exact_natural)), data=x),
        (1.0,),
    ),
    "gradient descent in (log r, logit s), steps up to {:g}": (
        lambda most: lambda x: free_descent(COUNTS, searched(optax.sgd(most)), data=x),
        (0.1, 1.0, 10.0),
    ),
    "Adam in (log r, logit s), rate {:g}": (
        lambda rate: lambda x: free_descent(COUNTS, optax.adam(rate), data=x),
        (0.03, 0.1, 0.3, 1.0),
    ),
}


def negative_binomial() -> dict:
    """Iterations to within the gap, of every method with its best rate."""
    cases, bfgs = {}, {}
    for seed in (*TUNING, *SEEDS):
        data, start = counts(seed)
        least, values = scipy_fit(COUNTS, data, start, "BFGS")
        cases[seed], bfgs[seed] = (data, start, least + COUNT_GAP), first(np.array(values), least + COUNT_GAP)
    rows: dict[str, Any] = {}
    for name, (make, rates) in COUNT_METHODS.items():
        tried = {rate: needed(make(rate), [cases[seed] for seed in TUNING], COUNT_STEPS) for rate in rates}
        best = min(tried, key=lambda rate: (np.median(tried[rate]), np.mean(tried[rate])))
        found = needed(make(best), [cases[seed] for seed in SEEDS], COUNT_STEPS)
        rows[name.format(best)] = {"iterations": found, "tuning": {f"{r:g}": each for r, each in tried.items()}}
        print(name.format(best), rows[name.format(best)], flush=True)
    rows["BFGS (SciPy)"] = {"iterations": [bfgs[seed] for seed in SEEDS]}
    return {"most": COUNT_STEPS, "gap": COUNT_GAP, "seeds": list(SEEDS), "rows": rows}
