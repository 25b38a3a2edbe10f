"""Quantum models, methods and tasks; names load when they are first used."""

import importlib
from typing import Any

_HOME = {
    "AbstractBackend": "backends",
    "Circuit": "circuit",
    "GibbsFamily": "models",
    "LatentGibbs": "models",
    "LatentMetric": "models",
    "PauliSum": "pauli",
    "PureMetric": "models",
    "PureState": "models",
    "Statevector": "backends",
    "ThermalTask": "methods",
    "free_energy_density_tfim": "exact",
    "free_fermion_tfim": "exact",
    "hea": "ansatz",
    "real": "ansatz",
    "thermal": "exact",
    "tfim": "hamiltonians",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
