"""Specs: typed descriptions of runs, from which options, TOML keys, defaults, ranges and help derive.

This module and the specs import pydantic and the standard library only: a bad value is refused before anything heavy is
loaded.
"""

import importlib
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from ..bounds import check_memory
from ..errors import RefusedError
from ..store.files import FORMATS
from .flat import Option, choices, flat, fold, options, unused
from .parts import CONFIG, Part
from .references import entries
from .sentence import sentence
from .values import COUNTS, unsigned

if TYPE_CHECKING:
    import optax

    from qnat.inference.process import Process

    from ..finished import Run
    from ..loop.callbacks import Callback
    from ..task import Task


class RunSpec(BaseModel):
    """Base of all specs: a frozen pydantic model that turns words into a task and an optimiser.

    The first line of a subclass's docstring is its help. A field is an option, or holds a `Part`, which is chosen by a
    word and has options of its own. Words are flat: `Spec(optimizer="adam", learning_rate=0.1)` is
    `Spec(optimizer=Adam(learning_rate=0.1))`, and `spec.learning_rate` is the rate of the part; an option that the
    choices leave without use is None. A default that depends on other fields is None in the class and filled in by a
    validator, so that an instance is resolved.

    Attributes:
        task_name: the word on the command line, equal to the name of the entry point; a class without one is called
            "module:Class", by which everybody who can import it finds it.
        ladder: the option along which a sweep may start each run from the previous one; None if there is none.
        figure: how a sweep is drawn: "comparison", or "sequence" with a panel a value of the ladder.
        titled: the words that stand above a figure. axis: what a figure writes along the ladder; "" takes its name.
        cites: keys of references beside those of the parts. trains: the class of its task, as "module:name".
        added: options younger than runs that are to be resumed, as those of a `Part`.
    """

    model_config = CONFIG
    task_name: ClassVar[str]
    ladder: ClassVar[str | None] = None
    figure: ClassVar[Literal["comparison", "sequence"]] = "comparison"
    titled: ClassVar[tuple[str, ...]] = ()
    axis: ClassVar[str] = ""
    cites: ClassVar[tuple[str, ...]] = ()
    added: ClassVar[tuple[str, ...]] = ()
    trains: ClassVar[str] = ""

    steps: int = Field(100, ge=0, description="optimiser steps")
    seed: int = Field(0, ge=0, lt=COUNTS, description="first seed")
    seeds: int = Field(1, ge=1, description="number of seeds, trained side by side")
    every: int = Field(1, ge=1, lt=COUNTS, description="steps between evaluations")
    tolerance: float | None = Field(
        None,
        gt=0,
        description="end early, once the first exact measure is below it for every seed, or, where there is none, once "
        "the slope of the loss a step is",
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **_options: Any) -> None:
        if "task_name" not in cls.__dict__:
            cls.task_name = f"{cls.__module__}:{cls.__qualname__}"

    @classmethod
    def options(cls) -> dict[str, Option]:
        """The words that it takes, those of its parts included, in the order of its fields."""
        return {name: option for name, option in options(cls).items() if not option.hidden}

    @classmethod
    def unused(cls, values: Mapping[str, Any]) -> dict[str, str]:
        """The options for which these words, completed by the defaults, have no use, and why, in a sentence."""
        return unused(cls, values)

    @classmethod
    def restored(cls, record: Mapping[str, Any]) -> Self:
        """The spec of a record, in which what files said stands too, so that they may have gone.

        Raises:
            RefusedError: a value is not legal any more.
        """
        try:
            return cls(**{name: value for name, value in record.items() if name in options(cls)})
        except ValidationError as error:
            raise RefusedError(sentence(error, list(cls.options()))) from None

    @classmethod
    def problem(cls) -> "type[Task]":
        """The class of what is trained, whose curves and measures a stored run of this task has."""
        if not cls.trains:
            raise NotImplementedError(f"{cls.__name__} does not say what it trains; give trains = 'module:Task'.")
        module, _, name = cls.trains.partition(":")
        return getattr(importlib.import_module(module), name)

    @classmethod
    def bibliography(cls) -> Mapping[str, str]:
        """BibTeX entries by key, among them all that such a spec may cite."""
        return entries()

    @model_validator(mode="before")
    @classmethod
    def _fold(cls, values: Any) -> Any:
        return fold(cls, values)

    _unsigned = field_validator("*")(unsigned)

    @model_validator(mode="after")
    def _record_fits(self) -> Self:
        check_record(self.steps, self.seeds)
        return self

    def __getattr__(self, name: str) -> Any:
        """An option of a part, by its word."""
        if name in (known := options(type(self))):
            return getattr(self.__dict__.get(known[name].choice), name, None)
        inherited: Any = super()
        return inherited.__getattr__(name)

    def _set(self, **words: Any) -> None:
        """Fills in what follows from other words while the instance is being made; it is frozen afterwards."""
        for name, value in words.items():
            if choice := options(type(self))[name].choice:
                self.__dict__[choice] = self.__dict__[choice].model_copy(update={name: value})
            else:
                self.__dict__[name] = value

    def replaced(self, **words: Any) -> Self:
        """This spec with other values of some options, unchecked, and nothing that follows from them changed."""
        if strange := [name for name in words if name not in self.words() or name in choices(type(self))]:
            raise ValueError(f"{strange[0]} is no option in use of this spec; make a new spec.")
        one = self.model_copy()
        one._set(**words)  # noqa: SLF001 (of a copy)
        return one

    def words(self) -> dict[str, Any]:
        """Every word in use and its value, flat."""
        return flat(self)

    def check_data(self) -> None:
        """Refuses data whose values do not suit, which only reading them tells; called before anything is written."""

    def task(self, previous: Any = None) -> "Task":
        """The problem; of a run whose data are made from the one before it, with the parameters that it ended with."""
        raise NotImplementedError

    def transform(self, task: "Task") -> "optax.GradientTransformation | Process":
        """The optimiser for that problem, or another process: what the part `optimizer` builds."""
        return self.optimizer.build(task)

    def cited(self) -> tuple[str, ...]:
        """The keys of what is cited: its own, and those of its parts in their order."""
        parts = [part for part in self.__dict__.values() if isinstance(part, Part)]
        return (*self.cites, *(key for part in parts for key in part.cites))

    def citations(self) -> Mapping[str, str]:
        """BibTeX entries of the methods used, by key."""
        known = self.bibliography()
        return {key: known[key] for key in dict.fromkeys((*self.cited(), "Bradbury2018"))}

    def warm_start(self, params: Any, previous: Self, how: str) -> Any:
        """Parameters to start from, given those that `previous` ended with; how: "scaled" or "plain"."""
        return params

    def rungs(self) -> "list[Rung] | None":
        """The runs of a spec that describes several, each after the one that it follows; None if it describes one."""
        return None

    def record(self) -> dict[str, Any]:
        """What identifies the run: the task and every word in use; `restored` makes the spec of it again."""
        return {"task": self.task_name} | flat(self, young=False)

    def run(
        self,
        out: str | pathlib.Path | None = None,
        *,
        resume: bool = False,
        force: bool = False,
        initial: Any = None,
        previous: Any = None,
        formats: Sequence[str] = FORMATS[:1],
        progress: bool | None = None,
        until: "Callable[[Mapping[str, Any]], bool] | None" = None,
        callbacks: "Sequence[Callback]" = (),
    ) -> "Run":
        """Trains; the arguments are those of `qnat.experiment.run`, and of `task`."""
        from ..runs import run

        task = self.task() if previous is None else self.task(previous)
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
            formats=formats,
            progress=progress,
            tolerance=self.tolerance,
            until=until,
            callbacks=callbacks,
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


_ROW_BYTES = 320
"""Of a step of a seed: about twenty curves, twice when they are stored. A chunk holds some thousand steps."""


def check_record(steps: int, seeds: int) -> None:
    """Refuses a record that does not fit into memory."""
    bits = math.log2(_ROW_BYTES * seeds * (steps + 1000))
    check_memory(bits, f"The record of steps = {steps} and seeds = {seeds}", "choose fewer")
