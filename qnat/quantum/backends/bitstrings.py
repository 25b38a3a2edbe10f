"""Measurement outcomes in other packages' orders. Ours: wire 0 first, the most significant bit, as PennyLane's."""

from collections.abc import Iterable, Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int


def bits_from_qiskit(outcomes: Mapping[str, int] | Iterable[str]) -> Int[Array, "shots n"]:
    """Outcomes in Qiskit's order, whose rightmost character is qubit 0, as bits with wire 0 first.

    Args:
        outcomes: bit strings such as "011", one a shot, or counts of them; spaces between registers are skipped.
    """
    counts = dict(outcomes) if isinstance(outcomes, Mapping) else None
    strings = [string.replace(" ", "") for string in (counts if counts is not None else outcomes)]
    if not strings or len({len(s) for s in strings}) > 1 or not set("".join(strings)) <= {"0", "1"} or not strings[0]:
        raise ValueError(f"Outcomes are bit strings of one length, such as '011'; got {strings[:4]}.")
    repeats = [1] * len(strings) if counts is None else list(counts.values())
    if min(repeats) < 0 or not all(isinstance(repeat, int | np.integer) for repeat in repeats):
        raise ValueError(f"Counts are whole numbers of at least 0; got {repeats[:4]}.")
    rows = np.array([[int(bit) for bit in reversed(string)] for string in strings])
    return jnp.asarray(np.repeat(rows, repeats, axis=0))
