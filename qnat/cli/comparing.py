"""The command `compare`."""

import argparse
import math

from qnat.experiment.errors import RefusedError
from qnat.experiment.store.files import FORMATS
from qnat.experiment.store.place import check_writable

from .formats import formats_of


def compare(chosen: argparse.Namespace) -> int:
    """Tables and figures of finished runs."""
    from qnat.experiment.show.compare import check_figures, check_runs, load_runs
    from qnat.experiment.show.report import print_comparison

    suffix = chosen.figure.suffix.removeprefix(".")
    formats = [suffix] if chosen.format is None else formats_of(chosen.format)
    if formats[0] not in FORMATS or not check_writable(chosen.figure.parent):
        raise RefusedError(
            f"The figure cannot be {chosen.figure}; give the name of a .png, .pdf or .svg file in an existing folder."
        )
    stem = chosen.figure.with_suffix("") if suffix in FORMATS else chosen.figure
    first, *others = (stem.with_name(f"{stem.name}.{kind}") for kind in formats)
    thresholds = None if chosen.thresholds is None else _numbers(chosen.thresholds)
    check_runs(chosen.runs)
    entries = load_runs(chosen.runs)
    figures = [first, *others]
    for figure in figures:
        check_figures(entries, figure)
    print_comparison(entries, figures, thresholds=thresholds, as_json=chosen.json)
    return 0


def _numbers(words: str) -> list[float]:
    """The thresholds in a list of words."""
    try:
        numbers = [float(word) for word in words.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)):
        raise RefusedError(f"thresholds is '{words}'; it must be finite numbers with commas, such as 0.1,0.01.")
    return numbers
