"""Sums of Pauli strings with bit masks; nothing here knows another package's operator types."""

import functools
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float, Inexact, Int

from . import expectations
from . import planes as pauli_planes
from .hamiltonian_file import read_terms
from .terms import ROUNDING


def masks(string: str) -> tuple[int, int]:
    """Bit masks (x, z) of a Pauli string: P = i^{|x & z|} X^x Z^z, wire 0 the most significant bit."""
    x = int("".join("1" if letter in "XY" else "0" for letter in string), 2)
    z = int("".join("1" if letter in "YZ" else "0" for letter in string), 2)
    return x, z


def row_phases(x: int, z: int, n: int) -> Complex[np.ndarray, " d"]:
    """Phases with (P v)[r] = phase[r] v[r ^ x] for the Pauli string of masks (x, z) on n qubits, d = 2^n."""
    parity = np.bitwise_count(np.arange(2**n, dtype=np.uint64) & np.uint64(z)) & 1
    return (-1j) ** (x & z).bit_count() * (1.0 - 2.0 * parity)


def _floating(coefficients: Any) -> Any:
    """Numbers as an array of floating or complex ones; what stands in for them inside JAX passes."""
    if not isinstance(coefficients, jax.Array | np.ndarray | list | tuple):
        return coefficients
    array = jnp.asarray(coefficients)
    return array if jnp.issubdtype(array.dtype, jnp.inexact) else array.astype(float)


@functools.partial(jax.jit, static_argnames=("n", "is_real"))
def _matrix(
    masks: Int[ArrayLike, "T 2"], coefficients: Float[Array, " T"], *, n: int, is_real: bool
) -> Inexact[Array, "d d"]:
    """Σⱼ cⱼ Pⱼ; the strings are an argument, so that sums of as many terms share one program."""
    x, z = jnp.asarray(masks).T
    rows = jnp.arange(2**n)
    powers = np.array([1, -1j, -1, 1j])
    dtype = coefficients.dtype if is_real else jnp.result_type(coefficients.dtype, jnp.complex64)
    phases = jnp.asarray(powers.real if is_real else powers, dtype)[jnp.bitwise_count(x & z) % 4]
    elements = (coefficients * phases)[:, None] * pauli_planes.signs(z, rows)
    return jnp.zeros((2**n, 2**n), dtype).at[rows, rows ^ x[:, None]].add(elements)


def as_coefficients(values: Sequence[float | Float[Array, ""]]) -> Float[Array, " T"]:
    """Real numbers as an array; some may be traced."""
    known = not any(isinstance(value, jax.Array) for value in values)
    # from a list of numbers JAX would compile a program for every length
    return jnp.asarray(np.array(values, float) if known else values, float)


def _real(coefficients: Mapping[str, Any]) -> list[float | Float[Array, ""]]:
    """The coefficients without imaginary parts that are rounding; real ones may be traced."""
    known = [abs(c.real) for c in coefficients.values() if not isinstance(c, jax.core.Tracer)]
    largest, found = max(known, default=0.0), []
    for string, coefficient in coefficients.items():
        if np.iscomplexobj(coefficient):
            if isinstance(coefficient, jax.core.Tracer) or not abs(coefficient.imag) <= ROUNDING * largest:
                raise ValueError(
                    f"The coefficient {coefficient} of '{string}' is complex; a Hamiltonian needs real ones."
                )
            coefficient = coefficient.real  # noqa: PLW2901
        found.append(coefficient)
    return found


