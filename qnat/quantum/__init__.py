"""Quantum models, methods and tasks; names load when they are first used."""

import importlib
from typing import Any

_HOME = {
    "AbstractBackend": "backends",
    "ApproximateMetric": "models",
    "Channel": "models",
    "Circuit": "circuit",
    "DeviceThermalTask": "methods",
    "Estimate": "measurement",
    "GibbsFamily": "models",
    "LatentGibbs": "models",
    "LatentMetric": "models",
    "LearningTask": "methods",
    "Measurement": "measurement",
    "Moments": "counts",
    "NetworkEnergy": "models",
    "NoisyState": "models",
    "PauliSum": "pauli",
    "PureMetric": "models",
    "PureState": "models",
    "SampledMetric": "methods",
    "SampledThermalTask": "methods",
    "SequenceTask": "methods",
    "Statevector": "backends",
    "ThermalTask": "methods",
    "amplitude_damping": "models",
    "bits_from_qiskit": "backends",
    "boson_block": "gaussian",
    "closed_dynamics": "methods",
    "depolarizing": "models",
    "estimate": "measurement",
    "exp_action": "krylov",
    "fermi_hubbard": "hamiltonians",
    "fermion_block": "gaussian",
    "fermion_log_spectrum": "gaussian",
    "free_energy_density_tfim": "free_fermions",
    "free_fermion_tfim": "free_fermions",
    "free_fermion_tfim_observables": "free_fermions",
    "hea": "ansatz",
    "kraus": "models",
    "lanczos": "krylov",
    "matrix_multiplicative_weights": "methods",
    "maximum_likelihood": "methods",
    "open_dynamics": "methods",
    "parameter_shift": "methods",
    "phase_damping": "models",
    "purified_thermal": "methods",
    "random_local": "hamiltonians",
    "real": "ansatz",
    "reduced_density_matrix": "reduced",
    "sample_latent": "models",
    "tfim": "hamiltonians",
    "thermal": "exact",
    "thermal_observables": "methods",
    "thermofield": "methods",
    "typical_bkm": "typicality",
    "typical_thermal": "typicality",
    "varqite": "methods",
    "xxz": "hamiltonians",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
