"""Learning the means of a mixture in five charts: iterations by gradient descent, gradient EM, natural gradient and EM.

Two components of unit variance and known weights, the population on a grid instead of a sample; of every method the
best rate of one grid. Then two components with everything free on two columns of iris: EM against the natural gradient
in the squared chart. Writes benchmarks/results/charts.json and docs/_generated/charts.md; two minutes on two cores.
"""

import functools
import json
import os
import pathlib
import platform

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_iris

from classical.methods.density_fisher import quadrature_fisher
from classical.methods.gradient_em import gradient_em
from classical.models.gaussian_chart import GaussianMixtureChart, MixtureCoordinates
from classical.models.known_weights import KnownWeights
from classical.models.mixture import Mixture
from classical.models.mixture_charts import (
    CentredMeans,
    OrderedMeans,
    RelativeMeans,
    SquaredMeans,
    StandardMeans,
)
from qnat.geometry import pulled
from qnat.geometry.families import Gaussian, Normal
from qnat.inference import descend, em
from qnat.optim import natural_gradient, projected, with_rate

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
OUT = ROOT / "benchmarks" / "results" / "charts.json"
STEP = 0.1
GRID = np.arange(-12, 12 + STEP, STEP)[:, None]
TOLERANCES, MOST = (1e-6, 1e-9), 20000
RATES, DAMPINGS, INNER = (0.1, 0.3, 1.0, 2.0), (1e-4, 1e-3, 1e-2), 5
CHARTS = ("standard", "relative", "centred", "ordered-log", "squared")
METHODS = ("gradient descent", "gradient EM", "natural gradient", "natural gradient as it comes")
CASES = {  # true means, weight of the second component, means at the start
    "A": ((-1.0, 1.0), 0.5, (-0.005, 0.005)),
    "B": ((-1.0, 1.0), 0.3, (0.497, 0.507)),
    "C": ((-0.25, 0.25), 0.5, (-0.005, 0.005)),
    "D": ((-1.0, 1.0), 0.5, (-1.0, 3.0)),
    "E": ((-1.0, 1.0), 0.3, (1.2, -0.8)),
    "E, ordered": ((-1.0, 1.0), 0.3, (-0.8, 1.2)),
}
COLUMNS = {"petal length": 2, "sepal length": 0}


def chart_of(name: str, weights: jax.Array):
    """The chart of that name."""
    direction = jnp.ones(1)
    makers = (
        StandardMeans,
        RelativeMeans,
        lambda: CentredMeans(weights),
        lambda: OrderedMeans(weights, direction),
        lambda: SquaredMeans(weights, direction),
    )
    return dict(zip(CHARTS, makers, strict=True))[name]()


@functools.partial(jax.jit, static_argnames=("method", "chart_name"))
def iterations(method: str, chart_name: str, rate, damping, weights, truth, start):
    """(until the divergence from the truth is below each tolerance, steps made, the divergence then)."""
    model, chart = KnownWeights(Normal(), weights), chart_of(chart_name, weights)
    log_truth = model.log_prob(truth, GRID)
    data = (GRID, STEP * jnp.exp(log_truth))

    def loss(coordinates):
        return data[1] @ (log_truth - model.log_prob(chart.to_point(coordinates), GRID))

    def parts_of(state):
        return process.params(state)[1] if method == "EM" else chart.to_point(process.params(state))

    if method == "EM":
        process = em(model, data=data)
        first = model.joint(start)
    elif method == "gradient EM":
        process = gradient_em(model, lambda c: model.joint(chart.to_point(c)), rate, steps=INNER, data=data)
        first = chart.from_point(start)
    else:
        metric = quadrature_fisher(model.log_prob, lambda _: (GRID, jnp.full(len(GRID), STEP)))
        there = pulled(metric, chart)
        inner = {
            "gradient descent": with_rate(optax.identity(), rate),
            "natural gradient": natural_gradient(rate, there, damping=damping, trust=None, box=None, accept=None),
            "natural gradient as it comes": natural_gradient(1.0, there),
        }[method]
        process = descend(lambda c, _batch, _key: jax.value_and_grad(loss)(c), projected(inner, chart.project))
        first = chart.from_point(start)

    def divergence(state):
        return data[1] @ (log_truth - model.log_prob(parts_of(state), GRID))

    def body(carry):
        state, count, reached, _ = carry
        state, _ = process.step(state)
        now = divergence(state)
        reached = jnp.where((reached < 0) & (now < jnp.array(TOLERANCES)), count + 1, reached)
        return state, count + 1, reached, now

    def unfinished(carry):
        _, count, reached, now = carry
        return (count < MOST) & jnp.any(reached < 0) & jnp.isfinite(now)

    state = process.init(first)
    carry = (state, jnp.zeros((), jnp.int32), jnp.full(len(TOLERANCES), -1, jnp.int32), divergence(state))
    return jax.lax.while_loop(unfinished, body, carry)[1:]


def grid(method: str) -> list[dict[str, float]]:
    """What is tried of a method."""
    rates = [{"rate": rate} for rate in RATES]
    tuned = {
        "gradient descent": rates,
        "gradient EM": rates,
        "natural gradient": [{**rate, "damping": damping} for rate in rates for damping in DAMPINGS],
    }
    return tuned.get(method, [{}])


