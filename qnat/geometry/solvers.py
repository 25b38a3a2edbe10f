"""Solvers for positive semidefinite operators: truncated CG, a preconditioner, block by block, structured inverses.

Solvers are lineax's: `lineax.linear_solve(operator, vector, solver, options={"y0": …, "preconditioner": …})`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import lineax as lx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Inexact, PyTree

from .operators import BlockDiagonal
from .structured import AbstractInverse, Shifted


def jacobi(operator: lx.AbstractLinearOperator) -> lx.AbstractLinearOperator:
    """1/diag A, a preconditioner for a positive semidefinite A; of each block if A has blocks.

    A dense A has its diagonal at hand and a `Gram` computes it in one pass; a function needs a product per parameter.
    """
    if isinstance(operator, BlockDiagonal):
        return operator.map(jacobi)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), operator.in_structure())
    _, unravel = ravel_pytree(zeros)
    diagonal = lx.diagonal(operator)
    positive = diagonal > 0
    inverse = jnp.where(positive, 1 / jnp.where(positive, diagonal, 1), 1)
    return lx.TaggedLinearOperator(lx.DiagonalLinearOperator(unravel(inverse)), lx.positive_semidefinite_tag)


def _dot(x: PyTree[Array], y: PyTree[Array]) -> Float[Array, ""]:
    return jax.tree.reduce(jnp.add, jax.tree.map(lambda a, b: jnp.vdot(a, b).real, x, y))


def _axpy(a: Float[Array, ""], x: PyTree[Array], y: PyTree[Array]) -> PyTree[Array]:
    return jax.tree.map(lambda u, v: a.astype(u.dtype) * u + v, x, y)


def _best_multiple(
    operator: lx.AbstractLinearOperator, vector: PyTree[Array], start: PyTree[Array]
) -> tuple[PyTree[Array], PyTree[Array]]:
    """x = c·start that minimises x·Ax/2 − b·x, and b − Ax; zero where the start has no positive curvature."""
    product = operator.mv(start)
    curvature = _dot(start, product)
    positive = curvature > 0  # false for NaN: a broken start is forgotten
    scale = _dot(start, vector) / jnp.where(positive, curvature, 1)
    x, image = jax.tree.map(lambda v: jnp.where(positive, scale.astype(v.dtype) * v, 0), (start, product))
    return x, jax.tree.map(jnp.subtract, vector, image)


def _transposed(options: dict[str, Any]) -> dict[str, Any]:
    """Options of the transposed system: it has another right-hand side, for which a start is none."""
    return {"preconditioner": options["preconditioner"].transpose()} if "preconditioner" in options else {}


Loop = tuple[PyTree[Array], PyTree[Array], PyTree[Array], Float[Array, ""], Float[Array, ""], Array, Bool[Array, ""]]


class TruncatedCG(lx.AbstractLinearSolver[lx.AbstractLinearOperator]):
    """Conjugate gradients until ‖b − Ax‖ ≤ rtol ‖b‖ in the Euclidean norm, or for max_steps products.

    A solver for `lineax.linear_solve`, on any pytree; `solution.stats["num_steps"]` is the number of products. Stopping
    early is the point, not a failure, and the result is always successful: with b a gradient, every truncation of CG is
    a direction of ascent. It also stops where rounding leaves no positive curvature. NaN in, NaN out.

    Options are those of `lineax.CG`: "preconditioner", a positive operator near A⁻¹, and "y0", where to start instead
    of zero. The start is taken at its best multiple, (b·y₀/y₀·Ay₀) y₀, for the one product that a start costs anyway:
    so truncations remain directions of ascent whatever it is.

    An operator that is not tagged positive semidefinite raises ValueError.

    Reference: Hestenes, Stiefel, J. Res. Natl. Bur. Stand. 49 (1952) 409; Steihaug, SIAM J. Numer. Anal. 20 (1983) 626.
    """

    rtol: float = 0.1
    max_steps: int = 30

    def init(self, operator: lx.AbstractLinearOperator, options: dict[str, Any]) -> lx.AbstractLinearOperator:
        if not lx.is_positive_semidefinite(operator):
            raise ValueError(
                "TruncatedCG wants an operator that is tagged positive semidefinite: wrap it in qnat.geometry.damped."
            )
        return lx.linearise(operator)

    def compute(
        self, state: lx.AbstractLinearOperator, vector: PyTree[Inexact[Array, "..."]], options: dict[str, Any]
    ) -> tuple[PyTree[Inexact[Array, "..."]], lx.RESULTS, dict[str, Any]]:
        square = _dot(vector, vector)
        target = jnp.asarray(self.rtol, square.dtype) ** 2 * square

        def precondition(r: PyTree[Array]) -> PyTree[Array]:
            return options["preconditioner"].mv(r) if "preconditioner" in options else r

        def unfinished(loop: Loop) -> Bool[Array, ""]:
            *_, residual, step, positive = loop
            return ~(residual <= target) & (step < self.max_steps) & positive  # ~(<=): NaN goes on and shows

        def iterate(loop: Loop) -> Loop:
            x, r, p, fall, _, step, _ = loop
            product = state.mv(p)
            curvature = _dot(p, product)
            positive = ~(curvature <= 0)
            length = jnp.where(positive, fall / jnp.where(positive, curvature, 1), 0)
            x, r = _axpy(length, p, x), _axpy(-length, product, r)
            z = precondition(r)
            new = _dot(r, z)
            return x, r, _axpy(new / fall, p, z), new, _dot(r, r), step + 1, positive

        x, r, step = jax.tree.map(jnp.zeros_like, vector), vector, jnp.asarray(0)
        if "y0" in options:
            (x, r), step = _best_multiple(state, vector, options["y0"]), jnp.asarray(1)
        z = precondition(r)
        start = (x, r, z, _dot(r, z), _dot(r, r), step, jnp.asarray(True))
        solution, *_, step, _ = jax.lax.while_loop(unfinished, iterate, start)
        return solution, lx.RESULTS.successful, {"num_steps": step}  # type: ignore[return-value] # typed as messages

    def transpose(
        self, state: lx.AbstractLinearOperator, options: dict[str, Any]
    ) -> tuple[lx.AbstractLinearOperator, dict[str, Any]]:
        return state.transpose(), _transposed(options)

    def conj(
        self, state: lx.AbstractLinearOperator, options: dict[str, Any]
    ) -> tuple[lx.AbstractLinearOperator, dict[str, Any]]:
        return lx.conj(state), options

    def assume_full_rank(self) -> bool:
        return True


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
        return (states, state[1]), _transposed(options)

    def conj(self, state: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (tuple(self.solver.conj(block, options)[0] for block in state[0]), state[1]), options

    def assume_full_rank(self) -> bool:
        return self.solver.assume_full_rank()


class Direct(lx.AbstractLinearSolver[Any]):
    """Solves with the operator's own inverse where it is a damped structured one, and as lineax chooses elsewhere.

    What `init` returns is the inverse: keep it to solve again with an old one.
    """

    def init(self, operator: lx.AbstractLinearOperator, options: dict[str, Any]) -> Any:
        if isinstance(operator, Shifted):
            return operator.operator.inverse(operator.shift)
        return lx.AutoLinearSolver(well_posed=True).init(operator, options)

    def compute(
        self, state: Any, vector: PyTree[Array], options: dict[str, Any]
    ) -> tuple[PyTree[Array], lx.RESULTS, dict[str, Any]]:
        if isinstance(state, AbstractInverse):
            return state(vector), lx.RESULTS.successful, {}  # type: ignore[return-value] # typed as messages
        return lx.AutoLinearSolver(well_posed=True).compute(state, vector, options)

    def transpose(self, state: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if isinstance(state, AbstractInverse):
            return state, options
        return lx.AutoLinearSolver(well_posed=True).transpose(state, options)

    def conj(self, state: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if isinstance(state, AbstractInverse):
            return state, options
        return lx.AutoLinearSolver(well_posed=True).conj(state, options)

    def assume_full_rank(self) -> bool:
        return True
