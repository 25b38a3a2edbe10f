"""What functions of one matrix, or of two, ask of their arguments, and decompositions that are not differentiated."""

from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Inexact

_TWICE = (
    "Functions of matrices have first and second derivatives only: the next one would differentiate eigenvectors, "
    "which have no derivative where eigenvalues coincide. Take differences of second derivatives."
)


@jax.custom_jvp
def eigh(A: Inexact[Array, "d d"]) -> tuple[Float[Array, " d"], Inexact[Array, "d d"]]:
    """Eigenvalues, ascending, and eigenvectors, for rules that own their derivatives; its own raises ValueError."""
    levels, V = jnp.linalg.eigh(A)
    return levels, V


@jax.custom_jvp
def svd(A: Inexact[Array, "d d"]) -> tuple[Inexact[Array, "d d"], Float[Array, " d"], Inexact[Array, "d d"]]:
    """Singular vectors and values, likewise."""
    left, s, right = jnp.linalg.svd(A)
    return left, s, right


def _not_differentiated(*_: Any) -> NoReturn:
    raise ValueError(_TWICE)


eigh.defjvp(_not_differentiated)
svd.defjvp(_not_differentiated)


def hermitian(**matrices: Inexact[ArrayLike, "d d"]) -> list[Array]:
    """The named matrices as arrays: square, of one size, and Hermitian without infinities as far as they are known.

    They are known outside jit, grad and vmap; elsewhere an infinite entry makes NaN, and a NaN makes NaN everywhere.
    What may differ from the adjoint is the square root of the machine epsilon, relative to the largest entry.

    Raises:
        ValueError: a stack, another shape, two sizes, an infinite entry, or not Hermitian.
    """
    arrays = [jnp.asarray(matrix) for matrix in matrices.values()]
    for name, array in zip(matrices, arrays, strict=True):
        if array.ndim > 2:
            raise ValueError(
                f"{name} has shape {array.shape}, but this is a function of one matrix; for a stack take jax.lax.map."
            )
        if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.size:
            raise ValueError(f"{name} must be a square matrix; its shape is {array.shape}.")
        if array.shape != arrays[0].shape:
            first = next(iter(matrices))
            raise ValueError(f"{first} and {name} must be of one size; they are {arrays[0].shape} and {array.shape}.")
        if not isinstance(array, jax.core.Tracer):
            _check_symmetry(name, np.asarray(array))
    return arrays


def _check_symmetry(name: str, matrix: Inexact[np.ndarray, "d d"]) -> None:
    if np.any(np.isinf(matrix)):
        raise ValueError(f"{name} holds infinity; write a large finite number if that is meant.")
    eps = float(jnp.finfo(jnp.result_type(matrix.dtype, jnp.float32)).eps)
    skew, scale = np.abs(matrix - matrix.conj().T).max(), np.abs(matrix).max()
    if skew > eps**0.5 * scale:
        raise ValueError(f"{name} must be Hermitian; it differs from its adjoint by {skew:.3g}.")


def vectors(**arrays: ArrayLike) -> list[Array]:
    """The named arrays of one dimension, as arrays.

    Raises:
        ValueError: one has another number of dimensions.
    """
    found = [jnp.asarray(array) for array in arrays.values()]
    for name, array in zip(arrays, found, strict=True):
        if array.ndim != 1:
            raise ValueError(f"{name} must be one vector; its shape is {array.shape}. For a stack take jax.lax.map.")
    return found
