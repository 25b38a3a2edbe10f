"""Information geometry for quantum-classical hybrid simulation.

Rooms, lowest first; each is loaded when it is first asked for, so that `import qnat` costs nothing:

    qnat.geometry      potentials, mirror maps, divergences, monotone metrics
    qnat.optim         natural gradient, proximal and mirror descent as optax transforms
    qnat.inference     what iterates: descent, expectation maximisation, chains; draws and estimates
    qnat.experiment    Task, run, Run: training, storing, resuming, comparing
    qnat.quantum       Hamiltonians, circuits, thermal-state models and their tasks
"""

import sys

from qnat.lazy import attach
from qnat.moved import Finder

__version__ = "0.1.0"

sys.meta_path.append(Finder())
__getattr__, __dir__, __all__ = attach(__name__, __file__)
