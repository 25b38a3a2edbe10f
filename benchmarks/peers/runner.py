"""The parent's side: environments, worker processes, agreement, and timing in turn.

Sides of a row take turns, A B A B, so that whatever else the machine does falls on both; only one process works at a
time. Every ratio is of medians, and its range is that of the ratios of neighbouring samples.
"""

import contextlib
import functools
import itertools
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import tomllib
import venv
from collections.abc import Iterator
from typing import Any

from .rows import Row, Side

ROOT = pathlib.Path(__file__).parents[2]
PEERS = ROOT / ".venv-peers"
IN_PEERS = {"qulacs": "qulacs", "qujax": "qujax", "tensorcircuit": "tensorcircuit"}  # system: module
SHARED = ("jax", "jaxlib", "numpy", "scipy")  # of one version in both environments
TOLERANCE = 1e-10
PATIENCE = 900.0  # seconds for one answer


class Failure(Exception):  # noqa: N818 - a measurement that failed, not an error of ours
    """A row could not be measured; the message says why."""


def cores(count: int) -> list[int]:
    """The last `count` cores of those that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        return list(range(count))
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < count:
        raise Failure(f"{count} threads need {count} cores; this process may use {len(allowed)}.")
    return allowed[-count:]


@functools.cache
def _runs(python: pathlib.Path, module: str) -> bool:
    command = [python, "-c", f"import {module}"]
    return python.exists() and not subprocess.run(command, check=False, capture_output=True).returncode  # noqa: S603


def _pins() -> list[str]:
    """The running versions of what both environments share, so that peers get the same JAX and NumPy."""
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in SHARED]


def build_peers() -> pathlib.Path:
    """The Python of the peers' environment, made from the [peers] extra when it is not there."""
    python = PEERS / "bin" / "python"
    if all(_runs(python, module) for module in IN_PEERS.values()):
        return python
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    print(f"making {PEERS.name} with {', '.join(extras['peers'])} (once)", flush=True)
    venv.create(PEERS, clear=True, with_pip=True)
    (PEERS / ".gitignore").write_text("*\n", encoding="utf-8")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *_pins(), *extras["peers"]], check=True)  # noqa: S603
    _runs.cache_clear()
    return python


def python_for(system: str) -> str:
    """This Python if it has the system, else that of the peers' environment."""
    here = pathlib.Path(sys.executable)
    if system not in IN_PEERS or _runs(here, IN_PEERS[system]):
        return str(here)
    return str(build_peers())


