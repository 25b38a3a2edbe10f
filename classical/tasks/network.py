"""The spec of networks."""

import math
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from qnat.experiment.bounds import check_memory
from qnat.experiment.errors import RefusedError
from qnat.experiment.words import optimisers as shared
from qnat.experiment.words.parts import Part
from qnat.experiment.words.spec import RunSpec
from qnat.experiment.words.values import COUNTS, Precision

from ..data.headers import NO_LABELS, check_batch, digest, header
from ..models.layers import IN_WORDS, HiddenLayer, check_pictures, checked, hidden, shapes
from . import optimisers as own

Layers = Annotated[str, AfterValidator(checked), Field(description=IN_WORDS)]


class Autoencode(Part):
    """The item itself, values in [0, 1] taken as probabilities of bits."""

    name: Literal["autoencode"] = "autoencode"
    layers: Layers = "48-24-8-24-48"


class Classify(Part):
    """The label of the item."""

    name: Literal["classify"] = "classify"
    layers: Layers = "64-32"


class Regress(Part):
    """The label as a number, or the last value of an item without label."""

    name: Literal["regress"] = "regress"
    layers: Layers = "64-32"


class NetworkSpec(RunSpec):
    """Train a network on data: an autoencoder, a classifier or a regression.

    Losses are in nats, means over items. 15 steps are one epoch of the digits.
    """

    task_name: ClassVar[str] = "network"
    titled = ("data", "kind", "layers", "activation", "optimizer")
    trains = "classical.problems.network:NetworkTask"
    added = ("precision",)

    data: str = Field(
        "digits",
        description="digits, or a path: a folder of MNIST (IDX files) or binarised MNIST (.mat), FOLDER/NAME of "
        "NAME.train.data and NAME.test.data, german.data-numeric, a .npy file",
    )
    kind: Autoencode | Classify | Regress = Autoencode()
    activation: Literal["tanh", "relu", "sigmoid"] = Field("tanh", description="activation of the hidden layers")
    batch: int = Field(100, ge=1, description="items in a batch")
    optimizer: (
        own.Kfac
        | own.KfacFull
        | own.Foof
        | own.Natural
        | own.KldWrmSo
        | own.KldWrmQ
        | own.KldWrmQe
        | own.Sgd
        | own.Adam
        | shared.Lars
        | shared.Lamb
        | own.EntropySgd
    ) = own.Kfac()
    precision: Precision = "double"
    steps: int = Field(450, ge=0, description="optimiser steps")
    every: int = Field(15, ge=1, lt=COUNTS, description="steps between evaluations")

    @property
    def hidden(self) -> list[HiddenLayer]:
        """The hidden layers."""
        return hidden(self.kind.layers)

    @property
    def convolutions(self) -> bool:
        """Whether a layer is one."""
        return any(layer.kernel for layer in self.hidden)

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        """Refuses data whose shapes do not suit."""
        found, kind = header(self.data), self.kind.name
        if kind == "classify" and not found.labelled:
            raise RefusedError(NO_LABELS)
        check_batch(self.batch, found.train)
        if self.metric_items is not None and self.metric_items > self.batch:
            raise ValueError(f"metric_items is {self.metric_items}, but a batch has {self.batch}; take at most those.")
        if not (width := found.inputs(kind)):
            raise ValueError("The items have one value, which is the target of regress; give items with more values.")
        if self.inverse == "tridiagonal" and self.convolutions:
            raise ValueError("inverse tridiagonal is one of dense layers; choose diagonal, or leave convolutions out.")
        if kind == "autoencode" and not self.hidden:
            raise ValueError("layers is none, and an autoencoder needs a code; give its units.")
        check_pictures(self.hidden, width)
        self._check_memory(width, width if kind == "autoencode" else 1)
        return self

    def _check_memory(self, width: int, outputs: int) -> None:
        """Refuses networks whose weights, factors and signals do not fit into memory."""
        layers = shapes(self.hidden, width, outputs)
        weights = sum(layer.inputs * layer.units for layer in layers)
        # values, gradients, two moments; factors, inverses and averages; signals of a batch or of what is evaluated
        numbers = 4 * weights + (self.batch + 1000) * sum(layer.units * layer.places for layer in layers)
        if self.optimizer.name not in ("sgd", "adam", "lars", "lamb", "entropy_sgd"):
            numbers += 3 * sum(layer.inputs**2 + layer.units**2 for layer in layers)
        seeds = f" and seeds = {self.seeds}" if self.seeds > 1 else ""
        what = f"The network of {weights} weights{seeds}"
        check_memory(math.log2(8 * self.seeds * numbers), what, "choose smaller layers or fewer seeds")

    def _pairs(self) -> Any:
        from ..data.sets import load
        from ..data.targets import pairs

        return pairs(load(self.data), self.kind.name)

    def record(self) -> dict[str, Any]:
        """As of every spec, and a digest of data in files, by which a folder knows them."""
        return super().record() | digest(self.data)

    def check_data(self) -> None:
        if self.data != "digits":  # which suit every kind
            self._pairs()

    def cited(self) -> tuple[str, ...]:
        return (*super().cited(), *(("Grosse2016",) if self.convolutions and "kfac" in self.optimizer.name else ()))

    def task(self, previous: Any = None) -> Any:
        """The loss of the network on the data."""
        from ..problems.network import network_task

        return network_task(self._pairs(), self.hidden, self.kind.name, self.activation, batch=self.batch)
