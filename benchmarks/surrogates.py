"""Maximum likelihood by the natural gradient of a surrogate (SNGD) against natural gradient, BFGS, Adam and descent.

Three problems: 1000 negative binomial counts, a skew-normal density in 20 dimensions, and one of eight columns of
scikit-learn's diabetes data. Rates are chosen on seeds that the tables do not show. Writes
benchmarks/results/surrogates.json and the tables of docs/surrogates.md; about ten minutes on two cores.
"""

import json
import os
import pathlib
import platform
import sys
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
from classical.methods.lengths import searched
from classical.methods.sngd import sngd
from classical.models import gaussian
from classical.models.counts import NegativeBinomial
from classical.models.skew import SkewNormal, at_saddle
from classical.models.surrogate import AbstractSurrogateDensity, Parameters
from qnat.inference import Process

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
OUT = ROOT / "benchmarks" / "results" / "surrogates.json"
TUNING, SEEDS = range(5), range(10, 15)
Made = Callable[[Any], Process]
Case = tuple[np.ndarray, Parameters]
"""Data and a start."""


def losses(made: Made, cases: list[Case], steps: int) -> list[tuple[Parameters, np.ndarray]]:
    """For every case the parameters after the last step, and the loss after 0, 1, … steps."""

    @jax.jit
    def walk(data, start):
        process = made(data)

        def step(state, _):
            state, info = process.step(state)
            return state, info.value

        state, values = jax.lax.scan(step, process.init(start), None, steps)
        return process.params(state), values

    return [(end, np.asarray(values)) for end, values in (walk(*case) for case in cases)]


def needed(made: Made, cases: list[Case], bounds: list[float], most: int) -> list[float]:
    """Steps until the loss is below a bound, for every case; infinity beyond the most."""

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

    found = [walk(*case, bound) for case, bound in zip(cases, bounds, strict=True)]
    return [float(step) if value <= bound else float("inf") for (value, step), bound in zip(found, bounds, strict=True)]


def first(values: np.ndarray, bound: float) -> float:
    """Steps until the loss is below a bound; infinity where it never is."""
    below = np.flatnonzero(values <= bound)
    return float(below[0]) if below.size else float("inf")


def scipy_fits(density: AbstractSurrogateDensity, cases: list[Case], method: str) -> list[np.ndarray]:
    """For every case the losses after 0, 1, … iterations of a SciPy optimiser in free coordinates."""
    unravel = ravel_pytree(density.to_free(cases[0][1]))[1]
    both = jax.jit(jax.value_and_grad(lambda flat, data: density.loss(density.from_free(unravel(flat)), data)))

    def fit(data: np.ndarray, start: Parameters) -> np.ndarray:
        def objective(flat):
            value, slope = both(flat, data)
            return float(value), np.asarray(slope)

        flat = np.asarray(ravel_pytree(density.to_free(start))[0])
        values = [objective(flat)[0]]
        scipy.optimize.minimize(
            objective, flat, jac=True, method=method, options={"gtol": 1e-10, "maxiter": 2000},
            callback=lambda intermediate_result: values.append(float(intermediate_result.fun)),
        )  # fmt: skip
        return np.array(values)

    return [fit(*case) for case in cases]


# Negative binomial counts

COUNTS = NegativeBinomial()
COUNT_GAP, COUNT_STEPS = 1e-6, 150
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
        (1.0, 10.0),
    ),
    "Adam in (log r, logit s), rate {:g}": (
        lambda rate: lambda x: free_descent(COUNTS, optax.adam(rate), data=x),
        (0.03, 0.1, 0.3, 1.0),
    ),
}


def negative_binomial() -> dict:
    """Iterations to within the gap, of every method with its best rate."""
    problems = {which: [counts(seed) for seed in which] for which in (TUNING, SEEDS)}
    bfgs = {which: scipy_fits(COUNTS, cases, "BFGS") for which, cases in problems.items()}
    bounds = {which: [values.min() + COUNT_GAP for values in each] for which, each in bfgs.items()}
    rows: dict[str, Any] = {}
    for name, (make, rates) in COUNT_METHODS.items():
        tried = {rate: needed(make(rate), problems[TUNING], bounds[TUNING], COUNT_STEPS) for rate in rates}
        best = min(tried, key=lambda rate: (np.median(tried[rate]), np.mean(tried[rate])))
        found = needed(make(best), problems[SEEDS], bounds[SEEDS], COUNT_STEPS)
        rows[name.format(best)] = {"iterations": found, "tuning": {f"{r:g}": each for r, each in tried.items()}}
        print(name.format(best), rows[name.format(best)], flush=True)
    rows["BFGS (SciPy)"] = {"iterations": list(map(first, bfgs[SEEDS], bounds[SEEDS]))}
    return {"most": COUNT_STEPS, "gap": COUNT_GAP, "seeds": list(SEEDS), "rows": rows}


