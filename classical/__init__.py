"""The classical branch: networks and Helmholtz machines on the geometry of `qnat`; names load when first used."""

import importlib
from typing import Any

_HOME = {
    "Layer": "models.network",
    "Network": "models.network",
    "load": "data",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
