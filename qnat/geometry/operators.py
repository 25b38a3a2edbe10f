"""Linear operators that lineax lacks: damping that keeps its tag, blocks, Gram.

Conventions are lineax's: an operator acts on a pytree with `mv`, `as_matrix` is its matrix in the order of
`jax.flatten_util.ravel_pytree`, and promises such as positive semidefiniteness are tags.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import lineax as lx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float, Inexact, Int, PyTree

from .structured import AbstractStructured, Shifted


def damped(operator: lx.AbstractLinearOperator, damping: Float[ArrayLike, ""]) -> lx.AbstractLinearOperator:
    """A + λ·1, tagged positive semidefinite; block-diagonal or structured again if A is.

    lineax cannot know that a traced λ is positive and drops the tag, upon which Cholesky and CG would refuse. So the
    promise is the caller's: λ ≥ 0 and A positive semidefinite.
    """
    if isinstance(operator, BlockDiagonal):
        return operator.map(lambda block: damped(block, damping))
    if isinstance(operator, AbstractStructured):
        return Shifted(operator, jnp.asarray(damping))
    # Full diagonals in the operator's own precision: lineax takes the diagonal of its identity in the default one.
    shift = jax.tree.map(lambda leaf: jnp.full(leaf.shape, damping, leaf.dtype), operator.in_structure())
    return lx.TaggedLinearOperator(operator + lx.DiagonalLinearOperator(shift), lx.positive_semidefinite_tag)


def psd_operator(product: Callable[[PyTree[Array]], PyTree[Array]], params: PyTree[Array]) -> lx.AbstractLinearOperator:
    """The positive semidefinite operator of a product with vectors like `params`."""
    return lx.FunctionLinearOperator(product, jax.eval_shape(lambda: params), lx.positive_semidefinite_tag)


def _is_operator(x: Any) -> bool:
    return isinstance(x, lx.AbstractLinearOperator)


class BlockDiagonal(lx.AbstractLinearOperator):
    """Operator without elements between its blocks.

    BlockDiagonal({"a": A, "b": B}).mv({"a": x, "b": y}) is {"a": Ax, "b": By}. It is symmetric, positive semidefinite
    and so on when every block is.

    Attributes:
        blocks: a pytree (dict, tuple, list) of operators; vectors have its structure.
    """

    blocks: PyTree[lx.AbstractLinearOperator]

    def mv(self, vector: PyTree[Inexact[Array, "..."]]) -> PyTree[Inexact[Array, "..."]]:
        return jax.tree.map(lambda block, v: block.mv(v), self.blocks, vector, is_leaf=_is_operator)

    def as_matrix(self) -> Inexact[Array, "a b"]:
        return jsl.block_diag(*(block.as_matrix() for block in self.leaves()))

    def transpose(self) -> "BlockDiagonal":
        return self.map(lambda block: block.transpose())

    def in_structure(self) -> PyTree[jax.ShapeDtypeStruct]:
        return jax.tree.map(lambda block: block.in_structure(), self.blocks, is_leaf=_is_operator)

    def out_structure(self) -> PyTree[jax.ShapeDtypeStruct]:
        return jax.tree.map(lambda block: block.out_structure(), self.blocks, is_leaf=_is_operator)

    def leaves(self) -> list[lx.AbstractLinearOperator]:
        """The blocks, in the order of their rows in `as_matrix`."""
        return jax.tree.leaves(self.blocks, is_leaf=_is_operator)

    def map(self, fn: Callable[[lx.AbstractLinearOperator], lx.AbstractLinearOperator]) -> "BlockDiagonal":
        """The operator whose blocks are fn(block)."""
        return BlockDiagonal(jax.tree.map(fn, self.blocks, is_leaf=_is_operator))


_BLOCK = 256  # rows; a smaller product is as fast in one piece
_STRIP = 4096  # columns; a product of longer rows runs from memory, up to twice slower than strip by strip


def gram(rows: Float[Array, "P m"], scale: Float[Array, " m"] | None = None) -> Float[Array, "P P"]:
    """RRᵀ of real rows, their columns times `scale` first: strip by strip, one triangle of blocks of each."""
    length = rows.shape[1]

    def strip(start: Int[Array, ""] | int, width: int) -> Float[Array, "P P"]:
        columns = jax.lax.dynamic_slice_in_dim(rows, start, width, axis=1)
        if scale is not None:
            columns *= jax.lax.dynamic_slice_in_dim(scale, start, width)
        return _triangle(columns)

    whole = length // _STRIP
    total = strip(whole * _STRIP, length % _STRIP)
    if not whole:
        return total
    return jax.lax.fori_loop(0, whole, lambda i, total: total + strip(i * _STRIP, _STRIP), total)


def _triangle(rows: Float[Array, "P m"]) -> Float[Array, "P P"]:
    """RRᵀ by one triangle of blocks: half the work, which XLA has no routine for."""
    count = len(rows)
    if count <= _BLOCK:
        return rows @ rows.T
    first, second = rows[: count // 2], rows[count // 2 :]
    across = first @ second.T
    return jnp.block([[_triangle(first), across], [across.T, _triangle(second)]])


class Gram(lx.AbstractLinearOperator):
    """RRᵀ for the real rows R of its factor: a product that never forms R, a matrix that costs one symmetric product.

    It is symmetric and positive semidefinite by construction.

    Attributes:
        product: the operator x ↦ RRᵀx.
        rows: () ↦ R (P, m), P the order of `jax.flatten_util.ravel_pytree`; a pytree, such as `jax.tree_util.Partial`.
    """

    product: lx.AbstractLinearOperator
    rows: Callable[[], Float[Array, "P m"]]

    def mv(self, vector: PyTree[Inexact[Array, "..."]]) -> PyTree[Inexact[Array, "..."]]:
        return self.product.mv(vector)

    def as_matrix(self) -> Float[Array, "P P"]:
        return gram(self.rows())

    def transpose(self) -> "Gram":
        return self

    def in_structure(self) -> PyTree[jax.ShapeDtypeStruct]:
        return self.product.in_structure()

    def out_structure(self) -> PyTree[jax.ShapeDtypeStruct]:
        return self.product.out_structure()


def _register_block_diagonal() -> None:
    """Tell lineax's single-dispatch functions about BlockDiagonal: each passes to the blocks."""
    checks = (lx.is_symmetric, lx.is_diagonal, lx.is_tridiagonal, lx.is_lower_triangular, lx.is_upper_triangular)
    signs = (lx.is_positive_semidefinite, lx.is_negative_semidefinite, lx.has_unit_diagonal)
    for check in (*checks, *signs):
        check.register(BlockDiagonal, lambda op, check=check: all(check(block) for block in op.leaves()))
    for transform in (lx.linearise, lx.materialise, lx.conj):
        transform.register(BlockDiagonal, lambda op, transform=transform: op.map(transform))
    lx.diagonal.register(BlockDiagonal, lambda op: jnp.concatenate([lx.diagonal(block) for block in op.leaves()]))
    lx.tridiagonal.register(
        BlockDiagonal, lambda op: tuple(jnp.diagonal(op.as_matrix(), offset) for offset in (0, -1, 1))
    )


