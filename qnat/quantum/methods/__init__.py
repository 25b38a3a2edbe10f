"""What is done with models: problems and estimators."""

from .thermal import ThermalTask as ThermalTask

__all__ = ["ThermalTask"]
