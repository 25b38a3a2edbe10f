"""What is to be run."""

from typing import NamedTuple

from jaxtyping import Array, PyTree

from qnat.inference.process import Process

from ..task import Task
from ..trend import Until
from .callbacks import Audience
from .keep import Keep


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
    audience: Audience

    @property
    def traceable(self) -> bool:
        """Whether chunks are compiled."""
        return self.task.traceable and self.process.traceable
