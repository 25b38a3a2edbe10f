"""The spec of Helmholtz machines."""

import itertools
import math
import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from qnat.experiment.bounds import check_memory, check_time
from qnat.experiment.reading import shown
from qnat.experiment.words import optimisers
from qnat.experiment.words.parts import Part
from qnat.experiment.words.spec import RunSpec
from qnat.experiment.words.values import COUNTS, Precision, Rate

from ..data.headers import Header, check_batch, digest, header
from ..models.layers import check_depth

_UNITS = re.compile("[1-9][0-9]{0,99}")
_LINK_SECONDS = 1e-10
_DEEP = 3
"""Hidden layers from which on natural gradients take twice the learning rate."""


class File(Part):
    """Bits, or grey values above a threshold."""

    name: str
    threshold: float | None = Field(None, description="least value of a 1 in grey data (default: data must be bits)")

    def build(self) -> Any:
        """The data as bits."""
        from ..data.sets import load
        from ..data.targets import bits

        return bits(load(self.name), self.threshold)


class Digits(File):
    """The digits of scikit-learn."""

    name: Literal["digits"] = "digits"
    threshold: float | None = Field(0.5, description="least value of a 1 in grey data; without, data must be bits")


def _layers(layers: str) -> str:
    words = layers.split("-")
    check_depth(words)
    if not all(map(_UNITS.fullmatch, words)):
        raise ValueError(f"'{shown(layers, 60)}' is not a list of layers; give numbers of units, such as 12-8.")
    return layers


Layers = Annotated[str, AfterValidator(_layers), Field(description="units of the hidden layers, from the data up")]


class Machine(Part):
    """A generator and a recogniser, both sigmoid belief networks."""

    cites = ("Dayan1995",)
    name: Literal["helmholtz"] = "helmholtz"
    layers: Layers = "12-8"
    signed: bool = Field(True, description="units act on the next layer as ±1, or else as 0 and 1")

    def build(self, width: int) -> Any:
        """The machine on so many bits."""
        from ..models.helmholtz import HelmholtzMachine

        return HelmholtzMachine((width, *map(int, self.layers.split("-"))), signed=self.signed)


Draws = Annotated[int, Field(ge=1, description="draws of the hidden units an item")]


class WakeSleep(Part):
    """Wake–sleep."""

    cites = ("Hinton1995",)
    name: Literal["ws"] = "ws"
    samples: Draws = 1

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.samples != 1:
            raise ValueError(f"samples is {self.samples}, but ws draws one; leave it out, or choose rws or bihm.")
        return self


class Reweighted(Part):
    """Reweighted wake–sleep."""

    cites = ("Bornschein2015",)
    name: Literal["rws"] = "rws"
    samples: Draws = 10


class Bidirectional(Part):
    """The bidirectional Helmholtz machine."""

    cites = ("Bornschein2016",)
    name: Literal["bihm"] = "bihm"
    samples: Draws = 10


class Natural(optimisers.Optimizer):
    """Natural gradient with the exact Fisher blocks of the units; from 3 hidden layers on at twice the rate."""

    cites: ClassVar[tuple[str, ...]] = ("Varady2022", "Amari1998")
    name: Literal["natural", "natural_adam"] = "natural"
    learning_rate: Rate = 0.1
    damping: float = Field(0.2, gt=0, description="alpha: the metric is (F + alpha)/(1 + alpha), which is regular")
    refresh: int = Field(50, ge=1, lt=COUNTS, description="steps K from one Fisher matrix to the next")
    metric_samples: int | None = Field(None, ge=1, description="draws of the Fisher matrix (default: the gradient's)")

    def build(self, task: Any) -> Any:

        from qnat.optim import chain, scale_by_running_metric, with_rate
        from qnat.optim.rate import once

        from ..methods.wake_sleep import HelmholtzFisher

        metric = HelmholtzFisher(task.machine, task.batch, self.metric_samples or task.samples)
        natural = scale_by_running_metric(metric, damping=self.damping, memory=None, refresh=self.refresh, warm_up=0)
        direction = chain(natural, once(self.transform))
        # the metric (F + α)/(1 + α); Adam does not feel the factor
        factor = 1 + self.damping if self.transform == "identity" else 1.0
        return with_rate(direction, factor * self.learning_rate)


