"""Skew-normal and skew-t densities, whose surrogate is a Gaussian of their location and scale."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, log_ndtr
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, PyTree

from qnat.geometry.families import Gaussian
from qnat.geometry.joint import Joint, MixtureFamily

from . import gaussian, student
from .gaussian import Pair
from .surrogate import AbstractSurrogateDensity, Parameters, clusters, finite, joint, log_weights, points

THIRD = float(np.sqrt(2 / np.pi) * (4 / np.pi - 1))
"""E[(|w| − E|w|)³] of a standard normal w."""
_MOST = 0.95
"""Of bᵀΩ⁻¹b, which is below 1."""


def log_skew_normal(theta: Pair, eta: Float[Array, " d"], x: Float[Array, "N d"]) -> Float[Array, " N"]:
    """log 2N(x; ξ, Ω)Φ(ηᵀ(x − ξ)) of every row."""
    mean, root = gaussian.mean_and_root(theta)
    centred = x - mean
    log_norm = gaussian.half_log_det(root) - mean.size * jnp.log(2 * jnp.pi) / 2 + jnp.log(2.0)
    return log_norm - gaussian.squares(root, centred) / 2 + log_ndtr(centred @ eta)


class Moments(NamedTuple):
    """Of a skew-normal density: location ξ, scale Ω and η."""

    location: np.ndarray[Any, Any]
    scale: np.ndarray[Any, Any]
    eta: np.ndarray[Any, Any]


def skew_moments(x: np.ndarray[Any, Any], covariance: np.ndarray[Any, Any]) -> Moments:
    """The skew-normal density with the mean and third central moments of data, a column each, and this covariance.

    An item is ξ + b|w| + a Gaussian, w standard normal: its mean is ξ + √(2/π) b, its covariance Ω − 2bbᵀ/π, its
    third central moments √(2/π)(4/π − 1) b³, and η = Ω⁻¹b/√(1 − bᵀΩ⁻¹b). A b too long for a density is made shorter.
    """
    mean = x.mean(axis=0)
    b = np.cbrt(((x - mean) ** 3).mean(axis=0) / THIRD)
    square = b @ np.linalg.solve(covariance, b)
    b = b * np.sqrt(min(1.0, _MOST / (1 - 2 / np.pi * _MOST) / max(float(square), float(np.finfo(float).tiny))))
    scale = covariance + 2 / np.pi * np.outer(b, b)
    direction = np.linalg.solve(scale, b)
    return Moments(mean - np.sqrt(2 / np.pi) * b, scale, direction / np.sqrt(1 - b @ direction))


class SkewNormal(AbstractSurrogateDensity):
    """p(x) = 2N(x; ξ, Ω)Φ(ηᵀ(x − ξ)); the surrogate is Gaussian(ξ, Ω), the auxiliary parameter η (d,).

    At η = 0 with ξ and Ω those of the Gaussian fit, the gradient vanishes, and the Hessian in the d directions
    δξ = −√(2/π) Ω δη: a saddle, which `at_saddle` knows and which `start` is not on. Of few data the likelihood may
    rise for ever with |η|.

    Reference: A. Azzalini, A. Capitanio, J. R. Stat. Soc. B 61, 579 (1999).
    """

    surrogate: Gaussian

    def __init__(self) -> None:
        self.surrogate = Gaussian()

    def log_prob(self, params: Parameters, x: Float[Array, "N d"]) -> Float[Array, " N"]:
        return log_skew_normal(params.surrogate, params.auxiliary, x)

    def inside(self, theta: Pair) -> Bool[Array, ""]:
        return finite(theta)

    def start(self, x: ArrayLike, *, key: PRNGKeyArray) -> Parameters:
        """From the sample skewness of the columns."""
        data = points(x, "skew-normal")
        location, scale, eta = skew_moments(data, np.cov(data.T, bias=True).reshape(data.shape[1], -1))
        return Parameters(gaussian.from_covariance(location, scale), jnp.asarray(eta))

    def to_free(self, params: Parameters) -> PyTree[Array]:
        return gaussian.to_free(params.surrogate), params.auxiliary

    def from_free(self, free: PyTree[Array]) -> Parameters:
        return Parameters(gaussian.from_free(free[0]), free[1])


def at_saddle(
    density: SkewNormal, params: Parameters, x: Float[Array, "N d"], *, tolerance: float = 0.1
) -> Bool[Array, ""]:
    """Whether a fit rests on the saddle at η = 0: it has become the Gaussian fit, and starts elsewhere may end lower.

    Args:
        density, params, x: the fit and its data.
        tolerance: of |Ω^½η|, and of the distance √(2 KL) of the surrogate from the Gaussian fit.
    """
    _, root = gaussian.mean_and_root(params.surrogate)
    length = jnp.linalg.norm(jax.scipy.linalg.solve_triangular(root, params.auxiliary, lower=True))
    fit = density.surrogate.to_primal((jnp.mean(x, axis=0), x.T @ x / len(x)))
    gap = density.surrogate.kl(fit, params.surrogate)
    return (length < tolerance) & (2 * gap < tolerance**2)


class SkewNormalMixture(AbstractSurrogateDensity):
    """p(x) = Σₖ πₖ 2N(x; ξₖ, Ωₖ)Φ(ηₖᵀ(x − ξₖ)); the surrogate is a Gaussian mixture with its label known, λ = η (K, d).

    Attributes:
        components: K.
    """

    surrogate: MixtureFamily
    components: int = eqx.field(static=True)

    def __init__(self, components: int) -> None:
        self.surrogate = MixtureFamily(Gaussian())
        self.components = components

    # One component at a time: batched factorisations of one program may wait for each other for ever (jaxlib 0.10).

    def log_prob(self, params: Parameters, x: Float[Array, "N d"]) -> Float[Array, " N"]:
        each = jax.lax.map(lambda part: log_skew_normal(part[0], part[1], x), (params.surrogate[1], params.auxiliary))
        return jax.nn.logsumexp(log_weights(self.surrogate, params.surrogate)[:, None] + each, axis=0)

    def inside(self, theta: Joint) -> Bool[Array, ""]:
        return finite(theta)

    def start(self, x: ArrayLike, *, key: PRNGKeyArray) -> Parameters:
        """Groups by k-means with one covariance for all, each with its own skewness."""
        data = points(x, "skew-normal mixture")
        labels = clusters(data, self.components, key)
        groups = [data[labels == k] for k in range(self.components)]
        within = np.concatenate([group - group.mean(axis=0) for group in groups])
        covariance = within.T @ within / len(data)
        if np.linalg.matrix_rank(covariance) < data.shape[1]:
            raise ValueError(f"Groups of {self.components} components are flat; take fewer components.")
        found = [skew_moments(group, covariance) for group in groups]
        each = [gaussian.from_covariance(moments.location, moments.scale) for moments in found]
        shift, half = (jnp.stack([part[i] for part in each]) for i in (0, 1))
        weights = jnp.asarray(np.array([len(group) for group in groups]) / len(data))
        eta = jnp.asarray(np.stack([moments.eta for moments in found]))
        return Parameters(joint(self.surrogate, jnp.log(weights), (shift, half)), eta)

    def to_free(self, params: Parameters) -> PyTree[Array]:
        parts = jax.lax.map(gaussian.to_free, params.surrogate[1])
        return log_weights(self.surrogate, params.surrogate), parts, params.auxiliary

    def from_free(self, free: PyTree[Array]) -> Parameters:
        logits, parts, eta = free
        return Parameters(joint(self.surrogate, logits, jax.lax.map(gaussian.from_free, parts)), eta)


class SkewT(AbstractSurrogateDensity):
    """p(x) = 2t_ν(x; ξ, Ω) T_{ν+d}(ηᵀ(x − ξ) √((ν + d)/(ν + Q))), Q the square of Ω^{−½}(x − ξ), T of one dimension.

    The surrogate is Gaussian(ξ, Ω), the auxiliary parameters are (η (d,), log(ν − ν₀)).

    Attributes:
        least_nu: ν₀, where the degrees of freedom begin; above 2 there is a covariance.

    Reference: A. Azzalini, A. Capitanio, J. R. Stat. Soc. B 65, 367 (2003).
    """

    surrogate: Gaussian
    least_nu: float = eqx.field(static=True)

    def __init__(self, least_nu: float = 2.0) -> None:
        if not least_nu >= 0:
            raise ValueError(f"Degrees of freedom begin at 0 or above; got {least_nu}.")
        self.surrogate = Gaussian()
        self.least_nu = least_nu

    def nu(self, params: Parameters) -> Float[Array, ""]:
        """The degrees of freedom."""
        return self.least_nu + jnp.exp(params.auxiliary[1])

    def log_prob(self, params: Parameters, x: Float[Array, "N d"]) -> Float[Array, " N"]:
        nu, (mean, root) = self.nu(params), gaussian.mean_and_root(params.surrogate)
        centred, d = x - mean, mean.size
        square = gaussian.squares(root, centred)
        argument = (centred @ params.auxiliary[0]) * jnp.sqrt((nu + d) / (nu + square))
        skewing = student.log_cdf(argument, nu + d)
        return jnp.log(2.0) + gaussian.half_log_det(root) + log_t(square, nu, d) + skewing

    def inside(self, theta: Pair) -> Bool[Array, ""]:
        return finite(theta)

    def start(self, x: ArrayLike, *, key: PRNGKeyArray) -> Parameters:
        """From the sample skewness and the median excess kurtosis of the columns."""
        data = points(x, "skew-t")
        centred = data - data.mean(axis=0)
        excess = np.median((centred**4).mean(axis=0) / (centred**2).mean(axis=0) ** 2) - 3
        nu = max(4 + 6 / max(excess, 0.15), self.least_nu + 1)
        covariance = np.cov(data.T, bias=True).reshape(data.shape[1], -1) * (nu - 2) / nu
        location, scale, eta = skew_moments(data, covariance)
        return Parameters(
            gaussian.from_covariance(location, scale), (jnp.asarray(eta), jnp.log(jnp.asarray(nu - self.least_nu)))
        )

    def to_free(self, params: Parameters) -> PyTree[Array]:
        return gaussian.to_free(params.surrogate), params.auxiliary

    def from_free(self, free: PyTree[Array]) -> Parameters:
        return Parameters(gaussian.from_free(free[0]), free[1])


def log_t(square: Float[Array, " N"], nu: Float[Array, ""], d: int) -> Float[Array, " N"]:
    """log density of t in d dimensions with unit scale, where the square of a point is given."""
    norm = gammaln((nu + d) / 2) - gammaln(nu / 2) - d / 2 * jnp.log(nu * jnp.pi)
    return norm - (nu + d) / 2 * jnp.log1p(square / nu)
