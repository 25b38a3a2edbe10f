"""Solvers for positive semidefinite operators: truncated CG, a preconditioner, block by block, structured inverses.

Solvers are lineax's: `lineax.linear_solve(operator, vector, solver, options={"y0": …, "preconditioner": …})`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lineax as lx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Inexact, PyTree

from .operators import BlockDiagonal
from .structured import AbstractInverse, Shifted
from .truncated_cg import transposed


def _split(vector: PyTree[Array], structures: list[PyTree]) -> list[PyTree[Array]]:
    """A vector of a BlockDiagonal, as a vector for each of its blocks."""
    leaves, parts = jax.tree.leaves(vector), []
    for structure in structures:
        count = len(jax.tree.leaves(structure))
        parts.append(jax.tree.unflatten(jax.tree.structure(structure), leaves[:count]))
        leaves = leaves[count:]
    return parts


def _split_options(options: dict[str, Any], structures: list[PyTree]) -> list[dict[str, Any]]:
    """The options of a solve with a BlockDiagonal, for each of its blocks."""
    own: list[dict[str, Any]] = [{} for _ in structures]
    if "y0" in options:
        for option, part in zip(own, _split(options["y0"], structures), strict=True):
            option["y0"] = part
    if "preconditioner" in options:
        whole = options["preconditioner"]
        blocks = whole.leaves() if isinstance(whole, BlockDiagonal) and len(structures) > 1 else [whole]
        if len(blocks) != len(structures):
            raise ValueError("A preconditioner of a BlockDiagonal has to be one with the same blocks, as jacobi makes.")
        for option, block in zip(own, blocks, strict=True):
            option["preconditioner"] = block
    return own


class Blockwise(lx.AbstractLinearSolver[tuple[Any, ...]]):
    """Solves each block of a BlockDiagonal on its own; anything else is one block.

    For direct solvers that is cheaper. For TruncatedCG every block stops at its own residual, so that a block with a
    small gradient is not drowned by the others. `stats["num_steps"]`, where the solver has it, is the largest count.
    """

    solver: lx.AbstractLinearSolver

    def init(self, operator: lx.AbstractLinearOperator, options: dict[str, Any]) -> tuple[Any, ...]:
        blocks = operator.leaves() if isinstance(operator, BlockDiagonal) else [operator]
        return tuple(self.solver.init(block, options) for block in blocks), [block.in_structure() for block in blocks]

    def compute(
        self, state: tuple[Any, ...], vector: PyTree[Inexact[Array, "..."]], options: dict[str, Any]
    ) -> tuple[PyTree[Inexact[Array, "..."]], lx.RESULTS, dict[str, Any]]:
        states, structures = state
        own = _split_options(options, structures)
        solutions, results, steps = [], [], []
        for block, part, option in zip(states, _split(vector, structures), own, strict=True):
            solution, result, stats = self.solver.compute(block, part, option)
            solutions += jax.tree.leaves(solution)
            results.append(result)
            steps += [stats["num_steps"]] if "num_steps" in stats else []
        worst = results[0]
        for result in results[1:]:
            worst = lx.RESULTS.where(worst == lx.RESULTS.successful, result, worst)
        stats = {"num_steps": jnp.max(jnp.stack(steps))} if steps else {}
        return jax.tree.unflatten(jax.tree.structure(vector), solutions), worst, stats

    def transpose(self, state: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        states = tuple(self.solver.transpose(block, {})[0] for block in state[0])
        return (states, state[1]), transposed(options)

    def conj(self, state: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (tuple(self.solver.conj(block, options)[0] for block in state[0]), state[1]), options

    def assume_full_rank(self) -> bool:
        return self.solver.assume_full_rank()


class _Dense(NamedTuple):
    """The matrix of a positive semidefinite operator, or its diagonal if it has no more."""

    matrix: Float[Array, "P ..."]


def _least_squares(matrix: Float[Array, "P ..."], vector: Float[Array, " P"]) -> Float[Array, " P"]:
    """A⁻¹ b by Cholesky, or, where A is singular up to rounding, the solution of least norm."""
    rounding = 10 * vector.size * jnp.finfo(matrix.dtype).eps

    def inverted(levels: Float[Array, " P"], components: Float[Array, " P"]) -> Float[Array, " P"]:
        kept = levels > rounding * jnp.max(levels)
        return jnp.where(kept, components / jnp.where(kept, levels, 1), 0)

    if matrix.ndim == 1:
        return inverted(matrix, vector)
    factor = jnp.linalg.cholesky(matrix)

    def least() -> Float[Array, " P"]:
        levels, V = jnp.linalg.eigh(matrix)
        return V @ inverted(levels, V.T @ vector)

    # a pivot bounds the least eigenvalue from above; false for NaN
    definite = jnp.min(jnp.diagonal(factor)) ** 2 > rounding * jnp.max(jnp.diagonal(matrix))
    return jax.lax.cond(definite, lambda: jax.scipy.linalg.cho_solve((factor, True), vector), least)


class Direct(lx.AbstractLinearSolver[Any]):
    """Solves with the operator's own inverse where it is a damped structured one, and as lineax chooses elsewhere.

    What `init` returns is the inverse: keep it to solve again with an old one.

    Attributes:
        singular: whether an operator without structure, positive semidefinite, may be singular: the solution is then
            that of least squares and least norm.
    """

    singular: bool = False

    def init(self, operator: lx.AbstractLinearOperator, options: dict[str, Any]) -> Any:
        if isinstance(operator, Shifted):
            return operator.operator.inverse(operator.shift)
        if self.singular:
            return _Dense(lx.diagonal(operator) if lx.is_diagonal(operator) else operator.as_matrix())
        return lx.AutoLinearSolver(well_posed=True).init(operator, options)

    def compute(
        self, state: Any, vector: PyTree[Array], options: dict[str, Any]
    ) -> tuple[PyTree[Array], lx.RESULTS, dict[str, Any]]:
        if isinstance(state, AbstractInverse):
            return state(vector), lx.RESULTS.successful, {}  # type: ignore[return-value] # typed as messages
        if isinstance(state, _Dense):
            flat, unravel = ravel_pytree(vector)
            return unravel(_least_squares(state.matrix, flat)), lx.RESULTS.successful, {}  # type: ignore[return-value]
        return lx.AutoLinearSolver(well_posed=True).compute(state, vector, options)

    def transpose(self, state: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if isinstance(state, AbstractInverse | _Dense):
            return state, options
        return lx.AutoLinearSolver(well_posed=True).transpose(state, options)

    def conj(self, state: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if isinstance(state, AbstractInverse | _Dense):
            return state, options
        return lx.AutoLinearSolver(well_posed=True).conj(state, options)

    def assume_full_rank(self) -> bool:
        return not self.singular
