"""What is to be run."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, PyTree

from qnat.inference.process import Process

from ..task import Task
from .keep import Keep

Row = Mapping[str, Float[np.ndarray, " seeds"]]


Until = Callable[[Row], bool]
"""A row of the record, by name, NaN where a curve has no value there, to whether the run ends with it."""


class Job(NamedTuple):
    """What is to be run, as `qnat.experiment.run` explains."""

    task: Task
    process: Process
    steps: int
    seed: int
    seeds: int
    every: int
    initial: PyTree[Array] | None
    keep: Keep | None
    until: Until | None
    ladder: str | None
    title: str = ""

    @property
    def traceable(self) -> bool:
        """Whether chunks are compiled."""
        return self.task.traceable and self.process.traceable
