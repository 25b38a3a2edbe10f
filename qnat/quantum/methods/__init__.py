"""What is done with models: estimators, dynamics, maximum likelihood, observables."""

from qnat.moved import former

from .dynamics import closed_dynamics as closed_dynamics
from .dynamics import open_dynamics as open_dynamics
from .likelihood import MaximumLikelihood as MaximumLikelihood
from .likelihood import maximum_likelihood as maximum_likelihood
from .likelihood import pretrain as pretrain
from .mirror import matrix_multiplicative_weights as matrix_multiplicative_weights
from .observables import thermal_observables as thermal_observables
from .sampled_metric import SampledMetric as SampledMetric
from .shift import parameter_shift as parameter_shift
from .varqite import ImaginaryTime as ImaginaryTime
from .varqite import purified_thermal as purified_thermal
from .varqite import thermofield as thermofield
from .varqite import varqite as varqite
from .vector_metric import VectorMetric as VectorMetric

__all__ = [
    "ImaginaryTime",
    "MaximumLikelihood",
    "SampledMetric",
    "VectorMetric",
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

__getattr__ = former(__name__)
