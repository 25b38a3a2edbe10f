"""Fisher information of networks: exact, by Monte Carlo, empirical; matrix-free, as outer products, Kronecker-factored.

All are normalised to one item: the mean over the items of a batch of E[score scoreᵀ]. The targets are drawn from the
model; with the data's own targets the matrix is another one, the empirical Fisher, and is called so.
"""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Float, PRNGKeyArray

from qnat.geometry.kronecker import Kronecker, RepeatedBlock
from qnat.geometry.metric import AbstractMetric, PullbackMetric
from qnat.geometry.operators import BlockDiagonal
from qnat.geometry.structured import OuterProducts, Rows

from ..models.network import Network, Signals, Taps, Weights

Targets = Literal["exact", "sampled", "data"]


class FisherMetric(AbstractMetric):
    """The exact Fisher information JᵀHJ, matrix-free; H is the Fisher metric of the output distribution.

    The outputs are natural parameters, so this is also the generalised Gauss–Newton matrix of the loss.

    Attributes:
        network: the model; `at` wants a batch (x, y) and looks at x only.
    """

    network: Network

    def at(self, params: Weights, batch: Any = None, *, key: PRNGKeyArray | None = None) -> lx.AbstractLinearOperator:
        x, _ = batch
        potential = self.network.family.potential

        def weigh(outputs: Float[Array, "N K"], tangent: Float[Array, "N K"]) -> Float[Array, "N K"]:
            def product(theta: Array, direction: Array) -> Array:
                return jax.jvp(jax.grad(potential), (theta,), (direction,))[1]

            return jax.vmap(product)(outputs, tangent) / len(x)

        return PullbackMetric(lambda weights: self.network(weights, x), weigh).at(params)


def residuals(
    network: Network, outputs: Float[Array, "N K"], y: Float[Array, "N K"] | None, key: PRNGKeyArray | None
) -> Float[Array, "N K"]:
    """Gradients of −log p(y|x) with respect to the outputs, item by item; y drawn from the model if not given."""
    family = network.family
    if y is None:
        if key is None:
            raise ValueError("Targets are drawn from the model; pass key=.")
        y = jax.vmap(lambda theta, k: family.sample(theta, key=k))(outputs, jax.random.split(key, len(outputs)))
    return jax.vmap(family.to_dual)(outputs) - jax.vmap(family.statistic)(y)


class OuterProductFisher(AbstractMetric):
    """The mean of the outer products of the scores of single items: P x P, of rank N, never formed.

    Attributes:
        network: the model; `at` wants a batch (x, y).
        targets: "sampled" from the model, the Monte Carlo Fisher with one draw an item; "data", the empirical Fisher.
    """

    network: Network
    targets: Literal["sampled", "data"] = eqx.field(static=True, default="sampled")

    def passes(self, batch: Any = None) -> float:
        return 1.0

    def at(self, params: Weights, batch: Any = None, *, key: PRNGKeyArray | None = None) -> OuterProducts:
        x, y = batch
        taps = self.network.taps(params, x)
        back = taps.pull(residuals(self.network, taps.outputs, y if self.targets == "data" else None, key))
        return OuterProducts(Rows(back, taps.features))


class KroneckerFisher(AbstractMetric):
    """K-FAC's Fisher, a block G ⊗ A a layer: A the second moment of the features, G that of the back-propagated scores.

    For a convolution (KFC) A sums over the T patches of an item and G is the mean over them.

    Attributes:
        network: the model; `at` wants a batch (x, y).
        targets: of the scores: "exact" sums over the output distribution by as many backward passes as there are
            outputs, "sampled" draws one target an item, "data" makes the empirical Fisher.
        outputs: False for blocks 1 ⊗ A, FOOF, which needs no scores.
        items: of a batch that both moments are taken from, the first ones; None for all. An average over steps
            loses little by an eighth of the batch.

    Reference: J. Martens, R. Grosse, arXiv:1503.05671; R. Grosse, J. Martens, arXiv:1602.01407; F. Benzing,
    arXiv:2201.12250.
    """

    network: Network
    targets: Targets = eqx.field(static=True, default="sampled")
    outputs: bool = eqx.field(static=True, default=True)
    items: int | None = eqx.field(static=True, default=None)

    def start(self, params: Weights) -> BlockDiagonal:
        """The operator with zeros in it, for `scale_by_running_metric`."""

        def zeros(n: int, like: Array) -> Array:
            return jnp.zeros((n, n), like.dtype)

        if not self.outputs:
            return BlockDiagonal([RepeatedBlock(zeros(w.shape[1], w), len(w)) for w in params])
        return BlockDiagonal([Kronecker(*(zeros(n, w) for n in w.shape)) for w in params])

    def passes(self, batch: Any = None) -> float:
        """None of FOOF, whose features a forward pass gives; one for each column of the exact outputs; or one."""
        x, y = batch
        part = 1.0 if self.items is None else min(self.items, len(x)) / len(x)
        return part * self.outputs * (y.shape[1] if self.targets == "exact" else 1)

    def at(self, params: Weights, batch: Any = None, *, key: PRNGKeyArray | None = None) -> BlockDiagonal:
        x, y = jax.tree.map(lambda part: part[: self.items], batch)
        taps = self.network.taps(params, x)
        right = [_moment(a, summed=True) for a in taps.features]
        if not self.outputs:
            return BlockDiagonal([RepeatedBlock(A, len(w)) for A, w in zip(right, params, strict=True)])
        if self.targets == "exact":
            left = _exact(self.network, taps)
        else:
            found = residuals(self.network, taps.outputs, y if self.targets == "data" else None, key)
            left = [_moment(g) for g in taps.pull(found)]
        return BlockDiagonal([Kronecker(G, A) for G, A in zip(left, right, strict=True)])


def _moment(rows: Float[Array, "N *T n"], *, summed: bool = False) -> Float[Array, "n n"]:
    """Mean over items of Σ_t v vᵀ, or of its mean over t."""
    flat = rows.reshape(-1, rows.shape[-1])
    return flat.T @ flat / (len(rows) if summed else len(flat))


def _exact(network: Network, taps: Taps) -> list[Float[Array, "out out"]]:
    """Second moments of the scores over the output distribution: one backward pass a column of a root of its Fisher."""

    def root(theta: Float[Array, " K"]) -> Float[Array, "K K"]:
        values, vectors = jnp.linalg.eigh(jax.hessian(network.family.potential)(theta))
        return vectors * jnp.sqrt(jnp.maximum(values, 0))

    roots = jax.lax.map(root, taps.outputs)  # a batched eigh shares JAX's threads and can wait for itself

    def moments(column: Float[Array, "N K"]) -> list[Array]:
        signals: Signals = taps.pull(column)
        return [_moment(g) for g in signals]

    return [jnp.sum(g, axis=0) for g in jax.lax.map(moments, jnp.moveaxis(roots, 2, 0))]
