"""The spec of networks."""

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from qnat.experiment.errors import RefusedError
from qnat.experiment.words.spec import RunSpec

from ..data.headers import NO_LABELS, check_batch, header
from .bibliography import entries

if TYPE_CHECKING:
    import optax

    from qnat.experiment.task import Task
    from qnat.inference.process import Process

    from ..data.targets import Pairs
    from ..problems.network import NetworkTask

_LABELLED = ("kfac", "kfac_full", "natural", "kld_wrm_so", "kld_wrm_q", "kld_wrm_qe")
_AVERAGED = ("kfac", "foof", "kld_wrm_so", "kld_wrm_q", "kld_wrm_qe")
_LEARNING_RATES = {
    "kfac": 0.03,
    "foof": 0.03,
    "natural": 0.3,
    "kld_wrm_so": 0.03,
    "kld_wrm_q": 0.2,
    "kld_wrm_qe": 0.1,
    "sgd": 0.03,
    "adam": 0.01,
    "lars": 20.0,
    "lamb": 0.02,
    "entropy_sgd": 1.0,
}
_DAMPINGS = {"natural": 10.0, "foof": 0.03, "kld_wrm_q": 3e-3}
_MEMORIES = {"kld_wrm_so": 0.33, "kld_wrm_q": 0.33, "kld_wrm_qe": 0.5}
_LAYERS = {"autoencode": "48-24-8-24-48", "classify": "64-32", "regress": "64-32"}
_LAYER = re.compile(r"(?P<units>[1-9]\d*)|c(?P<channels>[1-9]\d*)k(?P<kernel>[1-9]\d*)(s(?P<stride>[1-9]\d*))?")


class HiddenLayer(NamedTuple):
    """units, or channels of a convolution with patches of side `kernel`, `stride` apart."""

    units: int
    kernel: int | None = None
    stride: int = 1


