"""How much memory states need, said before it is taken."""

import os

import jax
import jax.numpy as jnp

from ..circuits.circuit import Circuit
from .lowering import is_real

COPIES = 3  # old and new state of a gather, and what the caller keeps
WIDEST = 31  # wires that 32-bit indices can count


def available_bytes() -> int | None:
    """Free memory of the device that holds arrays, or None where nobody says."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def check_memory(circuit: Circuit, batch: int, dtype: jnp.dtype) -> None:
    """Raises ValueError if that many states do not fit."""
    planes = 1 if is_real(circuit) else 2
    needed = COPIES * batch * 2**circuit.n * planes * jnp.dtype(dtype).itemsize
    free = available_bytes() if needed > 2**28 else None  # asking costs time and small states always fit
    what = f"{batch} state{'s' * (batch > 1)} of {circuit.n} wires in {jnp.dtype(dtype).name}"
    if free is not None and needed > free:
        raise ValueError(
            f"{what} need {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free; use fewer wires, single "
            "precision or several devices."
        )
    if circuit.n > WIDEST:
        raise ValueError(f"{what}: one device indexes at most {WIDEST} wires; use several devices.")
