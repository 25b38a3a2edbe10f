"""What is done with models: problems and estimators."""

from .device import DeviceThermalTask as DeviceThermalTask
from .hamiltonian_learning import LearningTask as LearningTask
from .likelihood import MaximumLikelihood as MaximumLikelihood
from .likelihood import maximum_likelihood as maximum_likelihood
from .likelihood import pretrain as pretrain
from .mirror import matrix_multiplicative_weights as matrix_multiplicative_weights
from .observables import thermal_observables as thermal_observables
from .sampled import SampledThermalTask as SampledThermalTask
from .sampled_metric import SampledMetric as SampledMetric
from .sequence import SequenceTask as SequenceTask
from .sequence import closed_dynamics as closed_dynamics
from .sequence import open_dynamics as open_dynamics
from .shift import parameter_shift as parameter_shift
from .thermal import ThermalTask as ThermalTask
from .varqite import ImaginaryTime as ImaginaryTime
from .varqite import purified_thermal as purified_thermal
from .varqite import thermofield as thermofield
from .varqite import varqite as varqite

__all__ = [
    "DeviceThermalTask",
    "ImaginaryTime",
    "LearningTask",
    "MaximumLikelihood",
    "SampledMetric",
    "SampledThermalTask",
    "SequenceTask",
    "ThermalTask",
    "closed_dynamics",
    "matrix_multiplicative_weights",
    "maximum_likelihood",
    "open_dynamics",
    "parameter_shift",
    "pretrain",
    "purified_thermal",
    "thermal_observables",
    "thermofield",
    "varqite",
]
