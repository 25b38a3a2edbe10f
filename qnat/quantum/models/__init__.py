"""Models of mixed states: maps from parameters to density matrices."""

from .gibbs import GibbsFamily as GibbsFamily
from .latent import Frame as Frame
from .latent import LatentGibbs as LatentGibbs
from .latent import LatentMetric as LatentMetric

__all__ = ["Frame", "GibbsFamily", "LatentGibbs", "LatentMetric"]
