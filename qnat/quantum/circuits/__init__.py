"""Circuits as data, and the usual ones."""
