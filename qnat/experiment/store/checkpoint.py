"""The state of a loop as one file, the last two kept, so that a crash at any moment loses at most the newest."""

import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from ..console import note
from ..errors import RefusedError
from ..reading import reading, shown
from .account import account_in, check_counted, opened_parts
from .files import CHECKPOINT, PREVIOUS, RUN, read_run, replace_file
from .seal import is_sealed, sealed

_LEAVES = "leaves"
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
            data = jax.eval_shape(jax.random.key_data, slot)
            if (data.shape, data.dtype) != (leaf.shape, leaf.dtype):
                raise RefusedError("The checkpoint holds other random keys than this run has; start anew with --force.")
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
    account = sealed(checkpoint.meta | {_LEAVES: _checksum(checkpoint.leaves)})
    meta = np.frombuffer(json.dumps(account).encode(), np.uint8)
    replace_file(folder / CHECKPOINT, lambda file: np.savez(file, meta=meta, **arrays), keep=folder / PREVIOUS)


def _checksum(leaves: Iterable[np.ndarray]) -> str:
    found = hashlib.sha256()
    for leaf in leaves:
        found.update(f"{leaf.dtype.str} {leaf.shape} ".encode())
        found.update(leaf.tobytes())
    return found.hexdigest()


def load(folder: pathlib.Path) -> Checkpoint | None:
    """The newest checkpoint that is whole, of the run that the folder is of, and of a log that is whole up to there.

    None if the folder has none. A damaged one falls back to the one before, and says so on standard error.

    Raises:
        RefusedError: there are checkpoints, all damaged.
    """
    record = read_run(folder)["spec"] if (folder / RUN).exists() else None
    damaged = ""
    for name in (CHECKPOINT, PREVIOUS):
        if not os.path.lexists(folder / name):
            continue
        try:
            checkpoint = _read(folder / name, record)
        except RefusedError as error:
            damaged = damaged or f"{folder / name} is damaged ({shown(error.__cause__ or error)})"
            continue
        if damaged:
            note(f"{damaged}; continuing from the one before, step {checkpoint.meta['step']}.")
        return checkpoint
    if damaged:
        raise RefusedError(f"{damaged}, and no other is left; --force starts the run anew.")
    return None


def _read(path: pathlib.Path, record: Mapping[str, Any] | None) -> Checkpoint:
    with reading(path), opened_parts(path) as file:
        meta = account_in(file, record)
        leaves = [file[name] for name in sorted(file.files) if name != "meta"]
        if is_sealed(meta) and meta[_LEAVES] != _checksum(leaves):
            raise ValueError("its arrays are others than it says")
        check_counted(path.parent, meta)
        return Checkpoint(leaves, meta)