class Worker:
    """A worker process with one side's job."""

    def __init__(self, side: Side) -> None:
        self.side = side
        where = ",".join(map(str, cores(side.threads)))
        command = [python_for(side.system), "-m", "peers.worker", side.system, str(side.threads), where]
        settings = {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "0", "PYTHONHASHSEED": "0"}
        self.process = subprocess.Popen(  # noqa: S603
            command,
            cwd=ROOT / "benchmarks",
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        """The answer to one request; a traceback, a death and a silence of the worker are failures."""
        alarm = threading.Timer(PATIENCE, self.process.kill)
        alarm.start()
        try:
            self.process.stdin.write(json.dumps({"ask": what, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            alarm.cancel()
        if not line:
            raise Failure(f"{self.side.label} died or took more than {PATIENCE:.0f} s at '{what}'.")
        answer = json.loads(line)
        if "error" in answer:
            raise Failure(f"{self.side.label} raised at '{what}': {answer['error']}\n{answer['traceback']}")
        return answer

    def close(self) -> None:
        """Ends the process."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def workers(sides: tuple[Side, ...]) -> Iterator[list[Worker]]:
    """A worker for every side, ended whatever happens."""
    running: list[Worker] = []
    try:
        running.extend(map(Worker, sides))
        yield running
    finally:
        for worker in running:
            worker.close()


def check_agreement(labels: list[str], numbers: list[dict[str, float]]) -> float:
    """The largest relative difference of what two sides both report; raises Failure above the tolerance."""
    worst = 0.0
    for label, theirs in zip(labels[1:], numbers[1:], strict=True):
        common = numbers[0].keys() & theirs.keys()
        if not common:
            raise Failure(f"{labels[0]} and {label} report nothing that could be compared.")
        for name in sorted(common):
            ours, other = numbers[0][name], theirs[name]
            difference = abs(ours - other) / max(1.0, abs(ours))
            if not (math.isfinite(difference) and difference <= TOLERANCE):
                raise Failure(f"{label} disagrees with {labels[0]}: {name} is {other!r}, not {ours!r}.")
            worst = max(worst, difference)
    return worst


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _repeats(worker: Worker, target: float) -> tuple[int, float]:
    """(runs a sample, seconds of one run), so that a sample takes about `target` seconds."""
    seconds = max(worker.ask("time", repeat=1)["cpu"], 1e-6)
    seconds = min(seconds, max(worker.ask("time", repeat=3 if seconds < target else 1)["cpu"], 1e-6))
    return max(1, min(5000, round(target / seconds))), seconds


def _side_result(worker: Worker, setup: dict, samples: list[dict], repeats: int, versions: dict) -> dict[str, Any]:
    return {
        "system": worker.side.system,
        "threads": worker.side.threads,
        "cpu": _spread([sample["cpu"] for sample in samples]),
        "wall": _spread([sample["wall"] for sample in samples]),
        "busy": statistics.median(sample["cpu"] / sample["wall"] for sample in samples),
        "repeats": repeats,
        "first_call": setup["first"],
        "peak_mib": setup["peak_mib"],
        "base_mib": setup["base_mib"],
        "facts": setup["facts"],
        "versions": versions,
    }


def _ratios(row: Row, samples: list[list[dict]]) -> dict[str, dict[str, float]]:
    """Ratio to the first side, by label."""
    seconds = [[sample[row.clock] for sample in side] for side in samples]
    found = {}
    for side, theirs in zip(row.sides[1:], seconds[1:], strict=True):
        paired = [other / ours for other, ours in zip(theirs, seconds[0], strict=True)]
        median = statistics.median(theirs) / statistics.median(seconds[0])
        found[side.label] = {"median": median, "min": min(paired), "max": max(paired)}
    return found


def measure_case(row: Row, spec: dict, rounds: int, target: float) -> dict[str, Any]:
    """One spec of a speed row: set up, compare, calibrate, then time in turn."""
    labels = [side.label for side in row.sides]
    with workers(row.sides) as running:
        hellos = [worker.ask("hello") for worker in running]
        setups = [worker.ask("setup", task=worker.side.task, spec=spec) for worker in running]
        worst = check_agreement(labels, [setup["numbers"] for setup in setups])
        repeats, seconds = zip(*(_repeats(worker, target) for worker in running), strict=True)
        rounds = min(rounds, 3) if sum(seconds) > 3 else rounds
        samples: list[list[dict]] = [[] for _ in running]
        for _, (worker, repeat, kept) in itertools.product(range(rounds), zip(running, repeats, samples, strict=True)):
            kept.append(worker.ask("time", repeat=repeat))
        sides = {
            worker.side.label: _side_result(worker, setup, kept, repeat, hello["versions"])
            for worker, setup, kept, repeat, hello in zip(running, setups, samples, repeats, hellos, strict=True)
        }
    return {"spec": spec, "rounds": rounds, "difference": worst, "sides": sides, "ratios": _ratios(row, samples)}


def measure_compile(row: Row, spec: dict, rounds: int) -> dict[str, Any]:
    """One spec of a compile row: every sample is a fresh process."""
    side, setups = row.sides[0], []
    for _ in range(rounds):
        with workers((side,)) as (worker,):
            versions = worker.ask("hello")["versions"]
            setups.append(worker.ask("setup", task=side.task, spec=spec))
    facts = [setup["facts"] for setup in setups]
    return {
        "spec": spec,
        "rounds": rounds,
        "cpu": _spread([fact["compile_cpu"] for fact in facts]),
        "wall": _spread([fact["compile_wall"] for fact in facts]),
        "temp_states": facts[0].get("temp_states"),
        "peak_mib": max(setup["peak_mib"] for setup in setups),
        "base_mib": min(setup["base_mib"] for setup in setups),
        "versions": versions,
    }


def measure(row: Row, rounds: int = 7, target: float = 0.05) -> dict[str, Any]:
    """A row's cases and, over them, the median of every ratio."""
    if row.kind == "compile":
        return {"cases": [measure_compile(row, spec, min(rounds, 3)) for spec in row.cases]}
    cases = [measure_case(row, spec, rounds, target) for spec in row.cases]
    ratios = {}
    for side in row.sides[1:]:
        found = [case["ratios"][side.label] for case in cases]
        ratios[side.label] = {
            "median": statistics.median(ratio["median"] for ratio in found),
            "min": min(ratio["min"] for ratio in found),
            "max": max(ratio["max"] for ratio in found),
        }
    return {"cases": cases, "ratios": ratios}
