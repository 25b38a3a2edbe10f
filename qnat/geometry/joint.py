"""Joint distributions of a label and an item."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .families import AbstractExponentialFamily
from .mirror import AbstractMirrorMap

Joint = tuple[Float[Array, " K"], PyTree[Array]]


class MixtureFamily(AbstractMirrorMap):
    """A label k of K and an item x ~ p_{θₖ}: p(k, x) = h(x) exp(aₖ + ⟨θₖ, t(x)⟩ − ψ), a mixture with its label known.

    Parameters are (a, θ), a (K,) and the natural parameters of the components stacked along a first axis of K. The mean
    ones are (π, πₖ Eₖ[t]), π the weights: what expectation maximisation collects, and a step of it is a mirror step of
    unit rate on −log p(x). A constant added to a changes nothing; `to_primal` gives aₖ = log πₖ − A(θₖ), where ψ = 0. A
    weight of 0 leaves the means of its component unknown: it is refused, as are means of no distribution, inside jit
    NaN.

    Attributes:
        component: the family of the items.
    """

    component: AbstractExponentialFamily

    # One component at a time: batched factorisations of one program may wait for each other for ever (jaxlib 0.10).

    def potential(self, theta: Joint) -> Float[Array, ""]:
        logits, parts = theta
        return jax.nn.logsumexp(logits + jax.lax.map(self.component.potential, parts))

    def to_primal(self, eta: Joint) -> Joint:
        weights, sums = eta
        if not isinstance(weights, jax.core.Tracer) and not bool(jnp.all((weights > 0) & (weights < jnp.inf))):
            raise ValueError(
                f"A MixtureFamily has positive weights, as a component without items has no means; got {weights}."
            )
        means = jax.tree.map(lambda s: s / weights.reshape(-1, *[1] * (s.ndim - 1)), sums)
        parts = jax.lax.map(self.component.to_primal, means)
        if any(not isinstance(leaf, jax.core.Tracer) and np.isnan(leaf).any() for leaf in jax.tree.leaves(parts)):
            name = type(self.component).__name__
            raise ValueError(f"The means of a component of this MixtureFamily are those of no {name} distribution.")
        finite = jnp.where(weights < jnp.inf, weights, jnp.nan)
        return jnp.log(finite) - jax.lax.map(self.component.potential, parts), parts

    def retract(self, theta: Joint, step: Joint) -> Joint:
        """Every component by its own retraction."""
        parts = jax.lax.map(lambda pair: self.component.retract(*pair), (theta[1], step[1]))
        return theta[0] + step[0], parts
