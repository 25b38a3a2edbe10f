"""Specs: typed descriptions of runs, from which options, TOML keys, defaults, ranges and help derive.

This module and the specs import pydantic and the standard library only: a bad value is refused before anything heavy is
loaded.
"""

import importlib.metadata
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from .errors import RefusedError

if TYPE_CHECKING:
    import optax

    from .compare import Entry
    from .plan import Rung
    from .result import Run
    from .task import Task


class RunSpec(BaseModel):
    """Base of all specs: a frozen pydantic model that turns words into a task and an optimiser.

    The first line of a subclass's docstring is its help. A default that depends on other fields is None in the class
    and filled in by a validator, so that an instance is resolved; a field that other choices leave unused stays None.

    Attributes:
        task_name: the word on the command line, equal to the name of the entry point.
        ladder: the field along which a sweep may start each run from the previous one; None if there is none.
        used_with: rows (a choice, the values of it that use some options, those options); with another value of the
            choice the options are refused if given, and None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    task_name: ClassVar[str]
    ladder: ClassVar[str | None] = None
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

    def task(self) -> "Task":
        """The problem."""
        raise NotImplementedError

    def transform(self, task: "Task") -> "optax.GradientTransformation":
        """The optimiser for that problem."""
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

    def draw(self, entries: "Sequence[Entry]", path: pathlib.Path) -> None:
        """The figure of a sweep."""
        from .compare import entries_of
        from .plot import draw_comparison

        draw_comparison(entries_of(entries, self.ladder), path)

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
        from .loop import run

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
            spec=self,
            progress=progress,
        )


_ROW_BYTES = 160
"""Of a step of a seed: about twenty curves. A chunk holds some thousand steps."""


def check_memory(bits: float, what: str, instead: str) -> None:
    """Refuses what needs more memory than this machine has: 2^bits bytes, a power because n has no bound."""
    present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if bits > math.log2(present):
        needed = f"{2.0 ** (bits - 30):.3g}" if bits < 1000 else f"10^{(bits - 30) * math.log10(2):.0f}"
        raise ValueError(f"{what} needs about {needed} GB, and this machine has {present / 2**30:.3g} GB; {instead}.")


def task_names() -> list[str]:
    """The tasks of all installed packages."""
    return sorted({point.name for point in importlib.metadata.entry_points(group="qnat.tasks")})


def find_spec(name: str) -> type[RunSpec]:
    """The spec class of a task.

    Raises:
        RefusedError: there is no such task, or it cannot be loaded.
    """
    points = {point.name: point for point in importlib.metadata.entry_points(group="qnat.tasks")}
    if name not in points:
        raise RefusedError(f"Unknown task '{name}'; the tasks are {', '.join(sorted(points))}.")
    try:
        spec: type[RunSpec] = points[name].load()
    except Exception as error:  # a package of someone else's, which may fail in any way
        raise RefusedError(f"The task '{name}' ({points[name].value}) cannot be loaded: {error}.") from error
    return spec


def build(spec: type[RunSpec], values: Mapping[str, Any]) -> RunSpec:
    """A spec from words.

    Raises:
        RefusedError: one sentence about the first value that is wrong.
    """
    try:
        return spec(**values)
    except ValidationError as error:
        raise RefusedError(sentence(error, list(spec.model_fields))) from None


def sentence(error: ValidationError, names: Sequence[str]) -> str:
    """What was given and what is wanted, in one sentence, of the first of pydantic's errors."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    kind, given = first["type"], first["input"]
    if kind == "value_error":
        text = str(first["ctx"]["error"])
        return f"{name}: {text}" if name else text
    if kind == "extra_forbidden":
        return f"Unknown key '{name}'; the keys are {', '.join(names)}."
    if kind == "missing":
        return f"{name} is missing; give a value."
    return f"{name} is {given!r}; it must be {_wanted(first)}."


_KINDS = {
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a word",
}
_RANGES = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("greater than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def _wanted(error: ErrorDetails) -> str:
    kind = error["type"]
    if kind in _RANGES:
        words, key = _RANGES[kind]
        return f"{words} {error['ctx'][key]:.10g}"
    if kind == "literal_error":
        return f"one of {error['ctx']['expected'].replace(' or ', ', ')}"
    return _KINDS.get(kind, error["msg"])
