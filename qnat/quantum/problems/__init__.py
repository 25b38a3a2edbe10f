"""The quantum problems: models, Hamiltonians or data, and what is measured of them."""

from .device import DeviceThermalTask as DeviceThermalTask
from .learning import LearningTask as LearningTask
from .sampled import SampledThermalTask as SampledThermalTask
from .sequence import SequenceTask as SequenceTask
from .thermal import ThermalTask as ThermalTask
from .vectors import VectorThermalTask as VectorThermalTask

__all__ = [
    "DeviceThermalTask",
    "LearningTask",
    "SampledThermalTask",
    "SequenceTask",
    "ThermalTask",
    "VectorThermalTask",
]
