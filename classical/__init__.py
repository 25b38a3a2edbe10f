"""The classical branch: networks and Helmholtz machines on the geometry of `qnat`; names load when first used."""

from qnat.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
