"""How long the command line takes to answer: lists, help, refusals, and a sweep that has nothing left to do.

Every command runs as a process of its own, several times, in turns with the others; no number of it is compiled or
trained anew, but for the runs whose "seconds" must not depend on their order. Writes benchmarks/results/commands.json
and the table of docs/_generated/commands.md; about two minutes on two cores.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]
PROGRAM = str(pathlib.Path(sys.executable).with_name("qnat"))
GIBBS = "sweep gibbs --n 4 --periodic --beta 0.5,1,1.5,2 --optimizer natural,qpmd,adam,sgd --out gibbs --resume"
COMMANDS = {
    "list of tasks": "list",
    "help of a task": "run network --help",
    "a wrong value": "run gibbs --beta -1",
    "a batch larger than the data": "run network --batch 100000",
    "16 finished runs, shown again": GIBBS,
}
ORDERS = ("natural,qpmd", "qpmd,natural")


def qnat(command: str, folder: pathlib.Path) -> float:
    """Seconds of a command in a folder."""
    began = time.perf_counter()
    subprocess.run([PROGRAM, *command.split()], cwd=folder, capture_output=True, check=False)  # noqa: S603
    return time.perf_counter() - began


def in_order(order: str, folder: pathlib.Path) -> dict[str, float]:
    """The seconds that each of two optimisers reports of its run, in one process."""
    out = order.replace(",", "-")
    qnat(f"sweep gibbs --n 4 --periodic --beta 0.5 --optimizer {order} --out {out} --force", folder)
    rows = json.loads((folder / out / "table.json").read_text(encoding="utf-8"))["runs"]
    return {row["optimizer"]: row["seconds"] for row in rows}


def page(document: dict) -> str:
    """The tables as markdown."""
    lines = ["| command | seconds | least–most |", "|---|---|---|"]
    for name, seconds in document["commands"].items():
        lines.append(f"| {name} | {statistics.median(seconds):.2f} | {min(seconds):.2f}–{max(seconds):.2f} |")
    lines += ["", "| order of a sweep | seconds of natural | seconds of qpmd |", "|---|---|---|"]
    for order, rounds in document["orders"].items():
        cells = [statistics.median(found[name] for found in rounds) for name in ("natural", "qpmd")]
        lines.append(f"| `{order}` | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |")
    return "\n".join([*lines, "", f"Made by `python benchmarks/commands.py` with {document['machine']}.", ""])


def main() -> None:
    """Measures, prints, writes the results and the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each command runs (default 5)")
    rounds = range(parser.parse_args().rounds)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        qnat(GIBBS, folder)
        commands: dict[str, list[float]] = {what: [] for what in COMMANDS}
        for _ in rounds:
            for what, command in COMMANDS.items():
                commands[what].append(qnat(command, folder))
        orders = {order: [in_order(order, folder) for _ in rounds] for order in ORDERS}
    machine = f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} threads"
    document = {"machine": machine, "commands": commands, "orders": orders}
    print(page(document))
    out = ROOT / "benchmarks" / "results" / "commands.json"
    out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (ROOT / "docs" / "_generated" / "commands.md").write_text(page(document), encoding="utf-8")


if __name__ == "__main__":
    main()
