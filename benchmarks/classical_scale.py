"""The classical methods at their papers' scale: MNIST, under one budget of time each.

An autoencoder 784-500-300-100-30 and back by K-FAC and by Adam, and the Helmholtz machine with the layers of the
authors of natural reweighted wake–sleep by NRWS, RWS, and RWS with Adam. In single precision, on whatever device JAX
finds. Of each method, a few settings run for a short while on seed 100, the best of them is timed and trained on seed 0
for as many epochs as fit into the budget. Likelihoods are importance-sampled, with as many draws as the table says.

Usage: python benchmarks/classical_scale.py [MNIST_FOLDER BINARISED_MNIST_FOLDER [--minutes 10] [--only NAME ...]]
Writes benchmarks/results/classical_scale.json, and from it the table and the figure of the docs; without folders only
these two.
"""

import argparse
import itertools
import json
import os
import pathlib
import platform
import time

import jax
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from classical.tasks.helmholtz import HelmholtzSpec
from classical.tasks.network import NetworkSpec
from qnat.experiment.show.curves import draw_curve
from qnat.experiment.show.style import COLOURS, MARKS, STYLE, WIDTH, save_figure

ROOT = pathlib.Path(__file__).parents[1]
OUT = ROOT / "benchmarks" / "results" / "classical_scale.json"
TUNING, SEED = 100, 0
CURVE_DRAWS, FINAL_DRAWS = 10, 1000
AUTOENCODER = {"layers": "500-300-100-30-100-300-500", "batch": 500}
MACHINE = {"layers": "300-200-100-75-50-35-25-20-15-10-10", "likelihood_samples": CURVE_DRAWS}
KFAC, NATURAL = {"optimizer": "kfac", "metric_items": 64}, {"optimizer": "natural", "metric_samples": 2}
# (spec, what is fixed, the grid, steps of an epoch, steps of the short runs)
NETWORK, HELMHOLTZ = (NetworkSpec, AUTOENCODER, 120, 240), (HelmholtzSpec, MACHINE, 1562, 1000)
METHODS = {
    "K-FAC": (*NETWORK, KFAC, {"learning_rate": [0.01, 0.03], "damping": [0.1, 0.3]}),
    "Adam": (*NETWORK, {"optimizer": "adam"}, {"learning_rate": [3e-4, 1e-3, 3e-3]}),
    "NRWS": (*HELMHOLTZ, NATURAL, {"learning_rate": [3e-3, 0.01, 0.03]}),
    "RWS": (*HELMHOLTZ, {"optimizer": "sgd"}, {"learning_rate": [0.01, 0.03, 0.1]}),
    "RWS + Adam": (*HELMHOLTZ, {"optimizer": "adam"}, {"learning_rate": [1e-3, 3e-3, 0.01]}),
}
CURVES = {"network": ["train_loss", "test_loss"], "helmholtz": ["test_negative_log_likelihood"]}


def measured(name: str, data: dict[str, str], minutes: float) -> dict:
    """The settings chosen, the curves, and the likelihoods of the trained machine."""
    kind, fixed, epoch, short, optimizer, grid = METHODS[name]
    known = {**fixed, **optimizer, "data": data[kind.task_name]}
    trials = []
    for values in itertools.product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        try:
            trial = kind(**known, **chosen, seed=TUNING, steps=short, every=short).run(progress=False)
            score = float(trial.curves[CURVES[kind.task_name][-1]][0, -1])
        except ArithmeticError:
            score = None
        trials.append({**chosen, "score": score})
        print(f"{name}: {trials[-1]}", flush=True)
    best = min((t for t in trials if t["score"] is not None), key=lambda t: t["score"])
    chosen = {key: best[key] for key in grid}
    # one epoch costs more than the next: it has a warm-up and an evaluation before it
    first, third = (
        kind(**known, **chosen, seed=SEED, steps=count * epoch, every=epoch).run(progress=False).seconds
        for count in (1, 3)
    )
    epochs = max(1, 1 + int((60 * minutes - first) / ((third - first) / 2)))
    spec = kind(**known, **chosen, seed=SEED, steps=epochs * epoch, every=epoch)
    run = spec.run(progress=False)
    found = {
        "kind": kind.task_name,
        "chosen": chosen,
        "trials": trials,
        "epochs": epochs,
        "seconds": run.seconds,
        "compile_seconds": run.compile_seconds,
        "curves": {curve: run.curves[curve][0, ::epoch].tolist() for curve in CURVES[kind.task_name]},
    }
    if kind is HelmholtzSpec:
        task = spec.task()
        likelihood = task.machine.importance_log_likelihood(run.params, task.test_x, FINAL_DRAWS, key=jax.random.key(1))
        found["test"] = -float(np.mean(likelihood))
    return found