# Skew-normal densities

SKEW = SkewNormal()
DIMENSIONS, ROWS = 20, 2000
SKEW_STEPS, SKEW_TUNING_STEPS = 1000, 400
GAPS = (0.1, 0.01)
SKEW_TUNING, SKEW_SEEDS = 100, (10, 11, 12)
COLUMNS = ("age", "bmi", "bp", "s1", "s2", "s3", "s5", "s6")
DIABETES_STEPS, DIABETES_SEEDS = 2000, range(10, 13)


def synthetic(seed: int) -> tuple[np.ndarray, Parameters]:
    """Data of a random skew-normal density, and the start of the paper: no skewness but for a hundredth of noise."""
    rng = np.random.default_rng([seed, 2])
    wide, location, eta = rng.normal(size=(DIMENSIONS, DIMENSIONS)), *rng.normal(size=(2, DIMENSIONS))
    scale = wide.T @ wide / DIMENSIONS + 1e-4 * np.eye(DIMENSIONS)
    b = scale @ eta / np.sqrt(1 + eta @ scale @ eta)
    noise = rng.normal(size=(ROWS, DIMENSIONS)) @ np.linalg.cholesky(scale - np.outer(b, b)).T
    data = location + np.abs(rng.normal(size=(ROWS, 1))) * b + noise
    start = gaussian.from_covariance(0.01 * rng.normal(size=DIMENSIONS), np.eye(DIMENSIONS))
    return data, Parameters(start, jnp.asarray(0.01 * rng.normal(size=DIMENSIONS)))


SKEW_METHODS: dict[str, tuple[Callable[..., Made], list[tuple[float, ...]]]] = {
    "SNGD, rate {:g}, Adam for η {:g}": (
        lambda rate, auxiliary: lambda x: sngd(SKEW, rate, auxiliary, data=x),
        [(rate, auxiliary) for rate in (0.3, 0.6, 1.0) for auxiliary in (0.05, 0.1)],
    ),
    "Adam, rate {:g}": (
        lambda rate: lambda x: free_descent(SKEW, optax.adam(rate), data=x),
        [(0.01,), (0.03,), (0.1,), (0.3,)],
    ),
}


def skew_normal() -> dict:
    """Iterations to within the gaps of the optimum, of every method with the rates best for the last gap."""
    problems = {seed: synthetic(seed) for seed in (SKEW_TUNING, *SKEW_SEEDS)}
    near = losses(lambda x: sngd(SKEW, data=x), list(problems.values()), SKEW_TUNING_STEPS)
    starts = [(data, end) for (data, _), (end, _) in zip(problems.values(), near, strict=True)]
    least = {seed: values.min() for seed, values in zip(problems, scipy_fits(SKEW, starts, "L-BFGS-B"), strict=True)}
    rows: dict[str, Any] = {}
    for name, (make, rates) in SKEW_METHODS.items():

        def steps(seeds: tuple[int, ...], rate: tuple[float, ...], most: int, make=make) -> list[list[float]]:
            found = losses(make(*rate), [problems[seed] for seed in seeds], most)
            return [
                [first(values, least[seed] + g) for g in GAPS] for seed, (_, values) in zip(seeds, found, strict=True)
            ]

        tried = {rate: steps((SKEW_TUNING,), rate, SKEW_TUNING_STEPS)[0] for rate in rates}
        best = min(tried, key=lambda rate: tried[rate][::-1])
        found = steps(SKEW_SEEDS, best, SKEW_STEPS)
        tuning = [{"rates": rate, "iterations": each} for rate, each in tried.items()]
        rows[name.format(*best)] = {"iterations": found, "tuning": tuning}
        print(name.format(*best), rows[name.format(*best)], flush=True)
    return {"gaps": GAPS, "most": SKEW_STEPS, "seeds": SKEW_SEEDS, "optimum": least, "rows": rows}


