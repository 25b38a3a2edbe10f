"""The classical branch: networks and Helmholtz machines on the geometry of `qnat`; names load when first used."""

import importlib
from typing import Any

_HOME = {
    "BoltzmannMachine": "models.boltzmann",
    "FisherMetric": "methods.fisher",
    "HelmholtzFisher": "methods.wake_sleep",
    "HelmholtzMachine": "models.helmholtz",
    "HelmholtzTask": "problems.helmholtz",
    "KroneckerFisher": "methods.fisher",
    "Layer": "models.network",
    "Network": "models.network",
    "NetworkTask": "problems.network",
    "OuterProductFisher": "methods.fisher",
    "RestrictedBoltzmannMachine": "models.boltzmann",
    "TridiagonalFisher": "methods.tridiagonal",
    "averaged_descent": "methods.averaged",
    "entropy_sgd": "methods.entropy_sgd",
    "kfac": "methods.kfac",
    "kld_wrm_q": "methods.kld_wrm",
    "kld_wrm_so": "methods.kld_wrm",
    "load": "data.sets",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
