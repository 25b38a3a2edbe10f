"""What stands for a posterior once it is inferred: a Gaussian, or the draws of chains."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from qnat.geometry.families import BlockGaussian, DiagonalGaussian, Gaussian, IsotropicGaussian
from qnat.geometry.families.gaussian import AbstractGaussian
from qnat.inference import chains
from qnat.inference.chains import Chains

from . import gaussian_posterior
from .gaussian_posterior import Theta
from .posterior import Posterior


class AbstractApproximation(eqx.Module):
    """A kind of stand-in; its parameters are passed in."""

    @abc.abstractmethod
    def start(self, posterior: Posterior) -> PyTree[Array]:
        """Where inference starts."""

    @abc.abstractmethod
    def moments(self, params: PyTree[Array]) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
        """Mean and covariance."""

    @abc.abstractmethod
    def draws(self, params: PyTree[Array], key: PRNGKeyArray, count: int) -> Float[Array, "count d"]:
        """Draws of the parameters of the model."""


class AbstractDensityApproximation(AbstractApproximation):
    """A stand-in with a density, and so with an evidence lower bound."""

    @abc.abstractmethod
    def log_prob(self, params: PyTree[Array], x: Float[Array, "N d"]) -> Float[Array, " N"]:
        """log q of every row, in nats."""

    def log_weights(
        self, posterior: Posterior, params: PyTree[Array], key: PRNGKeyArray, count: int
    ) -> Float[Array, " count"]:
        """log p(x, data) − log q(x) of fresh draws, whose mean is the evidence lower bound; final."""
        x = self.draws(params, key, count)
        return -jax.vmap(posterior.energy)(x) - self.log_prob(params, x)


class GaussianApproximation(AbstractDensityApproximation):
    """A Gaussian; its parameters are natural ones.

    Attributes:
        family: which structure its covariance has.
    """

    family: AbstractGaussian

    def start(self, posterior: Posterior) -> Theta:
        """About the start of the model, with standard deviations of 0.1: draws of an energy are then of one size."""
        return gaussian_posterior.spherical(self.family, posterior.mean, 0.1)

    def moments(self, params: Theta) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
        return gaussian_posterior.mean_of(self.family, params), gaussian_posterior.covariance_of(self.family, params)

    def draws(self, params: Theta, key: PRNGKeyArray, count: int) -> Float[Array, "count d"]:
        return jax.vmap(lambda each: self.family.sample(params, key=each))(jax.random.split(key, count))

    def log_prob(self, params: Theta, x: Float[Array, "N d"]) -> Float[Array, " N"]:
        return jax.vmap(lambda one: self.family.log_prob(params, one))(x)


def structured(covariance: str, size: int, block: int) -> GaussianApproximation:
    """A Gaussian of `size` parameters: full, diagonal, isotropic, or in blocks, the last of which may be shorter."""
    if covariance == "block":
        sizes = [min(block, size - first) for first in range(0, size, block)]
        return GaussianApproximation(BlockGaussian(tuple(sizes)))
    return GaussianApproximation(_KINDS[covariance]())


_KINDS: dict[str, Callable[[], AbstractGaussian]] = {
    "full": Gaussian,
    "diagonal": DiagonalGaussian,
    "isotropic": IsotropicGaussian,
}


class ChainApproximation(AbstractApproximation):
    """The draws of Markov chains.

    Attributes:
        count: how many chains. capacity: draws of each that are kept at most.
    """

    count: int = eqx.field(static=True, default=4)
    capacity: int = eqx.field(static=True, default=1000)

    def start(self, posterior: Posterior) -> Chains:
        """About the start of the model, apart: chains that agree later have forgotten where they began."""
        noise = np.random.default_rng(0).normal(size=(self.count, posterior.size))
        return chains.start_chains(posterior.mean + 0.5 * noise, self.capacity)

    def moments(self, params: Chains) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
        return chains.moments(params)

    def draws(self, params: Chains, key: PRNGKeyArray, count: int) -> Float[Array, "count d"]:
        """Of the draws that are kept, with replacement."""
        first, second = jax.random.split(key)
        chain = jax.random.randint(first, (count,), 0, self.count)
        return params.draws[chain, jax.random.randint(second, (count,), 0, params.kept)]