class NaturalAdam(Natural):
    """Adam on top of it."""

    cites = ("Varady2022", "Amari1998", "Kingma2015")
    transform = "scale_by_adam"
    name: Literal["natural_adam"] = "natural_adam"
    learning_rate: Rate = 0.01


class Sgd(optimisers.Sgd):
    """Gradient descent."""

    learning_rate: Rate = 0.5


class Adam(optimisers.Adam):
    """Moments of first and second order."""

    learning_rate: Rate = 0.02


class HelmholtzSpec(RunSpec):
    """Train a Helmholtz machine on bits: a generator and a recogniser, both sigmoid belief networks.

    The likelihood is in nats, the mean over test items. 46 steps are one epoch of the digits. With optimizer natural
    the algorithms ws, rws and bihm are natural wake-sleep (NWS), natural reweighted wake-sleep (NRWS) and NBiHM.
    """

    task_name: ClassVar[str] = "helmholtz"
    titled = ("data", "layers", "algorithm", "optimizer")
    trains = "classical.problems.helmholtz:HelmholtzTask"
    added = ("precision",)

    data: Digits | File = Field(
        Digits(),
        description="digits, or a path: a folder of binarised MNIST (.mat) or MNIST (IDX files), FOLDER/NAME of "
        "NAME.train.data and NAME.test.data, a .npy file",
    )
    model: Machine = Machine()
    algorithm: WakeSleep | Reweighted | Bidirectional = Reweighted()
    likelihood_samples: int = Field(500, ge=1, description="draws an item of a test likelihood too large to sum")
    batch: int = Field(32, ge=1, description="items in a batch")
    optimizer: Natural | NaturalAdam | Sgd | Adam = Natural()
    precision: Precision = "double"
    steps: int = Field(1380, ge=0, description="optimiser steps")
    every: int = Field(46, ge=1, lt=COUNTS, description="steps between evaluations")

    @model_validator(mode="after")
    def _helmholtz(self) -> Self:
        deep = self.optimizer.name == "natural" and self.model.layers.count("-") >= _DEEP - 1
        if deep and "learning_rate" not in self.optimizer.model_fields_set:
            self._set(learning_rate=0.2)
        found = header(self.data.name)
        check_batch(self.batch, found.train)
        self._check_memory(found)
        return self

    def _check_memory(self, found: Header) -> None:
        """Refuses machines and draws that do not fit into memory, or estimates that nobody waits for."""
        sizes = (found.width, *map(int, self.model.layers.split("-")))
        links = sum(below * above for below, above in itertools.pairwise((*sizes, 1)))
        draws = self.batch * self.algorithm.samples
        # values, gradients and two moments of both networks; states and logits of a batch's draws
        numbers = 8 * links + 4 * draws * sum(sizes)
        if isinstance(self.optimizer, Natural):  # a block a unit, of full rank or of that of its draws
            rank = self.batch * (self.optimizer.metric_samples or self.algorithm.samples)
            numbers += 4 * rank * sum(sizes)
            rows = [(below, above) for below, above in itertools.pairwise((*sizes, 1))]
            numbers += sum(above * (below + 1) * min(below + 1, rank) for below, above in rows)
            numbers += sum(below * (above + 1) * min(above + 1, rank) for below, above in rows)
        seeds = f", seeds = {self.seeds}" if self.seeds > 1 else ""
        what = f"The machine of {2 * links} weights with {draws} draws a batch{seeds}"
        check_memory(math.log2(8 * self.seeds * numbers), what, "choose smaller layers, fewer draws or fewer seeds")
        what = f"The test likelihood of likelihood_samples = {self.likelihood_samples}"
        estimates = self.likelihood_samples * found.test * self.seeds
        check_memory(math.log2(8 * estimates), what, "choose fewer")
        check_time(estimates * links, _LINK_SECONDS, what, "choose fewer")

    def record(self) -> dict[str, Any]:
        """As of every spec, and a digest of data in files, by which a folder knows them."""
        return super().record() | digest(self.data.name)

    def check_data(self) -> None:
        if self.data.name != "digits":  # which have a threshold
            self.data.build()

    def task(self, previous: Any = None) -> Any:
        """The machine and its data."""
        from ..problems.helmholtz import HelmholtzTask

        data, objective = self.data.build(), self.algorithm
        return HelmholtzTask(
            self.model.build(data.train.shape[1]),
            data.train,
            data.test,
            batch=self.batch,
            algorithm=objective.name,
            samples=objective.samples,
            likelihood_samples=self.likelihood_samples,
        )
