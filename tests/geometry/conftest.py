"""Pauli matrices, random Hermitian matrices and the stored numbers, for every test of this folder."""

import functools
import json
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
ONE_QUBIT = {
    "I": np.eye(2),
    "X": np.array([[0.0, 1.0], [1.0, 0.0]]),
    "Y": np.array([[0.0, -1j], [1j, 0.0]]),
    "Z": np.diag([1.0, -1.0]),
}


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict]:
    """The content of one stored file."""
    return lambda name: json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.fixture(scope="session")
def paulis() -> Callable[..., np.ndarray]:
    """Pauli strings as a stack of matrices, real if they can be."""

    def stack(*strings: str) -> np.ndarray:
        matrices = np.array([functools.reduce(np.kron, [ONE_QUBIT[c] for c in string]) for string in strings])
        return matrices if np.any(matrices.imag) else matrices.real

    return stack


@pytest.fixture(scope="session")
def hermitian() -> Callable[..., np.ndarray]:
    """A random Hermitian matrix of a given size, scale and dtype."""

    def draw(seed: int, d: int, scale: float = 1.0, dtype=np.complex128) -> np.ndarray:
        a, b = scale * np.random.default_rng(seed).normal(size=(2, d, d))
        if np.issubdtype(dtype, np.complexfloating):
            a = (a + 1j * b) / 2**0.5
        return ((a + a.conj().T) / 2).astype(dtype)

    return draw
