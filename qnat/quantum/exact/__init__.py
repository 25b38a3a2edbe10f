"""Thermal states by other means than variation: dense, free particles, Krylov spaces, typicality."""

from qnat.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
