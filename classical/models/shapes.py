"""Shapes that a Gaussian is bent into: densities of w = Lᵀ(x − ξ), standard normal for a Gaussian of precision LLᵀ.

In these coordinates the parameters of a shape have no unit, and mean the same wherever the Gaussian is.
"""

import abc
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .gaussian import LOG_2PI
from .skew import THIRD, log_t

_C = float(np.sqrt(2 / np.pi))
"""E|u| of a standard normal u."""
_LEAST, _MOST = 0.1, 2.0
"""Of each entry of α at the start, and of its length."""
_NU = 2.0
"""Where degrees of freedom begin: above it there is a covariance."""


class AbstractShape(eqx.Module):
    """A family of densities of w (d,), with parameters λ, a pytree of arrays without a metric."""

    @abc.abstractmethod
    def start(self, skewness: Float[Array, " d"]) -> PyTree[Array]:
        """λ of a density near the standard normal one, of about this skewness if it can have any."""

    @abc.abstractmethod
    def log_prob(self, shape: PyTree[Array], w: Float[Array, "N d"]) -> Float[Array, " N"]:
        """In nats."""

    @abc.abstractmethod
    def draws(self, shape: PyTree[Array], key: PRNGKeyArray, noise: Float[Array, "N d"]) -> Float[Array, "N d"]:
        """Draws of w, made of standard normal noise and of more by the key; their derivatives by λ are pathwise."""

    @abc.abstractmethod
    def moments(self, shape: PyTree[Array], size: int) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
        """Mean and covariance of w."""


class NormalShape(AbstractShape):
    """No bend: N(w; 0, 1); λ is ()."""

    def start(self, skewness: Float[Array, " d"]) -> PyTree[Array]:
        return ()

    def log_prob(self, shape: PyTree[Array], w: Float[Array, "N d"]) -> Float[Array, " N"]:
        return -jnp.sum(w**2 + LOG_2PI, axis=1) / 2

    def draws(self, shape: PyTree[Array], key: PRNGKeyArray, noise: Float[Array, "N d"]) -> Float[Array, "N d"]:
        return noise

    def moments(self, shape: PyTree[Array], size: int) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
        return jnp.zeros(size), jnp.eye(size)


_NORMAL = NormalShape()


class SkewShape(AbstractShape):
    """2N(w; 0, 1)Φ(α·w), which is `SkewNormal` with η = Lα; λ is α (d,).

    w = a|u| + e with a = α/√(1 + |α|²), u standard normal, e normal of covariance 1 − aaᵀ.

    Reference: A. Azzalini, A. Capitanio, J. R. Stat. Soc. B 61, 579 (1999).
    """

    def start(self, skewness: Float[Array, " d"]) -> Float[Array, " d"]:
        """By third moments; at α = 0, a saddle, the gradient by α would vanish."""
        b = jnp.cbrt(skewness / THIRD)
        b = jnp.where(jnp.abs(b) < _LEAST, jnp.copysign(_LEAST, b), b)
        return b * jnp.minimum(1.0, _MOST / jnp.linalg.norm(b))

    def log_prob(self, shape: Float[Array, " d"], w: Float[Array, "N d"]) -> Float[Array, " N"]:
        return jnp.log(2.0) + _NORMAL.log_prob((), w) + log_ndtr(w @ shape)

    def draws(self, shape: Float[Array, " d"], key: PRNGKeyArray, noise: Float[Array, "N d"]) -> Float[Array, "N d"]:
        u = jnp.abs(jax.random.normal(key, noise.shape[:1]))
        left = 1 / jnp.sqrt(1 + shape @ shape)  # √(1 − |a|²)
        a = shape * left
        return u[:, None] * a + noise - jnp.outer(noise @ a, a) / (1 + left)

    def moments(self, shape: Float[Array, " d"], size: int) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
        a = shape / jnp.sqrt(1 + shape @ shape)
        return _C * a, jnp.eye(size) - _C**2 * jnp.outer(a, a)


class StudentShape(AbstractShape):
    """Student's t in d dimensions, of unit scale: a standard normal vector over √(χ²_ν/ν); λ is log(ν − 2).

    Energies that grow like exp(x) have no mean under it.
    """

    def start(self, skewness: Float[Array, " d"]) -> Float[Array, ""]:
        """ν = 20."""
        return jnp.log(20.0 - _NU)

    def log_prob(self, shape: Float[Array, ""], w: Float[Array, "N d"]) -> Float[Array, " N"]:
        return log_t(jnp.sum(w**2, axis=1), _NU + jnp.exp(shape), w.shape[1])

    def draws(self, shape: Float[Array, ""], key: PRNGKeyArray, noise: Float[Array, "N d"]) -> Float[Array, "N d"]:
        half = (_NU + jnp.exp(shape)) / 2
        ratio = jax.random.gamma(key, jnp.full(len(noise), half)) / half  # χ²_ν/ν
        return noise / jnp.sqrt(ratio)[:, None]

    def moments(self, shape: Float[Array, ""], size: int) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
        return jnp.zeros(size), jnp.eye(size) * (1 + _NU * jnp.exp(-shape))


SHAPES: Mapping[str, type[AbstractShape]] = {
    "normal": NormalShape,
    "skew_normal": SkewShape,
    "student_t": StudentShape,
}
"""By name."""
