"""Models: maps from parameters to distributions."""
