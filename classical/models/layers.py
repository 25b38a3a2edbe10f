"""Hidden layers in words, and whether they fit; imports no array library, so that a refusal comes at once."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from qnat.experiment.reading import shown

IN_WORDS = (
    "hidden layers: numbers of units, such as 64-32, or convolutions, such as c8k3s2 (8 channels, patches of 3 x 3, "
    "stride 2); the narrowest layer of an autoencoder, its code, is linear; none makes a regression linear in the items"
)
_COUNT = "([1-9][0-9]{0,99})"
_LAYER = re.compile(rf"{_COUNT}|c{_COUNT}k{_COUNT}(?:s{_COUNT})?")
DEEPEST = 100
"""Hidden layers: more take minutes to compile."""


class HiddenLayer(NamedTuple):
    """units, or channels of a convolution with patches of side `kernel`, `stride` apart."""

    units: int
    kernel: int | None = None
    stride: int = 1


def hidden(layers: str) -> list[HiddenLayer]:
    """The layers that the words, such as c8k3-32, describe; "none" describes no layer."""
    found, words = [], [] if layers == "none" else layers.split("-")
    check_depth(words)
    for word in words:
        if (match := _LAYER.fullmatch(word)) is None:
            raise ValueError(
                f"'{shown(word, 60)}' is not a layer; give numbers of units or convolutions, such as c8k3-32, or none."
            )
        units, channels, kernel, stride = match.groups()
        found.append(HiddenLayer(int(units or channels), int(kernel) if kernel else None, int(stride or 1)))
    return found


def check_depth(words: Sequence[str]) -> None:
    """Refuses networks that nobody compiles."""
    if len(words) > DEEPEST:
        raise ValueError(f"There are {len(words)} hidden layers; at most {DEEPEST} compile in a few minutes.")


def checked(layers: str) -> str:
    """The words themselves, if they describe layers."""
    hidden(layers)
    return layers


def check_pictures(layers: Sequence[HiddenLayer], width: int) -> None:
    """Refuses convolutions of items that are no square pictures, or too small ones, and those after dense layers."""
    side = math.isqrt(width)
    for before, layer in zip((None, *layers), layers, strict=False):
        if layer.kernel is None:
            continue
        if before is not None and before.kernel is None:
            raise ValueError(
                "A convolution stands after a layer of units, which are no picture; put convolutions first."
            )
        if before is None and side**2 != width:
            raise ValueError(f"Items of {width} values are no square pictures; leave convolutions out.")
        if layer.kernel > side:
            raise ValueError(f"Patches of side {layer.kernel} do not fit into {side} x {side}; choose smaller ones.")
        side = (side - layer.kernel) // layer.stride + 1


class Shape(NamedTuple):
    """Of the weights of a layer: inputs of a unit, the bias among them, units, and places where they act."""

    inputs: int
    units: int
    places: int


def shapes(layers: Sequence[HiddenLayer], width: int, outputs: int) -> list[Shape]:
    """Those of a network that `check_pictures` passes, on items of `width` values."""
    found, side, before = [], math.isqrt(width), 1 if layers and layers[0].kernel else width
    for layer in layers:
        if layer.kernel is None:
            found.append(Shape(before + 1, layer.units, 1))
            before = layer.units
            continue
        side = (side - layer.kernel) // layer.stride + 1
        found.append(Shape(layer.kernel**2 * before + 1, layer.units, side**2))
        dense_follows = layer is layers[-1] or layers[len(found)].kernel is None
        before = layer.units * side**2 if dense_follows else layer.units
    return [*found, Shape(before + 1, outputs, 1)]
