"""The statevector engine: a circuit becomes a plan of gathers and real matrix products, the same for any circuit.

`plan` is made once for a circuit, in NumPy; `window_matrices` turns angles into small matrices; `evolve_planes` sends
states through. docs/engine.md explains the idea.
"""

from .choose import plan
from .evolve import evolve_planes, to_amplitudes
from .frames import frames
from .matrices import window_matrices
from .plan import Plan, make_plan
from .tangents import frame_rows, tangent_gram, tangents

__all__ = [
    "Plan",
    "evolve_planes",
    "frame_rows",
    "frames",
    "make_plan",
    "plan",
    "tangent_gram",
    "tangents",
    "to_amplitudes",
    "window_matrices",
]
