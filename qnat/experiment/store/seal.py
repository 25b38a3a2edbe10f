"""Checksums: what is read is what was written, or it is called damaged.

A document carries a checksum of itself and the number of its format; one that has neither is from before there were
checksums, and no single flipped bit makes the one look like the other.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from .opened import open_ours

SEAL, FORMAT = "sha256", "format"
_VERSION = 2
_PIECE = 2**20


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document as JSON gives it back, with a checksum of everything else in it."""
    plain = json.loads(json.dumps({**document, FORMAT: _VERSION}, allow_nan=False))
    plain.pop(SEAL, None)
    return plain | {SEAL: _checksum(plain)}


def is_sealed(document: Mapping[str, Any]) -> bool:
    """Whether the document was written since there are checksums."""
    return SEAL in document or FORMAT in document


def check_seal(document: Mapping[str, Any]) -> None:
    """Does nothing to a document that is as it was written, or is not sealed.

    Raises:
        ValueError: its checksum is not that of what it says.
    """
    rest = {name: value for name, value in document.items() if name != SEAL}
    if is_sealed(document) and document.get(SEAL) != _checksum(rest):
        raise ValueError("its checksum is that of another text")


def _checksum(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def hash_of(path: pathlib.Path, length: int | None = None) -> Any:
    """The running hash of the first `length` bytes of a file, or of all.

    Raises:
        RefusedError: it is no regular file, or cannot be read. ValueError: it is shorter.
    """
    found, left = hashlib.sha256(), length
    with os.fdopen(open_ours(path), "rb") as file:
        while left is None or left > 0:
            piece = file.read(_PIECE if left is None else min(left, _PIECE))
            if not piece:
                break
            found.update(piece)
            left = None if left is None else left - len(piece)
    if left:
        raise ValueError(f"{path.name} is shorter than it was")
    return found
