"""Exponential families p(x) = h(x) exp(⟨θ, t(x)⟩ − A(θ)): mirror maps whose points are distributions.

The natural parameters θ are the primal, the mean parameters E[t] the dual coordinates; the Hessian of A is the Fisher
metric, its Bregman divergence Kullback–Leibler. Where θ is an array of any shape, its entries are independent
variables. A finite family with any statistics is `LogPartition`.

At the border of their means families have a point at infinity where there is a distribution: a bit that is always 0
has θ = −∞. `log_prob`, `kl` and `entropy` are finite there as far as they should be. Means of no distribution are NaN
in natural parameters; outside jit they are refused. An x that is not in the domain, such as a count of −1, is not
checked.

Reference: S. Amari, H. Nagaoka, Methods of Information Geometry (2000), ch. 3.
"""

import abc
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammaln, polygamma
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, PyTree

from .matrices import hermitian
from .mirror import AbstractMirrorMap, pairing


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


def _within(inside: Bool[Array, "..."], point: PyTree[Array], sentence: str) -> PyTree[Array]:
    """The point, NaN where its means are of no distribution; ValueError with the sentence where that is known."""
    if not isinstance(inside, jax.core.Tracer) and not bool(jnp.all(inside)):
        raise ValueError(sentence)
    return jax.tree.map(lambda leaf: jnp.where(inside, leaf, jnp.nan), point)


class Bernoulli(AbstractExponentialFamily):
    """Bits; θ are logits, the means probabilities; a certain bit has θ = ±∞."""

    def potential(self, theta: Float[Array, "*s"]) -> Float[Array, ""]:
        return jnp.sum(jax.nn.softplus(theta))

    def to_primal(self, eta: Float[Array, "*s"]) -> Float[Array, "*s"]:
        inside = (eta >= 0) & (eta <= 1)
        return _within(inside, jax.scipy.special.logit(eta), "The means of a Bernoulli family lie in [0, 1].")

    def log_density(self, theta: Float[Array, "*s"], t: Float[Array, "*s"]) -> Float[Array, ""]:
        return pairing(jax.nn.log_sigmoid(theta), t) + pairing(jax.nn.log_sigmoid(-theta), 1 - t)

    def statistic(self, x: Array) -> Float[Array, "*s"]:
        return x

    def log_base(self, x: Array) -> Float[Array, ""]:
        return jnp.zeros(())

    def mean_log_base(self, theta: PyTree[Array]) -> Float[Array, ""]:
        return jnp.zeros(())

    def sample(self, theta: Float[Array, "*s"], *, key: PRNGKeyArray) -> Float[Array, "*s"]:
        return jax.random.bernoulli(key, jax.nn.sigmoid(theta)).astype(theta.dtype)


class Categorical(AbstractExponentialFamily):
    """Classes 0 … K − 1 along the last axis; θ are logits, up to a constant, the means probabilities.

    The K statistics sum to one, so the Fisher metric has the constant vector in its null space; `to_primal` gives the
    logits whose sum is zero, without those of impossible classes, which are −∞.
    """

    def potential(self, theta: Float[Array, "*s K"]) -> Float[Array, ""]:
        return jnp.sum(jax.nn.logsumexp(theta, axis=-1))

    def to_primal(self, eta: Float[Array, "*s K"]) -> Float[Array, "*s K"]:
        finite = jnp.all((eta >= 0) & (eta < jnp.inf), axis=-1, keepdims=True)
        inside = finite & jnp.any(eta > 0, axis=-1, keepdims=True)
        logits = jnp.log(eta) - jnp.mean(jnp.log(eta), axis=-1, keepdims=True, where=eta > 0)
        return _within(inside, logits, "The means of a Categorical family are finite, not negative, and not all 0.")

    def statistic(self, x: Array) -> Float[Array, "*s K"]:
        return x

    def log_base(self, x: Array) -> Float[Array, ""]:
        return jnp.zeros(())

    def mean_log_base(self, theta: PyTree[Array]) -> Float[Array, ""]:
        return jnp.zeros(())

    def sample(self, theta: Float[Array, "*s K"], *, key: PRNGKeyArray) -> Float[Array, "*s K"]:
        """A class, one-hot, as `statistic` and `log_prob` take it."""
        return jax.nn.one_hot(jax.random.categorical(key, theta), theta.shape[-1], dtype=theta.dtype)


