"""Sequences of states: how many steps a start from the previous state saves.

Transverse-field Ising ring, n = 4, seeds 0-4, natural gradient in BKM unless told; at most 1000 steps for the first
state, from a random start, and 100 for each of the others. Writes benchmarks/results/sequences.json and
the tables of docs/_generated/sequences.md; some minutes on two cores.
"""

import json
import os
import pathlib
import platform
import statistics
import tempfile

import jax
import numpy as np

from qnat.experiment import load_runs, run_sweep
from qnat.quantum.tasks.sequence import SequenceSpec

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
LEVELS = (1e-1, 1e-2)
COMMON = {"periodic": True, "seeds": 5, "first_steps": 1000, "steps": 100}
QUENCH = {"kind": "quench", "field": 0.5, "quench": "field=1.5", "elements": 7}
MODELS = {
    "the default model, KOBE(4)": {},
    "7 layers of `hea`, KOBE(2), 87 parameters": {"ansatz": "hea", "layers": 7, "order": 2},
}
# name: (heading, options, what labels an element)
SEQUENCES = {
    "ladder": ("Ladder of inverse temperatures, J = h = 1", {}, "β"),
    "ladder, Adam": ("The same ladder with Adam, rate 0.03", {"optimizer": "adam"}, "β"),
    "quench": ("Quench from h = 0.5 to h = 1.5 at β = 1, exact data", QUENCH, "t"),
    "recursive": ("The same quench, recursive data", QUENCH | {"data": "recursive"}, "t"),
    "open": ("Decay at rate 0.3 from β = 1, master equation", {"kind": "open", "elements": 8}, "t"),
    "trajectories": (
        "The same decay, an average of 1000 trajectories",
        {"kind": "open", "elements": 8, "trajectories": 1000},
        "t",
    ),
}


def measure(spec: SequenceSpec) -> list[dict]:
    """A row an element: for each start, per seed, D at both ends, steps to each level, the error against the truth."""
    with tempfile.TemporaryDirectory() as folder:
        run_sweep(spec.rungs(), folder, progress=False)
        found: dict[tuple[int, str], list[dict]] = {}
        for entry in load_runs([pathlib.Path(folder)]):
            run = entry.run
            true = run.curves.get("true_relative_entropy", run.curves["relative_entropy"])
            rows = found.setdefault((run.spec["element"], entry.start), [])
            for curve, error in zip(run.curves["relative_entropy"], true, strict=True):
                steps = [int(np.argmax(curve < level)) if (curve < level).any() else None for level in LEVELS]
                ends = {"first": float(curve[0]), "last": float(curve[-1]), "true": float(error[-1])}
                rows.append(ends | {"least": float(curve.min()), "steps": steps})
    starts = ("previous", "random")
    return [
        {"place": place} | {start: found[k, start] for start in starts if (k, start) in found}
        for k, place in enumerate(spec.places)
    ]


def steps(rows: list[dict], level: int) -> str:
    """Median number of steps to a level; (k/5) seeds got there, and the others count as infinity."""
    values = [row["steps"][level] for row in rows]
    reached = [value for value in values if value is not None]
    median = statistics.median([float("inf") if value is None else value for value in values])
    text = f"{median:.0f}" if np.isfinite(median) else "–"
    return text if len(reached) in (0, len(values)) else f"{text} ({len(reached)}/{len(values)})"


def middle(rows: list[dict], what: str) -> str:
    """The median over seeds."""
    return f"{statistics.median(row[what] for row in rows):.1e}"


def table(rows: list[dict], symbol: str) -> list[str]:
    """Lines of a markdown table, a row an element, the previous start beside the random one."""
    judged = any(run["true"] != run["last"] for row in rows for run in row["random" if "random" in row else "previous"])
    names = ["D at first", *(f"steps to {level:g}" for level in LEVELS), "D at last", *(["true D"] if judged else [])]
    lines = [f"| {symbol} | " + " | ".join(f"{start}: {n}" for start in ("previous", "random") for n in names) + " |"]
    lines.append("|---|" + "---|" * (2 * len(names)))
    for row in rows:
        cells = [f"{row['place']:.4g}"]
        for start in ("previous", "random"):
            runs = row.get(start)
            if runs is None:
                cells += [""] * len(names)
                continue
            cells += [middle(runs, "first"), *(steps(runs, k) for k in range(len(LEVELS))), middle(runs, "last")]
            cells += [middle(runs, "true")] if judged else []
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def floor(rows: list[dict]) -> str:
    """The least D of each seed from either start, as a range over seeds, for every element."""
    cells = []
    for row in rows:
        starts = [row[start] for start in ("previous", "random") if start in row]
        least = [min(run["least"] for run in runs) for runs in zip(*starts, strict=True)]
        cells.append(f"{min(least):.0e} to {max(least):.0e}")
    return "; ".join(cells)


def page(document: dict) -> str:
    """The tables as markdown."""
    lines = ["At most 1000 steps for the first state, from a random start, and 100 for each of the others.", ""]
    for name, (heading, _, symbol) in SEQUENCES.items():
        lines += [f"## {heading}", ""]
        for model, rows in document["sequences"][name].items():
            lines += [f"{model[0].upper()}{model[1:]}:", "", *table(rows, symbol), ""]
            lines += [f"Least D within the budget from either start, best to worst seed: {floor(rows)}.", ""]
    lines += [f"Medians over five seeds. Made by `python benchmarks/sequences.py` with {document['machine']}.", ""]
    return "\n".join(lines)


def main() -> None:
    """Runs everything, prints a line a sequence, writes the results and the page."""
    sequences: dict[str, dict] = {}
    for name, (_, options, symbol) in SEQUENCES.items():
        sequences[name] = {}
        for model, words in MODELS.items():
            rows = measure(SequenceSpec(**(COMMON | options | words)))
            sequences[name][model] = rows
            print(f"{name}, {model}", *table(rows, symbol), sep="\n", flush=True)
    machine = f"jax {jax.__version__}, {platform.machine()}, {os.cpu_count()} threads"
    document = {"levels": LEVELS, "seeds": COMMON["seeds"], "machine": machine, "sequences": sequences}
    out = ROOT / "benchmarks" / "results" / "sequences.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (ROOT / "docs" / "_generated" / "sequences.md").write_text(page(document), encoding="utf-8")


if __name__ == "__main__":
    main()
