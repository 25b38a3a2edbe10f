"""Information geometry: one convex potential gives a mirror map, a divergence and a metric.

States are unnormalised log-densities K, ρ = exp(K) / Tr exp(K). Metrics are lineax operators. Every metric is
normalised to the classical Fisher metric on commuting states. Axioms for classes of your own: `qnat.geometry.laws`.
"""

from . import families, laws
from .charts import AbstractChart, pulled
from .distances import (
    bures_distance,
    fidelity,
    fidelity_from_spectra,
    trace_distance,
    trace_distance_from_spectra,
)
from .divergence import bregman, entropy, free_energy, kl, relative_entropy, relative_entropy_from_spectra
from .dual import Dual
from .hermitian import gibbs_state, log_density, log_mean, log_spectrum, log_trace_exp
from .joint import MixtureFamily
from .metric import AbstractMetric, DivergenceMetric, EuclideanMetric, HessianMetric, PullbackMetric
from .mirror import AbstractMirrorMap, Euclidean, LogPartition, LogTraceExp, NegativeEntropy
from .monotone import Kernel, bkm, geometric, harmonic, kernel, sandwiched, sld, wigner_yanase, wyd
from .operators import BlockDiagonal, Gram, damped
from .solvers import Blockwise
from .state_metrics import MonotoneMetric, fubini_study, hilbert_schmidt, monotone_metric, petz, petz_density
from .truncated_cg import TruncatedCG, jacobi
from .weights import boundary, chentsov, density_weights, log_density_weights, rotation_weights

__all__ = [
    "AbstractChart",
    "AbstractMetric",
    "AbstractMirrorMap",
    "BlockDiagonal",
    "Blockwise",
    "DivergenceMetric",
    "Dual",
    "Euclidean",
    "EuclideanMetric",
    "Gram",
    "HessianMetric",
    "Kernel",
    "LogPartition",
    "LogTraceExp",
    "MixtureFamily",
    "MonotoneMetric",
    "NegativeEntropy",
    "PullbackMetric",
    "TruncatedCG",
    "bkm",
    "boundary",
    "bregman",
    "bures_distance",
    "chentsov",
    "damped",
    "density_weights",
    "entropy",
    "families",
    "fidelity",
    "fidelity_from_spectra",
    "free_energy",
    "fubini_study",
    "geometric",
    "gibbs_state",
    "harmonic",
    "hilbert_schmidt",
    "jacobi",
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
    "petz_density",
    "pulled",
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
