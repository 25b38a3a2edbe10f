"""Models: maps from parameters to density matrices and pure states."""

from .gibbs import GibbsFamily as GibbsFamily
from .latent import Frame as Frame
from .latent import LatentGibbs as LatentGibbs
from .latent import LatentMetric as LatentMetric
from .pure import PureMetric as PureMetric
from .pure import PureState as PureState

__all__ = ["Frame", "GibbsFamily", "LatentGibbs", "LatentMetric", "PureMetric", "PureState"]
