"""The part of a spec that describes a Hamiltonian."""

import math
import types
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from qnat.experiment.bounds import check_memory
from qnat.experiment.words.parts import Part
from qnat.experiment.words.spec import RunSpec
from qnat.experiment.words.values import COUNTS, check_finite

from ..operators.hamiltonian_file import read_sum
from ..operators.sizes import dense_bits, lattice, num_bonds
from ..operators.terms import full, is_full, is_identity, qubits


class Size(NamedTuple):
    """Qubits, terms beside the identity, whether the matrix is real, as far as words tell, and words that follow.

    `energy`: the largest that a state can have, about; infinite where the sum of the terms overflows.
    """

    n: int
    terms: int
    is_real: bool = True
    words: Mapping[str, int] = types.MappingProxyType({})
    energy: float = 0.0


class Hamiltonian(Part):
    """A Hamiltonian; its numbers are energies. `quench`: how a sequence changes it by default."""

    quench: ClassVar[str] = ""

    def size(self, n: int, *, given: bool) -> Size:
        """Its size for n qubits, or for its own where n was not given; refuses what does not fit."""
        raise NotImplementedError

    def build(self, n: int) -> Any:
        """The `PauliSum` on n qubits."""
        raise NotImplementedError


_MANY = 10**9
"""More sites than any Hamiltonian that fits into memory has: numbers above it would not fit into a float."""


def _fixed(n: int, qubits: int, what: str, *, given: bool) -> int:
    if given and n != qubits:
        raise ValueError(f"n is {n}, but {what} acts on {qubits} qubits.")
    return qubits


Periodic = Annotated[bool, Field(description="close the lattice")]


class Tfim(Hamiltonian):
    """The transverse-field Ising model on a lattice."""

    cites: ClassVar[tuple[str, ...]] = ("Pfeuty1970",)
    quench = "field=2"
    name: Literal["tfim", "xxz"] = "tfim"
    rows: int | None = Field(None, ge=1, description="rows of the lattice (default 1, a chain)")
    columns: int | None = Field(None, ge=1, description="columns of the lattice (default n / rows)")
    periodic: Periodic = False
    coupling: float = Field(1.0, description="J, an energy")
    field: float = Field(1.0, description="transverse field h of tfim, longitudinal field of xxz, energies")

    def size(self, n: int, *, given: bool) -> Size:
        n = n if given else (self.rows or 0) * (self.columns or 0) or n
        rows, columns = lattice(n, self.rows, self.columns)
        bonds = num_bonds(rows, columns, periodic=self.periodic)
        words, energy = {"rows": rows, "columns": columns}, self._energy(float(min(bonds, _MANY)), float(min(n, _MANY)))
        return Size(n, n + (3 if self.name == "xxz" else 1) * bonds, words=words, energy=energy)

    def _energy(self, bonds: float, sites: float) -> float:
        return bonds * abs(self.coupling) + sites * abs(self.field)

    def build(self, n: int) -> Any:
        from ..operators import hamiltonians

        numbers = self.model_dump(exclude={"name", "rows", "columns"})
        return getattr(hamiltonians, self.name)(self.rows, self.columns, **numbers)


class Xxz(Tfim):
    """The Heisenberg model with an anisotropy on a lattice."""

    cites, quench = (), "anisotropy=2"
    name: Literal["xxz"] = "xxz"
    anisotropy: float = Field(1.0, description="Δ: strength of ZZ in units of J; 1 is Heisenberg's")
    field: float = Field(0.0, description="longitudinal field, an energy")

    def _energy(self, bonds: float, sites: float) -> float:
        return super()._energy(bonds * (2 + abs(self.anisotropy)), sites)


