"""Problems, the training loop, and runs as folders; every name is loaded when it is first used."""

from qnat.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
