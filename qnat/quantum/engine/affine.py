"""Affine maps of bit strings, x ↦ Ax ⊕ c over GF(2): what CNOT, X and SWAP do to basis states, for free.

A map of n bits is n + 1 integers, the images of the unit vectors and of zero, so that applying, composing and inverting
are a few exclusive-ors. Bit j counts from the least significant.
"""

from typing import NamedTuple, Self

import numpy as np
from jaxtyping import Int


class Affine(NamedTuple):
    """x ↦ Ax ⊕ c: `columns[j]` is A applied to bit j, `offset` is c."""

    columns: tuple[int, ...]
    offset: int = 0

    @classmethod
    def identity(cls, n: int) -> Self:
        """x ↦ x on n bits."""
        return cls(tuple(1 << j for j in range(n)))

    @classmethod
    def moving(cls, places: tuple[int, ...]) -> Self:
        """Bit j moves to bit places[j]."""
        return cls(tuple(1 << place for place in places))

    def linear(self, x: int) -> int:
        """Ax."""
        image = 0
        while x:
            low = x & -x
            image ^= self.columns[low.bit_length() - 1]
            x ^= low
        return image

    def __call__(self, x: int) -> int:
        return self.linear(x) ^ self.offset

    def after(self, first: "Affine") -> "Affine":
        """x ↦ self(first(x))."""
        return Affine(tuple(map(self.linear, first.columns)), self(first.offset))

    def inverse(self) -> "Affine":
        """The inverse map, by Gauss–Jordan elimination on pairs (image, preimage)."""
        n = len(self.columns)
        pairs = [(image, 1 << j) for j, image in enumerate(self.columns)]
        for bit in range(n):
            pivot = next(i for i in range(bit, n) if pairs[i][0] >> bit & 1)
            pairs[bit], pairs[pivot] = pairs[pivot], pairs[bit]
            image, preimage = pairs[bit]
            pairs = [
                (a ^ image, b ^ preimage) if i != bit and a >> bit & 1 else (a, b) for i, (a, b) in enumerate(pairs)
            ]
        linear = Affine(tuple(b for _, b in pairs))
        return linear._replace(offset=linear(self.offset))

    def embedded(self, places: tuple[int, ...], n: int) -> "Affine":
        """The map of n bits that acts on the given places as this one, place j holding bit j."""
        move = Affine.moving(places)
        columns = list(Affine.identity(n).columns)
        for place, image in zip(places, self.columns, strict=True):
            columns[place] = move.linear(image)
        return Affine(tuple(columns), move.linear(self.offset))

    def tables(self, low: int) -> tuple[Int[np.ndarray, " hi"], Int[np.ndarray, " lo"]]:
        """Two short tables with map(y) = high[y >> low] ^ low[y & (2^low − 1)]."""
        images = []
        for columns in (self.columns[low:], self.columns[:low]):
            table = np.zeros(1, np.int32)
            for column in columns:
                table = np.concatenate([table, table ^ np.int32(column)])
            images.append(table)
        return images[0] ^ np.int32(self.offset), images[1]


def recognise(matrix: np.ndarray) -> Affine | None:
    """The affine map y = f(x) of a permutation matrix with ones at [f(x), x], or None where there is no such map."""
    dimension = len(matrix)
    if not ((matrix == 0) | (matrix == 1)).all():
        return None
    images = [int(y) for y in np.argmax(matrix, axis=0)]
    bits = dimension.bit_length() - 1
    found = Affine(tuple(images[1 << j] ^ images[0] for j in range(bits)), images[0])
    return found if [found(x) for x in range(dimension)] == images else None
