"""Bent Gaussians, or mixtures of them, for a posterior: skew-normal densities, Student's t, Gaussian mixtures."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from qnat.geometry.families import Gaussian

from . import gaussian, gaussian_posterior
from .approximations import AbstractDensityApproximation
from .gaussian import Pair
from .posterior import Posterior
from .shapes import AbstractShape
from .surrogate import Parameters

_APART = 0.5
"""Standard deviation of the means of components at the start, in units of the Gaussian's own along its widest axis."""


class ShapedApproximation(AbstractDensityApproximation):
    """q(x) = Σₖ πₖ det Lₖ s(Lₖᵀ(x − ξₖ); λₖ), s a shape: a function of a mixture of Gaussians, its surrogate.

    Parameters are, of the surrogate, (log π (K,), the natural parameters of its Gaussians, stacked), and auxiliary ones
    the λₖ, stacked.

    Attributes:
        shape: of every component. components: K.
    """

    shape: AbstractShape
    components: int = eqx.field(static=True, default=1)

    def start(self, posterior: Posterior) -> Parameters:
        """Near a Gaussian about the start of the model, with standard deviations of 0.1."""
        theta = gaussian_posterior.spherical(Gaussian(), posterior.mean, 0.1)
        return self.about(theta, jnp.zeros(posterior.size))

    def about(self, theta: Pair, skewness: Float[Array, " d"]) -> Parameters:
        """Near a Gaussian, about of its mean and covariance: bent a little, in parts along its widest axis.

        Args:
            theta: of the Gaussian. skewness: that of w, by which shapes start.
        """
        shape, count = self.shape.start(skewness), self.components
        away, spread = self.shape.moments(shape, skewness.size)
        mean, root = gaussian.mean_and_root(theta)
        inverse = gaussian.inverse(root)
        values, vectors = jnp.linalg.eigh(inverse.T @ inverse)
        places = np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
        places = _APART * places / places.std() if count > 1 else places
        # what is between the means is taken off within: Λ + cuuᵀ of a unit vector u on which Λ is 1/v
        u, narrower = vectors[:, -1], 1 / (1 - places.var()) - 1
        precision = root @ root.T + narrower * jnp.outer(u, u) / values[-1]
        bent = jnp.linalg.cholesky(precision)
        half = -(bent @ spread @ bent.T) / 2
        centres = mean - inverse.T @ away + jnp.outer(places, u * jnp.sqrt(values[-1]))
        parts = jax.vmap(lambda centre: gaussian_posterior.at(Gaussian(), centre, half))(centres)
        shapes = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *jnp.shape(leaf))), shape)
        return Parameters((jnp.full(count, -np.log(count)), parts), shapes)

    def component_draws(
        self, part: Pair, shape: PyTree[Array], key: PRNGKeyArray, noise: Float[Array, "N d"]
    ) -> Float[Array, "N d"]:
        """Draws of one component, made of standard normal noise; their derivatives by its parameters are pathwise."""
        mean, root = gaussian.mean_and_root(part)
        w = self.shape.draws(shape, key, noise)
        return mean + jax.scipy.linalg.solve_triangular(root.T, w.T, lower=False).T

    # One component at a time: batched factorisations of one program may wait for each other for ever (jaxlib 0.10).

    def log_prob(self, params: Parameters, x: Float[Array, "N d"]) -> Float[Array, " N"]:
        def one(each: tuple[Pair, PyTree[Array]]) -> Float[Array, " N"]:
            mean, root = gaussian.mean_and_root(each[0])
            return gaussian.half_log_det(root) + self.shape.log_prob(each[1], (x - mean) @ root)

        log_weights, parts = params.surrogate
        return jax.nn.logsumexp(log_weights[:, None] + jax.lax.map(one, (parts, params.auxiliary)), axis=0)

    def moments(self, params: Parameters) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
        def one(each: tuple[Pair, PyTree[Array]]) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
            mean, root = gaussian.mean_and_root(each[0])
            away, spread = self.shape.moments(each[1], mean.size)
            inverse = gaussian.inverse(root)
            return mean + inverse.T @ away, inverse.T @ spread @ inverse

        log_weights, parts = params.surrogate
        means, covariances = jax.lax.map(one, (parts, params.auxiliary))
        weights = jnp.exp(log_weights)
        mean = weights @ means
        apart = means - mean
        return mean, jnp.tensordot(weights, covariances, axes=1) + apart.T @ (weights[:, None] * apart)

    def draws(self, params: Parameters, key: PRNGKeyArray, count: int) -> Float[Array, "count d"]:
        of, key, noise_key = jax.random.split(key, 3)
        log_weights, parts = params.surrogate
        noise = jax.random.normal(noise_key, (count, parts[0].shape[1]))  # of the component that a draw is of
        each = jax.lax.map(lambda one: self.component_draws(one[0], one[1], key, noise), (parts, params.auxiliary))
        return each[jax.random.categorical(of, log_weights, shape=(count,)), jnp.arange(count)]
