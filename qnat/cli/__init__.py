"""The command `qnat`: words in, runs out."""

from .command import main as main

__all__ = ["main"]
