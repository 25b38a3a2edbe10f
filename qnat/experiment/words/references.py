"""The references of the library, by key: what `qnat cite` prints."""

import functools
import pathlib
import re

_FILE = pathlib.Path(__file__).parents[2] / "references.bib"


@functools.cache
def entries() -> dict[str, str]:
    """The BibTeX entries of references.bib."""
    found = re.findall(r"^(@\w+\{(\w+),\n.*?^\})$", _FILE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return {key: entry for entry, key in found}
