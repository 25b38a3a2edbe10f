"""Specs: typed descriptions of runs, from which options, TOML keys, defaults, ranges and help derive.

This module and the specs import pydantic and the standard library only: a bad value is refused before anything heavy is
loaded.
"""

import math
import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    import optax

    from qnat.inference.process import Process

    from ..store.result import Run
    from ..task import Task


class RunSpec(BaseModel):
    """Base of all specs: a frozen pydantic model that turns words into a task and an optimiser.

    The first line of a subclass's docstring is its help. A default that depends on other fields is None in the class
    and filled in by a validator, so that an instance is resolved; a field that other choices leave unused stays None.

    Attributes:
        task_name: the word on the command line, equal to the name of the entry point.
        ladder: the field along which a sweep may start each run from the previous one; None if there is none.
        figure: how a sweep is drawn: "comparison", or "sequence" with a panel a value of the ladder.
        used_with: rows (a choice, the values of it that use some options, those options); with another value of the
            choice the options are refused if given, and None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    task_name: ClassVar[str]
    ladder: ClassVar[str | None] = None
    figure: ClassVar[Literal["comparison", "sequence"]] = "comparison"
    used_with: ClassVar[tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = ()

    steps: int = Field(100, ge=0, description="optimiser steps")
    seed: int = Field(0, ge=0, lt=2**31, description="first seed")
    seeds: int = Field(1, ge=1, description="number of seeds, trained side by side")
    every: int = Field(1, ge=1, description="steps between evaluations")

    @classmethod
    def unused(cls, values: Mapping[str, Any]) -> dict[str, str]:
        """The options for which these values, completed by the defaults, have no use, and why, in a sentence."""
        reasons: dict[str, str] = {}
        for choice, users, names in cls.used_with:
            chosen = values.get(choice, cls.model_fields[choice].default)
            if choice in reasons or chosen in users:
                continue
            for name in names:
                advice = f"leave it out, or choose {choice} {' or '.join(users)}"
                reasons.setdefault(name, f"{name} is not used with {choice} {chosen}; {advice}.")
        return reasons

    @model_validator(mode="after")
    def _nothing_unused(self) -> Self:
        for name, reason in self.unused(self.__dict__).items():
            if name in self.model_fields_set and getattr(self, name) is not None:
                raise ValueError(reason)
            self._resolve(name, None)
        return self

    def _resolve(self, name: str, value: Any) -> None:
        """Fills in a field while the instance is being made; it is frozen afterwards."""
        self.__dict__[name] = value

    @model_validator(mode="after")
    def _record_fits(self) -> Self:
        bits = math.log2(_ROW_BYTES * self.seeds * (self.steps + 1000))
        check_memory(bits, f"The record of steps = {self.steps} and seeds = {self.seeds}", "choose fewer")
        return self

    def check_data(self) -> None:
        """Refuses data whose values do not suit, which only reading them tells; called before anything is written."""

    @classmethod
    def problem(cls) -> "type[Task]":
        """The class of the problem, which says what is measured and drawn."""
        raise NotImplementedError

    def task(self) -> "Task":
        """The problem."""
        raise NotImplementedError

    def transform(self, task: "Task") -> "optax.GradientTransformation | Process":
        """The optimiser for that problem, or another process."""
        raise NotImplementedError

    def citations(self) -> Mapping[str, str]:
        """BibTeX entries of the methods used, by key."""
        return {}

    def warm_start(self, params: Any, previous: Self, how: str) -> Any:
        """Parameters to start from, given those that `previous` ended with; how: "scaled" or "plain"."""
        return params

    def rungs(self) -> "list[Rung] | None":
        """The runs of a spec that describes several, each after the one that it follows; None if it describes one."""
        return None

    def following(self, params: Any) -> Self:
        """This run, if its data are made from the parameters that the run before it ended with."""
        return self

    def record(self) -> dict[str, Any]:
        """What identifies the run: the task and every resolved field."""
        return {"task": self.task_name} | self.model_dump(mode="json")

    def run(
        self,
        out: str | pathlib.Path | None = None,
        *,
        resume: bool = False,
        force: bool = False,
        initial: Any = None,
        progress: bool | None = None,
    ) -> "Run":
        """Trains; the arguments are those of `qnat.experiment.run`."""
        from ..runs import run

        task = self.task()
        return run(
            task,
            self.transform(task),
            steps=self.steps,
            seed=self.seed,
            seeds=self.seeds,
            every=self.every,
            out=out,
            resume=resume,
            force=force,
            initial=initial,
            record=self.record(),
            citations=tuple(self.citations()),
            ladder=self.ladder,
            progress=progress,
        )


class Rung(NamedTuple):
    """One run of a sweep.

    Attributes:
        folder: its name inside the folder of the sweep. spec: its spec.
        swept: the swept options and their values, None where this run has no use for one.
        previous: the folder of the run that comes before; None if this run does not depend on another.
        start: how to start from it, "scaled" or "plain", or what else the spec's `warm_start` knows; None starts cold.
        title: what a figure calls it.
    """

    folder: str
    spec: RunSpec
    swept: dict[str, Any]
    previous: str | None
    start: str | None
    title: str = ""


_ROW_BYTES = 160
"""Of a step of a seed: about twenty curves. A chunk holds some thousand steps."""


def check_memory(bits: float, what: str, instead: str) -> None:
    """Refuses what needs more memory than this machine has: 2^bits bytes, a power because n has no bound."""
    present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if bits > math.log2(present):
        needed = f"{2.0 ** (bits - 30):.3g}" if bits < 1000 else f"10^{(bits - 30) * math.log10(2):.0f}"
        raise ValueError(f"{what} needs about {needed} GB, and this machine has {present / 2**30:.3g} GB; {instead}.")