class Hubbard(Hamiltonian):
    """The Fermi–Hubbard chain."""

    quench = "interaction=8"
    name: Literal["hubbard"] = "hubbard"
    hopping: float = Field(1.0, description="t, an energy")
    interaction: float = Field(4.0, description="U, an energy")
    chemical_potential: float = Field(2.0, description="μ, an energy")
    periodic: Periodic = False

    def size(self, n: int, *, given: bool) -> Size:
        if n % 2:
            raise ValueError(f"n is {n}; hubbard has two qubits a site, so give an even number.")
        energy = float(min(n, _MANY)) * sum(map(abs, (2 * self.hopping, self.interaction, self.chemical_potential)))
        return Size(n, 3 * n // 2 + 4 * num_bonds(1, n // 2, periodic=self.periodic), energy=energy)

    def build(self, n: int) -> Any:
        from ..operators.hamiltonians import fermi_hubbard

        return fermi_hubbard(n // 2, **self.model_dump(exclude={"name"}))


class Random(Hamiltonian):
    """Random couplings of few qubits."""

    quench = "instance=1"
    name: Literal["random"] = "random"
    locality: int = Field(2, ge=1, description="most qubits in a term")
    instance: int = Field(0, ge=0, lt=COUNTS, description="which random Hamiltonian")

    def size(self, n: int, *, given: bool) -> Size:
        if self.locality > n:
            raise ValueError(f"locality is {self.locality}; it can be at most n = {n}.")
        check_memory(dense_bits(n), f"The matrix of n = {n} qubits", "choose a smaller n")  # before they are counted
        return Size(n, sum(3**k * math.comb(n, k) for k in range(1, self.locality + 1)), is_real=False, energy=n)

    def build(self, n: int) -> Any:
        import jax

        from ..operators.hamiltonians import random_local

        return random_local(n, self.locality, key=jax.random.key(self.instance))


class H2(Hamiltonian):
    """The hydrogen molecule in its minimal basis."""

    quench = "bond_length=2"
    name: Literal["h2"] = "h2"
    bond_length: float = Field(1.401, gt=0, le=1e6, description="distance of the nuclei in bohr")

    def size(self, n: int, *, given: bool) -> Size:
        return Size(_fixed(n, 4, "h2 in its minimal basis", given=given), 14, energy=2 + 1 / self.bond_length)

    def build(self, n: int) -> Any:
        from ..backends.pennylane import molecule

        return molecule("H2", bond_length=self.bond_length)


class Terms(Hamiltonian):
    """Pauli terms: lines such as 'ZZII -1.0' or 'X0 Z3 -0.5', OpenFermion's, or JSON"""

    contents = ("terms", read_sum)
    name: str
    terms: list[tuple[str, float]]

    def size(self, n: int, *, given: bool) -> Size:
        strings, least = [string for string, _ in self.terms], qubits(self.terms)
        if not given or n < least or is_full(strings[0]):  # of a sparse list more qubits may be given
            n = _fixed(n, least, f"the Hamiltonian in {self.name}", given=given)
        is_real = all(string.count("Y") % 2 == 0 for string in strings)
        energy = sum(abs(coefficient) for _, coefficient in self.terms)
        return Size(n, sum(not is_identity(string) for string in strings), is_real, energy=energy)

    def build(self, n: int) -> Any:
        from ..operators.pauli import PauliSum

        return PauliSum.from_terms(full(self.terms, n))


class SystemSpec(RunSpec):
    """A Hamiltonian. Energies are in the units of its coefficients (hartree for molecules)."""

    hamiltonian: Tfim | Xxz | Hubbard | Random | H2 | Terms = Tfim()
    n: int = Field(4, ge=1, description="number of qubits; a file and a molecule fix it, hubbard has two a site")

    def qubits(self) -> int | None:
        """n, if it was given, or if data fix it."""
        return self.n if "n" in self.model_fields_set else None

    @model_validator(mode="after")
    def _system(self) -> Self:
        """Refuses what does not fit together, and fills in what follows from it."""
        qubits = self.qubits()
        found = self.hamiltonian.size(qubits or self.n, given=qubits is not None)
        for what, factor in self.multiplied().items():
            check_finite(found.energy * factor, what)
        self._set(n=found.n, **found.words)
        return self

    def multiplied(self) -> dict[str, float]:
        """What must stay finite, and the factor of the energies in it."""
        return {"energies": 1.0}

    def size(self) -> Size:
        """That of the Hamiltonian."""
        return self.hamiltonian.size(self.n, given=True)

    def operator(self) -> Any:
        """The Hamiltonian, a `PauliSum`."""
        return self.hamiltonian.build(self.n)
