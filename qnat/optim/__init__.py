"""Natural gradients and mirror descent as optax transforms; what they promise is in `qnat.optim.laws`."""

from . import laws as laws
from .damping import adaptive as adaptive
from .mirror import mirror_descent as mirror_descent
from .natural import natural_gradient as natural_gradient
from .precondition import Diagnostics as Diagnostics
from .precondition import scale_by_metric as scale_by_metric
from .projected import projected as projected
from .proximal import proximal_descent as proximal_descent
from .proximal import proximal_newton as proximal_newton
from .qbang import qbang as qbang
from .rate import chain as chain
from .rate import with_rate as with_rate
from .running import scale_by_running_metric as scale_by_running_metric
from .spsa import qn_spsa as qn_spsa

__all__ = [
    "Diagnostics",
    "adaptive",
    "chain",
    "laws",
    "mirror_descent",
    "natural_gradient",
    "projected",
    "proximal_descent",
    "proximal_newton",
    "qbang",
    "qn_spsa",
    "scale_by_metric",
    "scale_by_running_metric",
    "with_rate",
]
