"""The state of a loop as one file, the last two kept, so that a crash at any moment loses at most the newest."""

import functools
import json
import pathlib
import zipfile
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from ..console import note
from ..errors import RefusedError
from .files import CHECKPOINT, DRAWS, LOG, PREVIOUS, replace_file

_GENERATORS = ("threefry2x32", "rbg", "unsafe_rbg")


class Checkpoint(NamedTuple):
    """leaves: arrays of the loop state, keys as their data. meta: step, log_bytes, seconds, spec, versions, ..."""

    leaves: list[np.ndarray]
    meta: dict[str, Any]


def pack(state: PyTree[Array]) -> list[np.ndarray]:
    """The leaves of a state as NumPy arrays; a typed key becomes its data."""
    return [np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf) for leaf in jax.tree.leaves(state)]


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def unpack(skeleton: PyTree[Any], leaves: list[np.ndarray]) -> PyTree[Array]:
    """A state in the shape of `skeleton` (arrays or their shapes) from packed leaves.

    Raises:
        RefusedError: the leaves belong to a state of another shape.
    """
    slots, structure = jax.tree.flatten(skeleton)
    if len(slots) != len(leaves):
        raise RefusedError(f"The checkpoint holds {len(leaves)} arrays where this run has {len(slots)}; use --force.")
    restored = []
    for slot, leaf in zip(slots, leaves, strict=True):
        if _is_key(slot):
            restored.append(jax.random.wrap_key_data(jnp.asarray(leaf), impl=_kind(slot.dtype)))
            continue
        if (slot.shape, slot.dtype) != (leaf.shape, leaf.dtype):
            alike = slot.shape == leaf.shape
            advice = "resume with the precision it was made in, or use" if alike else "start anew with"
            raise RefusedError(
                f"The checkpoint holds a {leaf.dtype}{list(leaf.shape)} where this run has a "
                f"{slot.dtype}{list(slot.shape)}; {advice} --force."
            )
        restored.append(jnp.asarray(leaf))
    return jax.tree.unflatten(structure, restored)


def _kind(dtype: Any) -> str:
    """The generator that keys of this type belong to."""
    made = {kind: functools.partial(jax.random.key, impl=kind) for kind in _GENERATORS}
    return next(kind for kind, make in made.items() if jax.eval_shape(make, 0).dtype == dtype)


def save(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint beside, renames it into place, and keeps the one before."""
    arrays: dict[str, Any] = {f"leaf_{i:05d}": leaf for i, leaf in enumerate(checkpoint.leaves)}
    meta = np.frombuffer(json.dumps(checkpoint.meta).encode(), np.uint8)
    replace_file(folder / CHECKPOINT, lambda file: np.savez(file, meta=meta, **arrays), keep=folder / PREVIOUS)


def load(folder: pathlib.Path) -> Checkpoint | None:
    """The newest checkpoint that can be read whole; None if the folder has none.

    A damaged one falls back to the one before, and says so on standard error.

    Raises:
        RefusedError: there are checkpoints, all damaged.
    """
    damaged = ""
    for name in (CHECKPOINT, PREVIOUS):
        if not (folder / name).exists():
            continue
        try:
            checkpoint = _read(folder / name)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            damaged = f"{folder / name} is damaged ({error})"
            continue
        if damaged:
            note(f"{damaged}; continuing from the one before, step {checkpoint.meta['step']}.")
        return checkpoint
    if damaged:
        raise RefusedError(f"{damaged}, and no other is left; --force starts the run anew.")
    return None


def _size(path: pathlib.Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _read(path: pathlib.Path) -> Checkpoint:
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        meta = json.loads(file["meta"].tobytes())
        for file_name, length in ((LOG, meta["log_bytes"]), (DRAWS, meta.get("draws_bytes", 0))):
            if length > _size(path.with_name(file_name)):
                raise ValueError(f"{file_name} is shorter than it says")
        return Checkpoint([file[name] for name in sorted(file.files) if name != "meta"], meta)
