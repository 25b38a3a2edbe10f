"""Model Hamiltonians as Pauli sums. Energies are in the units of the couplings; wire 0 is the leftmost factor."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from .pauli import PauliSum


def bonds(rows: int, columns: int, *, periodic: bool = False) -> tuple[tuple[int, int], ...]:
    """Nearest-neighbour bonds of a rows x columns lattice, sites numbered row by row.

    Each bond stands once: a periodic side of length two closes onto the bond it already has, and adds nothing.
    """
    pairs: dict[tuple[int, int], None] = {}
    for row in range(rows):
        for column in range(columns):
            for down, right in ((0, 1), (1, 0)):
                i, j = row + down, column + right
                if periodic:
                    i, j = i % rows, j % columns
                if i < rows and j < columns and (i, j) != (row, column):
                    ends = sorted((row * columns + column, i * columns + j))
                    pairs[ends[0], ends[1]] = None
    return tuple(pairs)


def string_at(letters: str, wires: Sequence[int], n: int) -> str:
    """The Pauli string on n wires with the given letters on the given wires, identity elsewhere."""
    string = ["I"] * n
    for letter, wire in zip(letters, wires, strict=True):
        string[wire] = letter
    return "".join(string)


def tfim(
    rows: int,
    columns: int,
    *,
    coupling: float | Float[Array, ""] = 1.0,
    field: float | Float[Array, ""] = 1.0,
    periodic: bool = False,
) -> PauliSum:
    """Transverse-field Ising model H = −J Σ_⟨ij⟩ ZᵢZⱼ − h Σᵢ Xᵢ on a rows x columns lattice (a chain has one row).

    Args:
        rows, columns: the lattice; n = rows * columns qubits.
        coupling: J, energy of a bond; may be traced.
        field: h, energy of the transverse field; may be traced.
        periodic: close both directions.

    Reference: P. Pfeuty, Ann. Phys. 57, 79 (1970).
    """
    if rows < 1 or columns < 1:
        raise ValueError(f"A lattice needs at least one row and one column; got {rows} x {columns}.")
    n = rows * columns
    pairs = bonds(rows, columns, periodic=periodic)
    strings = tuple(string_at("ZZ", pair, n) for pair in pairs) + tuple(string_at("X", (i,), n) for i in range(n))
    coefficients = [-coupling] * len(pairs) + [-field] * n
    return PauliSum(jnp.stack([jnp.asarray(c, dtype=float) for c in coefficients]), strings)


def local_strings(n: int, *, periodic: bool = False) -> tuple[str, ...]:
    """All one-qubit Pauli strings and all two-qubit ones on neighbouring wires of a chain."""
    singles = [string_at(a, (i,), n) for i in range(n) for a in "XYZ"]
    pairs = [string_at(a + b, pair, n) for pair in bonds(1, n, periodic=periodic) for a in "XYZ" for b in "XYZ"]
    return tuple(singles + pairs)
