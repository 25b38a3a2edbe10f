"""What iterates and what is inferred: processes, samplers of bits, estimates with their errors, score gradients."""

from .em import AbstractLatentModel as AbstractLatentModel
from .em import em as em
from .expectation import AbstractEstimator as AbstractEstimator
from .expectation import Pathwise as Pathwise
from .expectation import Score as Score
from .expectation import expectation as expectation
from .expectation import free_energy as free_energy
from .langevin import langevin as langevin
from .nuts import nuts as nuts
from .process import Info as Info
from .process import Linearised as Linearised
from .process import Process as Process
from .process import descend as descend

__all__ = [
    "AbstractEstimator",
    "AbstractLatentModel",
    "Info",
    "Linearised",
    "Pathwise",
    "Process",
    "Score",
    "descend",
    "em",
    "expectation",
    "free_energy",
    "langevin",
    "nuts",
]
