"""Covariances of products of spins, by Walsh–Hadamard transforms in place of a table of all states."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import lineax as lx
import numpy as np
from jaxtyping import Array, Float, Int

from .spins import masks, walsh
from .structured import AbstractInverse, AbstractStructured, shifted


class SpinCovariance(AbstractStructured):
    """F[S, T] = ⟨s_S s_T⟩ − ⟨s_S⟩⟨s_T⟩ of products of spins s_S = Π_{i∈S} sᵢ under a distribution of n bits.

    A product with a vector takes two transforms, the matrix one, as s_S s_T is the product of the symmetric difference.
    (F + λ)⁻¹ takes two transforms where all 2^n − 1 sets are there, and else a Cholesky factorisation.

    Attributes:
        p: (2^n,) probabilities. interactions: T different sets S of units, not the empty one.
    """

    p: Float[Array, " d"]
    interactions: tuple[tuple[int, ...], ...] = eqx.field(static=True)

    @property
    def _masks(self) -> Int[np.ndarray, " T"]:
        return masks(self.p.size.bit_length() - 1, self.interactions)

    @jax.jit
    def mv(self, vector: Float[Array, " T"]) -> Float[Array, " T"]:
        values = walsh(jnp.zeros_like(self.p).at[self._masks].set(vector))
        weighted = self.p * (values - self.p @ values)
        # Once more without its mean: where one state has nearly all probability, its value less the mean is rounding.
        return walsh(weighted - self.p * jnp.sum(weighted))[self._masks]

    def _excess(self) -> tuple[Float[Array, " T"], Float[Array, " d"]]:
        """s_S of the likeliest state x; and for every set U of units ⟨s_U⟩ − s_U(x), small where x has nearly all p."""
        top = jnp.argmax(self.p)
        others = self.p.at[top].set(0)
        signs = 1 - 2 * (jax.lax.population_count(top & self._masks) & 1)
        return signs.astype(self.p.dtype), walsh(others.at[top].set(-jnp.sum(others)))

    @jax.jit
    def as_matrix(self) -> Float[Array, "T T"]:
        signs, excess = self._excess()
        # with s_S s_T of the likeliest state taken out of both terms: what is left does not cancel
        own = excess[self._masks]
        crossed = signs[:, None] * own
        return excess[self._masks[:, None] ^ self._masks] - (crossed + crossed.T) - own[:, None] * own

    @jax.jit
    def diagonal(self) -> Float[Array, " T"]:
        """1 − ⟨s_S⟩²."""
        signs, excess = self._excess()
        own = excess[self._masks]
        return -own * (2 * signs + own)

    def in_structure(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((len(self.interactions),), self.p.dtype)

    def inverse(self, shift: Float[Array, ""]) -> AbstractInverse:
        if len(self.interactions) == self.p.size - 1:
            return _AllSets(self.p, jnp.asarray(self._masks), shift.astype(self.p.dtype))
        return _Factor(jnp.linalg.cholesky(shifted(self.as_matrix(), shift)))


class _Factor(AbstractInverse):
    factor: Float[Array, "T T"]

    def __call__(self, vector: Float[Array, " T"]) -> Float[Array, " T"]:
        return jsl.cho_solve((self.factor, True), vector)


class _AllSets(AbstractInverse):
    """x ↦ A (r − r̄)/q 2⁻ⁿ, with r = Aᵀx 2⁻ⁿ, q = p + λ 2⁻ⁿ and r̄ the mean of r with the weights p/q.

    A are the rows of the Hadamard matrix but the constant one. As AAᵀ = 2ⁿ, F + λ = A (diag q − ppᵀ) Aᵀ; a solution
    y = Aᵀ(F + λ)⁻¹x has Σy = 0 and (diag q − ppᵀ) y = r + const, by Sherman and Morrison (r − r̄)/q + const.
    """

    p: Float[Array, " d"]
    masks: Int[Array, " T"]
    shift: Float[Array, ""]

    def __call__(self, vector: Float[Array, " T"]) -> Float[Array, " T"]:
        size = self.p.size
        r = walsh(jnp.zeros_like(self.p).at[self.masks].set(vector)) / size
        q = self.p + self.shift / size
        weights = self.p / q
        mean = weights @ r / jnp.sum(weights)
        return walsh((r - mean) / q)[self.masks] / size


lx.diagonal.register(SpinCovariance, lambda operator: operator.diagonal())
