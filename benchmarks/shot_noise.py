"""Training with shots: steps until the relative entropy is small, and where it stays.

The transverse-field Ising ring of four qubits, J = h = 1, β = 2, seeds 0-4, 200 steps, N shots an estimate, fresh for
every gradient and metric. Writes benchmarks/results/shot_noise.json and docs/_generated/shot_noise.md; about twenty
minutes on one core. `python benchmarks/shot_noise.py latent` (five minutes) or `pauli` makes one half anew.
"""

import json
import os
import pathlib
import platform
import statistics
import sys

import jax
import numpy as np
import optax

from qnat.experiment import Run, run
from qnat.optim import natural_gradient, proximal_descent, with_rate
from qnat.quantum import LatentGibbs, tfim
from qnat.quantum.circuits.ansatz import ansatz
from qnat.quantum.problems.sampled import SampledThermalTask

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "shot_noise.json"
BETA, STEPS, SEEDS, LAST = 2.0, 200, 5, 50
LEVELS = (1e-1, 1e-2)
SHOTS = (500, 5000)
MODELS = {
    "the historical model: `hea`, 7 layers, KOBE(2), 87 parameters": ("hea", 7, 2),
    "the default model: `real`, 10 layers, KOBE(4), 135 parameters": ("real", 10, 4),
}
NOISES = {
    "latent": "Latent noise: N bitstrings x ~ p, their h(x) and ∂h(x) exact",
    "pauli": "Pauli shots: N for the loss, and N for each shifted angle",
}
# learning rate, damping
NATURAL = ((0.3, 0.001), (0.3, 0.01), (1.0, 0.1), (0.3, 1.0), (0.1, 1.0))
_ADAM = optax.with_extra_args_support(optax.scale_by_adam())
_INNER = optax.adam(5e-3)


def methods(task: SampledThermalTask) -> dict[str, optax.GradientTransformation]:
    """Every optimiser of the table; none tries its steps, for a noisy loss cannot judge them."""
    metric = task.metric("bkm")
    found = {
        f"BKM natural gradient, rate {rate:g}, λ = {damping:g}": natural_gradient(
            rate, metric, damping=damping, trust=0.3, accept=None
        )
        for rate, damping in NATURAL
    }
    divergence = task.model.relative_entropy
    qpmd = proximal_descent(0.3, divergence, inner=_INNER, inner_steps=30, euclidean=0.1, accept=None)
    return found | {"QPMD, η = 0.3, J = 30": qpmd, "Adam, rate 0.03": with_rate(_ADAM, 0.03)}


def measure(result: Run) -> dict:
    """Per seed: steps to each level (None: never) and the least relative entropy; the median of the last rows."""
    curves = np.asarray(result.curves["relative_entropy"])
    steps = [[int(np.argmax(c < level)) if (c < level).any() else None for level in LEVELS] for c in curves]
    return {
        "steps": steps,
        "least": curves.min(axis=1).tolist(),
        "plateau": float(np.median(curves[:, -LAST:])),
        "shots_per_step": int(result.curves["shots"][0, 0]),
        "seconds": round(result.seconds, 1),
    }


def cell(found: dict) -> str:
    """Median steps to both levels, (k/5) where k seeds got there, and the plateau."""
    parts = []
    for level in range(len(LEVELS)):
        steps = [float("inf") if row[level] is None else row[level] for row in found["steps"]]
        reached, median = sum(np.isfinite(steps)), statistics.median(steps)
        text = f"{median:.0f}" if np.isfinite(median) else "–"
        parts.append(text if reached in (0, SEEDS) else f"{text} ({reached}/{SEEDS})")
    return f"{' / '.join(parts)}, {found['plateau']:.1e}"


def page(document: dict) -> str:
    """The tables as markdown."""
    lines = ["Steps until D < 0.1 / 0.01, median of five seeds, and the median D of the last 50 of 200 steps.", ""]
    for model in MODELS:
        lines += [f"## n = 4, {model}", ""]
        for noise, title in NOISES.items():
            found = document["noises"].get(noise, {}).get(model)
            if found is None:
                continue
            spent = [next(iter(found[str(shots)].values()))["shots_per_step"] for shots in SHOTS]
            columns = [f"N = {shots} ({each} shots a step)" for shots, each in zip(SHOTS, spent, strict=True)]
            lines += [f"{title}.", "", "| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(SHOTS)]
            for method in found[str(SHOTS[0])]:
                lines.append(f"| {method} | " + " | ".join(cell(found[str(shots)][method]) for shots in SHOTS) + " |")
            lines.append("")
    return "\n".join(lines)


def measured(noise: str) -> dict:
    """The results of one kind of noise, a line printed for each."""
    by_model: dict[str, dict] = {}
    hamiltonian = tfim(1, 4, periodic=True)
    for title, (name, layers, order) in MODELS.items():
        by_model[title] = {}
        for shots in SHOTS:
            model = LatentGibbs(ansatz(name, 4, layers), order=order)
            task = SampledThermalTask(model, hamiltonian, BETA, shots=shots, noise=noise)
            by_model[title][str(shots)] = row = {}
            for method, optimizer in methods(task).items():
                row[method] = measure(run(task, optimizer, steps=STEPS, seed=0, seeds=SEEDS, progress=False))
                print(f"{noise}, {title[:14]}, N = {shots}, {method}: {cell(row[method])}", flush=True)
    return by_model


def main() -> None:
    """Runs what the command line names, or everything, and writes the results and the page."""
    found = {noise: measured(noise) for noise in sys.argv[1:] or NOISES}
    known = json.loads(RESULTS.read_text(encoding="utf-8"))["noises"] if RESULTS.exists() else {}
    machine = f"jax {jax.__version__}, {platform.machine()}, {os.cpu_count()} threads"
    settings = {"beta": BETA, "steps": STEPS, "seeds": SEEDS, "levels": LEVELS, "machine": machine}
    document = settings | {"noises": known | found}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (ROOT / "docs" / "_generated" / "shot_noise.md").write_text(page(document), encoding="utf-8")


if __name__ == "__main__":
    main()
