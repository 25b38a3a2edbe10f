"""Hypothesis strategies of this room: Hermitian matrices, states, generators, channels; for tests of your own.

Everything drawn is a NumPy array of a shape that you fix, so that a compiled law serves all examples. Hypothesis is
needed, and loaded, by this module alone: `pip install hypothesis`.
"""

import functools
import itertools
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis.extra import numpy as hnp
from jaxtyping import Complex, Float, Inexact

_PAULI = {"I": np.eye(2), "X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])}


def vectors(size: int, *, bound: float = 2.0, dtype: Any = np.float64) -> st.SearchStrategy[Float[np.ndarray, " size"]]:
    """Parameters (size,), each number between −bound and bound; they shrink towards 0."""
    width, bound = 8 * np.dtype(dtype).itemsize, float(np.asarray(bound, dtype))
    numbers = st.floats(-bound, bound, allow_subnormal=False, width=width)
    return hnp.arrays(dtype, (size,), elements=numbers, fill=st.nothing())


def hermitian(
    dim: int, *, bound: float = 2.0, real: bool = False, dtype: Any = np.float64
) -> st.SearchStrategy[Inexact[np.ndarray, "dim dim"]]:
    """Hermitian matrices (dim, dim) with elements up to about `bound`; symmetric ones if `real`.

    Equal eigenvalues are frequent: they shrink towards the zero matrix, by way of sparse ones.
    """

    def build(numbers: Float[np.ndarray, " size"]) -> Inexact[np.ndarray, "dim dim"]:
        lower = np.tril(numbers.reshape(dim, dim))
        symmetric = lower + np.tril(lower, -1).T
        if real:
            return symmetric
        upper = np.triu(numbers.reshape(dim, dim), 1)
        return symmetric + np.asarray(1j, np.result_type(dtype, np.complex64)) * (upper - upper.T)

    return vectors(dim * dim, bound=bound, dtype=dtype).map(build)


def states(
    dim: int, *, spread: float = 4.0, real: bool = False, dtype: Any = np.float64
) -> st.SearchStrategy[Inexact[np.ndarray, "dim dim"]]:
    """States as this room carries them: log-densities K (dim, dim), ρ = exp(K)/Tr exp(K), of any normalisation.

    Elements of K lie within ±spread/2, its eigenvalues within dim times as much; the maximally mixed state K = 0 is the
    simplest.
    """
    return hermitian(dim, bound=spread / 2, real=real, dtype=dtype)


def generators(
    qubits: int, count: int, *, real: bool = False, dtype: Any = np.float64
) -> st.SearchStrategy[Inexact[np.ndarray, "count dim dim"]]:
    """Generators (count, 2^qubits, 2^qubits) of a quantum exponential family: different Pauli strings but the identity.

    They are linearly independent together with the identity, as `LogTraceExp` wants. Real ones have an even number of
    Y; otherwise the matrices are complex.
    """
    strings = ["".join(letters) for letters in itertools.product("IXYZ", repeat=qubits)][1:]
    known = [string for string in strings if not real or string.count("Y") % 2 == 0]

    def build(chosen: list[str]) -> Inexact[np.ndarray, "count dim dim"]:
        matrices = np.array([functools.reduce(np.kron, [_PAULI[letter] for letter in string]) for string in chosen])
        matrices = matrices.reshape(count, 2**qubits, 2**qubits)
        return matrices.real.astype(dtype) if real else matrices.astype(np.result_type(dtype, np.complex64))

    return st.lists(st.sampled_from(known), min_size=count, max_size=count, unique=True).map(build)


def channels(
    dim: int, *, kraus: int = 2, dtype: Any = np.float64
) -> st.SearchStrategy[Complex[np.ndarray, "kraus dim dim"]]:
    """Channels ρ ↦ Σ KρK† as Kraus operators (kraus, dim, dim) with Σ K†K = 1.

    They are the blocks of an isometry (Stinespring's theorem), which is the Q of a random matrix.
    """

    def build(numbers: Float[np.ndarray, " size"]) -> Complex[np.ndarray, "kraus dim dim"]:
        real, imaginary = numbers.reshape(2, kraus * dim, dim)
        isometry = np.linalg.qr(real + np.asarray(1j, np.result_type(dtype, np.complex64)) * imaginary)[0]
        return isometry.reshape(kraus, dim, dim)

    return vectors(2 * kraus * dim * dim, dtype=dtype).map(build)
