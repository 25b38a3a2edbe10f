"""Data sets: their headers, their values, what is asked of them, and batches."""

from qnat.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
