"""Hypothesis strategies of this room: Pauli strings and sums, gates, circuits, counts; for tests of your own.

Circuits are static: every one drawn compiles anew, so draw few, of few wires. Hypothesis is needed, and loaded, by
this module alone: `pip install hypothesis`.
"""

import hypothesis.strategies as st
import numpy as np

from .backends.laws import KINDS, make_gate
from .circuits.circuit import Circuit, Gate
from .measure.counts_file import Counts
from .operators.pauli import PauliSum


def pauli_strings(wires: int, *, letters: str = "IXYZ") -> st.SearchStrategy[str]:
    """Pauli strings on so many wires, such as "XIZ"; they shrink towards the first of the letters."""
    return st.text(st.sampled_from(letters), min_size=wires, max_size=wires)


@st.composite
def pauli_sums(draw: st.DrawFn, wires: int, terms: int, *, bound: float = 2.0) -> PauliSum:
    """Sums of so many different Pauli strings, with coefficients between −bound and bound."""
    strings = draw(st.lists(pauli_strings(wires), min_size=terms, max_size=terms, unique=True))
    number = st.floats(-bound, bound, allow_subnormal=False)
    return PauliSum.from_terms(zip(strings, draw(st.lists(number, min_size=terms, max_size=terms)), strict=True))


@st.composite
def gates(draw: st.DrawFn, wires: int) -> Gate:
    """Gates of every kind on some of so many wires: rotations, phases, their controlled forms, fixed matrices."""
    order = tuple(draw(st.permutations(range(wires))))
    letters = draw(st.text(st.sampled_from("XYZ"), min_size=1, max_size=min(wires, 3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return make_gate(draw(st.sampled_from(KINDS)), order, letters, rng)


@st.composite
def circuits(
    draw: st.DrawFn, *, wires: int | st.SearchStrategy[int], max_gates: int = 10, max_layers: int = 2
) -> Circuit:
    """Circuits of a block of 0 to `max_gates` gates, repeated 0 to `max_layers` times.

    Args:
        draw: from Hypothesis.
        wires: how many, or a strategy such as `st.integers(1, 6)`.
        max_gates, max_layers: the most of them.
    """
    n = wires if isinstance(wires, int) else draw(wires)
    block = draw(st.lists(gates(n), max_size=max_gates))
    return Circuit(n, tuple(block), draw(st.integers(0, max_layers)))


@st.composite
def counts(draw: st.DrawFn, wires: int, settings: int, *, max_count: int = 1000) -> Counts:
    """Counts of so many different Pauli settings, as `read_counts` gives them; each has been measured at least once."""
    axes = pauli_strings(wires, letters="XYZ")
    outcome = st.text(st.sampled_from("01"), min_size=wires, max_size=wires)
    found = st.dictionaries(outcome, st.integers(1, max_count), min_size=1)
    return draw(st.dictionaries(axes, found, min_size=settings, max_size=settings))
