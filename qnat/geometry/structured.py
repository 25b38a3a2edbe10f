"""Positive semidefinite operators that know how to invert themselves plus a multiple of the identity.

They are the Fisher blocks of layers: a mean of outer products of given rows (inverted by Woodbury's identity), one
small block a unit, and in `kronecker` products of two factors. Vectors are weight matrices (out, in) with the bias as
the last column, or lists of them; matrices are in row-major order, so that a layer's block is G ⊗ A.
"""

import abc
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import lineax as lx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Inexact, PyTree


class AbstractInverse(eqx.Module):
    """(A + λ)⁻¹, made once and applied many times."""

    @abc.abstractmethod
    def __call__(self, vector: PyTree[Array]) -> PyTree[Array]:
        """(A + λ)⁻¹ v."""


class AbstractStructured(lx.AbstractLinearOperator):
    """A symmetric positive semidefinite operator A with a cheap (A + λ)⁻¹; solve with `Direct`."""

    @abc.abstractmethod
    def inverse(self, shift: Float[Array, ""]) -> AbstractInverse:
        """(A + λ)⁻¹ for λ > 0, or λ = 0 where A is positive definite."""

    def as_matrix(self) -> Float[Array, "P P"]:
        structure = self.in_structure()
        flat, unravel = ravel_pytree(jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), structure))
        return jax.vmap(lambda v: ravel_pytree(self.mv(unravel(v)))[0])(jnp.eye(flat.size, dtype=flat.dtype))

    def transpose(self) -> "AbstractStructured":
        return self

    def out_structure(self) -> PyTree[jax.ShapeDtypeStruct]:
        return self.in_structure()


class Shifted(lx.AbstractLinearOperator):
    """A + λ·1 of a structured A; `qnat.geometry.damped` makes it."""

    operator: AbstractStructured
    shift: Float[Array, ""]

    def mv(self, vector: PyTree[Inexact[Array, "..."]]) -> PyTree[Inexact[Array, "..."]]:
        return jax.tree.map(lambda a, v: a + self.shift.astype(v.dtype) * v, self.operator.mv(vector), vector)

    def as_matrix(self) -> Float[Array, "P P"]:
        return shifted(self.operator.as_matrix(), self.shift)

    def transpose(self) -> "Shifted":
        return self

    def in_structure(self) -> PyTree[jax.ShapeDtypeStruct]:
        return self.operator.in_structure()

    def out_structure(self) -> PyTree[jax.ShapeDtypeStruct]:
        return self.operator.in_structure()


class _Woodbury(AbstractInverse):
    """(λ + RᵀR/M)⁻¹ = (1 − Rᵀ (Mλ + RRᵀ)⁻¹ R)/λ; the factor is that of Mλ + RRᵀ."""

    rows: "Rows"
    factor: Float[Array, "M M"]
    shift: Float[Array, ""]

    def __call__(self, vector: PyTree[Array]) -> PyTree[Array]:
        inner = jsl.cho_solve((self.factor, True), self.rows.dot(vector))
        correction = self.rows.combine(inner)
        return jax.tree.map(lambda v, c: (v - c) / self.shift.astype(v.dtype), vector, correction)


class Rows(eqx.Module):
    """R: M rows, row m of layer l the outer product of back[l][m] and inputs[l][m], so nothing of size M x P is stored.

    Attributes:
        back: (M, out) a layer. inputs: (M, in) a layer. A layer whose units share positions, as in a convolution, has
            (M, T, out) and (M, T, in), and its row is the sum over T.
    """

    back: list[Float[Array, "M *T out"]]
    inputs: list[Float[Array, "M *T in"]]

    def _layers(self) -> list[tuple[Array, Array]]:
        return [
            (b[:, None] if b.ndim == 2 else b, a[:, None] if a.ndim == 2 else a)
            for b, a in zip(self.back, self.inputs, strict=True)
        ]

    def dot(self, vector: Sequence[Float[Array, "out in"]]) -> Float[Array, " M"]:
        """R v."""
        parts = [jnp.sum((a @ w.T) * b, axis=(1, 2)) for (b, a), w in zip(self._layers(), vector, strict=True)]
        return jnp.sum(jnp.stack(parts), axis=0)

    def combine(self, weights: Float[Array, " M"]) -> list[Float[Array, "out in"]]:
        """Rᵀ w."""
        return [jnp.einsum("m,mto,mti->oi", weights, b, a) for b, a in self._layers()]

    def gram(self) -> Float[Array, "M M"]:
        """R Rᵀ."""
        parts = [_gram(b, a) for b, a in self._layers()]
        return jnp.sum(jnp.stack(parts), axis=0)


def _gram(back: Float[Array, "M T out"], inputs: Float[Array, "M T in"]) -> Float[Array, "M M"]:
    """Inner products of Σ_t b aᵀ: products of inner products, summed over pairs of positions."""
    return jnp.einsum("mtns,mtns->mn", *(jnp.einsum("mto,nso->mtns", v, v) for v in (back, inputs)))


