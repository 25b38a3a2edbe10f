"""Sums of Pauli strings with bit masks; nothing here knows another package's operator types."""

import pathlib
from collections.abc import Iterable, Sequence
from typing import Self

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact

from .hamiltonian_file import read_terms


def masks(string: str) -> tuple[int, int]:
    """Bit masks (x, z) of a Pauli string: P = i^{|x & z|} X^x Z^z, wire 0 the most significant bit."""
    x = int("".join("1" if letter in "XY" else "0" for letter in string), 2)
    z = int("".join("1" if letter in "YZ" else "0" for letter in string), 2)
    return x, z


def row_phases(x: int, z: int, n: int) -> Complex[np.ndarray, " d"]:
    """Phases with (P v)[r] = phase[r] v[r ^ x] for the Pauli string of masks (x, z) on n qubits, d = 2^n."""
    parity = np.bitwise_count(np.arange(2**n, dtype=np.uint64) & np.uint64(z)) & 1
    return (-1j) ** (x & z).bit_count() * (1.0 - 2.0 * parity)


class PauliSum(eqx.Module):
    """H = Σⱼ cⱼ Pⱼ, a Hermitian sum of Pauli strings on n qubits.

    Attributes:
        coefficients: (T,) real, the cⱼ; the only array, so that couplings may be traced.
        strings: T Pauli strings such as "ZZII"; letter q acts on wire q, wire 0 the leftmost Kronecker factor.
    """

    coefficients: Float[Array, " T"]
    strings: tuple[str, ...] = eqx.field(static=True)

    def __check_init__(self) -> None:
        if not self.strings:
            raise ValueError("A PauliSum needs at least one term; got none.")
        lengths = {len(string) for string in self.strings}
        if len(lengths) != 1 or not set("".join(self.strings)) <= set("IXYZ"):
            raise ValueError(f"Pauli strings need equal lengths and the letters I, X, Y, Z; got {self.strings[:4]}.")
        if len(set(self.strings)) != len(self.strings):
            raise ValueError("Each Pauli string may stand once; PauliSum.from_terms adds up equal ones.")

    @classmethod
    def from_terms(cls, terms: Iterable[tuple[str, float]]) -> Self:
        """The sum of (Pauli string, real coefficient) pairs; equal strings add up."""
        total: dict[str, float] = {}
        for string, coefficient in terms:
            if np.iscomplexobj(coefficient):
                raise ValueError(
                    f"The coefficient {coefficient} of '{string}' is complex; a Hamiltonian needs real ones."
                )
            total[string] = total.get(string, 0.0) + coefficient
        return cls(jnp.asarray(list(total.values()), dtype=float), tuple(total))

    @classmethod
    def from_strings(cls, strings: Sequence[str]) -> Self:
        """The sum of the given strings with coefficients one."""
        return cls.from_terms((string, 1.0) for string in strings)

    @classmethod
    def from_file(cls, path: str | pathlib.Path) -> Self:
        """Reads a text or JSON file of terms; see `qnat.quantum.hamiltonian_file.read_terms`."""
        return cls.from_terms(read_terms(path))

    @property
    def n(self) -> int:
        """Number of qubits."""
        return len(self.strings[0])

    @property
    def is_real(self) -> bool:
        """Whether the matrix is real in the computational basis (an even number of Y in every string)."""
        return all(string.count("Y") % 2 == 0 for string in self.strings)

    def apply(self, state: Inexact[Array, "d ..."]) -> Inexact[Array, "d ..."]:
        """H|ψ⟩ along the first axis of `state` (d = 2^n, wire 0 the most significant bit)."""
        rows = np.arange(2**self.n)
        total = jnp.zeros_like(state)
        for coefficient, string in zip(self.coefficients, self.strings, strict=True):
            x, z = masks(string)
            phase = row_phases(x, z, self.n)
            phase = phase.real if string.count("Y") % 2 == 0 else phase
            total = total + coefficient * phase.reshape(-1, *(1,) * (state.ndim - 1)) * state[rows ^ x]
        return total

    def matrices(self) -> Inexact[Array, "T d d"]:
        """The dense matrices of the strings, without coefficients; real where every string is."""
        rows = np.arange(2**self.n)
        dense = np.zeros((len(self.strings), 2**self.n, 2**self.n), complex)
        for matrix, string in zip(dense, self.strings, strict=True):
            x, z = masks(string)
            matrix[rows, rows ^ x] = row_phases(x, z, self.n)
        return jnp.asarray(dense.real if self.is_real else dense)

    def matrix(self) -> Inexact[Array, "d d"]:
        """The dense matrix of the sum; real where every string is."""
        identity = jnp.eye(2**self.n, dtype=self.coefficients.dtype if self.is_real else complex)
        return self.apply(identity)

    def __add__(self, other: Self) -> Self:
        if other.n != self.n:
            raise ValueError(f"Cannot add Pauli sums on {self.n} and {other.n} qubits.")
        index = {string: k for k, string in enumerate(dict.fromkeys(self.strings + other.strings))}
        total = jnp.zeros(len(index), dtype=jnp.result_type(self.coefficients, other.coefficients))
        for part in (self, other):
            total = total.at[np.array([index[string] for string in part.strings])].add(part.coefficients)
        return type(self)(total, tuple(index))