def page(document: dict) -> str:
    """The tables as markdown."""
    log_p = "−log p"
    heads = {
        "network": "| Autoencoder, MNIST | chosen | epochs | s/epoch | train loss | test loss |",
        "helmholtz": "| Helmholtz machine, binarised MNIST | chosen | epochs | s/epoch | "
        f"{log_p}, {CURVE_DRAWS} draws | {log_p}, {FINAL_DRAWS} draws |",
    }
    lines = []
    for kind, head in heads.items():
        lines += [head, "|---|---|---|---|---|---|"]
        for name, row in document["methods"].items():
            if row["kind"] != kind:
                continue
            chosen = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in row["chosen"].items())
            numbers = [row["curves"][curve][-1] for curve in CURVES[kind]] + ([row["test"]] if "test" in row else [])
            cells = " | ".join(f"{value:.2f}" for value in numbers)
            pace = row["seconds"] / row["epochs"]
            lines.append(f"| {name} | {chosen} | {row['epochs']} | {pace:.1f} | {cells} |")
        lines.append("")
    grids = []
    for name, (*_, grid) in METHODS.items():
        values = (f"{key.replace('_', ' ')} {'/'.join(f'{v:g}' for v in values)}" for key, values in grid.items())
        grids.append(f"{name}: {', '.join(values)}")
    minutes, short = document["minutes"], f"{NETWORK[3]} and {HELMHOLTZ[3]} steps"
    words = (
        f"In nats, {minutes:g} minutes each, seed {SEED}; of the settings ({'; '.join(grids)}) those whose test loss "
        f"was least on seed {TUNING} after {short}. Made by `python benchmarks/classical_scale.py mnist "
        f"binarized_mnist --minutes {minutes:g}` with {document['machine']}."
    )
    return "\n".join([*lines, words, ""])


def draw(document: dict) -> None:
    """Test losses against time, from the first epoch on."""
    titles = {
        "network": ("Autoencoder, MNIST", "test loss (nats)"),
        "helmholtz": ("Helmholtz machine, binarised MNIST", f"−log p, {CURVE_DRAWS} draws (nats)"),
    }
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
        for axes, (kind, (title, label)) in zip(figure.subplots(1, 2), titles.items(), strict=True):
            rows = {name: row for name, row in document["methods"].items() if row["kind"] == kind}
            curves = {name: np.array([row["curves"][CURVES[kind][-1]][1:]]) for name, row in rows.items()}
            handles = []
            for (name, curve), colour, mark in zip(curves.items(), COLOURS, MARKS, strict=False):
                minutes = np.linspace(0, rows[name]["seconds"] / 60, curve.shape[1] + 1)[1:]
                look = {"marker": mark, "markevery": max(1, curve.shape[1] // 8), "mec": "white", "mew": 0.5}
                draw_curve(axes, minutes, curve, colour, **look)
                handles.append(Line2D([], [], color=colour, marker=mark, label=name))
            axes.set_xlim(left=0)
            axes.set(title=title, xlabel="minutes of training", ylabel=label)
            axes.legend(handles=handles, loc="upper right")
        save_figure(figure, ROOT / "docs" / "_static" / "classical_scale.png")


def measure_all(names: list[str], data: dict[str, str], minutes: float) -> None:
    """Tunes and trains these methods anew, and writes after each."""
    before = json.loads(OUT.read_text())["methods"] if OUT.exists() else {}
    methods = {name: before[name] for name in METHODS if name in before and name not in names}
    for name in names:
        began = time.perf_counter()
        methods[name] = measured(name, data, minutes)
        row = methods[name]
        print(f"{name}: {row['epochs']} epochs, {row.get('test', row['curves'])}, {time.perf_counter() - began:.0f} s")
        document = {
            "machine": f"jax {jax.__version__}, {jax.devices()[0].device_kind}, {platform.machine()}, "
            f"{os.cpu_count()} threads",
            "minutes": minutes,
            "methods": {name: methods[name] for name in METHODS if name in methods},
        }
        OUT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Measures if there are data; makes table and figure of what is stored."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", help="that of MNIST's IDX files and that of binarised MNIST (.mat)")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, each method")
    parser.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS), help="measure these again")
    arguments = parser.parse_args()
    if len(arguments.folders) not in (0, 2):
        parser.error("give both folders, or none to draw what is stored")
    if arguments.folders:
        data = dict(zip(("network", "helmholtz"), arguments.folders, strict=True))
        measure_all(arguments.only, data, arguments.minutes)
    document = json.loads(OUT.read_text())
    (ROOT / "docs" / "_generated" / "classical_scale.md").write_text(page(document), encoding="utf-8")
    draw(document)


if __name__ == "__main__":
    main()
