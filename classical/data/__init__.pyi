from .sets import Data as Data
from .sets import load as load
