"""Normal variables whose covariance has fewer parameters than a matrix: diagonal, isotropic, or of blocks."""

import itertools

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .base import within
from .gaussian import AbstractGaussian, Gaussian

Entries = tuple[Float[Array, "*s"], Float[Array, "*s"]]
Isotropic = tuple[Float[Array, " d"], Float[Array, ""]]
Blocks = tuple[Float[Array, " d"], tuple[Float[Array, "..."], ...]]


class DiagonalGaussian(AbstractGaussian):
    """Independent normal variables of means μ and variances σ², in an array of any shape.

    θ = (μ/σ², −1/(2σ²)), means (E[x], E[x²]), pairs of arrays shaped like x. From the means a variance is known to
    εE[x²], ε the rounding of one number: centre data whose mean is far from 0.
    """

    def potential(self, theta: Entries) -> Float[Array, ""]:
        precision = -2 * theta[1]
        return jnp.sum(theta[0] ** 2 / precision - jnp.log(precision)) / 2

    def to_primal(self, eta: Entries) -> Entries:
        mean, second = eta
        variance = second - jnp.square(mean)
        point = mean / variance, -1 / (2 * variance)
        return within(_positive(variance, second), point, "A DiagonalGaussian has variances E[x²] − E[x]²" + _SINGULAR)

    def retract(self, theta: Entries, step: Entries) -> Entries:
        """As that of `Gaussian`: no step makes a variance negative."""
        precision, change = -2 * theta[1], -2 * step[1]
        mean, moved = theta[0] / precision, precision + change + change**2 / (2 * precision)
        return moved * mean + step[0] - change * mean, -moved / 2

    def statistic(self, x: Float[Array, "*s"]) -> Entries:
        return x, x**2

    def from_noise(self, theta: Entries, noise: Float[Array, "*s"]) -> Float[Array, "*s"]:
        precision = -2 * theta[1]
        return theta[0] / precision + noise / jnp.sqrt(precision)


class IsotropicGaussian(AbstractGaussian):
    """Normal variables x (d,) of covariance σ²·1; θ = (μ/σ², −1/(2σ²)), means (E[x], E[|x|²]), a vector and a number.

    From the means the variance is known to εE[|x|²]/d, ε the rounding of one number: centre data.
    """

    def potential(self, theta: Isotropic) -> Float[Array, ""]:
        precision = -2 * theta[1]
        return (theta[0] @ theta[0] / precision - theta[0].size * jnp.log(precision)) / 2

    def to_primal(self, eta: Isotropic) -> Isotropic:
        mean, second = eta
        variance = (second - jnp.vdot(mean, mean)) / mean.size
        point = mean / variance, -1 / (2 * variance)
        sentence = "An IsotropicGaussian has a variance (E[|x|²] − |E[x]|²)/d" + _SINGULAR
        return within(_positive(variance * mean.size, second), point, sentence)

    def retract(self, theta: Isotropic, step: Isotropic) -> Isotropic:
        """As that of `Gaussian`: no step makes the variance negative."""
        return DiagonalGaussian().retract(theta, step)

    def statistic(self, x: Float[Array, " d"]) -> Isotropic:
        return x, x @ x

    def from_noise(self, theta: Isotropic, noise: Float[Array, " d"]) -> Float[Array, " d"]:
        precision = -2 * theta[1]
        return theta[0] / precision + noise / jnp.sqrt(precision)


class BlockGaussian(AbstractGaussian):
    """Normal variables x (d,) in independent blocks; θ = (Λμ, (−Λ₁/2, −Λ₂/2, …)), means (E[x], (E[x₁x₁ᵀ], …)).

    Attributes:
        sizes: of the blocks; they add up to d.
    """

    sizes: tuple[int, ...] = eqx.field(static=True)

    def potential(self, theta: Blocks) -> Float[Array, ""]:
        return jnp.sum(jnp.stack([Gaussian().potential(part) for part in self._parts(theta)]))

    def to_primal(self, eta: Blocks) -> Blocks:
        return _whole([Gaussian().to_primal(part) for part in self._parts(eta)])

    def retract(self, theta: Blocks, step: Blocks) -> Blocks:
        """Every block as a `Gaussian`."""
        return _whole([Gaussian().retract(*pair) for pair in zip(self._parts(theta), self._parts(step), strict=True)])

    def statistic(self, x: Float[Array, " d"]) -> Blocks:
        return x, tuple(jnp.outer(part, part) for part in self._split(x))

    def from_noise(self, theta: Blocks, noise: Float[Array, " d"]) -> Float[Array, " d"]:
        parts = zip(self._parts(theta), self._split(noise), strict=True)
        return jnp.concatenate([Gaussian().from_noise(part, one) for part, one in parts])

    def _split(self, x: Float[Array, " d"]) -> list[Float[Array, "..."]]:
        if x.shape != (sum(self.sizes),):
            raise ValueError(f"The blocks {self.sizes} need vectors of length {sum(self.sizes)}; got shape {x.shape}.")
        return jnp.split(x, list(itertools.accumulate(self.sizes[:-1])))

    def _parts(self, point: Blocks) -> list[tuple[Float[Array, "..."], Float[Array, "..."]]]:
        return list(zip(self._split(point[0]), point[1], strict=True))


def _whole(parts: list[tuple[Float[Array, "..."], Float[Array, "..."]]]) -> Blocks:
    return jnp.concatenate([part[0] for part in parts]), tuple(part[1] for part in parts)


_SINGULAR = " above 0; that of these means is not, up to rounding. Take more data, or add some variance."


def _positive(variance: Float[Array, "*s"], second: Float[Array, "*s"]) -> Bool[Array, "*s"]:
    """Whether a variance is more than the rounding of what it is the difference of."""
    return (variance > jnp.finfo(variance.dtype).eps * second) & (second < jnp.inf)
