"""The word that was perhaps meant. This module imports the standard library only."""

import difflib
from collections.abc import Iterable


def suggestion(word: object, known: Iterable[object]) -> str:
    """What a refusal says before its full stop, " (did you mean 'gibbs'?)"; nothing if no known word is like it."""
    # two of three letters may be exchanged; the dashes of options are no likeness
    bare = {str(each).lstrip("-"): each for each in known}
    alike = difflib.get_close_matches(str(word).lower().lstrip("-"), bare, n=1, cutoff=0.65)
    return f" (did you mean '{bare[alike[0]]}'?)" if alike else ""
