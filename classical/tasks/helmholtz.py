"""The spec of Helmholtz machines."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from qnat.experiment.words.spec import RunSpec

from ..data.headers import check_batch, header
from .bibliography import entries

if TYPE_CHECKING:
    import optax

    from qnat.experiment.task import Task

    from ..data.sets import Data
    from ..problems.helmholtz import HelmholtzTask

_LEARNING_RATES = {"natural": 0.1, "natural_adam": 0.01, "sgd": 0.5, "adam": 0.02}
_DEEP = 3
"""Hidden layers from which on natural gradients take twice the learning rate."""


class HelmholtzSpec(RunSpec):
    """Train a Helmholtz machine on bits: a generator and a recogniser, both sigmoid belief networks.

    The likelihood is in nats, the mean over test items. 46 steps are one epoch of the digits. With optimizer natural
    the algorithms ws, rws and bihm are natural wake-sleep (NWS), natural reweighted wake-sleep (NRWS) and NBiHM.
    """

    task_name: ClassVar[str] = "helmholtz"
    used_with: ClassVar[tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = (
        ("optimizer", ("natural", "natural_adam"), ("damping", "refresh", "metric_samples")),
    )

    data: str = Field(
        "digits",
        description="digits, or a path: a folder of binarised MNIST (.mat) or MNIST (IDX files), FOLDER/NAME of "
        "NAME.train.data and NAME.test.data, a .npy file",
    )
    threshold: float | None = Field(
        None, description="least value of a 1 in grey data (default 0.5 for the digits, else the data must be bits)"
    )
    layers: str = Field("12-8", description="units of the hidden layers, from the data up")
    signed: bool = Field(True, description="units act on the next layer as ±1, or else as 0 and 1")
    algorithm: Literal["ws", "rws", "bihm"] = Field(
        "rws", description="wake-sleep, reweighted wake-sleep, bidirectional Helmholtz machine"
    )
    samples: int | None = Field(None, ge=1, description="draws of the hidden units an item (default 10, 1 for ws)")
    likelihood_samples: int = Field(
        500, ge=1, description="draws an item of the test likelihood, where it cannot be summed exactly"
    )
    batch: int = Field(32, ge=1, description="items in a batch")
    optimizer: Literal["natural", "natural_adam", "sgd", "adam"] = Field(
        "natural",
        description="natural gradient with the exact Fisher blocks of the units, Adam on top of it, or neither",
    )
    learning_rate: float | None = Field(
        None,
        gt=0,
        description="default "
        + ", ".join(f"{rate:g} ({name})" for name, rate in _LEARNING_RATES.items())
        + f"; 0.2 for natural from {_DEEP} hidden layers on",
    )
    damping: float | None = Field(
        0.2, gt=0, description="alpha of natural: its metric is (F + alpha)/(1 + alpha), which alpha makes regular"
    )
    refresh: int | None = Field(50, ge=1, description="steps K from one Fisher matrix to the next")
    metric_samples: int | None = Field(
        None, ge=1, description="draws an item that the Fisher matrix is taken from (default those of the gradient)"
    )
    steps: int = Field(1380, ge=0, description="optimiser steps")
    every: int = Field(46, ge=1, description="steps between evaluations")

    @field_validator("layers")
    @classmethod
    def _known_layers(cls, layers: str) -> str:
        if not all(word.isdecimal() and int(word) for word in layers.split("-")):
            raise ValueError(f"'{layers}' is not a list of layers; give numbers of units, such as 12-8.")
        return layers

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of the hidden layers."""
        return tuple(map(int, self.layers.split("-")))

    def bits(self) -> "Data":
        """The data as bits."""
        from ..data.sets import load
        from ..data.targets import bits

        return bits(load(self.data), self.threshold)

    @model_validator(mode="after")
    def _helmholtz(self) -> Self:
        if self.data == "digits" and self.threshold is None:
            self._resolve("threshold", 0.5)
        if self.algorithm == "ws" and self.samples not in (None, 1):
            raise ValueError(f"samples is {self.samples}, but ws draws one; leave it out, or choose rws or bihm.")
        if self.samples is None:
            self._resolve("samples", 1 if self.algorithm == "ws" else 10)
        if self.learning_rate is None:
            deep = self.optimizer == "natural" and len(self.hidden) >= _DEEP
            self._resolve("learning_rate", 0.2 if deep else _LEARNING_RATES[self.optimizer])
        check_batch(self.batch, header(self.data).train)
        return self

    def check_data(self) -> None:
        if self.data != "digits":  # which have a threshold
            self.bits()

    def citations(self) -> Mapping[str, str]:
        """BibTeX entries of the algorithm and the optimiser."""
        natural = ["natural_helmholtz", "natural"] if self.optimizer.startswith("natural") else []
        return entries("helmholtz", self.algorithm, *natural, self.optimizer.removeprefix("natural_"))

    @classmethod
    def problem(cls) -> "type[Task]":
        from ..problems.helmholtz import HelmholtzTask

        return HelmholtzTask

    def task(self) -> "HelmholtzTask":
        """The machine and its data."""
        from .helmholtz_objects import task

        return task(self)

    def transform(self, task: "Task") -> "optax.GradientTransformation":
        """The optimiser for that task."""
        from .helmholtz_objects import transform

        return transform(self, task)
