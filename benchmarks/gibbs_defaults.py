"""How near to the exact thermal state the defaults of `qnat run gibbs` come, cold, on seeds they were not tuned on.

A cell is a system at an inverse temperature: the relative entropy D of every seed after the default steps, the steps
to 1e-3, and seconds of training a seed (compiling apart). Cells that benchmarks/results/gibbs_defaults.json has already
are kept, so that a stopped study goes on; `--only TEXT` chooses cells by a part of their names. Writes the JSON and the
table of docs/results.md.

LiH is in STO-3G at 1.5949 Å with two electrons in three orbitals, six qubits by Jordan and Wigner: what
`pennylane.qchem.molecular_hamiltonian(molecule, active_electrons=2, active_orbitals=3)` makes of it.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
from typing import NamedTuple

import jax
import numpy as np

from qnat.experiment import run
from qnat.quantum.tasks.gibbs import GibbsSpec

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
OUT = ROOT / "benchmarks" / "results" / "gibbs_defaults.json"
LEVEL = 1e-3
FIRST = 200

RING = {"periodic": True}
XXZ = {"hamiltonian": "xxz", "anisotropy": 0.5}
FOUR = {
    "Ising ring": RING,
    "Ising chain": {},
    "Ising 2 × 2": {"rows": 2, "columns": 2},
    "XXZ, Δ = 0.5": XXZ,
    "XXZ, Δ = 1": {"hamiltonian": "xxz"},
    "XXZ, Δ = 2": {"hamiltonian": "xxz", "anisotropy": 2.0},
    "Hubbard": {"hamiltonian": "hubbard"},
    "H₂": {"hamiltonian": "h2"},
    "random 3-local": {"hamiltonian": "random", "locality": 3},
}
SIX = {
    "Ising ring": RING,
    "Ising chain": {},
    "XXZ, Δ = 0.5": XXZ,
    "Hubbard": {"hamiltonian": "hubbard"},
    "Ising 2 × 3": {"rows": 2, "columns": 3},
}
LIH = {"hamiltonian": str(ROOT / "benchmarks" / "hamiltonians" / "lih_sto3g_2e3o.txt")}
RANDOM = {"hamiltonian": "random", "locality": 3}
OLD = {"layers": 16, "order": 4}  # the defaults of n > 4 before, which started at 0.1π


class Cell(NamedTuple):
    """A system at a temperature; `seconds`: about how long a seed trains on two quiet cores."""

    n: int
    system: str
    beta: float
    seeds: int
    steps: int
    seconds: float
    words: dict
    method: str = "defaults"

    @property
    def name(self) -> str:
        """What the results call it."""
        return f"{self.method}; n = {self.n}; {self.system}; β = {self.beta:g}"


def cells() -> list[Cell]:
    """The whole study."""
    found = [Cell(4, s, b, 10, 60, 0.4, w) for s, w in FOUR.items() for b in (0.25, 0.5, 1.0, 2.0, 5.0, 20.0, 50.0)]
    found += [Cell(6, s, b, 5, 60, 30, w) for s, w in SIX.items() for b in (0.5, 2.0, 20.0)]
    found += [
        Cell(5, s, b, 3, 60, 3, w) for s, w in {"Ising chain": {}, "XXZ, Δ = 0.5": XXZ}.items() for b in (0.5, 20.0)
    ]
    found += [Cell(6, "LiH", b, 3, 60, 30, LIH) for b in (2.0, 20.0)]
    found += [Cell(6, "random 3-local", b, 3, 60, 60, RANDOM) for b in (0.5, 2.0)]
    found += [
        Cell(8, s, b, 3, 60, 90, w) for s, w in {"Ising ring": RING, "Ising chain": {}}.items() for b in (0.5, 1.0, 2.0)
    ]
    eight = {"XXZ, Δ = 0.5": XXZ, "Hubbard": {"hamiltonian": "hubbard"}, "Ising 2 × 4": {"rows": 2, "columns": 4}}
    found += [Cell(8, s, 0.5, 1, 60, 90, w) for s, w in eight.items()]
    three = {"Ising ring": RING, "XXZ, Δ = 0.5": XXZ, "Ising 2 × 3": {"rows": 2, "columns": 3}}
    for s, w in three.items():
        found.append(Cell(6, s, 0.5, 3, 1000, 30, w | {"optimizer": "adam"}, "Adam"))
        found.append(Cell(6, s, 0.5, 3, 60, 3, w | OLD, "old defaults"))
    return found


def measured(cell: Cell) -> dict:
    """What is kept of a cell: of every seed the last D, the steps to the level, and whether the loss ended rising."""
    spec = GibbsSpec(n=cell.n, beta=cell.beta, steps=cell.steps, seed=FIRST, seeds=cell.seeds, **cell.words)
    task, start = spec.task(), None
    if cell.method == "old defaults":
        keys = jax.random.split(jax.random.key(FIRST), cell.seeds)
        start = jax.vmap(lambda key: task.model.init(key, scale=0.1))(keys)
    found = run(
        task, spec.transform(task), steps=cell.steps, seed=FIRST, seeds=cell.seeds, initial=start, progress=False
    )
    entropies, losses = (np.asarray(found.curves[name]) for name in ("relative_entropy", "loss"))
    return {
        "angles": task.model.circuit.num_angles,
        "last": entropies[:, -1].tolist(),
        "steps": [int(np.argmax(each < LEVEL)) if (each < LEVEL).any() else None for each in entropies],
        "seconds": round(float(found.seconds) / cell.seeds, 2),
        "rising": int(np.sum(losses[:, -1] > losses[:, -6:].min(axis=1) + 1e-9)),
    }


def table(results: dict) -> str:
    """The results as markdown."""
    lines = ["| method | n | system | β | angles | D, worst and median | seeds below 1e-3 | steps to 1e-3 | s a seed |"]
    lines.append("|" + "---|" * 9)
    for cell in cells():
        if (row := results.get(cell.name)) is None:
            continue
        below = sum(value < LEVEL for value in row["last"])
        steps = [step for step in row["steps"] if step is not None]
        lines.append(
            f"| {cell.method} | {cell.n} | {cell.system} | {cell.beta:g} | {row['angles']} | {max(row['last']):.0e}, "
            f"{statistics.median(row['last']):.0e} | {below} of {cell.seeds} | {max(steps) if steps else '–'} | "
            f"{row['seconds']:.2g} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Runs what is missing, a line a cell, and writes after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cells whose name has this text")
    only = parser.parse_args().only
    document = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {"cells": {}}
    results = document["cells"]
    missing = [cell for cell in cells() if cell.name not in results and only in cell.name]
    minutes = sum(cell.seeds * cell.seconds + 12 for cell in missing) / 60
    print(
        f"{sum(cell.seeds for cell in missing)} runs in {len(missing)} cells, about {minutes:.0f} minutes", flush=True
    )
    for cell in missing:
        results[cell.name] = row = measured(cell)
        print(
            cell.name, " ".join(f"{value:.0e}" for value in row["last"]), f"{row['seconds']:.1f} s a seed", flush=True
        )
        document["machine"] = f"jax {jax.__version__}, {platform.machine()}, {os.cpu_count()} threads"
        OUT.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    made = f"Made by `python benchmarks/gibbs_defaults.py` with {document.get('machine', 'nothing yet')}."
    (ROOT / "docs" / "_generated" / "gibbs_defaults.md").write_text(f"{table(results)}\n{made}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
