"""Simulators behind one contract."""

from .base import AbstractBackend as AbstractBackend
from .statevector import Statevector as Statevector

__all__ = ["AbstractBackend", "Statevector"]
