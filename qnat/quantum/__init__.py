"""Quantum models, methods and tasks; names load when they are first used."""

import importlib
from typing import Any

_HOME = {
    "AbstractBackend": "backends",
    "ApproximateMetric": "models",
    "Channel": "models",
    "Circuit": "circuits.circuit",
    "DeviceThermalTask": "problems",
    "Estimate": "qnat.inference.estimate",
    "GibbsFamily": "models",
    "LatentGibbs": "models",
    "LatentMetric": "models",
    "LearningTask": "problems",
    "Measurement": "measure.measurement",
    "Moments": "measure.counts",
    "NoisyState": "models",
    "PauliSum": "operators.pauli",
    "PureMetric": "models",
    "PureState": "models",
    "SampledMetric": "methods",
    "SampledThermalTask": "problems",
    "SequenceTask": "problems",
    "Statevector": "backends",
    "ThermalTask": "problems",
    "amplitude_damping": "models",
    "bits_from_qiskit": "backends",
    "boson_block": "exact.gaussian",
    "closed_dynamics": "methods",
    "depolarizing": "models",
    "estimate": "measure.measurement",
    "exp_action": "exact.krylov",
    "fermi_hubbard": "operators.hamiltonians",
    "fermion_block": "exact.gaussian",
    "fermion_log_spectrum": "exact.gaussian",
    "free_energy_density_tfim": "exact.free_fermions",
    "free_fermion_tfim": "exact.free_fermions",
    "free_fermion_tfim_observables": "exact.free_fermions",
    "hea": "circuits.ansatz",
    "kraus": "models",
    "lanczos": "exact.krylov",
    "matrix_multiplicative_weights": "methods",
    "maximum_likelihood": "methods",
    "open_dynamics": "methods",
    "parameter_shift": "methods",
    "phase_damping": "models",
    "purified_thermal": "methods",
    "random_local": "operators.hamiltonians",
    "real": "circuits.ansatz",
    "reduced_density_matrix": "exact.reduced",
    "sample_latent": "qnat.inference.bits",
    "tfim": "operators.hamiltonians",
    "thermal": "exact.dense",
    "thermal_observables": "methods",
    "thermofield": "methods",
    "typical_bkm": "exact.typicality",
    "typical_thermal": "exact.typicality",
    "varqite": "methods",
    "xxz": "operators.hamiltonians",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    home = _HOME[name] if _HOME[name].startswith("qnat.") else f"{__name__}.{_HOME[name]}"
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
