"""How much memory states need, said before it is taken."""

import os

import jax
import jax.numpy as jnp

from .plan import Plan

COPIES = 3  # old and new state of a gather, and what the caller keeps


def available_bytes() -> int | None:
    """Free memory of the device that holds arrays, or None where nobody says."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def check_memory(plan: Plan, batch: int, dtype: jnp.dtype) -> None:
    """Raises ValueError if that many states do not fit."""
    needed = COPIES * batch * 2**plan.n * plan.planes * jnp.dtype(dtype).itemsize
    free = available_bytes() if needed > 2**28 else None  # asking costs time and small states always fit
    if free is not None and needed > free:
        raise ValueError(
            f"{batch} state(s) of {plan.n} wires in {jnp.dtype(dtype).name} need {needed / 2**30:.1f} GiB and "
            f"{free / 2**30:.1f} GiB are free; use fewer wires, single precision or several devices."
        )
