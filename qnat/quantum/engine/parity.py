"""Linear algebra of bits."""

from collections.abc import Iterable

Basis = tuple[int, ...]


def pivot(vector: int) -> int:
    """The place of the highest bit."""
    return vector.bit_length() - 1


def reduce(x: int, basis: Basis) -> int:
    """The one member of x ⊕ W without pivots."""
    for vector in basis:
        if x >> pivot(vector) & 1:
            x ^= vector
    return x


def rank(x: int, basis: Basis) -> int:
    """The pivots of x as a number below 2^r."""
    return sum((x >> pivot(vector) & 1) << i for i, vector in enumerate(basis))


def echelon(vectors: Iterable[int]) -> Basis:
    """A basis of the span; the highest bit of every vector, its pivot, is in no other."""
    basis: Basis = ()
    for x in vectors:
        if rest := reduce(x, basis):
            basis = (*(v ^ rest if v >> pivot(rest) & 1 else v for v in basis), rest)
    return tuple(sorted(basis))
