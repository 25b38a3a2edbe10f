"""Hidden units in pairs: does their chart change how a network trains on the digits, and what it learns?

A network 64-8-1 (tanh) tells even digits from odd ones. Its weights are trained as they are, and as four pairs of units
(`PairedUnits`), from the same weights: drawn at random, or with twins, where every second unit is a copy of the one
before it but for a hundredth. Seeds 0-4 draw the weights and which digits are for training, validation and testing;
rates were chosen on seeds 100-102 by the validation loss. Writes benchmarks/results/unit_pairs.json and
docs/_generated/unit_pairs.md; four minutes on two cores.
"""

import json
import os
import pathlib
import platform

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

from classical.methods.fisher import FisherMetric
from classical.models.mixture_charts import StandardMeans
from classical.models.network import Layer, Network
from classical.models.unit_pairs import PairedUnits
from qnat.geometry import TruncatedCG, pulled
from qnat.geometry.families import Bernoulli
from qnat.inference import descend
from qnat.optim import natural_gradient, with_rate

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
OUT = ROOT / "benchmarks" / "results" / "unit_pairs.json"
UNITS, TRAIN, VALIDATION = 8, 900, 300
SEEDS, TUNING = range(5), range(100, 103)
NETWORK = Network(64, (Layer(UNITS), Layer(1, "linear")), Bernoulli())
CHARTS = {"weights": StandardMeans(), "pairs": PairedUnits()}  # the first is the identity
STARTS = ("random", "twins")
ADAM = optax.scale_by_adam()
# steps between two looks at the losses, looks, settings
METHODS = {
    "gradient descent": (20, 100, [{"rate": rate} for rate in (0.1, 0.3, 1.0, 3.0)]),
    "Adam": (20, 100, [{"rate": rate} for rate in (0.001, 0.003, 0.01, 0.03)]),
    "natural gradient": (1, 100, [{"rate": r, "damping": d} for r in (0.3, 1.0) for d in (1e-4, 1e-3)]),
}


