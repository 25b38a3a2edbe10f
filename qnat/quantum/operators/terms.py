"""Pauli terms in words, full or sparse; imports no array library, so that a command line can judge them at once."""

from collections.abc import Sequence

Terms = list[tuple[str, float]]
"""(string, coefficient) pairs: all strings full, such as "XIIZ", or all sparse, as "X0 Z3", "" for the identity."""

ROUNDING = 1e-12
"""Imaginary parts below it, in units of the largest coefficient, are rounding."""

_MOST_LETTERS = 2**28


def is_full(string: str) -> bool:
    """Whether a string has a letter for every qubit."""
    return string.isalpha()


def is_identity(string: str) -> bool:
    """Whether a string acts on no qubit."""
    return not set("XYZ").intersection(string)


def qubits(terms: Sequence[tuple[str, float]]) -> int:
    """How many qubits terms act on: the letters of full strings, or one more than the largest number of sparse ones."""
    if is_full(terms[0][0]):
        return len(terms[0][0])
    return 1 + max((int(factor[1:]) for string, _ in terms for factor in string.split()), default=0)


def full(terms: Sequence[tuple[str, float]], n: int) -> Terms:
    """The terms with full strings on n qubits.

    Raises:
        ValueError: they act on other qubits, or are too many letters to write down.
    """
    found = qubits(terms)
    if found > n or (found < n and is_full(terms[0][0])):
        raise ValueError(f"n is {n}, but the terms act on {found} qubits.")
    if n * len(terms) > _MOST_LETTERS:
        raise ValueError(f"{len(terms)} strings on n = {n} qubits are too long to write down; number fewer qubits.")
    return [(string if is_full(string) else _full(string, n), coefficient) for string, coefficient in terms]


def _full(string: str, n: int) -> str:
    letters = ["I"] * n
    for factor in string.split():
        letters[int(factor[1:])] = factor[0]
    return "".join(letters)