def _materialise_gram(operator: Gram) -> lx.AbstractLinearOperator:
    matrix = operator.as_matrix()
    _, unravel = ravel_pytree(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), operator.in_structure()))

    def product(vector: PyTree[Inexact[Array, "..."]]) -> PyTree[Inexact[Array, "..."]]:
        return unravel(matrix @ ravel_pytree(vector)[0])

    return lx.FunctionLinearOperator(product, operator.in_structure(), lx.positive_semidefinite_tag)


def _register_gram() -> None:
    """Tell lineax's single-dispatch functions about Gram."""
    for yes in (lx.is_symmetric, lx.is_positive_semidefinite):
        yes.register(Gram, lambda _: True)
    shapes = (lx.is_diagonal, lx.is_tridiagonal, lx.is_lower_triangular, lx.is_upper_triangular, lx.has_unit_diagonal)
    for unknown in (*shapes, lx.is_negative_semidefinite):
        unknown.register(Gram, lambda _: False)
    for same in (lx.linearise, lx.conj):
        same.register(Gram, lambda op: op)
    lx.materialise.register(Gram, _materialise_gram)
    lx.diagonal.register(Gram, lambda op: jnp.sum(op.rows() ** 2, axis=1))
    lx.tridiagonal.register(Gram, lambda op: tuple(jnp.diagonal(op.as_matrix(), offset) for offset in (0, -1, 1)))


_register_block_diagonal()
_register_gram()
