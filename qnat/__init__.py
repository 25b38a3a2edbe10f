"""Information geometry for quantum-classical hybrid simulation.

Rooms, lowest first; each is loaded when it is first asked for, so that `import qnat` costs nothing:

    qnat.geometry      potentials, mirror maps, divergences, monotone metrics
    qnat.optim         natural gradient, proximal and mirror descent as optax transforms
    qnat.experiment    Task, run, Run: training, storing, resuming, comparing
    qnat.quantum       Hamiltonians, circuits, thermal-state models and their tasks
"""

import importlib
import types

__all__ = ["__version__", "experiment", "geometry", "optim", "quantum"]

__version__ = "0.1.0"


def __getattr__(name: str) -> types.ModuleType:
    if name in __all__:
        return importlib.import_module(f"qnat.{name}")
    raise AttributeError(
        f"module 'qnat' has no attribute '{name}'; its rooms are geometry, optim, experiment and quantum."
    )


def __dir__() -> list[str]:
    return sorted(__all__)
