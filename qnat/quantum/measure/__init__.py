"""Measured copies: settings, shots, counts, shadows."""
