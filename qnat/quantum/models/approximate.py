"""Coarser metrics of a circuit: what is lost when correlations between its angles are left out."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from qnat.geometry.metric import AbstractMetric
from qnat.geometry.operators import BlockDiagonal

from .latent import LatentMetric
from .pure import PureMetric

Params = dict[str, Float[Array, " _"]]
Blocks = Literal["layer", "diagonal", "latent"]


class ApproximateMetric(AbstractMetric):
    """A metric whose block of angles is replaced by a part of itself; the latent block, if there is one, stays.

    "layer" keeps the angles of one layer correlated with each other and "diagonal" no two; "latent" puts the identity
    there: classical natural gradient on the latent distribution, plain gradient on the circuit. None of them is a
    tensor: in other coordinates of the angles the same words mean another metric.

    Attributes:
        metric: the metric of a model with a circuit.
        blocks: which part of the block of angles is kept.
    """

    metric: LatentMetric | PureMetric
    blocks: Blocks = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.blocks not in ("layer", "diagonal", "latent"):
            raise ValueError(
                f"An approximate metric keeps 'layer', 'diagonal' or 'latent' blocks, not {self.blocks!r}."
            )

    def at(self, params: Params, batch: Any = None, *, key: PRNGKeyArray | None = None) -> BlockDiagonal:
        operator = self.metric.at(params, batch, key=key)
        return BlockDiagonal(operator.blocks | {"angles": self._part(operator.blocks["angles"], params["angles"])})

    def passes(self, batch: Any = None) -> float | None:
        """A row for each parameter of the latent block, if nothing else is kept of the metric."""
        if self.blocks != "latent":
            return self.metric.passes(batch)
        params = jax.eval_shape(lambda: self.metric.model.init(jax.random.key(0)))
        return float(params["latent"].size) if "latent" in params else 0.0

    def _part(self, block: lx.AbstractLinearOperator, angles: Float[Array, " P"]) -> lx.AbstractLinearOperator:
        """What is kept of the block of angles."""
        if self.blocks == "layer":
            layer = np.arange(angles.size) // max(1, self.metric.model.circuit.angles_per_layer)
            matrix = jnp.where(layer[:, None] == layer, block.as_matrix(), 0)
            return lx.MatrixLinearOperator(matrix, lx.positive_semidefinite_tag)
        diagonal = lx.diagonal(block) if self.blocks == "diagonal" else jnp.ones_like(angles)
        return lx.TaggedLinearOperator(lx.DiagonalLinearOperator(diagonal), lx.positive_semidefinite_tag)
