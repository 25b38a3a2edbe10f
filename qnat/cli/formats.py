"""Formats of figures in words."""

from qnat.experiment.errors import RefusedError
from qnat.experiment.store.files import FORMATS


def formats_of(words: str) -> list[str]:
    """The formats of figures in a list of words."""
    formats = words.split(",")
    if strange := [word for word in formats if word not in FORMATS]:
        raise RefusedError(
            f"format is '{strange[0]}'; it must be {', '.join(FORMATS)}, or several of them with commas."
        )
    return formats
