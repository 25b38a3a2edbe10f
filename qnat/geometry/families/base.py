"""What an exponential family is."""

import abc
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, PyTree

from ..mirror import AbstractMirrorMap, pairing


class AbstractExponentialFamily(AbstractMirrorMap):
    """An exponential family; `potential` is its log-partition function A.

    `reparametrised` says whether the derivative of `sample` by θ is that of the expectations; a discrete draw has none.
    """

    reparametrised: ClassVar[bool] = False

    @abc.abstractmethod
    def statistic(self, x: Array) -> PyTree[Array]:
        """t(x), shaped like the natural parameters."""

    @abc.abstractmethod
    def log_base(self, x: Array) -> Float[Array, ""]:
        """log h(x)."""

    @abc.abstractmethod
    def sample(self, theta: PyTree[Array], *, key: PRNGKeyArray) -> Array:
        """One x from p_θ."""

    def log_prob(self, theta: PyTree[Array], x: ArrayLike) -> Float[Array, ""]:
        """log p_θ(x), a density or a probability, of all independent entries together; final."""
        x = jnp.asarray(x)
        return self.log_density(theta, self.statistic(x)) + self.log_base(x)

    def log_density(self, theta: PyTree[Array], t: PyTree[Array]) -> Float[Array, ""]:
        """⟨θ, t⟩ − A(θ), without log h; overridden where both are infinite at a point at infinity."""
        return pairing(theta, t) - self.potential(theta)

    def kl(self, theta: PyTree[Array], other: PyTree[Array]) -> Float[Array, ""]:
        """KL(p_θ‖p_other), in nats: the Bregman gap of A; final."""
        eta = self.to_dual(theta)
        return self.log_density(theta, eta) - self.log_density(other, eta)

    def mean_log_base(self, theta: PyTree[Array]) -> Float[Array, ""]:
        """E[log h(x)], where it has a closed form.

        Raises:
            ValueError: it has none.
        """
        raise ValueError(
            f"{type(self).__name__} has no entropy in closed form, as E[log h] has none; average -log_prob of samples."
        )

    def entropy(self, theta: PyTree[Array]) -> Float[Array, ""]:
        """−E[log p_θ], in nats, where `mean_log_base` is known: A(θ) − ⟨θ, E[t]⟩ − E[log h]; final."""
        return -self.log_density(theta, self.to_dual(theta)) - self.mean_log_base(theta)


class AbstractUnweightedFamily(AbstractExponentialFamily):
    """An exponential family whose h is 1."""

    def log_base(self, x: Array) -> Float[Array, ""]:
        return jnp.zeros((), jnp.result_type(x, jnp.float32))

    def mean_log_base(self, theta: PyTree[Array]) -> Float[Array, ""]:
        return jnp.zeros((), jnp.result_type(*jax.tree.leaves(theta)))


def within(inside: Bool[Array, "..."], point: PyTree[Array], sentence: str) -> PyTree[Array]:
    """The point, NaN where its means are of no distribution; ValueError with the sentence where that is known."""
    if not isinstance(inside, jax.core.Tracer) and not bool(jnp.all(inside)):
        raise ValueError(sentence)
    return jax.tree.map(lambda leaf: jnp.where(inside, leaf, jnp.nan), point)
