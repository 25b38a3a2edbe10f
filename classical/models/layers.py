"""Hidden layers in words, and whether they fit; imports no array library, so that a refusal comes at once."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

IN_WORDS = (
    "hidden layers: numbers of units, such as 64-32, or convolutions, such as c8k3s2 (8 channels, patches of 3 x 3, "
    "stride 2); the narrowest layer of an autoencoder, its code, is linear"
)
_LAYER = re.compile(r"([1-9]\d*)|c([1-9]\d*)k([1-9]\d*)(?:s([1-9]\d*))?")


class HiddenLayer(NamedTuple):
    """units, or channels of a convolution with patches of side `kernel`, `stride` apart."""

    units: int
    kernel: int | None = None
    stride: int = 1


def hidden(layers: str) -> list[HiddenLayer]:
    """The layers that the words, such as c8k3-32, describe."""
    found = []
    for word in layers.split("-"):
        if (match := _LAYER.fullmatch(word)) is None:
            raise ValueError(f"'{word}' is not a layer; give numbers of units or convolutions, such as c8k3-32.")
        units, channels, kernel, stride = match.groups()
        found.append(HiddenLayer(int(units or channels), int(kernel) if kernel else None, int(stride or 1)))
    return found


def checked(layers: str) -> str:
    """The words themselves, if they describe layers."""
    hidden(layers)
    return layers


def check_pictures(layers: Sequence[HiddenLayer], width: int) -> None:
    """Refuses convolutions of items that are no square pictures, or too small ones."""
    side = math.isqrt(width)
    for layer in layers:
        if layer.kernel is None:
            return
        if side**2 != width and layer == layers[0]:
            raise ValueError(f"Items of {width} values are no square pictures; leave convolutions out.")
        if layer.kernel > side:
            raise ValueError(f"Patches of side {layer.kernel} do not fit into {side} x {side}; choose smaller ones.")
        side = (side - layer.kernel) // layer.stride + 1
