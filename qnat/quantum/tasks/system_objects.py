"""The Hamiltonian that a SystemSpec describes."""

import jax

from ..operators.hamiltonians import fermi_hubbard, random_local, tfim, xxz
from ..operators.pauli import PauliSum
from .system import SystemSpec


def _number(value: float | None) -> float:
    assert value is not None  # the spec fills in what its Hamiltonian uses
    return value


def hamiltonian(spec: SystemSpec) -> PauliSum:
    """The named Hamiltonian, or the terms of the file."""
    if spec.terms is not None:
        return PauliSum.from_terms(spec.terms)
    if spec.hamiltonian == "h2":
        from ..backends.pennylane import molecule

        return molecule("H2", bond_length=_number(spec.bond_length))
    if spec.hamiltonian == "random":
        return random_local(spec.n, spec.locality or 1, key=jax.random.key(spec.instance or 0))
    if spec.hamiltonian == "hubbard":
        return fermi_hubbard(
            spec.n // 2,
            hopping=_number(spec.hopping),
            interaction=_number(spec.interaction),
            chemical_potential=_number(spec.chemical_potential),
            periodic=bool(spec.periodic),
        )
    rows, columns = spec.rows or 1, spec.columns or 1
    common = {"coupling": _number(spec.coupling), "field": _number(spec.field)}
    if spec.hamiltonian == "xxz":
        anisotropy = _number(spec.anisotropy)
        return xxz(rows, columns, anisotropy=anisotropy, periodic=bool(spec.periodic), **common)
    return tfim(rows, columns, periodic=bool(spec.periodic), **common)