class NetworkSpec(RunSpec):
    """Train a network on data: an autoencoder, a classifier or a regression.

    Losses are in nats, means over items. 15 steps are one epoch of the digits.
    """

    task_name: ClassVar[str] = "network"
    used_with: ClassVar[tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = (
        ("optimizer", tuple(_LEARNING_RATES), ("learning_rate",)),
        ("optimizer", (*_AVERAGED, "kfac_full", "natural"), ("damping",)),
        ("optimizer", _LABELLED, ("metric",)),
        ("optimizer", _AVERAGED, ("memory",)),
        ("optimizer", (*_AVERAGED, "kfac_full"), ("metric_items",)),
        ("optimizer", ("kfac", "kfac_full", "foof", "kld_wrm_so"), ("refresh",)),
        ("optimizer", ("kfac",), ("factored",)),
        ("optimizer", ("kld_wrm_q", "kld_wrm_qe"), ("clip",)),
        ("optimizer", ("kfac", "foof", "sgd"), ("momentum",)),
        ("optimizer", ("entropy_sgd",), ("inner_steps", "scope", "noise")),
    )

    data: str = Field(
        "digits",
        description="digits, or a path: a folder of MNIST (IDX files) or binarised MNIST (.mat), FOLDER/NAME of "
        "NAME.train.data and NAME.test.data, german.data-numeric, a .npy file",
    )
    kind: Literal["autoencode", "classify", "regress"] = Field(
        "autoencode",
        description="autoencode: reproduce the item, values in [0, 1] taken as probabilities of bits; classify: its "
        "label; regress: its label as a number, or the last value of an item without label",
    )
    layers: str | None = Field(
        None,
        description="hidden layers: numbers of units, such as 64-32, or convolutions, such as c8k3s2 (8 channels, "
        "patches of 3 x 3, stride 2); the narrowest layer of an autoencoder, its code, is linear (default "
        + ", ".join(f"{layers} ({kind})" for kind, layers in _LAYERS.items())
        + ")",
    )
    activation: Literal["tanh", "relu", "sigmoid"] = Field("tanh", description="activation of the hidden layers")
    batch: int = Field(100, ge=1, description="items in a batch")
    optimizer: Literal[
        "kfac",
        "kfac_full",
        "foof",
        "natural",
        "kld_wrm_so",
        "kld_wrm_q",
        "kld_wrm_qe",
        "sgd",
        "adam",
        "lars",
        "lamb",
        "entropy_sgd",
    ] = Field(
        "kfac",
        description="kfac: its direction, with momentum; kfac_full: rescaled by the exact Fisher, with dampings that "
        "adapt; natural: of the subsampled Fisher of the batch",
    )
    learning_rate: float | None = Field(
        None, gt=0, description="default " + ", ".join(f"{rate:g} ({name})" for name, rate in _LEARNING_RATES.items())
    )
    damping: float | None = Field(
        None,
        gt=0,
        description="added to the Fisher matrix; where it adapts, at the start (default 0.01, "
        + ", ".join(f"{value:g} ({name})" for name, value in _DAMPINGS.items())
        + ")",
    )
    factored: bool | None = Field(
        True, description="damp the two factors of kfac, balanced by their sizes, or else their product"
    )
    metric: Literal["sampled", "exact", "empirical"] | None = Field(
        "sampled",
        description="Fisher matrix: targets sampled from the model, all of them in their proportion, or those of the "
        "data",
    )
    metric_items: int | None = Field(
        None, ge=1, description="items of a batch that the Fisher matrix is taken from (default all)"
    )
    memory: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="what the average of the Fisher matrices keeps at a step (default 0.95, "
        + ", ".join(f"{value:g} ({name})" for name, value in _MEMORIES.items())
        + ")",
    )
    refresh: int | None = Field(
        None,
        ge=1,
        description="steps from one inverse of the Fisher matrix to the next (default 20, 1 for kld_wrm_so)",
    )
    clip: float | None = Field(
        0.03, gt=0, description="longest step of kld_wrm_q: the square of its length in the metric"
    )
    momentum: float | None = Field(0.9, ge=0, lt=1, description="momentum")
    inner_steps: int | None = Field(20, ge=0, description="steps of the random walk of entropy_sgd, one gradient each")
    scope: float | None = Field(1e-4, ge=0, description="gamma of entropy_sgd: how strongly its walk is held")
    noise: float | None = Field(1e-4, ge=0, description="noise of the walk of entropy_sgd")
    steps: int = Field(450, ge=0, description="optimiser steps (460 for entropy_sgd unless given)")
    every: int = Field(15, ge=1, description="steps between evaluations (20 for entropy_sgd unless given)")

    @field_validator("layers")
    @classmethod
    def _known_layers(cls, layers: str | None) -> str | None:
        for word in () if layers is None else layers.split("-"):
            if _LAYER.fullmatch(word) is None:
                raise ValueError(f"'{word}' is not a layer; give numbers of units or convolutions, such as c8k3-32.")
        return layers

    @property
    def hidden(self) -> list[HiddenLayer]:
        """The hidden layers."""
        found = []
        for match in map(_LAYER.fullmatch, (self.layers or "").split("-")):
            assert match is not None  # the validator saw to that
            if match["units"]:
                found.append(HiddenLayer(int(match["units"])))
            else:
                found.append(HiddenLayer(int(match["channels"]), int(match["kernel"]), int(match["stride"] or 1)))
        return found

    def pairs(self) -> "Pairs":
        """Inputs and targets."""
        from ..data.sets import load
        from ..data.targets import pairs

        return pairs(load(self.data), self.kind)

    @model_validator(mode="after")
    def _network(self) -> Self:
        if self.layers is None:
            self._resolve("layers", _LAYERS[self.kind])
        if self.learning_rate is None:
            self._resolve("learning_rate", _LEARNING_RATES.get(self.optimizer))
        if self.damping is None and "damping" not in self.unused(self.__dict__):
            self._resolve("damping", _DAMPINGS.get(self.optimizer, 0.01))
        if self.memory is None and self.optimizer in _AVERAGED:
            self._resolve("memory", _MEMORIES.get(self.optimizer, 0.95))
        if self.refresh is None and "refresh" not in self.unused(self.__dict__):
            self._resolve("refresh", 1 if self.optimizer == "kld_wrm_so" else 20)
        if self.optimizer == "natural" and self.metric == "exact":
            raise ValueError("metric exact is not used with optimizer natural; choose sampled or empirical.")
        if self.optimizer == "entropy_sgd":
            self._resolve_walk()
        self._check_shapes()
        return self

    def _resolve_walk(self) -> None:
        """Steps and evaluations at the ends of walks."""
        for name, value in (("steps", 460), ("every", 20)):
            if name not in self.model_fields_set:
                self._resolve(name, value)

    def _check_shapes(self) -> None:
        """Refuses data whose shapes do not suit."""
        found = header(self.data)
        if self.kind == "classify" and not found.labelled:
            raise RefusedError(NO_LABELS)
        check_batch(self.batch, found.train)
        if self.metric_items is not None and self.metric_items > self.batch:
            raise ValueError(f"metric_items is {self.metric_items}, but a batch has {self.batch}; take at most those.")
        width = found.inputs(self.kind)
        if not width:
            raise ValueError("The items have one value, which is the target of regress; give items with more values.")
        side = math.isqrt(width)
        for layer in self.hidden:
            if layer.kernel is None:
                return
            if side**2 != width and layer == self.hidden[0]:
                raise ValueError(f"Items of {width} values are no square pictures; leave convolutions out.")
            if layer.kernel > side:
                raise ValueError(
                    f"Patches of side {layer.kernel} do not fit into {side} x {side}; choose smaller ones."
                )
            side = (side - layer.kernel) // layer.stride + 1

    def check_data(self) -> None:
        if self.data != "digits":  # which suit every kind
            self.pairs()

    def citations(self) -> Mapping[str, str]:
        """BibTeX entries of the optimiser and the layers."""
        convolutions = any(layer.kernel for layer in self.hidden) and "kfac" in self.optimizer
        return entries(self.optimizer, *(["convolutions"] if convolutions else []))

    @classmethod
    def problem(cls) -> "type[Task]":
        from ..problems.network import NetworkTask

        return NetworkTask

    def task(self) -> "NetworkTask":
        """The loss of the network on the data."""
        from .network_objects import task

        return task(self)

    def transform(self, task: "Task") -> "optax.GradientTransformation | Process":
        """The optimiser for that task."""
        from .network_objects import transform

        return transform(self, task)
