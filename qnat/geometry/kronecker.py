"""Kronecker products G ⊗ A, the Fisher blocks of layers, and their inverses: exact, and factor by factor.

Vectors are weight matrices V (out, in), and G ⊗ A takes V to G V A.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .structured import AbstractInverse, AbstractStructured, positive_inverse, shifted


class Diagonalised(AbstractInverse):
    """V ↦ L (LᵀVR / values) Rᵀ: a sum of Kronecker products whose factors are diagonal in the same two bases."""

    left: Float[Array, "m m"]
    right: Float[Array, "n n"]
    values: Float[Array, "m n"]

    def __call__(self, vector: Float[Array, "m n"]) -> Float[Array, "m n"]:
        return self.left @ (self.left.T @ vector @ self.right / self.values) @ self.right.T


class Kronecker(AbstractStructured):
    """V ↦ G V A on (m, n) matrices: G ⊗ A for positive semidefinite factors.

    Reference: J. Martens, R. Grosse, arXiv:1503.05671.
    """

    G: Float[Array, "m m"]
    A: Float[Array, "n n"]

    def mv(self, vector: Float[Array, "m n"]) -> Float[Array, "m n"]:
        return self.G @ vector @ self.A

    def as_matrix(self) -> Float[Array, "mn mn"]:
        return jnp.kron(self.G, self.A)

    def in_structure(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((len(self.G), len(self.A)), jnp.result_type(self.G, self.A))

    def inverse(self, shift: Float[Array, ""]) -> AbstractInverse:
        (g, left), (a, right) = jnp.linalg.eigh(self.G), jnp.linalg.eigh(self.A)
        # rounding makes null directions slightly negative
        products = jnp.maximum(g, 0)[:, None] * jnp.maximum(a, 0)
        return Diagonalised(left, right, products + shift.astype(products.dtype))


class _Factored(AbstractInverse):
    """Both inverses in full: two products apply them, in less than half the time of four triangular solves."""

    left: Float[Array, "m m"]
    right: Float[Array, "n n"]

    def __call__(self, vector: Float[Array, "m n"]) -> Float[Array, "m n"]:
        return self.left @ vector @ self.right


class RepeatedBlock(AbstractStructured):
    """V ↦ V A on (m, n) matrices: 1 ⊗ A, the same block A for each of m rows.

    Attributes:
        A: positive semidefinite. rows: m.
    """

    A: Float[Array, "n n"]
    rows: int = eqx.field(static=True)

    def mv(self, vector: Float[Array, "m n"]) -> Float[Array, "m n"]:
        return vector @ self.A

    def as_matrix(self) -> Float[Array, "mn mn"]:
        return jnp.kron(jnp.eye(self.rows, dtype=self.A.dtype), self.A)

    def in_structure(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((self.rows, len(self.A)), self.A.dtype)

    def inverse(self, shift: Float[Array, ""]) -> AbstractInverse:
        return _Repeated(positive_inverse(shifted(self.A, shift)))


class _Repeated(AbstractInverse):
    right: Float[Array, "n n"]

    def __call__(self, vector: Float[Array, "m n"]) -> Float[Array, "m n"]:
        return vector @ self.right


def balanced(operator: Kronecker, shift: Float[Array, ""]) -> Kronecker:
    """(G + √λ/π) ⊗ (A + π√λ), π² the ratio of the mean eigenvalues of A and G: "factored Tikhonov" damping.

    Reference: J. Martens, R. Grosse, arXiv:1503.05671, section 6.3.
    """
    g, a = (jnp.maximum(jnp.trace(factor) / len(factor), 1e-30) for factor in (operator.G, operator.A))
    root, balance = jnp.sqrt(shift), jnp.sqrt(a / g)
    return Kronecker(shifted(operator.G, root / balance), shifted(operator.A, root * balance))


def factored_inverse(operator: AbstractStructured, shift: Float[Array, ""]) -> AbstractInverse:
    """The inverse of `balanced`, near (G ⊗ A + λ)⁻¹.

    Two Cholesky factorisations in place of two diagonalisations, and more damping where just one factor is small.
    """
    if not isinstance(operator, Kronecker):
        raise ValueError(f"factored_inverse inverts Kronecker products; got {type(operator).__name__}.")
    damped = balanced(operator, shift)
    return _Factored(positive_inverse(damped.G), positive_inverse(damped.A))
