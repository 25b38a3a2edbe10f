"""What iterates and what is inferred: processes, samplers of bits, estimates with their errors, score gradients."""

from .em import AbstractLatentModel as AbstractLatentModel
from .em import em as em
from .langevin import langevin as langevin
from .process import Info as Info
from .process import Linearised as Linearised
from .process import Process as Process
from .process import descend as descend

__all__ = ["AbstractLatentModel", "Info", "Linearised", "Process", "descend", "em", "langevin"]
