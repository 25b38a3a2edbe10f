"""The record of a run while it grows: arrays over (seed, step) in memory, rows for the log."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from ..trend import Until
from .step import Record


class Curves:
    """Every recorded curve, (seeds, steps + 1), NaN where nothing was recorded."""

    def __init__(self, seeds: int, steps: int, every: int) -> None:
        self.arrays: dict[str, Float[np.ndarray, "seeds rows"]] = {}
        self.evaluated: tuple[str, ...] = ()
        self._diagnostics: tuple[str, ...] = ()
        self._shape = (seeds, steps + 1)
        self._every = every

    def add(self, first: int, count: int, record: Record) -> None:
        """Takes in rows first .. first + count − 1; the last row of a run has no update, hence no diagnostics."""
        updates = min(count, self._shape[1] - 1 - first)
        if strange := [name for name in (*record.evaluated, *record.diagnostics) if "/" in name]:
            raise ValueError(f"A curve is called '{strange[0]}'; choose a name without slashes.")
        self.evaluated, self._diagnostics = tuple(record.evaluated), tuple(record.diagnostics)
        clash = {"loss", "step", *self.evaluated}.intersection(self._diagnostics) or {"loss", "step"}.intersection(
            self.evaluated
        )
        if clash:
            raise ValueError(f"Two curves are called '{min(clash)}'; rename the one of the task.")
        self._put(first, count, {"loss": record.loss, **record.evaluated})
        self._put(first, updates, record.diagnostics)

    def add_rows(self, rows: list[dict[str, Any]]) -> None:
        """Takes in rows of a log."""
        for row in rows:
            self._put(row["step"], 1, {n: np.reshape(_floats(v), (-1, 1)) for n, v in row.items() if n != "step"})

    def _put(self, first: int, count: int, columns: Mapping[str, Any]) -> None:
        for name, column in columns.items():
            if name not in self.arrays:
                self.arrays[name] = np.full(self._shape, np.nan)
            self.arrays[name][:, first : first + count] = np.asarray(column)[:, :count]

    def rows(self, first: int, count: int) -> list[dict[str, Any]]:
        """Rows for the log: a number a name, a list if there are several seeds."""
        seeds, length = self._shape
        rows = []
        for step in range(first, first + count):
            measured = self.evaluated if step % self._every == 0 or step == length - 1 else ()
            names = ("loss", *measured, *(self._diagnostics if step < length - 1 else ()))
            values = {name: self.arrays[name][:, step].tolist() for name in names}
            rows.append({"step": step, **({n: v[0] for n, v in values.items()} if seeds == 1 else values)})
        return rows

    def first_non_finite(self, first: int, count: int) -> tuple[int, int] | None:
        """(step, seed) of the first loss in these rows that is not finite."""
        bad = np.argwhere(~np.isfinite(self.arrays["loss"][:, first : first + count].T))
        return None if bad.size == 0 else (first + int(bad[0, 0]), int(bad[0, 1]))

    def first_row(self, ends: Until, first: int, count: int) -> int | None:
        """The first of these rows with which the run ends."""
        return next((step for step in range(first, first + count) if ends(self.arrays, step)), None)

    def cut(self, last: int) -> None:
        """Forgets what comes after row `last`, its update included."""
        self._shape = (self._shape[0], last + 1)
        self.arrays = {name: curve[:, : last + 1] for name, curve in self.arrays.items()}
        for name in self._diagnostics:
            self.arrays[name][:, last] = np.nan

    def latest(self, name: str, step: int) -> float | None:
        """The last recorded value up to `step`, averaged over seeds."""
        if name not in self.arrays:
            return None
        known = self.arrays[name][:, : step + 1]
        known = known[:, ~np.isnan(known).any(axis=0)]
        return float(known[:, -1].mean()) if known.size else None


def _floats(value: Any) -> list[float]:
    return [float(v) for v in value] if isinstance(value, list) else [float(value)]
