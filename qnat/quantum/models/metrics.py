"""The geometries of a model of quantum states."""

from collections.abc import Mapping

from qnat.geometry.metric import AbstractMetric, EuclideanMetric

from .gibbs import GibbsFamily
from .latent import LatentGibbs

KINDS = ("bkm", "sld", "wigner_yanase", "geometric", "harmonic")


def monotone_metrics(model: LatentGibbs | GibbsFamily) -> Mapping[str, AbstractMetric]:
    """Every monotone metric without parameter by its name, BKM first, and the Euclidean one."""
    return {kind: model.metric(kind) for kind in KINDS} | {"euclidean": EuclideanMetric()}
