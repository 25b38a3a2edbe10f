"""Model Hamiltonians as Pauli sums. Energies are in the units of the couplings; wire 0 is the leftmost factor."""

import itertools
import math
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from .pauli import PauliSum, as_coefficients


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


def _sum(terms: Sequence[tuple[str, float | Float[Array, ""]]]) -> PauliSum:
    """The sum of terms of different strings, whose coefficients may be traced."""
    return PauliSum(as_coefficients([c for _, c in terms]), tuple(string for string, _ in terms))


def _lattice(rows: int, columns: int, periodic: bool) -> tuple[tuple[int, int], ...]:
    if rows < 1 or columns < 1:
        raise ValueError(f"A lattice needs at least one row and one column; got {rows} x {columns}.")
    return bonds(rows, columns, periodic=periodic)


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
    pairs, n = _lattice(rows, columns, periodic), rows * columns
    terms = [(string_at("ZZ", pair, n), -coupling) for pair in pairs]
    return _sum(terms + [(string_at("X", (i,), n), -field) for i in range(n)])


def xxz(
    rows: int,
    columns: int,
    *,
    coupling: float | Float[Array, ""] = 1.0,
    anisotropy: float | Float[Array, ""] = 1.0,
    field: float | Float[Array, ""] = 0.0,
    periodic: bool = False,
) -> PauliSum:
    """XXZ model H = J Σ_⟨ij⟩ (XᵢXⱼ + YᵢYⱼ + Δ ZᵢZⱼ) − h Σᵢ Zᵢ in Pauli matrices; Δ = 1 is the Heisenberg model.

    Args:
        rows, columns: the lattice; n = rows * columns qubits.
        coupling: J, an energy, antiferromagnetic where positive; may be traced.
        anisotropy: Δ, dimensionless; may be traced.
        field: h, energy of the longitudinal field; may be traced.
        periodic: close both directions.

    Reference: C. N. Yang and C. P. Yang, Phys. Rev. 150, 321 (1966).
    """
    pairs, n = _lattice(rows, columns, periodic), rows * columns
    strengths = {"XX": coupling, "YY": coupling, "ZZ": coupling * anisotropy}
    terms = [(string_at(letters, pair, n), c) for letters, c in strengths.items() for pair in pairs]
    return _sum(terms + [(string_at("Z", (i,), n), -field) for i in range(n)])


def fermi_hubbard(
    sites: int,
    *,
    hopping: float | Float[Array, ""] = 1.0,
    interaction: float | Float[Array, ""] = 4.0,
    chemical_potential: float | Float[Array, ""] = 2.0,
    periodic: bool = False,
) -> PauliSum:
    """Fermi–Hubbard chain H = −t Σ_⟨ij⟩σ (c†ᵢσ cⱼσ + h.c.) + U Σᵢ nᵢ↑nᵢ↓ − μ Σᵢσ nᵢσ on 2·sites qubits.

    Jordan–Wigner: c_q = Z₀⋯Z_{q−1} (X_q + iY_q)/2 on qubit q = 2·site + spin, so |1⟩ is occupied and n_q = (1 − Z_q)/2.
    All of Fock space, the grand canonical ensemble: states of every particle number. The identity string carries the
    constant, so that energies are those of the fermions.

    Args:
        sites: length of the chain.
        hopping: t, an energy; may be traced.
        interaction: U, energy of a doubly occupied site; may be traced.
        chemical_potential: μ, an energy; half filling at U/2, the default; may be traced.
        periodic: close the chain.

    Reference: J. Hubbard, Proc. R. Soc. A 276, 238 (1963).
    """
    if sites < 1:
        raise ValueError(f"A Hubbard chain needs at least one site; got {sites}.")
    n = 2 * sites
    # U n↑n↓ − μ (n↑ + n↓) with n = (1 − Z)/2
    terms = [("I" * n, sites * (interaction / 4 - chemical_potential))]
    terms += [(string_at("Z", (q,), n), chemical_potential / 2 - interaction / 4) for q in range(n)]
    terms += [(string_at("ZZ", (q, q + 1), n), interaction / 4) for q in range(0, n, 2)]
    for i, j in bonds(1, sites, periodic=periodic):
        for q, r in ((2 * i, 2 * j), (2 * i + 1, 2 * j + 1)):
            # c†_q c_r + h.c. = (X Z⋯Z X + Y Z⋯Z Y)/2, the Zs on the qubits between q and r
            between = "Z" * (r - q - 1)
            terms += [(string_at(a + between + a, range(q, r + 1), n), -hopping / 2) for a in "XY"]
    return _sum(terms)


def random_local(n: int, locality: int, *, key: PRNGKeyArray) -> PauliSum:
    """Random k-local Hamiltonian: every Pauli string on one to k qubits, anywhere, with a normal coefficient.

    Strings of weight w have variance n / (k · 3ʷ · C(n, w)): every weight has the same part in E Tr H²/2ⁿ = n, so that
    energies are extensive.

    Args:
        n: number of qubits.
        locality: k, the most qubits in a string, 1 ≤ k ≤ n.
        key: which Hamiltonian.
    """
    if not 1 <= locality <= n:
        raise ValueError(f"The locality of a Hamiltonian on {n} qubits lies in 1..{n}; got {locality}.")
    strings, deviations = [], []
    for weight in range(1, locality + 1):
        letters = ["".join(word) for word in itertools.product("XYZ", repeat=weight)]
        strings += [string_at(w, wires, n) for wires in itertools.combinations(range(n), weight) for w in letters]
        count = math.comb(n, weight) * 3**weight
        deviations += [math.sqrt(n / (locality * count))] * count
    return PauliSum(jax.random.normal(key, (len(strings),)) * np.array(deviations), tuple(strings))


def local_strings(n: int, *, periodic: bool = False) -> tuple[str, ...]:
    """All one-qubit Pauli strings and all two-qubit ones on neighbouring wires of a chain."""
    singles = [string_at(a, (i,), n) for i in range(n) for a in "XYZ"]
    pairs = [string_at(a + b, pair, n) for pair in bonds(1, n, periodic=periodic) for a in "XYZ" for b in "XYZ"]
    return tuple(singles + pairs)
