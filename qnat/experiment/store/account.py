"""What a checkpoint says of itself and of the files that grow beside it; read without JAX."""

import contextlib
import json
import os
import pathlib
import zipfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import RefusedError
from ..reading import reading
from .files import CHECKPOINT, DRAWS, LOG, PREVIOUS
from .forms import check_account
from .opened import open_ours
from .place import difference
from .seal import check_seal, hash_of, is_sealed

if TYPE_CHECKING:
    from numpy.lib.npyio import NpzFile


@contextlib.contextmanager
def opened_parts(path: pathlib.Path) -> Iterator["NpzFile"]:
    """The arrays of a checkpoint, as they were written; for `reading` to say what is wrong."""
    import numpy as np

    with os.fdopen(open_ours(path), "rb") as raw:
        parts = zipfile.ZipFile(raw).infolist()
        # a part that says that it is larger than the file would fill the memory
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise ValueError("it is compressed")
        if sum(part.file_size for part in parts) > os.fstat(raw.fileno()).st_size:
            raise ValueError("its parts are larger than the whole")
        raw.seek(0)
        with np.load(raw, allow_pickle=False) as file:
            yield file


def account_in(file: "NpzFile", record: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a checkpoint says of itself: whole, and of the run with this spec if one is given."""
    meta: dict[str, Any] = json.loads(file["meta"].tobytes())
    check_seal(meta)
    check_account(meta)
    if record is not None and (name := difference(meta["spec"], record)) is not None:
        raise ValueError(f"it is of a run with another {name}")
    return meta


def check_counted(folder: pathlib.Path, meta: Mapping[str, Any]) -> None:
    """Raises ValueError unless the files that grow are what they were, as far as a checkpoint counts them."""
    for name, length in ((LOG, meta["log_bytes"]), (DRAWS, meta.get("draws_bytes", 0))):
        if length > _size(folder / name):
            raise ValueError(f"{name} is shorter than it says")
        if is_sealed(meta) and length and meta["files"][name] != hash_of(folder / name, length).hexdigest():
            raise ValueError(f"{name} is not what it was")


def _size(path: pathlib.Path) -> int:
    return path.stat().st_size if path.exists() else 0


def check_log(folder: pathlib.Path, record: Mapping[str, Any]) -> None:
    """Refuses a log that is not the one that the newest whole checkpoint of the run counts; without one it passes."""
    for name in (CHECKPOINT, PREVIOUS):
        if not os.path.lexists(folder / name):
            continue
        try:
            with reading(folder / name), opened_parts(folder / name) as file:
                meta = account_in(file, record)
        except RefusedError:
            continue
        with reading(folder, "the damaged run in", "--resume continues from what is whole"):
            check_counted(folder, meta)
        return
