"""Variational thermal states of 12 to 20 qubits, where no density matrix fits: D against qubits, angles and seconds.

Open transverse-field Ising chains (J = h = 1) with free-fermion circuits against free fermions, and XXZ chains (Δ = ½)
with generic real circuits against typicality. Every run has a process of its own and ends after its minutes; a run that
is in the results already is not made again. Writes benchmarks/results/large_gibbs.json and the table of docs/large.md.
"""

import argparse
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
import time

import jax

from qnat.quantum.tasks.gibbs import GibbsSpec

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
OUT = ROOT / "benchmarks" / "results" / "large_gibbs.json"
CHAIN = {"hamiltonian": "tfim", "ansatz": "matchgate", "latent": "bernoulli"}
XXZ = {"hamiltonian": "xxz", "anisotropy": 0.5, "ansatz": "real", "layers": 8}
FEWER = {"strings": 32, "vectors": 8}  # of either, for more steps where errors are small beside what is left
RUNS = {  # name: (words, minutes after compiling)
    **{f"TFIM n=12 beta={beta}": ({**CHAIN, "n": 12, "beta": beta}, 3) for beta in (0.5, 1.0, 2.0)},
    **{f"TFIM n=16 beta={beta}": ({**CHAIN, "n": 16, "beta": beta}, 15) for beta in (0.5, 1.0)},
    "TFIM n=16 beta=2.0": ({**CHAIN, **FEWER, "n": 16, "beta": 2.0}, 15),
    "TFIM n=20 beta=1.0": ({**CHAIN, "n": 20, "strings": 16, "vectors": 4}, 60),
    "XXZ n=12 beta=1.0": ({**XXZ, "n": 12}, 10),
    "XXZ n=14 beta=1.0": ({**XXZ, "n": 14}, 15),
}  # fmt: skip


def measure(name: str) -> dict[str, float]:
    """One run, in this process."""
    words, minutes = RUNS[name]
    spec = GibbsSpec(**words, steps=1000, every=5, seed=200)
    start: list[float] = []

    def late(_row: dict[str, float]) -> bool:
        start.append(time.perf_counter())
        return start[-1] - start[0] > 60 * minutes

    run = spec.run(until=late, progress=False)
    entropies, losses = run.curves["relative_entropy"][0], run.curves["loss"][0]
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return {
        "angles": int(run.params["angles"].size),
        "steps": len(losses) - 1,
        "relative_entropy": float(run.final["relative_entropy"]),
        "relative_entropy_error": float(run.final["relative_entropy_error"]),
        "relative_entropy_start": float(entropies[0]),
        "loss": float(losses[-1]),
        "seconds": start[-1] - start[0],
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
    }


def table(rows: dict[str, dict[str, float]]) -> str:
    """The results as markdown, in the order of the runs."""
    lines = ["| system | n | β | angles | steps | minutes | D at the start | D | memory, GB |", "|" + "---|" * 9]
    for name, (words, _) in RUNS.items():
        if (row := rows.get(name)) is None:
            continue
        system = "XXZ, Δ = 0.5" if words["hamiltonian"] == "xxz" else "Ising chain"
        reached = f"{row['relative_entropy']:.1e} ± {row['relative_entropy_error']:.0e}"
        lines.append(
            f"| {system} | {words['n']} | {words.get('beta', 1.0):g} | {row['angles']} | {row['steps']} | "
            f"{row['seconds'] / 60:.1f} | {row['relative_entropy_start']:.1f} | {reached} | "
            f"{row['peak_bytes'] / 1e9:.1f} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Says how long it will take, makes the runs that are missing, and writes after every one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", metavar="NAME", help="make one run in this process and print it as JSON")
    parser.add_argument("--only", metavar="TEXT", default="", help="runs whose name has this in it")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    document = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {"rows": {}}
    missing = [name for name in RUNS if options.only in name and name not in document["rows"]]
    minutes = sum(RUNS[name][1] + 2 for name in missing)
    print(f"{len(missing)} runs of {len(RUNS)} are to be made; about {minutes} minutes on two cores.", flush=True)
    for name in missing:
        command = [sys.executable, __file__, "--one", name]
        found = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        machine = f"jax {jax.__version__}, {platform.machine()}, {os.cpu_count()} threads"
        document["rows"][name] = {"machine": machine, **json.loads(found.stdout)}
        OUT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(name, document["rows"][name], flush=True)
    made = "Made by `python benchmarks/large_gibbs.py`, a process a run; minutes are of training, compiling apart."
    (ROOT / "docs" / "_generated" / "large_gibbs.md").write_text(
        f"{table(document['rows'])}\n{made}\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