class PauliSum(eqx.Module):
    """H = Σⱼ cⱼ Pⱼ, a Hermitian sum of Pauli strings on n qubits.

    Attributes:
        coefficients: (T,) real, the cⱼ; the only array, so that couplings may be traced. Whole numbers become floating
            ones, in the default precision.
        strings: T Pauli strings such as "ZZII"; letter q acts on wire q, wire 0 the leftmost Kronecker factor.
    """

    coefficients: Float[Array, " T"] = eqx.field(converter=_floating)
    strings: tuple[str, ...] = eqx.field(static=True)

    def __check_init__(self) -> None:
        if not self.strings:
            raise ValueError("A PauliSum needs at least one term; got none.")
        lengths = {len(string) for string in self.strings}
        if len(lengths) != 1 or not set("".join(self.strings)) <= set("IXYZ"):
            raise ValueError(f"Pauli strings need equal lengths and the letters I, X, Y, Z; got {self.strings[:4]}.")
        if len(set(self.strings)) != len(self.strings):
            raise ValueError("Each Pauli string may stand once; PauliSum.from_terms adds up equal ones.")
        if not hasattr(self.coefficients, "shape"):
            return
        if jnp.iscomplexobj(self.coefficients):
            raise ValueError("The coefficients of a PauliSum are complex; a Hamiltonian needs real ones.")
        if self.coefficients.shape != (len(self.strings),):
            raise ValueError(
                f"{len(self.strings)} Pauli strings need coefficients of shape ({len(self.strings)},); these have "
                f"{self.coefficients.shape}."
            )

    @classmethod
    def from_terms(cls, terms: Iterable[tuple[str, float]]) -> Self:
        """The sum of (Pauli string, real coefficient) pairs; equal strings add up.

        Imaginary parts below 1e-12 of the largest coefficient are rounding, and dropped.
        """
        total: dict[str, float] = {}
        for string, coefficient in terms:
            total[string] = total.get(string, 0.0) + coefficient
        return cls(as_coefficients(_real(total)), tuple(total))

    @classmethod
    def from_strings(cls, strings: Sequence[str]) -> Self:
        """The sum of the given strings with coefficients one."""
        return cls.from_terms((string, 1.0) for string in strings)

    @classmethod
    def from_file(cls, path: str | pathlib.Path, n: int | None = None) -> Self:
        """Reads a text or JSON file of terms; see `qnat.quantum.operators.hamiltonian_file.read_terms`."""
        return cls.from_terms(read_terms(path, n))

    @property
    def n(self) -> int:
        """Number of qubits."""
        return len(self.strings[0])

    @property
    def is_real(self) -> bool:
        """Whether the matrix is real in the computational basis (an even number of Y in every string)."""
        return all(string.count("Y") % 2 == 0 for string in self.strings)

    @property
    def masks(self) -> tuple[tuple[int, int], ...]:
        """The bit masks (x, z) of every string."""
        return tuple(masks(string) for string in self.strings)

    def apply(self, state: Inexact[Array, "d ..."]) -> Inexact[Array, "d ..."]:
        """H|ψ⟩ along the first axis of `state` (d = 2^n, wire 0 the most significant bit)."""
        state = state if self.is_real else state.astype(jnp.result_type(state, jnp.complex64))
        return pauli_planes.apply(self.masks, self.coefficients, state.reshape(1, 2**self.n, -1)).reshape(state.shape)

    def apply_planes(self, states: Float[Array, "batch d planes"]) -> Float[Array, "batch d planes"]:
        """H v for real arrays of states; planes are 1 (real amplitudes) or 2 (real part, imaginary part)."""
        if states.shape[-1] == 1 and not self.is_real:
            raise ValueError("A string with an odd number of Y makes real states complex; give them a second plane.")
        return pauli_planes.apply(self.masks, self.coefficients, states)

    def expectation_planes(self, states: Float[Array, "batch d planes"]) -> Float[Array, " batch"]:
        """⟨v|H|v⟩ of every state; value and gradient together cost one product with H, in every mode of derivative."""
        return expectations.expectation(self.masks, self.coefficients, states)

    def string_expectations_planes(self, states: Float[Array, "batch d planes"]) -> Float[Array, "batch T"]:
        """⟨v|Pⱼ|v⟩ of every state and string, coefficients left out."""
        return expectations.string_expectations(self.masks, states)

    def apply_term(self, index: Int[Array, ""], planes: Float[Array, "planes d m"]) -> Float[Array, "planes d m"]:
        """cⱼPⱼ on the columns of a real matrix (one plane) or of a complex one (its real and imaginary part, stacked).

        The index j may be traced. One plane wants strings with an even number of Y.
        """
        return self.coefficients[index].astype(planes.dtype) * expectations.apply_string(self.masks, index, planes)

    def matrices(self) -> Inexact[Array, "T d d"]:
        """The dense matrices of the strings, without coefficients; real where every string is."""
        rows = np.arange(2**self.n)
        dense = np.zeros((len(self.strings), 2**self.n, 2**self.n), complex)
        for matrix, string in zip(dense, self.strings, strict=True):
            x, z = masks(string)
            matrix[rows, rows ^ x] = row_phases(x, z, self.n)
        return jnp.asarray(dense.real, float) if self.is_real else jnp.asarray(dense, complex)

    def matrix(self) -> Inexact[Array, "d d"]:
        """The dense matrix of the sum; real where every string is."""
        return _matrix(np.array(self.masks), self.coefficients, n=self.n, is_real=self.is_real)

    def __add__(self, other: Self) -> Self:
        if other.n != self.n:
            raise ValueError(f"Cannot add Pauli sums on {self.n} and {other.n} qubits.")
        index = {string: k for k, string in enumerate(dict.fromkeys(self.strings + other.strings))}
        total = jnp.zeros(len(index), dtype=jnp.result_type(self.coefficients, other.coefficients))
        for part in (self, other):
            total = total.at[np.array([index[string] for string in part.strings])].add(part.coefficients)
        return type(self)(total, tuple(index))
