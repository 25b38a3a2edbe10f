"""The spec of Boltzmann machines."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from qnat.experiment.words.spec import RunSpec

from ..data.headers import header
from .bibliography import entries

if TYPE_CHECKING:
    import optax

    from qnat.experiment.task import Task

    from ..data.sets import Data
    from ..problems.boltzmann import BoltzmannTask

LARGEST = 12
_LEARNING_RATES = {"natural": 1.0, "mirror": 0.5, "adam": 0.03, "sgd": 0.1}


class BoltzmannSpec(RunSpec):
    """Learn a fully visible Boltzmann machine from an Ising model or from bits, by exact enumeration.

    The Ising model is exp(-beta H)/Z, H = -coupling sum s s' - field sum s over a chain; energies are in any unit, beta
    in its inverse. The same task with a transverse field is `learning`.
    """

    task_name: ClassVar[str] = "boltzmann"
    ladder: ClassVar[str | None] = "beta"
    used_with: ClassVar[tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = (
        ("data", ("ising",), ("coupling", "field", "periodic", "beta")),
    )

    data: str = Field(
        "ising",
        description=f"ising, or a path to bits of at most {LARGEST} units: FOLDER/NAME of NAME.train.data and "
        "NAME.test.data, a .npy file",
    )
    n: int = Field(4, ge=1, le=LARGEST, description="number of units; data of a file fix it")
    coupling: float | None = Field(1.0, description="J of ising, an energy")
    field: float | None = Field(0.0, description="longitudinal field of ising, an energy")
    periodic: bool | None = Field(False, description="close the chain of ising")
    beta: float | None = Field(1.0, ge=0, description="inverse temperature of ising, in inverse units of energy")
    order: int | None = Field(None, ge=1, description="most spins in an interaction of the machine (default 2)")
    optimizer: Literal["natural", "mirror", "adam", "sgd"] = Field(
        "natural", description="optimiser; mirror is a plain gradient step on the moments"
    )
    learning_rate: float | None = Field(
        None, gt=0, description="default " + ", ".join(f"{rate:g} ({name})" for name, rate in _LEARNING_RATES.items())
    )
    steps: int = Field(100, ge=0, description="optimiser steps (1000 for adam and sgd, unless given)")

    def bits(self) -> "Data":
        """The data of the file."""
        from ..data.sets import load
        from ..data.targets import bits

        return bits(load(self.data), None)

    @model_validator(mode="after")
    def _boltzmann(self) -> Self:
        if self.data != "ising":
            units = header(self.data).width
            if units > LARGEST:
                raise ValueError(f"The data in {self.data} have {units} units; at most {LARGEST} are enumerated.")
            if "n" in self.model_fields_set and self.n != units:
                raise ValueError(f"n is {self.n}, but the data in {self.data} have {units} units.")
            self._resolve("n", units)
        if self.order is None:
            self._resolve("order", min(2, self.n))
        elif self.order > self.n:
            raise ValueError(f"order is {self.order}; it can be at most n = {self.n}.")
        if self.learning_rate is None:
            self._resolve("learning_rate", _LEARNING_RATES[self.optimizer])
        if "steps" not in self.model_fields_set:
            self._resolve("steps", 1000 if self.optimizer in ("adam", "sgd") else 100)
        return self

    def check_data(self) -> None:
        if self.data != "ising":
            self.bits()

    def citations(self) -> Mapping[str, str]:
        """BibTeX entries of the model and the optimiser."""
        return entries("boltzmann", self.optimizer)

    def warm_start(self, params: Any, previous: Self, how: str) -> Any:
        """The machine of `previous` to the power of the ratio of the betas, or as it is."""
        if how != "scaled" or self.beta is None or not previous.beta:
            return params
        return self.beta / previous.beta * params

    @classmethod
    def problem(cls) -> "type[Task]":
        from ..problems.boltzmann import BoltzmannTask

        return BoltzmannTask

    def task(self) -> "BoltzmannTask":
        """The relative entropy of the machine from the data."""
        from .boltzmann_objects import task

        return task(self)

    def transform(self, task: "Task") -> "optax.GradientTransformation":
        """The optimiser for that task."""
        from .boltzmann_objects import transform

        return transform(self, task)
