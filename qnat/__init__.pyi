from . import experiment as experiment
from . import geometry as geometry
from . import inference as inference
from . import optim as optim
from . import quantum as quantum

__version__: str
