"""Where the modules of version 0.1.0 are now; their old names work for two more minor versions, with a warning."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any

MOVED = {
    "classical.headers": ("classical.data.headers", "classical.data.formats"),
    "classical.methods.boltzmann": ("classical.problems.boltzmann",),
    "classical.methods.training": (
        "classical.problems.network",
        "classical.problems.helmholtz",
        "classical.data.batches",
    ),
    "classical.models.boltzmann": ("qnat.geometry.spin_families", "qnat.geometry.restricted"),
    "classical.targets": ("classical.data.targets",),
    "qnat.experiment.checkpoint": ("qnat.experiment.store.checkpoint",),
    "qnat.experiment.compare": ("qnat.experiment.show.compare", "qnat.experiment.show.lines"),
    "qnat.experiment.cost": ("qnat.experiment.show.cost",),
    "qnat.experiment.curves": ("qnat.experiment.loop.curves",),
    "qnat.experiment.feed": ("qnat.experiment.loop.feed",),
    "qnat.experiment.folder": ("qnat.experiment.store.folder",),
    "qnat.experiment.options": ("qnat.experiment.words.options",),
    "qnat.experiment.pace": ("qnat.experiment.loop.pace",),
    "qnat.experiment.plan": ("qnat.experiment.sweep.plan",),
    "qnat.experiment.plot": (
        "qnat.experiment.show.comparison",
        "qnat.experiment.show.figure",
        "qnat.experiment.show.style",
    ),
    "qnat.experiment.plot_ladder": ("qnat.experiment.show.ladder",),
    "qnat.experiment.plot_sequence": ("qnat.experiment.show.sequence",),
    "qnat.experiment.progress": ("qnat.experiment.loop.progress",),
    "qnat.experiment.report": ("qnat.experiment.show.report",),
    "qnat.experiment.result": ("qnat.experiment.store.result", "qnat.experiment.store.save"),
    "qnat.experiment.spec": ("qnat.experiment.words.spec", "qnat.experiment.words.wording", "qnat.experiment.registry"),
    "qnat.experiment.step": ("qnat.experiment.loop.step", "qnat.experiment.loop.in_python"),
    "qnat.experiment.tune": ("qnat.experiment.sweep.tune",),
    "qnat.quantum.ansatz": ("qnat.quantum.circuits.ansatz",),
    "qnat.quantum.circuit": ("qnat.quantum.circuits.circuit",),
    "qnat.quantum.counts": ("qnat.quantum.measure.counts",),
    "qnat.quantum.counts_file": ("qnat.quantum.measure.counts_file",),
    "qnat.quantum.free_fermions": ("qnat.quantum.exact.free_fermions",),
    "qnat.quantum.gaussian": ("qnat.quantum.exact.gaussian",),
    "qnat.quantum.hamiltonian_file": ("qnat.quantum.operators.hamiltonian_file",),
    "qnat.quantum.hamiltonians": ("qnat.quantum.operators.hamiltonians",),
    "qnat.quantum.krylov": ("qnat.quantum.exact.krylov",),
    "qnat.quantum.measurement": ("qnat.quantum.measure.measurement", "qnat.quantum.measure.groups"),
    "qnat.quantum.methods.device": ("qnat.quantum.problems.device",),
    "qnat.quantum.methods.hamiltonian_learning": ("qnat.quantum.problems.learning", "qnat.quantum.problems.target"),
    "qnat.quantum.methods.online": ("qnat.optim.online",),
    "qnat.quantum.methods.sampled": ("qnat.quantum.problems.sampled",),
    "qnat.quantum.methods.score": ("qnat.inference.score",),
    "qnat.quantum.methods.sequence": ("qnat.quantum.methods.dynamics", "qnat.quantum.problems.sequence"),
    "qnat.quantum.methods.shadows": ("qnat.quantum.measure.shadows",),
    "qnat.quantum.methods.thermal": ("qnat.quantum.problems.thermal",),
    "qnat.quantum.models.samplers": ("qnat.inference.bits", "qnat.inference.correlation"),
    "qnat.quantum.pauli": ("qnat.quantum.operators.pauli",),
    "qnat.quantum.pauli_planes": ("qnat.quantum.operators.planes", "qnat.quantum.operators.expectations"),
    "qnat.quantum.reduced": ("qnat.quantum.exact.reduced",),
    "qnat.quantum.typicality": ("qnat.quantum.exact.typicality", "qnat.quantum.exact.typical_metric"),
}


NAMES = {
    "qnat.quantum.methods": {
        "DeviceThermalTask": "qnat.quantum.problems",
        "LearningTask": "qnat.quantum.problems",
        "SampledThermalTask": "qnat.quantum.problems",
        "SequenceTask": "qnat.quantum.problems",
        "ThermalTask": "qnat.quantum.problems",
    },
    "qnat.quantum.models": {"Samples": "qnat.inference.bits", "sample_latent": "qnat.inference.bits"},
}
"""Names that a room passed on and another does now."""


def former(room: str) -> Callable[[str], Any]:
    """`__getattr__` of a room, for the names that it had."""

    def load(name: str) -> Any:
        if name not in NAMES[room]:
            raise AttributeError(f"module '{room}' has no attribute '{name}'.")
        home = NAMES[room][name]
        warnings.warn(f"{room}.{name} is now {home}.{name}.", DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(home), name)

    return load


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes a module of an old name out of those that hold its contents now."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name in MOVED else None

    def exec_module(self, module: types.ModuleType) -> None:
        new = MOVED[module.__name__]
        warnings.warn(f"{module.__name__} is now {' and '.join(new)}.", DeprecationWarning, stacklevel=2)
        for name in new:
            found = vars(importlib.import_module(name))
            vars(module).update({key: value for key, value in found.items() if not key.startswith("__")})