def best(method: str, chart: str, case: str) -> list[dict | None]:
    """Of each tolerance the fewest iterations over the grid, with the setting; None where none gets there."""
    truth, v, start = CASES[case]
    found: list[dict | None] = [None] * len(TOLERANCES)
    for setting in grid(method):
        rate, damping = setting.get("rate", 1.0), setting.get("damping", 0.0)
        means = [np.array(m)[:, None] for m in (truth, start)]
        _, reached, _ = iterations(method, chart, rate, damping, np.array([1 - v, v]), *means)
        for index, count in enumerate(np.asarray(reached).tolist()):
            if count > 0 and (found[index] is None or count < found[index]["iterations"]):
                found[index] = {"iterations": count, **setting}
    return found


def fitted(column: int) -> dict:
    """Two components with free weights, means and variances: log-likelihoods, and iterations to 1e-8 of the last."""
    x = load_iris().data[:, column : column + 1]
    model, chart = Mixture(Gaussian()), GaussianMixtureChart(lambda w: SquaredMeans(w, jnp.ones(1)))
    low, high = np.quantile(x, [0.25, 0.75])
    nodes = np.arange(x.min() - 6, x.max() + 6, 0.05)[:, None]
    means = np.array([[low], [high]])

    def losses(process, first):
        def step(state, _):
            state, info = process.step(state)
            return state, info.value * len(x)

        return jax.lax.scan(step, process.init(first), None, 5000)[1]

    @jax.jit
    def both(x, means):
        scale = jnp.full((2, 1), jnp.log(jnp.std(x)))
        point = GaussianMixtureChart(lambda _: StandardMeans()).to_point(MixtureCoordinates(jnp.zeros(1), means, scale))
        metric = quadrature_fisher(
            lambda theta, x: jax.nn.logsumexp(model.scores(theta, x), axis=1),
            lambda _: (nodes, jnp.full(len(nodes), 0.05)),
        )

        def loss(coordinates, _batch, _key):
            return jax.value_and_grad(lambda c: -model.clamped(chart.to_point(c), x))(coordinates)

        optimizer = projected(natural_gradient(1.0, pulled(metric, chart)), chart.project)
        return losses(em(model, data=x), point), losses(descend(loss, optimizer), chart.from_point(point))

    found = {}
    for name, curve in zip(("EM", "natural gradient, squared"), both(x, means), strict=True):
        values = np.asarray(curve)
        found[name] = {
            "log_likelihood": -float(values[-1]),
            "iterations": int(np.argmax(np.abs(values - values[-1]) < 1e-8)),
        }
    return found


def cell(found: dict | None) -> str:
    """Iterations, or a dash."""
    return "–" if found is None else str(found["iterations"])


def page(document: dict) -> str:
    """The tables as markdown."""
    columns = [(case, 0, case) for case in CASES]
    columns.insert(3, ("C", 1, "C, to 10⁻⁹"))
    lines = ["| | chart | " + " | ".join(title for *_, title in columns) + " |", "|---|---|" + "---|" * len(columns)]
    for method, charts in document["iterations"].items():
        for chart, cases in charts.items():
            cells = [cell(cases[case][index]) for case, index, _ in columns]
            lines.append(f"| {method} | {'any' if method == 'EM' else chart} | " + " | ".join(cells) + " |")
    rates, dampings = (", ".join(f"{x:g}" for x in values) for values in (RATES, DAMPINGS))
    words = (
        f"Iterations until KL < 10⁻⁶, at most {MOST}, with the best of the rates {rates} of each cell, and for a "
        f"natural gradient of the dampings {dampings}; – where none gets there, or where the chart does not hold the "
        f"start. Gradient EM takes {INNER} steps on Q an iteration. As it comes, `natural_gradient(1.0, metric)` tries "
        "its steps within a trust radius; rejected ones count, and nothing is tuned."
    )
    lines += ["", words, "", "| iris | method | log-likelihood | iterations to 10⁻⁸ |", "|---|---|---|---|"]
    for column, methods in document["iris"].items():
        lines += [
            f"| {column} | {method} | {row['log_likelihood']:.8f} | {row['iterations']} |"
            for method, row in methods.items()
        ]
    return "\n".join([*lines, "", "Made by `python benchmarks/charts.py`.", ""])


def main() -> None:
    """Measures and writes."""
    found: dict[str, dict] = {method: {} for method in (*METHODS, "EM")}
    for method, charts in found.items():
        for chart in CHARTS if method != "EM" else ("standard",):
            charts[chart] = {case: best(method, chart, case) for case in CASES}
            print(method, chart, {case: cell(row[0]) for case, row in charts[chart].items()}, flush=True)
    iris = {column: fitted(index) for column, index in COLUMNS.items()}
    print(iris)
    document = {
        "machine": f"jax {jax.__version__}, {platform.machine()}, {os.cpu_count()} threads",
        "tolerances": TOLERANCES,
        "rates": RATES,
        "dampings": DAMPINGS,
        "cases": {case: dict(zip(("truth", "weight", "start"), row, strict=True)) for case, row in CASES.items()},
        "iterations": found,
        "iris": iris,
    }
    OUT.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (ROOT / "docs" / "_generated" / "charts.md").write_text(page(document), encoding="utf-8")


if __name__ == "__main__":
    main()
