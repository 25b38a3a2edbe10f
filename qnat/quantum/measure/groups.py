"""Pauli strings that one setting measures together, and shots divided among settings."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..circuits.circuit import Circuit, unitary
from ..operators.pauli import PauliSum

# what takes the eigenstates of a letter to those of Z: H, and H S†
TO_Z = {"X": np.array([[1, 1], [1, -1]]) / np.sqrt(2), "Y": np.array([[1, -1j], [1, 1j]]) / np.sqrt(2)}


class Group(NamedTuple):
    """Pauli strings that one setting of the wires measures together.

    Attributes:
        basis: X, Y or Z for every wire: in whose eigenbasis it is measured.
        terms: which strings of the sum.
    """

    basis: str
    terms: tuple[int, ...]


def commuting_groups(observable: PauliSum) -> tuple[Group, ...]:
    """Groups of qubit-wise commuting strings, greedily from the largest |coefficient| down; the identity is left out.

    Two strings commute qubit by qubit if on every wire their letters are equal or one is the identity. The coefficients
    must be known numbers, not traced.
    """
    found: list[tuple[list[str], list[int]]] = []
    for term in np.argsort(-np.abs(np.asarray(observable.coefficients)), kind="stable").tolist():
        string = observable.strings[term]
        if set(string) == {"I"}:
            continue
        for basis, terms in found:
            if all("I" in pair or pair[0] == pair[1] for pair in zip(basis, string, strict=True)):
                basis[:] = [b if letter == "I" else letter for b, letter in zip(basis, string, strict=True)]
                terms.append(term)
                break
        else:
            found.append((list(string), [term]))
    return tuple(Group("".join(basis).replace("I", "Z"), tuple(terms)) for basis, terms in found)


def in_basis(circuit: Circuit, basis: str) -> Circuit:
    """The circuit followed by the rotations that make a measurement of Z one of the given letters."""
    rotations = tuple(unitary(TO_Z[letter], wire) for wire, letter in enumerate(basis) if letter != "Z")
    return Circuit(circuit.n, circuit.block * circuit.layers + rotations) if rotations else circuit


def allocate(shots: int, deviations: Sequence[float] | Float[np.ndarray, " G"]) -> tuple[int, ...]:
    """Shots for each group, in proportion to its one-shot standard deviation, at least the two that an error bar needs.

    That division has the least variance of all, (Σσ)²/N.

    Raises:
        ValueError: fewer than two shots a group.
    """
    sigma = np.asarray(deviations, float)
    if shots < 2 * sigma.size:
        raise ValueError(
            f"{shots} shots are too few: an error bar needs two for each of the {sigma.size} groups of commuting "
            f"strings; give at least {2 * sigma.size}."
        )
    sigma = sigma if sigma.sum() > 0 else np.ones_like(sigma)
    beyond = np.maximum(shots * sigma / sigma.sum() - 2, 0)
    beyond *= (shots - 2 * sigma.size) / max(beyond.sum(), 1)
    whole = np.floor(beyond + 1e-9)
    whole[np.argsort(whole - beyond, kind="stable")[: shots - 2 * sigma.size - int(whole.sum())]] += 1
    return tuple((2 + whole).astype(int).tolist())
