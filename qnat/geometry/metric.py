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
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from .mirror import AbstractMirrorMap
from .operators import psd_operator

StateMetric = Callable[[Any, Any], Any]
Times = Callable[[Int[Array, ""], Float[Array, "planes d d"]], Float[Array, "planes d d"]]


class AbstractMetric(eqx.Module):
    """A Riemannian metric on real parameters: subclass it, run `laws.check_metric`, and every optimiser takes it."""

    @abc.abstractmethod
    def at(
        self, params: PyTree[Array], batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> lx.AbstractLinearOperator:
        """The metric at `params`: a symmetric operator, tagged positive semidefinite, on pytrees like `params`."""

    def passes(self, batch: Any = None) -> float | None:
        """Backward passes over a batch that `at` takes; None where it takes one a row of a matrix, or two a product."""
        return None


def check_real(metric: AbstractMetric, params: PyTree[Array]) -> None:
    """Raises ValueError if a parameter is complex: a metric is a real bilinear form."""
    for path, leaf in jax.tree.leaves_with_path(params):
        if jnp.iscomplexobj(leaf):
            name = "" if not path else f" at {jax.tree_util.keystr(path)}"
            raise ValueError(
                f"{type(metric).__name__} is a metric of real parameters; those{name} are {leaf.dtype}. Make their "
                "real and imaginary parts two parameters."
            )


class EuclideanMetric(AbstractMetric):
    """The identity in the given coordinates: natural gradient with it is plain gradient descent."""

    def at(
        self, params: PyTree[Array], batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> lx.AbstractLinearOperator:
        check_real(self, params)
        # not lineax's identity, whose diagonal ignores the precision of the parameters
        ones = lx.DiagonalLinearOperator(jax.tree.map(jnp.ones_like, params))
        return lx.TaggedLinearOperator(ones, lx.positive_semidefinite_tag)

    def passes(self, batch: Any = None) -> float:
        """None: it knows no model."""
        return 0.0


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
        check_real(self, params)
        if isinstance(self.potential, AbstractMirrorMap):
            return self.potential.hessian(params)
        _, product = jax.linearize(jax.grad(self.potential), params)
        return psd_operator(product, params)


class DivergenceMetric(AbstractMetric):
    """Hessian of v ↦ D(v, v₀) at v = v₀: the metric that a divergence D(new, old) of two parameters induces.

    For relative entropy, in either direction, it is the BKM metric. `divergence` must be twice differentiable in its
    first argument where the two coincide.
    """

    divergence: Callable[[PyTree[Array], PyTree[Array]], Float[Array, ""]]

    def at(
        self, params: PyTree[Array], batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> lx.AbstractLinearOperator:
        check_real(self, params)
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
        check_real(self, params)
        fn = self.fn if batch is None else lambda p: self.fn(p, batch)
        point, push = jax.linearize(fn, params)
        # Linear in its tangent, so its linearisation is itself, with all work on the point alone done here and kept.
        zero = jax.tree.map(jnp.zeros_like, point)
        _, weigh = jax.linearize(lambda tangent: self.state_metric(point, tangent), zero)

        return pulled_back(push, weigh, params)


def pulled_back(
    push: Callable[[PyTree[Array]], Any], weigh: Callable[[Any], Any], params: PyTree[Array]
) -> lx.AbstractLinearOperator:
    """v ↦ Jᵀ H J v, J a linear map from vectors like `params` and H one on its values, self-adjoint."""
    pull = jax.linear_transpose(push, params)

    def product(vector: PyTree[Array]) -> PyTree[Array]:
        # JAX transposes without conjugating, the metric pairs with conjugation.
        (cotangent,) = pull(jax.tree.map(jnp.conj, weigh(push(vector))))
        return cotangent

    return psd_operator(product, params)