def diabetes() -> dict:
    """Where SNGD and Adam end from three starts, above the lowest of ten starts of L-BFGS."""
    loaded = load_diabetes()
    data = loaded.data[:, [loaded.feature_names.index(name) for name in COLUMNS]]
    data = (data - data.mean(axis=0)) / data.std(axis=0)
    fit = gaussian.from_covariance(np.zeros(len(COLUMNS)), np.cov(data.T, bias=True))

    def drawn(seed: int, size: float) -> Parameters:
        return Parameters(fit, jnp.asarray(size * np.random.default_rng([seed, 3]).normal(size=len(COLUMNS))))

    starts = {
        "sample skewness": [SKEW.start(data, key=jax.random.key(0))],
        "η of size 1": [drawn(seed, 1.0) for seed in DIABETES_SEEDS],
        "η of size 0.01": [drawn(seed, 0.01) for seed in DIABETES_SEEDS],
    }
    everywhere = [*starts["sample skewness"], *(drawn(seed, 1.0) for seed in range(100, 109))]
    lowest = [values.min() for values in scipy_fits(SKEW, [(data, start) for start in everywhere], "L-BFGS-B")]
    methods = {
        "SNGD": lambda x: sngd(SKEW, 0.3, 0.05, data=x),
        **{
            f"Adam, rate {rate:g}": lambda x, rate=rate: free_descent(SKEW, optax.adam(rate), data=x)
            for rate in (0.01, 0.03, 0.1)
        },
    }
    rows: dict[str, Any] = {}
    for method, made in methods.items():
        each = losses(made, [(data, start) for started in starts.values() for start in started], DIABETES_STEPS)
        for name, started in starts.items():
            ends, each = each[: len(started)], each[len(started) :]
            resting = [bool(at_saddle(SKEW, params, data, tolerance=1e-2)) for params, _ in ends]
            rows[f"{method}, {name}"] = {"loss": [float(values[-1]) for _, values in ends], "at_saddle": resting}
            print(method, name, rows[f"{method}, {name}"], flush=True)
    gaussian_loss = float(SKEW.loss(Parameters(fit, jnp.zeros(len(COLUMNS))), data))
    return {"steps": DIABETES_STEPS, "lbfgs": lowest, "gaussian": gaussian_loss, "rows": rows}


# The page

PARTS = {"counts": negative_binomial, "skew": skew_normal, "diabetes": diabetes}


def number(value: float | None) -> str:
    """A count of steps; a dash where it was never reached."""
    return "–" if value is None else f"{value:.0f}"


def table(sentence: str, head: list[str], rows: list[list[str]]) -> list[str]:
    """A sentence and a table below it."""
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    return [sentence, "", *lines, ""]


def seeds(found: dict) -> list[str]:
    """The head of a table with a column a seed."""
    return ["method", *(f"seed {seed}" for seed in found["seeds"])]


def page_counts(found: dict) -> list[str]:
    """Iterations on counts."""
    gap, most = found["gap"], found["most"]
    rows = [[name, *map(number, row["iterations"])] for name, row in found["rows"].items()]
    sentence = f"Iterations to within {gap:g} nats an item of the optimum, {ITEMS} counts; a dash: not within {most}."
    return table(sentence, seeds(found), rows)


def page_skew(found: dict) -> list[str]:
    """Iterations on skew-normal data."""
    gaps = " / ".join(f"{gap:g}" for gap in found["gaps"])
    rows = [
        [name, *(" / ".join(map(number, each)) for each in row["iterations"])] for name, row in found["rows"].items()
    ]
    sentence = (
        f"A skew-normal density in {DIMENSIONS} dimensions, {ROWS} rows: iterations to within {gaps} nats an item of "
        f"the optimum; a dash: not within {found['most']}."
    )
    return table(sentence, seeds(found), rows)


def page_diabetes(found: dict) -> list[str]:
    """Where fits of the diabetes data end."""
    best, worst = min(found["lbfgs"]), max(found["lbfgs"])
    rows = [
        [name, ", ".join(f"{end - best:.3f}{'*' * on}" for end, on in zip(row["loss"], row["at_saddle"], strict=True))]
        for name, row in found["rows"].items()
    ]
    sentence = (
        f"Eight columns of the diabetes data: the loss after {found['steps']} steps, above {best:.3f}, the lowest of "
        f"{len(found['lbfgs'])} starts of L-BFGS, which end up to {worst - best:.3f} above it. The Gaussian fit is "
        f"{found['gaussian'] - best:.3f} above it. A star: on the saddle, to a hundredth."
    )
    return table(sentence, ["method, start", "nats an item, a number a seed"], rows)


def page(document: dict) -> str:
    """The tables as markdown."""
    parts = {"counts": page_counts, "skew": page_skew, "diabetes": page_diabetes}
    lines = [line for name, lines_of in parts.items() if name in document for line in lines_of(document[name])]
    return "\n".join([*lines, f"Made by `python benchmarks/surrogates.py` with {document['machine']}.", ""])


def main() -> None:
    """Makes the parts that the command line names, or all, and writes the results and the page."""
    document = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
    document["machine"] = f"jax {jax.__version__}, {platform.machine()}, {os.cpu_count()} threads"
    for name in sys.argv[1:] or PARTS:
        # JSON has no infinity
        document[name] = json.loads(json.dumps(PARTS[name]()).replace("Infinity", "null"))
        OUT.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (ROOT / "docs" / "_generated" / "surrogates.md").write_text(page(document), encoding="utf-8")
    print(page(document))


if __name__ == "__main__":
    main()
