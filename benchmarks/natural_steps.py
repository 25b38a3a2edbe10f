"""What a step of natural gradient costs in gradients, and what its time goes to: one sweep over the circuit, the
Gram matrix of the metric, the linear solve with the trial.

Transverse-field Ising chains at β = 1 with the circuit of sixteen layers and with that of the defaults; gradient and
step take turns in one process. Writes benchmarks/results/natural_steps.json and the table of docs/performance.md;
three minutes on two cores.
"""

import json
import os
import pathlib
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

from qnat.quantum.tasks.gibbs import GibbsSpec

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
CASES = ({"n": 6, "layers": 16}, {"n": 8, "layers": 16}, {"n": 6}, {"n": 8})
ROUNDS = 15


def compiled(words: dict[str, int]) -> tuple[int, dict[str, Callable[[], Any]]]:
    """The number of angles; gradient, sweep, sweep with matrix, and whole step at one point."""
    spec = GibbsSpec(**words)
    task = spec.task()
    process, params = spec.transform(task), task.init(jax.random.key(0))
    state = process.init(params, key=jax.random.key(1))
    gradient = eqx.filter_jit(task.value_and_grad)
    sweep = jax.jit(lambda params: task.linearise(params)[:2])
    matrix = eqx.filter_jit(task.linearise)
    step = jax.jit(lambda state: process.step(state, None, key=jax.random.key(2)))
    calls: dict[str, Callable[[], Any]] = {
        "gradient": lambda: gradient(params),
        "sweep": lambda: sweep(params),
        "matrix": lambda: matrix(params),
        "step": lambda: step(state),
    }
    return task.model.circuit.num_angles, calls


def measured(words: dict[str, int]) -> dict[str, Any]:
    """Medians in seconds over rounds in which all take turns, and the median of the ratios of the rounds."""
    angles, calls = compiled(words)
    for call in calls.values():
        jax.block_until_ready(call())
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            taken[name].append(time.perf_counter() - start)
    ratios = sorted(step / gradient for step, gradient in zip(taken["step"], taken["gradient"], strict=True))
    quartiles = ratios[ROUNDS // 4], ratios[-1 - ROUNDS // 4]
    medians = {name: statistics.median(each) for name, each in taken.items()}
    return {**words, "angles": angles, **medians, "ratio": statistics.median(ratios), "quartiles": quartiles}


def table(rows: list[dict[str, Any]]) -> str:
    """Milliseconds and ratios as markdown."""
    lines = ["| n | angles | gradient, ms | sweep, ms | with Gram, ms | step, ms | step / gradient (quartiles) |"]
    lines.append("|" + "---|" * 7)
    for row in rows:
        times = " | ".join(f"{1e3 * row[name]:.3g}" for name in ("gradient", "sweep", "matrix", "step"))
        low, high = row["quartiles"]
        lines.append(f"| {row['n']} | {row['angles']} | {times} | {row['ratio']:.1f} ({low:.1f}–{high:.1f}) |")
    return "\n".join(lines)


def main() -> None:
    """Measures and writes."""
    rows = [measured(words) for words in CASES]
    machine = f"jax {jax.__version__}, {platform.machine()}, {os.cpu_count()} threads"
    results = ROOT / "benchmarks" / "results" / "natural_steps.json"
    results.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    text = f"{table(rows)}\n\nMade by `python benchmarks/natural_steps.py` with {machine}.\n"
    (ROOT / "docs" / "_generated" / "natural_steps.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
