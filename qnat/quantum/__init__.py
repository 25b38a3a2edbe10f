"""Quantum models, methods and tasks; names load when they are first used."""

from qnat.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
