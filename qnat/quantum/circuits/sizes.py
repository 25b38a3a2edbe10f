"""How many angles circuits have; imports no array library, so that a command line can judge sizes at once."""

import math


def angles_per_layer(ansatz: str, n: int) -> int:
    """Angles of a layer of an ansatz but "hva" on n qubits, as in `qnat.quantum.circuits.ansatz`."""
    bonds = n if n > 2 else n - 1
    known = {"real": n + 2 * bonds, "hea_ring": 2 * n + bonds, "matchgate": 2 * (n - 1)}
    return known.get(ansatz, 3 * n - 1)


_ANGLES = 2016
"""Angles whose metric is factorised in a fraction of a second; all frames of six qubits, if they are real."""
_ENTRIES = 2**26
"""Numbers in the generators of all angles, 4ⁿ each: half a gigabyte."""


def frame_dimension(n: int, *, is_real: bool) -> int:
    """How many angles an eigenframe of n qubits has: d(d−1)/2 if it is real, else d² − d, d = 2^n."""
    return 2**n * (2**n - 1) // (2 if is_real else 1)


def default_layers(ansatz: str, n: int, angles: int) -> int:
    """Enough layers of so many angles to reach every eigenframe, or as many as a quick step affords, at least 16.

    With fewer angles hot states, in which every eigenvector matters, keep a residual relative entropy that no optimiser
    removes. Free fermions take n/2 layers to reach all of theirs, and four more make the way there easier.
    """
    if ansatz == "matchgate":
        return n // 2 + 4
    n = min(n, 1000)  # where powers of two are long, and no circuit is
    dimension = frame_dimension(n, is_real=ansatz == "real")
    found = math.ceil(min(dimension, _ANGLES, _ENTRIES // 4**n) / max(angles, 1))
    return found if found * angles >= dimension else max(16, found)
