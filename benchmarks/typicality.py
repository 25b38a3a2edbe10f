"""log Z and energy of the open transverse-field Ising chain from random vectors, up to twenty qubits.

J = h = β = 1, twelve random vectors, against free fermions. Every size runs in a process of its own, whose peak memory
is the system's count. Writes benchmarks/results/typicality.json and the table of docs/_generated/typicality.md; about
two minutes on two cores.
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

from qnat.quantum import free_fermion_tfim, tfim, typical_thermal

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
SIZES = (12, 14, 16, 18, 20)
BETA, VECTORS, KRYLOV, SEED = 1.0, 12, 30, 0


def measure(n: int) -> dict[str, float]:
    """One row, in this process."""
    hamiltonian, key = tfim(1, n), jax.random.key(SEED)
    start = time.perf_counter()
    run = typical_thermal.lower(hamiltonian, BETA, vectors=VECTORS, krylov=KRYLOV, key=key).compile()
    compiled = time.perf_counter()
    found = jax.block_until_ready(run(hamiltonian, BETA, key=key))
    seconds = time.perf_counter() - compiled
    exact = free_fermion_tfim(n, BETA)
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return {
        "n": n,
        "log_z": float(found.mean.log_z),
        "log_z_error": float(found.error.log_z),
        "log_z_exact": exact.log_z,
        "energy": float(found.mean.energy),
        "energy_error": float(found.error.energy),
        "energy_exact": exact.energy,
        "purity": float(found.purity),
        "residual": float(found.residual),
        "seconds": seconds,
        "compile_seconds": compiled - start,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
    }


def in_process(n: int) -> dict[str, float]:
    """One row, in a process of its own."""
    command = [sys.executable, __file__, "--one", str(n)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return json.loads(found.stdout)


def with_error(value: float, error: float) -> str:
    """A value with its standard error in brackets, in units of its last digits: 11.04(3)."""
    digits = max(0, -int(f"{error:.0e}".split("e")[1]) + 1)
    return f"{value:.{digits}f}({error * 10**digits:.0f})"


def page(document: dict) -> str:
    """The table as markdown."""
    lines = ["| n | log Z | exact | energy | exact | purity | seconds | peak memory |", "|---|" + "---|" * 7]
    for row in document["rows"]:
        cells = (
            f"{row['n']}",
            with_error(row["log_z"], row["log_z_error"]),
            f"{row['log_z_exact']:.5f}",
            with_error(row["energy"], row["energy_error"]),
            f"{row['energy_exact']:.5f}",
            f"{row['purity']:.1e}",
            f"{row['seconds']:.1f}",
            f"{row['peak_bytes'] / 1e6:.0f} MB",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", f"Made by `python benchmarks/typicality.py` with {document['machine']}.", ""])


def main() -> None:
    """Measures, prints a line a row, writes the results and the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", type=int, metavar="N", help="measure one size in this process and print it as JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    rows = []
    for n in SIZES:
        rows.append(in_process(n))
        print(rows[-1], flush=True)
    machine = f"jax {jax.__version__}, {platform.machine()}, {os.cpu_count()} threads"
    settings = {"beta": BETA, "vectors": VECTORS, "krylov": KRYLOV, "seed": SEED}
    document = {"machine": machine, **settings, "rows": rows}
    out = ROOT / "benchmarks" / "results" / "typicality.json"
    out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (ROOT / "docs" / "_generated" / "typicality.md").write_text(page(document), encoding="utf-8")


if __name__ == "__main__":
    main()
