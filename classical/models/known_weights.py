"""Mixtures of known weights: their components alone are to be found."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from qnat.geometry.families import AbstractExponentialFamily
from qnat.geometry.joint import Joint
from qnat.inference.em import AbstractLatentModel

from .mixture import Mixture

Weighted = tuple[Float[Array, "N ..."], Float[Array, " N"]]
"""Items, and masses of sum one: a weighted sample, or a population on a grid."""


class KnownWeights(AbstractLatentModel):
    """p(x) = Σₖ wₖ p_{θₖ}(x) with w known; `qnat.inference.em` of it moves the components alone.

    What is free are θ, natural parameters of the components stacked along a first axis of K; with a component `Normal`
    they are means, and charts of means are charts of the mixture.

    Attributes:
        mixture: its likelihood, in the parameters (a, θ) of label and item. weights: w (K,), of sum one.
    """

    mixture: Mixture
    weights: Float[Array, " K"]

    def __init__(self, component: AbstractExponentialFamily, weights: Float[Array, " K"]) -> None:
        self.mixture, self.weights = Mixture(component), weights

    def joint(self, parts: PyTree[Array]) -> Joint:
        """(a, θ), normalised: aₖ = log wₖ − A(θₖ)."""
        return jnp.log(self.weights) - jax.lax.map(self.mixture.joint.component.potential, parts), parts

    def log_prob(self, parts: PyTree[Array], x: Float[Array, "N ..."]) -> Float[Array, " N"]:
        """log p(x) of every item."""
        return jax.nn.logsumexp(self.mixture.scores(self.joint(parts), x), axis=1)

    def clamped(self, theta: Joint, data: Weighted) -> Float[Array, ""]:
        x, masses = data
        return masses @ jax.nn.logsumexp(self.mixture.scores(theta, x), axis=1)

    def maximise(self, eta: Joint) -> Joint:
        return self.joint(self.mixture.joint.to_primal(eta)[1])
