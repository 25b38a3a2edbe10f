"""Steps and gradient evaluations until the relative entropy of a trained Gibbs state is small.

The transverse-field Ising ring, J = h = 1, seeds 0-4, one set of defaults for every temperature. Writes
benchmarks/results/gibbs_convergence.json and the tables of docs/results.md; about ten minutes on two cores.
"""

import json
import os
import pathlib
import platform
import statistics

import jax
import numpy as np

from qnat.experiment import Run
from qnat.quantum.tasks.gibbs import GibbsSpec

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
BETAS = (0.5, 1.0, 2.0, 5.0)
LEVELS = (1e-1, 1e-2, 1e-3)
SEEDS = 5
SECOND_ORDER = ("natural", "qpmd")
METHODS = {
    "natural gradient, BKM": {"optimizer": "natural", "metric": "bkm"},
    "natural gradient, SLD": {"optimizer": "natural", "metric": "sld"},
    "natural gradient, Wigner–Yanase": {"optimizer": "natural", "metric": "wigner_yanase"},
    "QPMD": {"optimizer": "qpmd"},
    "Adam, rate 0.03": {"optimizer": "adam"},
    "gradient descent, rate 0.01": {"optimizer": "sgd"},
}
# title: (options of the model, most steps of natural gradient and QPMD, most steps of Adam and gradient descent)
MODELS: dict[str, tuple[dict, int, int]] = {
    "n = 4, the default model: `real`, 10 layers, KOBE(4), 135 parameters": ({"n": 4}, 100, 2000),
    "n = 6, a model that does not reach every frame: `real`, 16 layers, KOBE(4), 344 parameters": (
        {"n": 6, "layers": 16, "order": 4},
        60,
        500,
    ),
    "n = 4, the historical model: `hea`, 12 layers, KOBE(2), 142 parameters": (
        {"n": 4, "ansatz": "hea", "layers": 12, "order": 2},
        100,
        2000,
    ),
}


def measure(run: Run) -> list[dict]:
    """Per seed: steps and gradient evaluations to each level (None: never), and the least relative entropy."""
    entropies = np.asarray(run.curves["relative_entropy"])
    model_gradients = run.curves.get("model_gradients", np.zeros_like(entropies))
    found = []
    for curve, extra in zip(entropies, np.nan_to_num(model_gradients), strict=True):
        steps = [int(np.argmax(curve < level)) if (curve < level).any() else None for level in LEVELS]
        spent = [None if k is None else int(k + extra[:k].sum()) for k in steps]
        found.append({"steps": steps, "gradients": spent, "least": float(curve.min())})
    return found


def cell(rows: list[dict], what: str) -> str:
    """Medians over seeds for the three levels; (k/5) seeds got there, and the others count as infinity."""
    parts = []
    for level in range(len(LEVELS)):
        values = [row[what][level] for row in rows]
        reached = [value for value in values if value is not None]
        median = statistics.median([float("inf") if value is None else value for value in values])
        text = f"{median:.0f}" if np.isfinite(median) else "–"
        parts.append(text if len(reached) in (0, len(values)) else f"{text} ({len(reached)}/{len(values)})")
    return " / ".join(parts)


def worst(rows: list[dict]) -> str:
    """Steps of the slowest seed to the last level."""
    steps = [row["steps"][-1] for row in rows]
    return "–" if None in steps else str(max(steps))


def table(results: dict, what: str) -> list[str]:
    """Lines of a markdown table of `cell`s, a row a method."""
    lines = ["| | " + " | ".join(f"β = {beta:g}" for beta in BETAS) + " |", "|---|" + "---|" * len(BETAS)]
    for method, by_beta in results.items():
        lines.append(f"| {method} | " + " | ".join(cell(by_beta[str(beta)], what) for beta in BETAS) + " |")
    return lines


def floors(results: dict) -> list[str]:
    """Lines of a markdown table of median floors and slowest seeds."""
    lines = ["| | " + " | ".join(f"β = {beta:g}" for beta in BETAS) + " |", "|---|" + "---|" * len(BETAS)]
    for method, by_beta in results.items():
        cells = [
            f"{statistics.median(row['least'] for row in by_beta[str(beta)]):.0e}, {worst(by_beta[str(beta)])}"
            for beta in BETAS
        ]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return lines


def page(document: dict) -> str:
    """The tables of all models as markdown."""
    lines = []
    for title, results in document["models"].items():
        _, few, many = MODELS[title]
        lines += [f"## {title}", ""]
        lines += [f"At most {few} steps of natural gradient and QPMD, {many} of Adam and gradient descent.", ""]
        lines += ["Steps until D < 0.1 / 0.01 / 0.001, median of five seeds:", ""]
        lines += table(results, "steps")
        lines += ["", "Gradient evaluations (of the data, plus gradient equivalents of the model alone):", ""]
        lines += table(results, "gradients")
        lines += ["", "Least D within the budget (median), and steps of the slowest seed to 0.001:", ""]
        lines += [*floors(results), ""]
    lines += [f"Made by `python benchmarks/gibbs_convergence.py` with {document['machine']}.", ""]
    return "\n".join(lines)


def main() -> None:
    """Runs everything, prints a line a cell, writes the results and the page."""
    models: dict[str, dict] = {}
    for title, (model, few, many) in MODELS.items():
        models[title] = {}
        for method, options in METHODS.items():
            by_beta = {}
            for beta in BETAS:
                steps = few if options["optimizer"] in SECOND_ORDER else many
                run = GibbsSpec(periodic=True, beta=beta, seeds=SEEDS, steps=steps, **model, **options).run()
                by_beta[str(beta)] = measure(run)
                print(f"{title[:5]} {method}, β = {beta:g}: {cell(by_beta[str(beta)], 'steps')}", flush=True)
            models[title][method] = by_beta
    machine = f"jax {jax.__version__}, {platform.machine()}, {os.cpu_count()} threads"
    document = {"levels": LEVELS, "betas": BETAS, "seeds": SEEDS, "machine": machine, "models": models}
    out = ROOT / "benchmarks" / "results" / "gibbs_convergence.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (ROOT / "docs" / "_generated" / "gibbs_convergence.md").write_text(page(document), encoding="utf-8")


if __name__ == "__main__":
    main()
