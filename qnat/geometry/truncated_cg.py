"""Conjugate gradients that stop early, and a preconditioner."""

from typing import Any

import jax
import jax.numpy as jnp
import lineax as lx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Inexact, PyTree

from .operators import BlockDiagonal


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


def transposed(options: dict[str, Any]) -> dict[str, Any]:
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
        return state.transpose(), transposed(options)

    def conj(
        self, state: lx.AbstractLinearOperator, options: dict[str, Any]
    ) -> tuple[lx.AbstractLinearOperator, dict[str, Any]]:
        return lx.conj(state), options

    def assume_full_rank(self) -> bool:
        return True
