"""Mirror maps: the gradient of a convex potential, and its inverse.

The gradient takes primal (natural) coordinates to dual (mean) ones. The Bregman gap of the same potential is a
divergence (`divergence.bregman`), its Hessian a metric (`metric.HessianMetric`).
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Float, Inexact, PyTree

from .hermitian import log_trace_exp
from .matrices import vectors
from .newton import invert_gradient
from .operators import psd_operator


def pairing(a: PyTree[Array], b: PyTree[Array]) -> Float[Array, ""]:
    """⟨a, b⟩ of two pytrees of one structure; 0 · ∞ is 0, so that a point at infinity has finite pairings."""

    def one(a: Array, b: Array) -> Float[Array, ""]:
        nothing = (jnp.isinf(a) & (b == 0)) | (jnp.isinf(b) & (a == 0))
        return jnp.sum(jnp.where(nothing, 0, a) * jnp.where(nothing, 0, b))

    return jax.tree.reduce(jnp.add, jax.tree.map(one, a, b))


class AbstractMirrorMap(eqx.Module):
    """A strictly convex potential ψ and the change of coordinates ∇ψ. Its laws are in `laws.check_mirror_map`."""

    @abc.abstractmethod
    def potential(self, theta: PyTree[Array]) -> Float[Array, ""]:
        """The convex potential ψ(θ)."""

    def to_dual(self, theta: PyTree[Array]) -> PyTree[Array]:
        """η = ∇ψ(θ), by automatic differentiation."""
        return jax.grad(self.potential)(theta)

    def hessian(self, theta: PyTree[Array]) -> lx.AbstractLinearOperator:
        """∇²ψ(θ), tagged positive semidefinite; the derivative of the chart where there is no closed form."""
        _, product = jax.linearize(self.to_dual, theta)
        return psd_operator(product, theta)

    @abc.abstractmethod
    def to_primal(self, eta: PyTree[Array]) -> PyTree[Array]:
        """θ with ∇ψ(θ) = η, the inverse of `to_dual`; NaN where there is none."""

    def retract(self, theta: PyTree[Array], step: PyTree[Array]) -> PyTree[Array]:
        """A point near θ + step, to first order; overridden where the sum may leave the domain of ψ."""
        return jax.tree.map(jnp.add, theta, step)

    def retract_dual(self, eta: PyTree[Array], step: PyTree[Array]) -> PyTree[Array]:
        """The same in dual coordinates, near η + step."""
        return jax.tree.map(jnp.add, eta, step)


class Euclidean(AbstractMirrorMap):
    """ψ = |θ|²/2 on any pytree: both coordinates are the same, and mirror descent is gradient descent."""

    def potential(self, theta: PyTree[Array]) -> Float[Array, ""]:
        return jax.tree.reduce(jnp.add, jax.tree.map(lambda x: jnp.sum(x**2) / 2, theta))

    def to_primal(self, eta: PyTree[Array]) -> PyTree[Array]:
        return eta


class NegativeEntropy(AbstractMirrorMap):
    """ψ = Σ p log p on the probability simplex; mirror descent is the exponentiated gradient.

    Dual coordinates are log p + 1, −∞ where p = 0. A constant added to them does not matter: `to_primal` normalises.
    Where an entry is negative ψ = ∞, and they are NaN.
    """

    def potential(self, theta: Float[Array, " n"]) -> Float[Array, ""]:
        (theta,) = vectors(theta=theta)
        return -jnp.sum(jax.scipy.special.entr(theta))

    def to_dual(self, theta: Float[Array, " n"]) -> Float[Array, " n"]:
        return jnp.log(theta) + 1

    def hessian(self, theta: Float[Array, " n"]) -> lx.AbstractLinearOperator:
        return lx.TaggedLinearOperator(lx.DiagonalLinearOperator(1 / theta), lx.positive_semidefinite_tag)

    def to_primal(self, eta: Float[Array, " n"]) -> Float[Array, " n"]:
        return jax.nn.softmax(eta)


class LogPartition(AbstractMirrorMap):
    """ψ = log Σₓ exp(θ·s(x)): a classical exponential family; the dual coordinates are the means E[s].

    Attributes:
        statistics: (P, N) values s(x), linearly independent together with the constant.
    """

    statistics: Float[Array, "P N"]

    def __check_init__(self) -> None:
        if jnp.ndim(self.statistics) != 2:
            raise ValueError(f"statistics must have shape (P, N); they have shape {jnp.shape(self.statistics)}.")

    def potential(self, theta: Float[Array, " P"]) -> Float[Array, ""]:
        (theta,) = vectors(theta=theta)
        return jax.nn.logsumexp(theta @ self.statistics)

    def to_primal(self, eta: Float[Array, " P"]) -> Float[Array, " P"]:
        """Natural coordinates of the means η, by Newton's method; NaN where no distribution of the family has them."""
        return invert_gradient(self.potential, self.hessian, eta)


class LogTraceExp(AbstractMirrorMap):
    """ψ = log Tr exp(Σₐ θₐFₐ): a quantum exponential family; the dual coordinates are the expectations ⟨Fₐ⟩.

    Its Bregman divergence is the relative entropy, its Hessian the Bogoliubov–Kubo–Mori metric.

    Attributes:
        generators: (P, d, d) Hermitian Fₐ, linearly independent together with the identity.
    """

    generators: Inexact[Array, "P d d"]

    def __check_init__(self) -> None:
        shape = jnp.shape(self.generators)
        if len(shape) != 3 or shape[1] != shape[2]:
            raise ValueError(f"generators must have shape (P, d, d); they have shape {shape}.")

    def log_density(self, theta: Float[Array, " P"]) -> Inexact[Array, "d d"]:
        """K = Σₐ θₐFₐ."""
        (theta,) = vectors(theta=theta)
        return jnp.tensordot(theta, self.generators, axes=1)

    def potential(self, theta: Float[Array, " P"]) -> Float[Array, ""]:
        return log_trace_exp(self.log_density(theta))

    def to_primal(self, eta: Float[Array, " P"]) -> Float[Array, " P"]:
        """Natural coordinates of the expectations η, by Newton's method; NaN where no state of the family has them."""
        return invert_gradient(self.potential, self.hessian, eta)
