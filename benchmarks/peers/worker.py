"""One system in a process of its own: reads requests, one JSON object a line, and answers in the same way.

Run by `peers.runner` as `python -m peers.worker SYSTEM THREADS CORES`. Threads and cores are fixed before anything that
could start a thread is imported. What libraries print goes to standard error; standard output is for answers alone.
"""

import importlib
import importlib.metadata
import json
import os
import resource
import sys
import time
import traceback
import warnings

PACKAGES = (
    "jax",
    "jaxlib",
    "numpy",
    "scipy",
    "pennylane",
    "pennylane-lightning",
    "qulacs",
    "qujax",
    "tensorcircuit-ng",
)


def _pin(cores: list[int]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _peak() -> float:
    """Largest resident memory so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


class Clock:
    """Wall and processor time (of all threads of this process) since it was made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Seconds."""
        return {"wall": time.perf_counter() - self.wall, "cpu": time.process_time() - self.cpu}


class Session:
    """The job of this process and what may be asked about it."""

    def __init__(self, system: str) -> None:
        self.tasks = importlib.import_module(f"peers.on_{system}").TASKS
        self.base = _peak()

    def hello(self) -> dict:
        """Who answers."""
        return {"versions": _versions(), "python": sys.version.split()[0]}

    def setup(self, task: str, spec: dict) -> dict:
        """Makes the job and runs it twice: the first run pays for building and compiling, the second shows how much."""
        clock = Clock()
        self.job = self.tasks[task](spec)
        result = self.job.run()
        first = clock.read()
        clock = Clock()
        self.job.run()
        warm = clock.read()
        compile_ = {name: max(0.0, first[name] - warm[name]) for name in first}
        peak = _peak()  # the check sums below need memory of their own
        answer = {"first": compile_, "warm": warm, "base_mib": self.base, "peak_mib": peak}
        return answer | {"numbers": self.job.numbers(result), "facts": self.job.facts}

    def time(self, repeat: int) -> dict:
        """Seconds a run, over `repeat` runs."""
        clock = Clock()
        for _ in range(repeat):
            self.job.run()
        return {name: seconds / repeat for name, seconds in clock.read().items()}


def main() -> None:
    """Answers until the input ends."""
    system, threads, cores = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = threads
    _pin([int(core) for core in cores.split(",")])
    warnings.simplefilter("ignore")
    session: Session | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            session = session or Session(system)
            answer = getattr(session, request.pop("ask"))(**request)
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is the parent's to report
            answer = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
