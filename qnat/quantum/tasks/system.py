"""The part of a spec that describes a Hamiltonian."""

import math
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from qnat.experiment.words.parts import Part
from qnat.experiment.words.spec import RunSpec

from ..operators.hamiltonian_file import read_terms
from ..operators.sizes import lattice, num_bonds


class Hamiltonian(Part):
    """A Hamiltonian; its numbers are energies."""

    def sized(self, n: int, *, given: bool) -> dict[str, int]:
        """What follows from n, or from the Hamiltonian for an n that was not given; refuses what does not fit."""
        return {}

    def _fixed(self, n: int, qubits: int, what: str, *, given: bool) -> dict[str, int]:
        if given and n != qubits:
            raise ValueError(f"n is {n}, but {what} acts on {qubits} qubits.")
        return {"n": qubits}

    def is_real(self) -> bool:
        """Whether its matrix is real, as far as words tell."""
        return True

    def num_terms(self, n: int) -> int:
        """Number of terms beside the identity, as in `qnat.quantum.operators.hamiltonians`, which needs JAX."""
        raise NotImplementedError

    def build(self, n: int) -> Any:
        """The `PauliSum` on n qubits."""
        raise NotImplementedError


Periodic = Annotated[bool, Field(description="close the lattice")]


class Tfim(Hamiltonian):
    """The transverse-field Ising model on a lattice."""

    cites: ClassVar[tuple[str, ...]] = ("Pfeuty1970",)
    name: Literal["tfim", "xxz"] = "tfim"
    rows: int | None = Field(None, ge=1, description="rows of the lattice (default 1, a chain)")
    columns: int | None = Field(None, ge=1, description="columns of the lattice (default n / rows)")
    periodic: Periodic = False
    coupling: float = Field(1.0, description="J, an energy")
    field: float = Field(1.0, description="transverse field h of tfim, longitudinal field of xxz, energies")

    def sized(self, n: int, *, given: bool) -> dict[str, int]:
        n = n if given else (self.rows or 0) * (self.columns or 0) or n
        rows, columns = lattice(n, self.rows, self.columns)
        return {"n": n, "rows": rows, "columns": columns}

    def num_terms(self, n: int) -> int:
        bonds = num_bonds(self.rows or 1, self.columns or 1, periodic=self.periodic)
        return n + (3 if self.name == "xxz" else 1) * bonds

    def build(self, n: int) -> Any:
        from ..operators import hamiltonians

        numbers = self.model_dump(exclude={"name", "rows", "columns"})
        return getattr(hamiltonians, self.name)(self.rows, self.columns, **numbers)


class Xxz(Tfim):
    """The Heisenberg model with an anisotropy on a lattice."""

    cites = ()
    name: Literal["xxz"] = "xxz"
    anisotropy: float = Field(1.0, description="Δ: strength of ZZ in units of J; 1 is Heisenberg's")
    field: float = Field(0.0, description="longitudinal field, an energy")


class Hubbard(Hamiltonian):
    """The Fermi–Hubbard chain."""

    name: Literal["hubbard"] = "hubbard"
    hopping: float = Field(1.0, description="t, an energy")
    interaction: float = Field(4.0, description="U, an energy")
    chemical_potential: float = Field(2.0, description="μ, an energy")
    periodic: Periodic = False

    def sized(self, n: int, *, given: bool) -> dict[str, int]:
        if n % 2:
            raise ValueError(f"n is {n}; hubbard has two qubits a site, so give an even number.")
        return {}

    def num_terms(self, n: int) -> int:
        return 3 * n // 2 + 4 * num_bonds(1, n // 2, periodic=self.periodic)

    def build(self, n: int) -> Any:
        from ..operators.hamiltonians import fermi_hubbard

        return fermi_hubbard(n // 2, **self.model_dump(exclude={"name"}))


class Random(Hamiltonian):
    """Random couplings of few qubits."""

    name: Literal["random"] = "random"
    locality: int = Field(2, ge=1, description="most qubits in a term")
    instance: int = Field(0, ge=0, lt=2**31, description="which random Hamiltonian")

    def sized(self, n: int, *, given: bool) -> dict[str, int]:
        if self.locality > n:
            raise ValueError(f"locality is {self.locality}; it can be at most n = {n}.")
        return {}

    def is_real(self) -> bool:
        return False

    def num_terms(self, n: int) -> int:
        return sum(3**k * math.comb(n, k) for k in range(1, self.locality + 1))

    def build(self, n: int) -> Any:
        import jax

        from ..operators.hamiltonians import random_local

        return random_local(n, self.locality, key=jax.random.key(self.instance))


class H2(Hamiltonian):
    """The hydrogen molecule in its minimal basis."""

    name: Literal["h2"] = "h2"
    bond_length: float = Field(1.401, gt=0, description="distance of the nuclei in bohr")

    def sized(self, n: int, *, given: bool) -> dict[str, int]:
        return self._fixed(n, 4, "h2 in its minimal basis", given=given)

    def num_terms(self, n: int) -> int:
        return 14

    def build(self, n: int) -> Any:
        from ..backends.pennylane import molecule

        return molecule("H2", bond_length=self.bond_length)


class Terms(Hamiltonian):
    """Pauli strings and their coefficients, from a file."""

    contents = ("terms", read_terms)
    name: str
    terms: list[tuple[str, float]]

    def sized(self, n: int, *, given: bool) -> dict[str, int]:
        return self._fixed(n, len(self.terms[0][0]), f"the Hamiltonian in {self.name}", given=given)

    def is_real(self) -> bool:
        return all(string.count("Y") % 2 == 0 for string, _ in self.terms)

    def num_terms(self, n: int) -> int:
        return sum(set(string) != {"I"} for string, _ in self.terms)

    def build(self, n: int) -> Any:
        from ..operators.pauli import PauliSum

        return PauliSum.from_terms(self.terms)


class SystemSpec(RunSpec):
    """A Hamiltonian. Energies are in the units of its coefficients (hartree for molecules)."""

    hamiltonian: Tfim | Xxz | Hubbard | Random | H2 | Terms = Field(
        Tfim(),
        description="tfim, xxz, hubbard, random, h2, or a file of Pauli terms: lines such as 'ZZII -1.0', or JSON",
    )
    n: int = Field(4, ge=1, description="number of qubits; a file and a molecule fix it, hubbard has two a site")

    def qubits(self) -> int | None:
        """n, if it was given, or if data fix it."""
        return self.n if "n" in self.model_fields_set else None

    @model_validator(mode="after")
    def _system(self) -> Self:
        """Refuses what does not fit together, and fills in what follows from it."""
        qubits = self.qubits()
        self._set(n=qubits or self.n)
        self._set(**self.hamiltonian.sized(self.n, given=qubits is not None))
        return self

    def operator(self) -> Any:
        """The Hamiltonian, a `PauliSum`."""
        return self.hamiltonian.build(self.n)
