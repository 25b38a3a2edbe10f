"""K-FAC with correlations of neighbouring layers: a Fisher matrix whose inverse is block tridiagonal.

F̂ = Ξ⁻¹ Σ Ξ⁻ᵀ has the diagonal and the first off-diagonal blocks G_ij ⊗ A_ij; Σ is block diagonal and Ξ has the
identity on its diagonal and −Ψᵢ,ᵢ₊₁ next to it, Ψ = (G_{i,i+1} G_{i+1}⁻¹) ⊗ (A_{i,i+1} A_{i+1}⁻¹) the regression of the
gradients of a layer on those of the one above.

Reference: J. Martens, R. Grosse, arXiv:1503.05671, section 4.3.
"""

import itertools
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from qnat.geometry.kronecker import Diagonalised, Kronecker, balanced
from qnat.geometry.metric import AbstractMetric
from qnat.geometry.structured import AbstractInverse, AbstractStructured

from ..models.network import Network, Weights
from .fisher import residuals


class _Pair(NamedTuple):
    """V ↦ left V rightᵀ: left ⊗ right, of matrices that need not be square."""

    left: Float[Array, "m n"]
    right: Float[Array, "p q"]

    def __call__(self, vector: Float[Array, "n q"]) -> Float[Array, "m p"]:
        return self.left @ vector @ self.right.T

    @property
    def T(self) -> "_Pair":
        return _Pair(self.left.T, self.right.T)


class _Dense(AbstractInverse):
    factor: Float[Array, "P P"]

    def __call__(self, vector: PyTree[Array]) -> PyTree[Array]:
        flat, unravel = ravel_pytree(vector)
        return unravel(jsl.cho_solve((self.factor, True), flat))


class Tridiagonal(AbstractStructured):
    """F̂, on lists of weight matrices.

    Attributes:
        blocks: G ⊗ A of every layer. G, A: the factors (out, out') and (in, in') between a layer and the next.
    """

    blocks: list[Kronecker]
    G: list[Float[Array, "out above"]]
    A: list[Float[Array, "in above"]]

    def mv(self, vector: list[Float[Array, "out in"]]) -> list[Float[Array, "out in"]]:
        # F̂ = Ξ⁻¹ Σ Ξ⁻ᵀ: up through the layers, then down
        regressions = [
            _Pair(*(cross @ jnp.linalg.pinv(factor, hermitian=True) for cross, factor in pairs))
            for pairs in zip(
                zip(self.G, (block.G for block in self.blocks[1:]), strict=True),
                zip(self.A, (block.A for block in self.blocks[1:]), strict=True),
                strict=True,
            )
        ]
        found = [vector[0]]
        for v, regression in zip(vector[1:], regressions, strict=True):
            found.append(v + regression.T(found[-1]))
        image = [block.mv(v) for block, v in zip(self.blocks, found, strict=True)]
        for i, regression in enumerate(regressions):
            explained = _Pair(regression.left @ self.G[i].T, regression.right @ self.A[i].T)
            image[i] = image[i] - explained(found[i])
        for i in reversed(range(len(regressions))):
            image[i] = image[i] + regressions[i](image[i + 1])
        return image

    def in_structure(self) -> list[jax.ShapeDtypeStruct]:
        return [block.in_structure() for block in self.blocks]

    def inverse(self, shift: Float[Array, ""]) -> AbstractInverse:
        """(F̂ + λ)⁻¹ by its dense matrix: it is not tridiagonal, and only `tridiagonal_inverse` is cheap."""
        matrix = self.as_matrix()
        return _Dense(
            jnp.linalg.cholesky(matrix + shift.astype(matrix.dtype) * jnp.eye(len(matrix), dtype=matrix.dtype))
        )


class TridiagonalInverse(AbstractInverse):
    """F̂⁻¹ = Ξᵀ Σ⁻¹ Ξ, made by `tridiagonal_inverse`."""

    conditionals: list[Diagonalised]
    regressions: list[_Pair]

    def __call__(self, vector: PyTree[Array]) -> PyTree[Array]:
        layers = jax.tree.leaves(vector)
        for i, regression in enumerate(self.regressions):
            layers[i] = layers[i] - regression(layers[i + 1])
        found = [inverse(v) for inverse, v in zip(self.conditionals, layers, strict=True)]
        result = found[:1] + [
            v - regression.T(below) for v, regression, below in zip(found[1:], self.regressions, found, strict=False)
        ]
        return jax.tree.unflatten(jax.tree.structure(vector), result)


