"""A chart of networks with one hidden layer and one output, regular units in pairs."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from qnat.geometry.charts import AbstractChart

from .network import Weights


class UnitPairs(NamedTuple):
    """Of P pairs of hidden units (w₁, a₁), (w₂, a₂), a the weights of the output, and their biases with the weights w.

    centres: (a₁w₁ + a₂w₂)/(a₁ + a₂), (P, D + 1). gaps: δ = w₂ − w₁, (P, D + 1). sums: a₁ + a₂, (P,).
    balances: z = (a₂ − a₁)/(a₁ + a₂), (P,). bias: of the output.
    """

    centres: Float[Array, "P in"]
    gaps: Float[Array, "P in"]
    sums: Float[Array, " P"]
    balances: Float[Array, " P"]
    bias: Float[Array, ""]


class PairedUnits(AbstractChart):
    """Hidden units 2i and 2i + 1 of a `Network` by what they do together and how they differ.

    Where δ = 0 both units are one: the function depends neither on z nor, to first order, on δ, and these rows of the
    Fisher matrix vanish. Weights are a polynomial of the coordinates; there are no coordinates where a₁ + a₂ = 0.

    Reference: H. Wei, J. Zhang, F. Cousseau, T. Ozeki, S. Amari, Neural Comput. 20, 813 (2008).
    """

    def to_point(self, coordinates: UnitPairs) -> Weights:
        centres, gaps, sums, balances, bias = coordinates
        share = (1 + balances) / 2
        first, second = centres - share[:, None] * gaps, centres + (1 - share)[:, None] * gaps
        hidden = jnp.stack([first, second], axis=1).reshape(-1, centres.shape[1])
        out = jnp.stack([(1 - share) * sums, share * sums], axis=1).reshape(-1)
        return [hidden, jnp.append(out, bias)[None]]

    def from_point(self, point: Weights) -> UnitPairs:
        if len(point) != 2 or len(point[1]) != 1 or len(point[0]) % 2:
            raise ValueError(
                "PairedUnits is a chart of networks with one hidden layer of an even number of units and one output; "
                f"these weights have shapes {', '.join(str(w.shape) for w in point)}."
            )
        hidden, out = point
        (first, second), (a, b) = hidden.reshape(-1, 2, hidden.shape[1]).swapaxes(0, 1), out[0, :-1].reshape(-1, 2).T
        sums = a + b
        centres = (a[:, None] * first + b[:, None] * second) / sums[:, None]
        return UnitPairs(centres, second - first, sums, (b - a) / sums, out[0, -1])
