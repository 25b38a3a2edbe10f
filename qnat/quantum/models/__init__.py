"""Models: maps from parameters to density matrices and pure states."""

from qnat.moved import former

from .approximate import ApproximateMetric as ApproximateMetric
from .channels import Channel as Channel
from .channels import amplitude_damping as amplitude_damping
from .channels import depolarizing as depolarizing
from .channels import kraus as kraus
from .channels import phase_damping as phase_damping
from .energies import NetworkEnergy as NetworkEnergy
from .gibbs import GibbsFamily as GibbsFamily
from .latent import Frame as Frame
from .latent import LatentGibbs as LatentGibbs
from .latent import LatentMetric as LatentMetric
from .noisy import NoisyState as NoisyState
from .pure import PureMetric as PureMetric
from .pure import PureState as PureState

__all__ = [
    "ApproximateMetric",
    "Channel",
    "Frame",
    "GibbsFamily",
    "LatentGibbs",
    "LatentMetric",
    "NetworkEnergy",
    "NoisyState",
    "PureMetric",
    "PureState",
    "amplitude_damping",
    "depolarizing",
    "kraus",
    "phase_damping",
]

__getattr__ = former(__name__)