def tridiagonal_inverse(operator: AbstractStructured, shift: Float[Array, ""]) -> TridiagonalInverse:
    """F̂⁻¹ with factored Tikhonov damping of the diagonal factors, as in `qnat.geometry.kronecker.factored_inverse`.

    An inverter for `qnat.optim.scale_by_running_metric`; without damping the factors have to be positive definite.
    """
    if not isinstance(operator, Tridiagonal):
        raise ValueError(
            f"tridiagonal_inverse inverts the operator of a TridiagonalFisher; got {type(operator).__name__}."
        )
    blocks = [balanced(block, shift) for block in operator.blocks]
    regressions, conditionals = [], []
    for block, above, G, A in zip(blocks, blocks[1:], operator.G, operator.A, strict=False):
        regression = _Pair(_divided(G, above.G), _divided(A, above.A))
        regressions.append(regression)
        conditionals.append(_conditional(block, Kronecker(regression.left @ G.T, regression.right @ A.T)))
    last = blocks[-1]
    nothing = Kronecker(jnp.zeros_like(last.G), jnp.zeros_like(last.A))
    return TridiagonalInverse([*conditionals, _conditional(last, nothing)], regressions)


def _divided(cross: Float[Array, "m n"], factor: Float[Array, "n n"]) -> Float[Array, "m n"]:
    """cross · factor⁻¹."""
    return jsl.cho_solve((jnp.linalg.cholesky(factor), True), cross.T).T


def _conditional(block: Kronecker, explained: Kronecker) -> Diagonalised:
    """(P ⊗ Q − C ⊗ D)⁻¹, the inverse of what the layer above does not explain of a block."""
    left, s = _common(block.G, explained.G)
    right, t = _common(block.A, explained.A)
    return Diagonalised(left, right, 1 - s[:, None] * t)


def _common(P: Float[Array, "n n"], C: Float[Array, "n n"]) -> tuple[Float[Array, "n n"], Float[Array, " n"]]:
    """K and s with KᵀPK = 1 and KᵀCK = diag(s)."""
    root = jnp.linalg.cholesky(P)
    half = jsl.solve_triangular(root, C, lower=True)
    whitened = jsl.solve_triangular(root, half.T, lower=True)
    s, vectors = jnp.linalg.eigh(whitened)
    return jsl.solve_triangular(root.T, vectors, lower=False), jnp.maximum(s, 0)


class TridiagonalFisher(AbstractMetric):
    """K-FAC's Fisher with its first off-diagonal blocks.

    For `scale_by_running_metric` with `inverter=tridiagonal_inverse`.

    Attributes:
        network: the model, of dense layers; `at` wants a batch (x, y).
        targets: of the scores: "sampled" draws one target an item, "data" makes the empirical Fisher.
    """

    network: Network
    targets: Literal["sampled", "data"] = eqx.field(static=True, default="sampled")

    def __check_init__(self) -> None:
        if any(layer.kernel is not None for layer in self.network.layers):
            raise ValueError(
                "The block tridiagonal Fisher is one of dense layers; use KroneckerFisher for convolutions."
            )

    def start(self, params: Weights) -> Tridiagonal:
        """The operator with zeros in it, for `scale_by_running_metric`."""
        shapes = [(w.shape, w.dtype) for w in params]

        def between(axis: int) -> list[Array]:
            return [jnp.zeros((a[axis], b[axis]), dtype) for (a, dtype), (b, _) in itertools.pairwise(shapes)]

        blocks = [Kronecker(*(jnp.zeros((n, n), dtype) for n in shape)) for shape, dtype in shapes]
        return Tridiagonal(blocks, between(0), between(1))

    def passes(self, batch: Any = None) -> float:
        return 1.0

    def at(self, params: Weights, batch: Any = None, *, key: PRNGKeyArray | None = None) -> Tridiagonal:
        x, y = batch
        taps = self.network.taps(params, x)
        back = taps.pull(residuals(self.network, taps.outputs, y if self.targets == "data" else None, key))
        count = len(x)
        moments = [[a.T @ a / count for a in signals] for signals in (back, taps.features)]
        crosses = [[a.T @ b / count for a, b in itertools.pairwise(signals)] for signals in (back, taps.features)]
        return Tridiagonal([Kronecker(G, A) for G, A in zip(*moments, strict=True)], *crosses)
