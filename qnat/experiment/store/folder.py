"""Where a run goes: a folder on disk, or memory."""

import contextlib
import importlib.metadata
import os
import pathlib
import platform
from contextlib import AbstractContextManager
from typing import Any

import jax
from jaxtyping import PyTree

from ..console import note
from ..errors import StorageError
from ..stopwatch import timed
from . import checkpoint
from .checkpoint import Checkpoint
from .files import DRAWS, LOG, RESULT, RUN, jsonable, reported, write_json
from .log import Appended, log_lines, read_log
from .opened import open_ours
from .result import SECONDS, UNVERIFIED, Result
from .save import save_result
from .seal import is_sealed

_PACKAGES = ("qnat", "jax", "jaxlib", "numpy", "optax", "equinox", "lineax")


def environment() -> dict[str, Any]:
    """What the last digits of a result depend on."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES}
    device = jax.devices()[0]
    return {"versions": versions, "threads": threads, "device": f"{device.platform} {device.device_kind}"}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


class Memory:
    """The place of a run that writes nothing."""

    path: pathlib.Path | None = None
    _kept = b""

    def restore(self) -> Checkpoint | None:
        """Nothing to continue from."""
        return None

    def rows(self) -> list[dict[str, Any]]:
        """No log."""
        return []

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Forgets rows; the curves have them."""

    def append_draws(self, data: bytes) -> None:
        """Adds draws, see `draws.to_bytes`."""
        self._kept = self._kept + data

    def draws(self) -> bytes:
        """All draws so far."""
        return self._kept

    def save(self, state: PyTree, step: int, seconds: dict[str, float]) -> None:
        """Makes no checkpoint."""

    def status(self, status: str, **more: Any) -> None:
        """Tells nobody."""

    def keep(self, run: Result) -> None:
        """Leaves the run to its caller."""


class Folder(Memory):
    """The folder of one run, locked by the caller."""

    def __init__(self, path: pathlib.Path, spec: dict[str, Any], **about: Any) -> None:
        """A folder for the run of a resolved spec; what else is known about it goes into run.json."""
        self.path: pathlib.Path = path
        self._environment = environment()
        self._document = {"task": spec["task"], "status": "running", "spec": jsonable(spec)} | self._environment
        self._document |= {"seed": spec.get("seed"), "seeds": spec.get("seeds")} | jsonable(about)
        self._spec = spec
        self._files: dict[str, Appended] = {}
        self._lengths: dict[str, int] = {}
        self._saved: int | None = None
        self._result = ""
        self._begun = False

    def restore(self) -> Checkpoint | None:
        """The checkpoint to continue from; the log is cut to its length."""
        found = checkpoint.load(self.path)
        if found is not None:
            self._lengths = {LOG: found.meta["log_bytes"], DRAWS: found.meta.get("draws_bytes", 0)}
            self._saved = found.meta["step"]
            if not is_sealed(found.meta):
                note(UNVERIFIED.format(self.path))
            for name in ("versions", "threads", "device"):
                if found.meta["environment"][name] != self._environment[name]:
                    note(f"{self.path}: {name} differ from the run so far; last digits may differ.")
        return found

    def rows(self) -> list[dict[str, Any]]:
        """The log up to the checkpoint."""
        length = self._lengths.get(LOG, 0)
        return read_log(self.path / LOG, length, self._spec.get("seeds", 1)) if length else []

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Adds rows to the log."""
        with self._reported():
            self._open(LOG).append(log_lines(rows))

    def append_draws(self, data: bytes) -> None:
        """Adds draws to their file."""
        with self._reported():
            self._open(DRAWS).append(data)

    def draws(self) -> bytes:
        """All draws so far."""
        with os.fdopen(open_ours(self.path / DRAWS), "rb") as file:
            return file.read()

    def save(self, state: PyTree, step: int, seconds: dict[str, float]) -> None:
        """Makes a checkpoint before row `step`."""
        with self._reported():
            grown = [LOG, *([DRAWS] if DRAWS in self._files or self._lengths.get(DRAWS) else [])]
            lengths, checksums = zip(*(self._open(name).sync() for name in grown), strict=True)
            meta = {
                "step": step,
                "log_bytes": lengths[0],
                "draws_bytes": sum(lengths[1:]),
                "files": dict(zip(grown, checksums, strict=True)),
                "seconds": seconds,
                "spec": jsonable(self._spec),
            }
            checkpoint.save(self.path, Checkpoint(checkpoint.pack(state), meta | {"environment": self._environment}))
            self._saved = step

    def status(self, status: str, **more: Any) -> None:
        """Rewrites run.json."""
        self._document |= {"status": status} | jsonable(more)
        self._begun = True
        with self._reported():
            write_json(self.path / RUN, self._document)

    def ended(self, error: BaseException) -> None:
        """Says in run.json that an error ended the run, if it had begun: a refusal changes nothing."""
        if self._begun and self._document["status"] == "running":
            with contextlib.suppress(StorageError):  # which is what ended it, perhaps
                if isinstance(error, KeyboardInterrupt):
                    self.status("interrupted")
                else:
                    self.status("failed", message=str(error) or type(error).__name__)

    def keep(self, run: Result) -> None:
        """Writes the result."""
        with self._reported(), timed("write", run.spent):
            self._result = save_result(run)

    def finish(self, run: Result) -> None:
        """Writes the last run.json."""
        times = {name: run.spent[part] for part, name in SECONDS.items()}
        grown = {name: file.checksum for name, file in self._files.items()}
        self._document["files"] = grown | {RESULT: self._result}
        self.status("finished", steps=run.steps, final=run.final, reference=run.reference, **times)

    def close(self) -> None:
        """Closes the files that grow."""
        for file in self._files.values():
            file.close()

    def _open(self, name: str) -> Appended:
        if name not in self._files:
            self._files[name] = Appended(self.path / name, self._lengths.get(name, 0))
        return self._files[name]

    def _reported(self) -> AbstractContextManager[None]:
        return reported(self.path, " from the beginning" if self._saved is None else f" from step {self._saved}")
