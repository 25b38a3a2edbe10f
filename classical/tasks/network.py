"""The spec of networks."""

import math
import re
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, model_validator

from qnat.experiment.errors import RefusedError
from qnat.experiment.words import optimisers as shared
from qnat.experiment.words.parts import Part
from qnat.experiment.words.spec import RunSpec

from ..data.headers import NO_LABELS, check_batch, header
from . import optimisers as own

_LAYER = re.compile(r"([1-9]\d*)|c([1-9]\d*)k([1-9]\d*)(?:s([1-9]\d*))?")


class HiddenLayer(NamedTuple):
    """units, or channels of a convolution with patches of side `kernel`, `stride` apart."""

    units: int
    kernel: int | None = None
    stride: int = 1


def _hidden(layers: str) -> list[HiddenLayer]:
    found = []
    for word in layers.split("-"):
        if (match := _LAYER.fullmatch(word)) is None:
            raise ValueError(f"'{word}' is not a layer; give numbers of units or convolutions, such as c8k3-32.")
        units, channels, kernel, stride = match.groups()
        found.append(HiddenLayer(int(units or channels), int(kernel) if kernel else None, int(stride or 1)))
    return found


def _known(layers: str) -> str:
    return layers if _hidden(layers) else ""


Layers = Annotated[
    str,
    AfterValidator(_known),
    Field(
        description="hidden layers: numbers of units, such as 64-32, or convolutions, such as c8k3s2 (8 channels, "
        "patches of 3 x 3, stride 2); the narrowest layer of an autoencoder, its code, is linear"
    ),
]


class Autoencode(Part):
    """The item itself, of bits."""

    name: Literal["autoencode"] = "autoencode"
    layers: Layers = "48-24-8-24-48"


class Classify(Part):
    """The label."""

    name: Literal["classify"] = "classify"
    layers: Layers = "64-32"


class Regress(Part):
    """A number."""

    name: Literal["regress"] = "regress"
    layers: Layers = "64-32"


class NetworkSpec(RunSpec):
    """Train a network on data: an autoencoder, a classifier or a regression.

    Losses are in nats, means over items. 15 steps are one epoch of the digits.
    """

    task_name: ClassVar[str] = "network"
    trains = "classical.problems.network:NetworkTask"

    data: str = Field(
        "digits",
        description="digits, or a path: a folder of MNIST (IDX files) or binarised MNIST (.mat), FOLDER/NAME of "
        "NAME.train.data and NAME.test.data, german.data-numeric, a .npy file",
    )
    kind: Autoencode | Classify | Regress = Field(
        Autoencode(),
        description="autoencode: reproduce the item, values in [0, 1] taken as probabilities of bits; classify: its "
        "label; regress: its label as a number, or the last value of an item without label",
    )
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
    ) = Field(
        own.Kfac(),
        description="kfac: its direction, with momentum; kfac_full: rescaled by the exact Fisher, with dampings that "
        "adapt; natural: of the subsampled Fisher of the batch",
    )
    steps: int = Field(450, ge=0, description="optimiser steps")
    every: int = Field(15, ge=1, description="steps between evaluations")

    @property
    def hidden(self) -> list[HiddenLayer]:
        """The hidden layers."""
        return _hidden(self.kind.layers)

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
        side = math.isqrt(width)
        for _, kernel, stride in self.hidden:
            if kernel is None:
                break
            if side == math.isqrt(width) and side**2 != width:
                raise ValueError(f"Items of {width} values are no square pictures; leave convolutions out.")
            if kernel > side:
                raise ValueError(f"Patches of side {kernel} do not fit into {side} x {side}; choose smaller ones.")
            side = (side - kernel) // stride + 1
        return self

    def _pairs(self) -> Any:
        from ..data.sets import load
        from ..data.targets import pairs

        return pairs(load(self.data), self.kind.name)

    def check_data(self) -> None:
        if self.data != "digits":  # which suit every kind
            self._pairs()

    def cited(self) -> tuple[str, ...]:
        return (*super().cited(), *(("Grosse2016",) if self.convolutions and "kfac" in self.optimizer.name else ()))

    def task(self, previous: Any = None) -> Any:
        """The loss of the network on the data."""
        from ..problems.network import network_task

        return network_task(self._pairs(), self.hidden, self.kind.name, self.activation, batch=self.batch)