def problem(seed: int, start: str) -> tuple[list[np.ndarray], list[tuple[np.ndarray, np.ndarray]]]:
    """Weights to start from, and the items and targets of training, validation and test."""
    digits, rng = load_digits(), np.random.default_rng(seed)
    order = rng.permutation(len(digits.data))
    x, y = digits.data[order] / 16, (digits.target[order] % 2)[:, None].astype(float)
    cuts = [TRAIN, TRAIN + VALIDATION]
    hidden = rng.normal(size=(UNITS, 65)) * np.sqrt(2 / (64 + UNITS))
    out = np.abs(rng.normal(size=UNITS)) * np.sqrt(2 / (UNITS + 1))  # (w, a) and (−w, −a) are one unit: a > 0
    hidden[:, -1] = 0
    if start == "twins":
        hidden[1::2] = hidden[::2] + 0.01 * rng.normal(size=(UNITS // 2, 65)) * np.sqrt(2 / (64 + UNITS))
        out[1::2] = out[::2]
    return [hidden, np.append(out, 0.0)[None]], list(zip(np.split(x, cuts), np.split(y, cuts), strict=True))


def trained(method: str, chart_name: str):
    """(rate, damping, weights, data) ↦ the losses of training, validation and test, and the accuracy, at every look."""
    chart, (every, looks, _) = CHARTS[chart_name], METHODS[method]

    def run(rate, damping, weights, data):
        (x, y), *others = data

        def loss(c, _batch, _key):
            return jax.value_and_grad(lambda c: NETWORK.loss(chart.to_point(c), x, y))(c)

        optimizer = {
            "gradient descent": with_rate(optax.identity(), rate),
            "Adam": with_rate(ADAM, rate),
            "natural gradient": natural_gradient(
                rate, pulled(FisherMetric(NETWORK), chart), damping=damping, solver=TruncatedCG(1e-3, 20), box=None
            ),
        }[method]
        process = descend(loss, optimizer)

        def look(state):
            point = chart.to_point(process.params(state))
            outputs = NETWORK(point, others[-1][0])
            accuracy = jnp.mean((outputs > 0) == (others[-1][1] > 0.5))
            return jnp.stack([NETWORK.loss(point, *pair) for pair in data] + [accuracy])

        def stretch(state, _):
            return jax.lax.fori_loop(0, every, lambda _, s: process.step(s, (x, y))[0], state), look(state)

        state, seen = jax.lax.scan(stretch, process.init(chart.from_point(weights)), None, looks)
        return jnp.concatenate([seen, look(state)[None]])

    return jax.jit(jax.vmap(run, (None, None, 0, 0)))


def measured(method: str, chart: str, start: str) -> dict:
    """The setting chosen; of every seed the last training loss, and the test at the least validation loss."""
    run, settings = trained(method, chart), METHODS[method][2]

    def curves(setting, seeds):
        problems = [problem(seed, start) for seed in seeds]
        weights, data = jax.tree.map(lambda *leaves: np.stack(leaves), *problems)
        return np.asarray(run(setting["rate"], setting.get("damping", 0.0), weights, data))

    scores = [np.mean(np.min(np.nan_to_num(curves(s, TUNING)[:, :, 1], nan=np.inf), axis=1)) for s in settings]
    chosen = settings[int(np.argmin(scores))]
    found = curves(chosen, SEEDS)
    best = np.argmin(found[:, :, 1], axis=1)
    ends = found[np.arange(len(found)), best]
    return {
        "setting": chosen,
        "scores": np.where(np.isfinite(scores), scores, None).tolist(),
        "train_loss": found[:, -1, 0].tolist(),
        "test_loss": ends[:, 2].tolist(),
        "test_accuracy": ends[:, 3].tolist(),
        "steps_to_best": (best * METHODS[method][0]).tolist(),
    }


def page(document: dict) -> str:
    """The table as markdown."""
    lines = ["| start | method | coordinates | setting | train loss | test loss | test accuracy, % |", "|" + "---|" * 7]
    for start, methods in document["runs"].items():
        for method, charts in methods.items():
            for chart, row in charts.items():
                setting = ", ".join(f"{key} {value:g}" for key, value in row["setting"].items())
                train, test, accuracy = (np.array(row[key]) for key in ("train_loss", "test_loss", "test_accuracy"))
                accuracy *= 100
                spread = [
                    f"{a.mean():.{n}f} ± {a.std(ddof=1):.{n}f}" for a, n in ((train, 4), (test, 3), (accuracy, 1))
                ]
                lines.append(f"| {start} | {method} | {chart} | {setting} | {' | '.join(spread)} |")
    gaps = [
        np.subtract(*(charts[chart]["test_loss"] for chart in ("pairs", "weights")))
        for methods in document["runs"].values()
        for charts in methods.values()
    ]
    means = [gap.mean() for gap in gaps]
    errors = max(abs(gap.mean()) / (gap.std(ddof=1) / np.sqrt(len(gap))) for gap in gaps)
    budgets = ", ".join(f"{every * looks} of {method}" for method, (every, looks, _) in METHODS.items())
    words = (
        f"Losses in nats, means and standard deviations of {len(SEEDS)} seeds: training at the end ({budgets} steps on "
        f"all {TRAIN} digits), tests where the validation loss was least. Settings are the best of four on other "
        f"seeds. Seed by seed the test losses of pairs are {min(means):+.3f} to {max(means):+.3f} nats from those of "
        f"weights, at most {errors:.1f} standard errors. Made by `python benchmarks/unit_pairs.py`."
    )
    return "\n".join([*lines, "", words, ""])


def main() -> None:
    """Trains everything and writes."""
    runs: dict = {}
    for start in STARTS:
        for method in METHODS:
            for chart in CHARTS:
                row = measured(method, chart, start)
                runs.setdefault(start, {}).setdefault(method, {})[chart] = row
                print(start, method, chart, row["setting"], row["scores"], np.mean(row["test_loss"]), flush=True)
    machine = f"jax {jax.__version__}, {platform.machine()}, {os.cpu_count()} threads"
    document = {"machine": machine, "seeds": len(SEEDS), "runs": runs}
    OUT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (ROOT / "docs" / "_generated" / "unit_pairs.md").write_text(page(document), encoding="utf-8")


if __name__ == "__main__":
    main()