class Normal(AbstractExponentialFamily):
    """Normal variables of unit variance; θ are the means, and both charts are the same."""

    reparametrised: ClassVar[bool] = True

    def potential(self, theta: Float[Array, "*s"]) -> Float[Array, ""]:
        return jnp.sum(theta**2) / 2

    def to_primal(self, eta: Float[Array, "*s"]) -> Float[Array, "*s"]:
        return _within(jnp.isfinite(eta), eta, "The means of a Normal family are finite.")

    def statistic(self, x: Array) -> Float[Array, "*s"]:
        return x

    def log_base(self, x: Array) -> Float[Array, ""]:
        return -jnp.sum(x**2 + jnp.log(2 * jnp.pi)) / 2

    def mean_log_base(self, theta: Float[Array, "*s"]) -> Float[Array, ""]:
        return -jnp.sum(theta**2 + 1 + jnp.log(2 * jnp.pi)) / 2

    def sample(self, theta: Float[Array, "*s"], *, key: PRNGKeyArray) -> Float[Array, "*s"]:
        return theta + jax.random.normal(key, theta.shape, theta.dtype)


Pair = tuple[Float[Array, " d"], Float[Array, "d d"]]


class Gaussian(AbstractExponentialFamily):
    """Multivariate normal; θ = (Λμ, −Λ/2) with the precision Λ, means (E[x], E[xxᵀ]).

    Of −Λ/2 only the symmetric part matters. Second moments that are not symmetric up to rounding are refused where they
    are known; inside jit they are not checked, and what they give means nothing.
    """

    reparametrised: ClassVar[bool] = True

    def potential(self, theta: Pair) -> Float[Array, ""]:
        shift, half = theta
        precision = -(half + half.T)
        factor = jnp.linalg.cholesky(precision)
        mean = jax.scipy.linalg.cho_solve((factor, True), shift)
        return shift @ mean / 2 - jnp.sum(jnp.log(jnp.diagonal(factor)))

    def to_primal(self, eta: Pair) -> Pair:
        mean, (second,) = eta[0], hermitian(second=eta[1])
        covariance = second - jnp.outer(mean, mean)
        factor = jnp.linalg.cholesky(covariance)
        rounding = mean.size * jnp.finfo(factor.dtype).eps * jnp.diagonal(covariance)
        inside = jnp.all(jnp.diagonal(factor) ** 2 > rounding)  # false for NaN
        # after the other factorisation: two at a time, batched, may wait for each other for ever (jaxlib 0.10)
        precision = jnp.linalg.inv(jnp.where(inside, covariance, jnp.nan))
        precision = (precision + precision.T) / 2
        sentence = (
            "A Gaussian has a positive definite covariance E[xxᵀ] − E[x]E[x]ᵀ; that of these means is singular up to "
            "rounding. Take more data than dimensions, or add some variance."
        )
        return _within(inside, (precision @ mean, -precision / 2), sentence)

    def retract(self, theta: Pair, step: Pair) -> Pair:
        """Λ₊ = Λ + S + S Λ⁻¹ S/2 for a step S of the precision, which is positive definite whatever S is.

        It is the exponential map of the cone to second order. The mean moves by Λ₊⁻¹(s − Sμ), s the step of Λμ.

        Reference: W. Lin, M. Schmidt, M. E. Khan, Handling the positive-definite constraint in the Bayesian learning
        rule, ICML 2020, arXiv:2002.10060.
        """
        shift, half = theta
        precision, change = -(half + half.T), -(step[1] + step[1].T)
        factor = jnp.linalg.cholesky(precision)
        mean = jax.scipy.linalg.cho_solve((factor, True), shift)
        root = jax.scipy.linalg.solve_triangular(factor, change, lower=True)
        precision = precision + change + root.T @ root / 2
        return precision @ mean + step[0] - change @ mean, -precision / 2

    def statistic(self, x: Float[Array, " d"]) -> Pair:
        return x, jnp.outer(x, x)

    def log_base(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        return -x.size * jnp.log(2 * jnp.pi) / 2

    def mean_log_base(self, theta: Pair) -> Float[Array, ""]:
        return -theta[0].size * jnp.log(2 * jnp.pi) / 2

    def sample(self, theta: Pair, *, key: PRNGKeyArray) -> Float[Array, " d"]:
        shift, half = theta
        factor = jnp.linalg.cholesky(-(half + half.T))
        mean = jax.scipy.linalg.cho_solve((factor, True), shift)
        noise = jax.random.normal(key, shift.shape, shift.dtype)
        return mean + jax.scipy.linalg.solve_triangular(factor.T, noise, lower=False)


class Poisson(AbstractExponentialFamily):
    """Counts; θ are logarithms of the means, −∞ of a count that is always 0."""

    def potential(self, theta: Float[Array, "*s"]) -> Float[Array, ""]:
        return jnp.sum(jnp.exp(theta))

    def to_primal(self, eta: Float[Array, "*s"]) -> Float[Array, "*s"]:
        inside = (eta >= 0) & (eta < jnp.inf)
        return _within(inside, jnp.log(eta), "The means of a Poisson family are finite and at least 0.")

    def statistic(self, x: Array) -> Float[Array, "*s"]:
        return x

    def log_base(self, x: Array) -> Float[Array, ""]:
        return -jnp.sum(gammaln(x + 1))

    def sample(self, theta: Float[Array, "*s"], *, key: PRNGKeyArray) -> Float[Array, "*s"]:
        return jax.random.poisson(key, jnp.exp(theta)).astype(theta.dtype)


_STEPS = 8
"""Newton steps of `Gamma.to_primal`: its start is good to 1.5 %, and every step squares that."""


class Gamma(AbstractExponentialFamily):
    """Positive variables of shape a and rate b along a last axis of two; θ = (a − 1, −b), means (E[log x], E[x])."""

    reparametrised: ClassVar[bool] = True

    def potential(self, theta: Float[Array, "*s 2"]) -> Float[Array, ""]:
        shape, rate = theta[..., 0] + 1, -theta[..., 1]
        return jnp.sum(gammaln(shape) - shape * jnp.log(rate))

    def to_primal(self, eta: Float[Array, "*s 2"]) -> Float[Array, "*s 2"]:
        # log a − ψ(a) = log E[x] − E[log x] and b = a/E[x]; T. Minka, Estimating a Gamma distribution (2002)
        gap = jnp.log(eta[..., 1]) - eta[..., 0]
        shape = (3 - gap + jnp.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)

        def newton(_: Array, shape: Float[Array, "*s"]) -> Float[Array, "*s"]:
            error = jnp.log(shape) - digamma(shape) - gap
            return 1 / (1 / shape + error / (shape**2 * (1 / shape - polygamma(1, shape))))

        shape = jax.lax.fori_loop(0, _STEPS, newton, shape)
        theta = jnp.stack([shape - 1, -shape / eta[..., 1]], axis=-1)
        inside = (gap > 0) & (gap < jnp.inf)
        return _within(inside[..., None], theta, "The means of a Gamma family are finite, with E[log x] < log E[x].")

    def statistic(self, x: Float[Array, "*s"]) -> Float[Array, "*s 2"]:
        return jnp.stack([jnp.log(x), x], axis=-1)

    def log_base(self, x: Array) -> Float[Array, ""]:
        return jnp.zeros(())

    def mean_log_base(self, theta: PyTree[Array]) -> Float[Array, ""]:
        return jnp.zeros(())

    def sample(self, theta: Float[Array, "*s 2"], *, key: PRNGKeyArray) -> Float[Array, "*s"]:
        return jax.random.gamma(key, theta[..., 0] + 1, dtype=theta.dtype) / -theta[..., 1]
