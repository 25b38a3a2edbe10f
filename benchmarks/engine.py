"""qnat's statevector engine against qulacs, PennyLane, qujax, TensorCircuit-NG, NumPy and plain JAX, on equal work.

Every system runs in a process of its own, one thread on one core; results are compared before anything is timed, and
the systems take turns. Writes benchmarks/results/engine.json and the tables of docs/performance.md. About half an hour;
`--only PATTERN` measures some rows anew and keeps the others, `--quick` is a trial of a minute that writes nothing.
"""

import argparse
import datetime as dt
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
from typing import Any

from peers import runner, tables
from peers.rows import Row, all_rows

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "engine.json"
PAGE = ROOT / "docs" / "_generated" / "engine.md"
QUICK_QUBITS = 8
ALLOCATOR = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD", "OPENBLAS_CORETYPE", "XLA_FLAGS")


def _read(path: str, pattern: str, otherwise: str) -> str:
    try:
        found = re.search(pattern, pathlib.Path(path).read_text(encoding="utf-8"))
    except OSError:
        return otherwise
    return found.group(1).strip() if found else otherwise


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "processor": _read("/proc/cpuinfo", r"model name\s*:\s*(.*)", platform.processor() or platform.machine()),
        "cores": os.cpu_count(),
        "huge_pages": _read("/sys/kernel/mm/transparent_hugepage/enabled", r"\[(\w+)\]", "unknown"),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def commit() -> str:
    """The commit that was measured, with a + where files differ from it."""
    head, changed = _git("rev-parse", "--short", "HEAD"), _git("status", "--porcelain", "qnat")
    return f"{head or 'unknown'}{'+' if changed else ''}"


def _git(*words: str) -> str:
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()  # noqa: S603


def measured(row: Row, rounds: int, target: float) -> dict[str, Any]:
    """The row's result, or what made it fail, said loudly."""
    try:
        result = runner.measure(row, rounds, target)
    except runner.Failure as failure:
        print(f"FAILED {row.name}\n{failure}", file=sys.stderr, flush=True)
        result = {"failed": str(failure).splitlines()[0].replace(str(ROOT), ".")}
    return result | {"measured": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "commit": commit()}


def summary(row: Row, result: dict[str, Any]) -> str:
    """One line for the terminal."""
    if "failed" in result:
        return f"{row.name}: FAILED"
    if row.kind == "compile":
        case = result["cases"][0]
        return f"{row.name}: {tables.spread(case['cpu'])} s {tables.goal(row, 'qnat', case['cpu']['median'])}"
    parts = [
        f"{label} {tables.number(ratio['median'])} {tables.goal(row, label, ratio['median'])}".strip()
        for label, ratio in result["ratios"].items()
    ]
    first = row.sides[0].label
    sides = result["cases"][0]["sides"]
    milliseconds = tables.number(1e3 * sides[first][row.clock]["median"])
    busy = f", CPU/wall {tables.number(sides[first]['busy'])}" if row.clock == "wall" else ""
    return f"{row.name}: {first} {milliseconds} ms{busy}; " + "; ".join(parts) + tables.disturbed(row, result)


def versions(results: dict[str, Any]) -> dict[str, str]:
    """Versions of all packages, as the workers report them."""
    found: dict[str, str] = {}
    for result in results.values():
        for case in result.get("cases", ()):
            for side in (*case.get("sides", {}).values(), case):
                found |= side.get("versions", {})
    return found


def document(results: dict[str, Any]) -> dict[str, Any]:
    """Everything that is written."""
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": machine(),
        "allocator": {name: value for name, value in sorted(os.environ.items()) if name.startswith(ALLOCATOR)},
        "threads": "one thread on one core, unless a side says two",
        "versions": versions(results),
        "tolerance": runner.TOLERANCE,
        "rows": results,
    }


def known() -> dict[str, Any]:
    """The rows of the last measurement that still exist."""
    if not RESULTS.exists():
        return {}
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]
    names = {row.name for row in all_rows()}
    return {name: result for name, result in rows.items() if name in names}


def write(results: dict[str, Any]) -> None:
    """The results, and the tables that docs/performance.md includes."""
    RESULTS.parent.mkdir(exist_ok=True)
    found = document(results)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(tables.page(all_rows(), found), encoding="utf-8")


def chosen(options: argparse.Namespace) -> list[Row]:
    """The rows that were asked for."""
    rows = [row for row in all_rows() if re.search(options.only, row.name)]
    return [row for row in rows if row.n <= QUICK_QUBITS] if options.quick else rows


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="PATTERN", help="rows whose name matches this regular expression")
    parser.add_argument("--quick", action="store_true", help=f"n <= {QUICK_QUBITS}, two rounds, nothing is written")
    parser.add_argument("--rounds", type=int, default=7, help="samples of each side")
    parser.add_argument("--list", action="store_true", help="print the rows and stop")
    parser.add_argument("--tables", action="store_true", help="write the tables anew from the results and stop")
    return parser.parse_args()


def main() -> int:
    """Measures, prints a line a row, merges into the results; 1 if a row failed."""
    options = arguments()
    if options.list:
        print("\n".join(row.name for row in chosen(options)))
        return 0
    if options.tables:
        found = json.loads(RESULTS.read_text(encoding="utf-8"))
        PAGE.write_text(tables.page(all_rows(), found), encoding="utf-8")
        return 0
    results, failed = known(), 0
    rounds, target = (2, 0.01) if options.quick else (options.rounds, 0.05)
    for row in chosen(options):
        results[row.name] = measured(row, rounds, target)
        failed += "failed" in results[row.name]
        print(summary(row, results[row.name]), flush=True)
        if not options.quick:
            write(results)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
