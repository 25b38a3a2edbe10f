"""Expectations of Pauli strings from measured copies, with their covariance."""

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact, Int, PRNGKeyArray

from ..operators.pauli import PauliSum, as_coefficients, masks, row_phases
from .counts_file import Counts, check_measured, compatible
from .groups import commuting_groups


class Moments(NamedTuple):
    """Expectations of Pauli strings and what is known about their error.

    Attributes:
        strings: T Pauli strings. values: (T,) their expectations, in [−1, 1] if they are exact.
        covariance: (T, T) of the values; 0 if they are exact.
        copies: how many copies of the state were used; 0 if they are exact.
    """

    strings: tuple[str, ...]
    values: Float[np.ndarray, " T"]
    covariance: Float[np.ndarray, "T T"]
    copies: int

    @property
    def errors(self) -> Float[np.ndarray, " T"]:
        """Standard errors of the values."""
        return np.sqrt(np.diagonal(self.covariance))

    def of(self, strings: Sequence[str]) -> "Moments":
        """The moments of these strings, in this order."""
        missing = [string for string in strings if string not in self.strings]
        if missing:
            raise ValueError(
                f"There is no moment of {', '.join(missing[:6])}; measure it, or leave it out of the model."
            )
        rows = [self.strings.index(string) for string in strings]
        return Moments(tuple(strings), self.values[rows], self.covariance[np.ix_(rows, rows)], self.copies)


def exact_moments(sigma: Inexact[Array, "d d"], strings: Sequence[str]) -> Moments:
    """Tr σP of every string, without error."""
    matrix = np.asarray(sigma)
    rows = np.arange(len(matrix))
    values = []
    for string in strings:
        x, z = masks(string)
        values.append(np.sum(row_phases(x, z, len(string)) * matrix[rows ^ x, rows]).real)
    return Moments(tuple(strings), np.array(values), np.zeros((len(values), len(values))), 0)


def all_settings(n: int) -> tuple[str, ...]:
    """The 3ⁿ settings of n wires; they measure every Pauli string, a string of weight w in 3ⁿ⁻ʷ of them."""
    return tuple("".join(letters) for letters in itertools.product("XYZ", repeat=n))


def covering_settings(strings: Sequence[str]) -> tuple[str, ...]:
    """Few settings that measure every string, by greedy grouping, the strings of most letters first.

    The nearest-neighbour strings of a chain of any length need nine.
    """
    weights = as_coefficients([len(string) - string.count("I") for string in strings])
    return tuple(group.basis for group in commuting_groups(PauliSum(weights, tuple(strings))))


def generator(key: PRNGKeyArray) -> np.random.Generator:
    """A NumPy generator from a typed key: it draws multinomials, which JAX draws one outcome at a time."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())


def outcome_probabilities(sigma: Inexact[np.ndarray, "d d"], setting: str) -> Float[np.ndarray, " d"]:
    """Probability of every bit string when wire q is measured along letter q of the setting."""
    rotation = functools.reduce(np.kron, [_EIGENBRAS[letter] for letter in setting])
    p = np.maximum(np.einsum("xi,xi->x", rotation @ sigma, rotation.conj()).real, 0.0)
    return p / p.sum()


def measure(sigma: Inexact[Array, "d d"], settings: Sequence[str], shots: int, *, key: PRNGKeyArray) -> Counts:
    """Counts of `shots` simulated measurements of σ in each setting; every shot uses up a copy."""
    if shots < 1:
        raise ValueError(f"shots is {shots}; a setting needs at least one.")
    random, matrix = generator(key), np.asarray(sigma)
    found: Counts = {}
    for setting in settings:
        drawn = random.multinomial(shots, outcome_probabilities(matrix, setting))
        found[setting] = {f"{x:0{len(setting)}b}": int(drawn[x]) for x in np.flatnonzero(drawn)}
    return found


def estimate(counts: Mapping[str, Mapping[str, int]], strings: Sequence[str]) -> Moments:
    """Expectations of Pauli strings, each pooled over all settings that measure it, and their covariance.

    The pooled mean over N_P shots has the least variance, (1 − ⟨P⟩²)/N_P, because every shot has the same. Two strings
    correlate through the shots that measured both: Cov(P̂, Q̂) = Σ (P − ⟨P⟩)(Q − ⟨Q⟩)/(N_P N_Q) over these, which is
    estimated with the measured means, times √(N_P N_Q/((N_P − 1)(N_Q − 1))): positive semidefinite, and without bias
    on the diagonal. A string whose outcomes were all equal gets the error 0, as ever.

    Raises:
        ValueError: a string that no setting measures, or that a single shot measured, by name.
    """
    check_measured(strings, counts)
    support = np.array([[letter != "I" for letter in string] for string in strings])
    members = np.array([[compatible(string, setting) for string in strings] for setting in counts], dtype=float)
    shots = np.array([sum(found.values()) for found in counts.values()])
    totals = shots @ members
    if (totals < 2).any():
        raise ValueError(f"{strings[int(np.argmin(totals))]} was measured once, which gives no error; take more shots.")
    tables = [_parities(found, support) for found in counts.values()]
    values = sum(member * (weights @ signs) for member, (weights, signs) in zip(members, tables, strict=True)) / totals
    covariance = np.zeros((len(strings), len(strings)))
    for member, (weights, signs) in zip(members, tables, strict=True):
        centred = member * (signs - values) / totals
        covariance += (weights * centred.T) @ centred
    bessel = np.sqrt(totals / (totals - 1))
    return Moments(tuple(strings), values, covariance * np.outer(bessel, bessel), int(shots.sum()))


def _parities(
    found: Mapping[str, int], support: np.ndarray
) -> tuple[Int[np.ndarray, " outcomes"], Float[np.ndarray, "outcomes T"]]:
    """How often each outcome came, and the product of the measured signs over the support of each string."""
    bits = np.array([[int(bit) for bit in outcome] for outcome in found])
    return np.array(list(found.values())), 1.0 - 2.0 * (bits @ support.T % 2)


_EIGENBRAS: dict[str, Complex[np.ndarray, "2 2"]] = {
    "X": np.array([[1, 1], [1, -1]]) / np.sqrt(2),
    "Y": np.array([[1, -1j], [1, 1j]]) / np.sqrt(2),
    "Z": np.eye(2),
}