class OuterProducts(AbstractStructured):
    """RᵀR/M: the mean of the outer products of M rows, on lists of weight matrices.

    With gradients of single items for rows it is a Fisher matrix; (A + λ)⁻¹ costs an M x M Cholesky factorisation.
    """

    rows: Rows

    def mv(self, vector: list[Float[Array, "out in"]]) -> list[Float[Array, "out in"]]:
        return self.rows.combine(self.rows.dot(vector) / len(self.rows.back[0]))

    def in_structure(self) -> list[jax.ShapeDtypeStruct]:
        pairs = zip(self.rows.back, self.rows.inputs, strict=True)
        return [jax.ShapeDtypeStruct((b.shape[-1], a.shape[-1]), jnp.result_type(a, b)) for b, a in pairs]

    def inverse(self, shift: Float[Array, ""]) -> AbstractInverse:
        gram = self.rows.gram()
        count = len(gram)
        return _Woodbury(self.rows, jnp.linalg.cholesky(gram + count * shift * jnp.eye(count, dtype=gram.dtype)), shift)


class _DenseUnits(AbstractInverse):
    inverses: Float[Array, "out in in"]

    def __call__(self, vector: Float[Array, "out in"]) -> Float[Array, "out in"]:
        return _each(self.inverses, vector)


class _WoodburyUnits(AbstractInverse):
    features: Float[Array, "M in"]
    roots: Float[Array, "out M"]
    inverses: Float[Array, "out M M"]
    shift: Float[Array, ""]

    def __call__(self, vector: Float[Array, "out in"]) -> Float[Array, "out in"]:
        inner = _each(self.inverses, self.roots * (vector @ self.features.T))
        return (vector - (self.roots * inner) @ self.features) / self.shift.astype(vector.dtype)


def _each(matrices: Float[Array, "out n n"], vectors: Float[Array, "out n"]) -> Float[Array, "out n"]:
    return jnp.einsum("oij,oj->oi", matrices, vectors)


class UnitBlocks(AbstractStructured):
    """One block a unit, Fᵢ = Σₘ qᵢₘ uₘuₘᵀ with the same features u for all units, on (out, in) weight matrices.

    The Fisher matrix of a layer of sigmoid units that share their parents is of this form, exactly. The inverse is
    dense for in ≤ M and Woodbury's otherwise.

    Attributes:
        features: (M, in) the uₘ. weights: (out, M) the qᵢₘ ≥ 0.
    """

    features: Float[Array, "M in"]
    weights: Float[Array, "out M"]

    def mv(self, vector: Float[Array, "out in"]) -> Float[Array, "out in"]:
        return (self.weights * (vector @ self.features.T)) @ self.features

    def as_matrix(self) -> Float[Array, "P P"]:
        return jsl.block_diag(*self._blocks())

    def _blocks(self) -> Float[Array, "out in in"]:
        return jnp.einsum("om,mi,mj->oij", self.weights, self.features, self.features)

    def in_structure(self) -> jax.ShapeDtypeStruct:
        shape = (self.weights.shape[0], self.features.shape[1])
        return jax.ShapeDtypeStruct(shape, jnp.result_type(self.weights, self.features))

    def inverse(self, shift: Float[Array, ""]) -> AbstractInverse:
        count, width = self.features.shape
        shift = jnp.asarray(shift, self.in_structure().dtype)

        # Unit by unit: batched factorisations share JAX's threads, and on a CPU two at a time wait for each other for
        # ever (jaxlib 0.10). The inverses in full spare every later step the factorisation's triangular solves.
        if width <= count:

            def dense(weights: Float[Array, " M"]) -> Float[Array, "in in"]:
                return positive_inverse(shifted((weights * self.features.T) @ self.features, shift))

            return _DenseUnits(jax.lax.map(dense, self.weights))
        # with the roots of the weights on both sides nothing is divided by a weight, which may be zero
        roots, gram = jnp.sqrt(self.weights), self.features @ self.features.T

        def inner(root: Float[Array, " M"]) -> Float[Array, "M M"]:
            return positive_inverse(shifted(root[:, None] * gram * root, shift))

        return _WoodburyUnits(self.features, roots, jax.lax.map(inner, roots), shift)


def shifted(matrix: Float[Array, "n n"], shift: Float[Array, ""]) -> Float[Array, "n n"]:
    """A + λ in the precision of A."""
    return matrix + shift.astype(matrix.dtype) * jnp.eye(len(matrix), dtype=matrix.dtype)


def positive_inverse(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """The inverse in full of a positive definite matrix, by Cholesky."""
    return jsl.cho_solve((jnp.linalg.cholesky(matrix), True), jnp.eye(len(matrix), dtype=matrix.dtype))


Inverter = Callable[[AbstractStructured, Float[Array, ""]], AbstractInverse]


def exact_inverse(operator: AbstractStructured, shift: Float[Array, ""]) -> AbstractInverse:
    """(A + λ)⁻¹ by the operator's own means."""
    return operator.inverse(shift)


def _register() -> None:
    """Tell lineax's single-dispatch functions that these are symmetric and positive semidefinite, and no more."""
    for kind in (AbstractStructured, Shifted):
        for yes in (lx.is_symmetric, lx.is_positive_semidefinite):
            yes.register(kind, lambda _: True)
        for no in (
            lx.is_negative_semidefinite,
            lx.is_diagonal,
            lx.is_tridiagonal,
            lx.is_lower_triangular,
            lx.is_upper_triangular,
            lx.has_unit_diagonal,
        ):
            no.register(kind, lambda _: False)
        for same in (lx.linearise, lx.materialise, lx.conj):
            same.register(kind, lambda operator: operator)
        lx.diagonal.register(kind, lambda operator: jnp.diagonal(operator.as_matrix()))


_register()
