"""Mixtures of one family: which component made an item is not seen."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qnat.geometry.families import AbstractExponentialFamily
from qnat.geometry.joint import Joint, MixtureFamily
from qnat.inference.chunks import summed
from qnat.inference.em import AbstractLatentModel

from ..data.missing import Rows
from .emissions import AbstractEmission


class Mixture(AbstractLatentModel):
    """p(x) = Σₖ πₖ p_{θₖ}(x); fit it with `qnat.inference.em`, in whole or online.

    Parameters are those of `qnat.geometry.MixtureFamily`, (a (K,), θ stacked along a first axis of K).

    Attributes:
        joint: the family of label and item.

    Reference: A. Dempster, N. Laird, D. Rubin, J. R. Stat. Soc. B 39, 1 (1977).
    """

    joint: MixtureFamily

    def __init__(self, component: AbstractExponentialFamily) -> None:
        self.joint = MixtureFamily(component)

    def clamped(self, theta: Joint, data: Float[Array, "N ..."]) -> Float[Array, ""]:
        return jnp.mean(jax.nn.logsumexp(self.scores(theta, data), axis=1))

    def maximise(self, eta: Joint) -> Joint:
        return self.joint.to_primal(eta)

    def scores(self, theta: Joint, x: Float[Array, "N ..."]) -> Float[Array, "N K"]:
        """log p(k, x) of every item and component, where θ is normalised; a softmax of it are the responsibilities."""
        logits, parts = theta
        component = self.joint.component

        def product(statistic: Array, part: Array) -> Float[Array, "N K"]:
            return statistic.reshape(len(x), -1) @ part.reshape(len(logits), -1).T

        products: Any = jax.tree.map(product, jax.vmap(component.statistic)(x), parts)
        return logits + jax.tree.reduce(jnp.add, products) + jax.vmap(component.log_base)(x)[:, None]


class IncompleteMixture(AbstractLatentModel):
    """A mixture of rows of which entries may be missing at random, and which may have weights.

    Parameters are (a, θ) as of `Mixture`. A missing entry is hidden as the label is: the likelihood is that of what was
    seen, exactly.

    Attributes:
        emission: the components.

    Reference: Z. Ghahramani, M. Jordan, Supervised learning from incomplete data via an EM approach, NIPS 6 (1993).
    """

    emission: AbstractEmission

    def clamped(self, theta: Joint, data: Rows) -> Float[Array, ""]:
        """The weighted mean of log p(x) over rows, of which a batch is an estimate, with the log prior, in nats."""

        def chunk(coefficients: Array, rows: tuple[Array, Array, Array]) -> Float[Array, ""]:
            x, weights, pattern = rows
            scores = self.emission.scored(coefficients, x, pattern)
            return jnp.vdot(weights, jax.nn.logsumexp(scores, axis=-1))

        coefficients = self.emission.coefficients(theta, jnp.asarray(data.missing))
        return summed(chunk, coefficients, data.chunks) + self.emission.penalty(theta)

    def maximise(self, eta: Joint) -> Joint:
        total = jnp.sum(eta[0])  # of the rows and those of the prior
        return self.emission.maximise(jax.tree.map(lambda each: each / total, eta))

    def weights(self, theta: Joint, width: int) -> Float[Array, " K"]:
        """π of the components, of rows of so many columns: it is p(k, x) where all of x is missing."""
        return jax.nn.softmax(self.emission.coefficients(theta, jnp.ones((1, width), bool))[0, :, 0])
