"""Thermal states by other means than variation: dense, free particles, Krylov spaces, typicality."""
