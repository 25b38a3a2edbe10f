"""States of parts of a system."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact


def reduced_density_matrix(
    state: Inexact[Array, " d"] | Inexact[Array, "d d"], keep: Sequence[int]
) -> Inexact[Array, "a a"]:
    """The state of the wires in `keep`, in that order: the partial trace over all others.

    Args:
        state: (2^n,) amplitudes of a pure state, or a (2^n, 2^n) density matrix; wire 0 the most significant bit.
        keep: distinct wires.

    Raises:
        ValueError: the size is not a power of two, or a wire does not exist or stands twice.
    """
    state = jnp.asarray(state)
    shape = state.shape
    n = shape[0].bit_length() - 1
    if shape not in ((2**n,), (2**n, 2**n)):
        raise ValueError(f"A state of qubits has 2^n amplitudes, or as many rows and columns; got {shape}.")
    if len(set(keep)) < len(keep) or not set(keep) <= set(range(n)):
        raise ValueError(f"keep names distinct wires among 0..{n - 1}; got {tuple(keep)}.")
    return _partial_trace(state, tuple(keep))


@functools.partial(jax.jit, static_argnames="keep")
def _partial_trace(state: Inexact[Array, "..."], keep: tuple[int, ...]) -> Inexact[Array, "a a"]:
    n = state.shape[0].bit_length() - 1
    order = [*keep, *(wire for wire in range(n) if wire not in keep)]
    kept = 2 ** len(keep)
    if state.ndim == 1:
        amplitudes = state.reshape((2,) * n).transpose(order).reshape(kept, -1)
        return amplitudes @ amplitudes.conj().T
    both = state.reshape((2,) * (2 * n)).transpose([*order, *(n + wire for wire in order)])
    return jnp.einsum("xkyk->xy", both.reshape(kept, 2**n // kept, kept, -1))
