"""Maximum likelihood by the natural gradient of a surrogate (SNGD) against natural gradient, BFGS, Adam and descent.

Three problems: 1000 negative binomial counts, a skew-normal density in 20 dimensions, and one of eight columns of
scikit-learn's diabetes data. Rates are chosen on seeds that the tables do not show. Writes
benchmarks/results/surrogates.json and the tables of docs/surrogates.md; a few minutes on two cores.
"""

import json
import os
import pathlib
import platform
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.optimize
import scipy.stats
from jax.flatten_util import ravel_pytree
from sklearn.datasets import load_diabetes

from classical.methods.free import free_descent
from classical.methods.sngd import searched, sngd
from classical.models import gaussian
from classical.models.counts import NegativeBinomial
from classical.models.skew import SkewNormal, at_saddle
from classical.models.surrogate import AbstractSurrogateDensity, Parameters
from qnat.inference import Process, descend

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

        def step(state, key):
            state, info = process.step(state, None, key=key)
            return state, info.value

        state = process.init(start, key=None)
        state, values = jax.lax.scan(step, state, jax.random.split(jax.random.key(0), steps))
        return process.params(state), values

    end, values = walk(data, start)
    return end, np.asarray(values)


def first(values: np.ndarray, bound: float) -> float:
    """Steps until the loss is below a bound; infinity where it never is."""
    below = np.flatnonzero(values <= bound)
    return float(below[0]) if below.size else float("inf")


def scipy_fit(density: AbstractSurrogateDensity, data: np.ndarray, start: Parameters, method: str) -> tuple[float, list]:
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
    "SNGD, line search": (lambda _: lambda x: sngd(COUNTS, data=x), (1.0,)),
    "natural gradient in (log r, logit s), line search": (
        lambda _: lambda x: free_descent(COUNTS, searched(optax.stateless(exact_natural)), data=x),
        (1.0,),
    ),
    "gradient descent, line search up to": (
        lambda most: lambda x: free_descent(COUNTS, searched(optax.sgd(most)), data=x),
        (0.01, 0.1, 1.0, 10.0),
    ),
    "Adam": (lambda rate: lambda x: free_descent(COUNTS, optax.adam(rate), data=x), (0.03, 0.1, 0.3, 1.0)),
}


def negative_binomial(steps: int = 200, gap: float = 1e-6) -> dict:
    """Iterations to within a gap of the optimum, of every method with its best rate."""
    optimum = {s: scipy_fit(COUNTS, counts(s)[0], counts(s)[1], "BFGS") for s in (*TUNING, *SEEDS)}
    rows: dict[str, Any] = {"BFGS (SciPy)": {"iterations": [first(np.array(optimum[s][1]), optimum[s][0] + gap) for s in SEEDS]}}
    for name, (make, rates) in COUNT_METHODS.items():

        def needed(rate: float, seeds: range, make=make) -> list[float]:
            return [first(losses(make(rate), *counts(s), steps)[1], optimum[s][0] + gap) for s in seeds]

        tried = {rate: needed(rate, TUNING) for rate in rates} if len(rates) > 1 else {rates[0]: []}
        best = min(tried, key=lambda rate: (np.median(tried[rate]), np.mean(tried[rate])))
        rows[name if len(rates) == 1 else f"{name} {best:g}"] = {
            "iterations": needed(best, SEEDS),
            "tried": {f"{r:g}": t for r, t in tried.items()},
        }
        print(name, best, rows[name if len(rates) == 1 else f"{name} {best:g}"], flush=True)
    return {"steps": steps, "gap": gap, "seeds": list(SEEDS), "rows": rows}
