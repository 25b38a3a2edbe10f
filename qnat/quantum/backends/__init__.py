"""Simulators behind one contract; the modules `pennylane` and `qutip` load those packages, so import from them."""

from .base import AbstractBackend as AbstractBackend
from .bitstrings import bits_from_qiskit as bits_from_qiskit
from .statevector import Statevector as Statevector

__all__ = ["AbstractBackend", "Statevector", "bits_from_qiskit"]
