"""Information geometry: one convex potential gives a mirror map, a divergence and a metric.

States are unnormalised log-densities K, ρ = exp(K) / Tr exp(K). Metrics are lineax operators. Every metric is
normalised to the classical Fisher metric on commuting states. Axioms for classes of your own: `qnat.geometry.laws`.
"""

from . import laws
from .divergence import (
    bregman,
    bures_distance,
    entropy,
    fidelity,
    fidelity_from_spectra,
    free_energy,
    kl,
    relative_entropy,
    relative_entropy_from_spectra,
    trace_distance,
    trace_distance_from_spectra,
)
from .hermitian import gibbs_state, log_density, log_mean, log_spectrum, log_trace_exp
from .metric import (
    AbstractMetric,
    DivergenceMetric,
    EuclideanMetric,
    HessianMetric,
    MonotoneMetric,
    PullbackMetric,
    fubini_study,
    monotone_metric,
    petz,
)
from .mirror import AbstractMirrorMap, Euclidean, LogPartition, LogTraceExp, NegativeEntropy
from .monotone import (
    Kernel,
    bkm,
    chentsov,
    geometric,
    harmonic,
    kernel,
    log_density_weights,
    rotation_weights,
    sandwiched,
    sld,
    wigner_yanase,
    wyd,
)
from .operators import BlockDiagonal, Blockwise, Gram, TruncatedCG, damped

__all__ = [
    "AbstractMetric",
    "AbstractMirrorMap",
    "BlockDiagonal",
    "Blockwise",
    "DivergenceMetric",
    "Euclidean",
    "EuclideanMetric",
    "Gram",
    "HessianMetric",
    "Kernel",
    "LogPartition",
    "LogTraceExp",
    "MonotoneMetric",
    "NegativeEntropy",
    "PullbackMetric",
    "TruncatedCG",
    "bkm",
    "bregman",
    "bures_distance",
    "chentsov",
    "damped",
    "entropy",
    "fidelity",
    "fidelity_from_spectra",
    "free_energy",
    "fubini_study",
    "geometric",
    "gibbs_state",
    "harmonic",
    "kernel",
    "kl",
    "laws",
    "log_density",
    "log_density_weights",
    "log_mean",
    "log_spectrum",
    "log_trace_exp",
    "monotone_metric",
    "petz",
    "relative_entropy",
    "relative_entropy_from_spectra",
    "rotation_weights",
    "sandwiched",
    "sld",
    "trace_distance",
    "trace_distance_from_spectra",
    "wigner_yanase",
    "wyd",
]
