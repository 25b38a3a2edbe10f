"""Metrics: where the parameters are, which directions are long.

A metric, evaluated at a point, is a lineax operator on vectors shaped like the parameters; nothing is P x P until
`.as_matrix()` asks for it. Two constructions give them all: the Hessian of a potential, and the pullback JᵀHJ of a
metric on states through any map params ↦ state. Everything that depends on the point alone (the model's forward pass,
the eigendecomposition) is computed once per `at`, not once per product.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Float, Inexact, PRNGKeyArray, PyTree

from .hermitian import log_spectrum
from .mirror import AbstractMirrorMap
from .monotone import Kind, kernel, log_density_weights

StateMetric = Callable[[Any, Any], Any]


class AbstractMetric(eqx.Module):
    """A Riemannian metric on parameter space: subclass it, run `laws.check_metric`, and every optimiser takes it."""

    @abc.abstractmethod
    def at(
        self, params: PyTree[Array], batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> lx.AbstractLinearOperator:
        """The metric at `params`: a symmetric operator, tagged positive semidefinite, on pytrees like `params`."""


class EuclideanMetric(AbstractMetric):
    """The identity in the given coordinates: natural gradient with it is plain gradient descent."""

    def at(
        self, params: PyTree[Array], batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> lx.AbstractLinearOperator:
        # not lineax's identity, whose diagonal ignores the precision of the parameters
        ones = lx.DiagonalLinearOperator(jax.tree.map(jnp.ones_like, params))
        return lx.TaggedLinearOperator(ones, lx.positive_semidefinite_tag)


class HessianMetric(AbstractMetric):
    """Hessian of a convex potential: the Fisher metric of `LogPartition`, BKM of `LogTraceExp`.

    Both in natural coordinates: a Hessian is a tensor under affine changes of coordinates only.

    Attributes:
        potential: a mirror map, or a function of the parameters.
    """

    potential: AbstractMirrorMap | Callable[[PyTree[Array]], Float[Array, ""]]

    def at(
        self, params: PyTree[Array], batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> lx.AbstractLinearOperator:
        potential = self.potential.potential if isinstance(self.potential, AbstractMirrorMap) else self.potential
        _, product = jax.linearize(jax.grad(potential), params)
        return _psd_operator(product, params)


class DivergenceMetric(AbstractMetric):
    """Hessian of v ↦ D(v, v₀) at v = v₀: the metric that a divergence D(new, old) of two parameters induces.

    For relative entropy, in either direction, it is the BKM metric. `divergence` must be twice differentiable in its
    first argument where the two coincide.
    """

    divergence: Callable[[PyTree[Array], PyTree[Array]], Float[Array, ""]]

    def at(
        self, params: PyTree[Array], batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> lx.AbstractLinearOperator:
        return HessianMetric(lambda new: self.divergence(new, params)).at(params)


class PullbackMetric(AbstractMetric):
    """JᵀHJ: a metric on states, pulled back through a map params ↦ state.

    With network outputs and the softmax Fisher metric this is Gauss–Newton, with a state vector and `fubini_study` the
    quantum geometric tensor, with a log-density and `petz(kind)` a monotone metric.

    Attributes:
        fn: `fn(params)`, or `fn(params, batch)` where `at` is given a batch; its output may be any pytree.
        state_metric: (point, tangent v) ↦ H v, linear over the reals in v; the squared length is Re⟨v, Hv⟩.
    """

    fn: Callable[..., Any]
    state_metric: StateMetric

    def at(
        self, params: PyTree[Array], batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> lx.AbstractLinearOperator:
        fn = self.fn if batch is None else lambda p: self.fn(p, batch)
        point, push = jax.linearize(fn, params)
        pull = jax.linear_transpose(push, params)
        # Linear in its tangent, so its linearisation is itself, with all work on the point alone done here and kept.
        zero = jax.tree.map(jnp.zeros_like, point)
        _, weigh = jax.linearize(lambda tangent: self.state_metric(point, tangent), zero)

        def product(vector: PyTree[Array]) -> PyTree[Array]:
            # JAX transposes without conjugating, the metric pairs with conjugation.
            (cotangent,) = pull(jax.tree.map(jnp.conj, weigh(push(vector))))
            return cotangent

        return _psd_operator(product, params)


class MonotoneMetric(AbstractMetric):
    """Monotone metric of a family of states ρ = exp(K) / Tr exp(K), Fisher-normalised.

    SLD here is the quantum Fisher information. An unknown kind raises ValueError when the metric is made.

    Attributes:
        log_density_fn: params ↦ K, or (params, batch) ↦ K, real symmetric or complex Hermitian, of any normalisation.
        kind: what `kernel` takes: "bkm", "sld", "wigner_yanase", "geometric", "harmonic", "wyd:p", "sandwiched:a", …
    """

    log_density_fn: Callable[..., Inexact[Array, "d d"]]
    kind: Kind = eqx.field(static=True, default="bkm")

    def __check_init__(self) -> None:
        kernel(self.kind)

    def at(
        self, params: PyTree[Array], batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> lx.AbstractLinearOperator:
        return PullbackMetric(self.log_density_fn, petz(self.kind)).at(params, batch, key=key)


def monotone_metric(
    log_density_fn: Callable[[PyTree[Array]], Inexact[Array, "d d"]], theta: PyTree[Array], kind: Kind = "bkm"
) -> lx.AbstractLinearOperator:
    """The monotone metric of θ ↦ K at θ: an operator, whose `.as_matrix()` is (P, P). See `MonotoneMetric`."""
    return MonotoneMetric(log_density_fn, kind).at(theta)


def petz(kind: Kind) -> StateMetric:
    """State metric on log-densities for `PullbackMetric`: (K, dK) ↦ V [L²c_f ∘ V†(dK − ⟨dK⟩)V] V†.

    ⟨dK⟩ = Tr ρ dK goes because dρ has no trace; it touches the diagonal only, where all kinds agree.
    """
    resolved = kernel(kind)

    def state_metric(K: Inexact[Array, "d d"], dK: Inexact[Array, "d d"]) -> Inexact[Array, "d d"]:
        log_p, V = log_spectrum(K)
        rotated = V.conj().T @ dK @ V
        mean = jnp.sum(jnp.exp(log_p) * jnp.diagonal(rotated).real)
        centred = rotated - mean * jnp.eye(log_p.size, dtype=log_p.dtype)
        return V @ (log_density_weights(resolved, log_p) * centred) @ V.conj().T

    return state_metric


def fubini_study(psi: Inexact[Array, " d"], tangent: Inexact[Array, " d"]) -> Inexact[Array, " d"]:
    """State metric of normalised pure states for `PullbackMetric`: v − ψ⟨ψ, v⟩.

    Its pullback is the real part of the quantum geometric tensor, which is PennyLane's `metric_tensor` and a quarter of
    the SLD metric (the quantum Fisher information).
    """
    return tangent - psi * jnp.vdot(psi, tangent)


def _psd_operator(
    product: Callable[[PyTree[Array]], PyTree[Array]], params: PyTree[Array]
) -> lx.AbstractLinearOperator:
    return lx.FunctionLinearOperator(product, jax.eval_shape(lambda: params), lx.positive_semidefinite_tag)
