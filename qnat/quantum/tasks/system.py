"""The part of a spec that describes a Hamiltonian."""

import math
from typing import Any, ClassVar, Self

from pydantic import Field, PrivateAttr, model_validator

from qnat.experiment.words.spec import RunSpec

from ..operators.hamiltonian_file import read_terms

HAMILTONIANS = ("tfim", "xxz", "hubbard", "random", "h2")
_LATTICES = ("tfim", "xxz")
_DEFAULTS: dict[str, dict[str, Any]] = {
    "tfim": {"coupling": 1.0, "field": 1.0, "periodic": False},
    "xxz": {"coupling": 1.0, "anisotropy": 1.0, "field": 0.0, "periodic": False},
    "hubbard": {"hopping": 1.0, "interaction": 4.0, "chemical_potential": 2.0, "periodic": False},
    "random": {"locality": 2, "instance": 0},
    "h2": {"bond_length": 1.401},
}


class SystemSpec(RunSpec):
    """A Hamiltonian. Energies are in the units of its coefficients (hartree for molecules)."""

    used_with: ClassVar[tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = (
        ("hamiltonian", _LATTICES, ("rows", "columns", "field", "coupling")),
        ("hamiltonian", (*_LATTICES, "hubbard"), ("periodic",)),
        ("hamiltonian", ("xxz",), ("anisotropy",)),
        ("hamiltonian", ("hubbard",), ("hopping", "interaction", "chemical_potential")),
        ("hamiltonian", ("random",), ("locality", "instance")),
        ("hamiltonian", ("h2",), ("bond_length",)),
    )

    hamiltonian: str = Field(
        "tfim",
        description=f"{', '.join(HAMILTONIANS)}, or a file of Pauli terms: lines such as 'ZZII -1.0', or JSON",
    )
    n: int = Field(4, ge=1, description="number of qubits; a file and a molecule fix it, hubbard has two a site")
    rows: int | None = Field(None, ge=1, description="rows of the lattice (default 1, a chain)")
    columns: int | None = Field(None, ge=1, description="columns of the lattice (default n / rows)")
    periodic: bool | None = Field(None, description="close the lattice (default false)")
    coupling: float | None = Field(None, description="J of tfim and xxz, an energy (default 1)")
    field: float | None = Field(
        None, description="transverse field h of tfim, longitudinal field of xxz, energies (default 1 and 0)"
    )
    anisotropy: float | None = Field(None, description="Δ of xxz: strength of ZZ in units of J (default 1, Heisenberg)")
    hopping: float | None = Field(None, description="t of hubbard, an energy (default 1)")
    interaction: float | None = Field(None, description="U of hubbard, an energy (default 4)")
    chemical_potential: float | None = Field(None, description="μ of hubbard, an energy (default 2)")
    locality: int | None = Field(None, ge=1, description="most qubits in a term of random (default 2)")
    instance: int | None = Field(None, ge=0, lt=2**31, description="which random Hamiltonian (default 0)")
    bond_length: float | None = Field(None, gt=0, description="distance of the nuclei of h2 in bohr (default 1.401)")

    _terms: list[tuple[str, float]] | None = PrivateAttr(None)

    @property
    def terms(self) -> list[tuple[str, float]] | None:
        """(Pauli string, coefficient) of the file, as it was when it was read; None for a named Hamiltonian."""
        return self._terms

    @property
    def is_real(self) -> bool:
        """Whether the matrix of the Hamiltonian is real, as far as words tell."""
        if self._terms is not None:
            return all(string.count("Y") % 2 == 0 for string, _ in self._terms)
        return self.hamiltonian != "random"

    @property
    def num_terms(self) -> int:
        """Number of terms beside the identity, as in `qnat.quantum.operators.hamiltonians`, which needs JAX."""
        if self._terms is not None:
            return sum(set(string) != {"I"} for string, _ in self._terms)
        if self.hamiltonian == "random":
            return sum(3**k * math.comb(self.n, k) for k in range(1, (self.locality or 1) + 1))
        if self.hamiltonian == "hubbard":
            return 3 * self.n // 2 + 4 * _bonds(1, self.n // 2, bool(self.periodic))
        if self.hamiltonian == "h2":
            return 14
        bonds = _bonds(self.rows or 1, self.columns or 1, bool(self.periodic))
        return self.n + (3 if self.hamiltonian == "xxz" else 1) * bonds

    @model_validator(mode="after")
    def _system(self) -> Self:
        """Refuses what does not fit together, and fills in what follows from it."""
        for name, default in _DEFAULTS.get(self.hamiltonian, {}).items():
            if getattr(self, name) is None:
                self._resolve(name, default)
        if self.hamiltonian not in HAMILTONIANS:
            self._terms = read_terms(self.hamiltonian)
            self._fixed_size(len(self._terms[0][0]), f"the Hamiltonian in {self.hamiltonian}")
        elif self.hamiltonian == "h2":
            self._fixed_size(4, "h2 in its minimal basis")
        elif self.hamiltonian == "hubbard" and self.n % 2:
            raise ValueError(f"n is {self.n}; hubbard has two qubits a site, so give an even number.")
        elif self.hamiltonian == "random" and (self.locality or 1) > self.n:
            raise ValueError(f"locality is {self.locality}; it can be at most n = {self.n}.")
        elif self.hamiltonian in _LATTICES:
            self._resolve_lattice()
        return self

    def _fixed_size(self, qubits: int, what: str) -> None:
        if "n" in self.model_fields_set and self.n != qubits:
            raise ValueError(f"n is {self.n}, but {what} acts on {qubits} qubits.")
        self._resolve("n", qubits)

    def _resolve_lattice(self) -> None:
        if self.rows is not None and self.columns is not None and "n" not in self.model_fields_set:
            self._resolve("n", self.rows * self.columns)
        rows = self.rows or (1 if self.columns is None else max(1, self.n // self.columns))
        columns = self.columns or max(1, self.n // rows)
        if rows * columns != self.n:
            raise ValueError(
                f"A lattice of {rows} x {columns} does not have n = {self.n} sites; give rows * columns = n."
            )
        self._resolve("rows", rows)
        self._resolve("columns", columns)

    def record(self) -> dict[str, Any]:
        """Every resolved field, and the terms of a file, which the file may no longer hold."""
        return super().record() | ({} if self._terms is None else {"terms": self._terms})


def _bonds(rows: int, columns: int, periodic: bool) -> int:
    """Number of distinct nearest neighbours of a lattice."""
    return sum(across * (along - 1 + (periodic and along > 2)) for across, along in ((rows, columns), (columns, rows)))
