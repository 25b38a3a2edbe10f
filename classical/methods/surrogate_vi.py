"""Variational inference by the natural gradient of a surrogate (SNGD): skew, heavy-tailed and mixed posteriors."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from qnat.geometry.families import Gaussian
from qnat.geometry.mirror import pairing
from qnat.inference.expectation import Pathwise
from qnat.inference.process import Info, Process
from qnat.optim.rate import Scalar, number, once

from ..models import gaussian, gaussian_posterior
from ..models.gaussian import Pair
from ..models.shaped_approximation import ShapedApproximation
from ..models.surrogate import Parameters
from .variational import Energy, cvi

_LONGEST = 1.0
"""Of a step of a Gaussian by its Fisher metric, which does not hold far away: longer ones are shortened."""
_WARM_RATE, _WARM_SAMPLES, _SKEW_PAIRS = 0.2, 50, 1000


class SurrogateState(NamedTuple):
    """params: where it is. adam: the state of the auxiliary parameters' optimiser."""

    params: Parameters
    adam: Any


class _SurrogateVi(eqx.Module):
    energy: Energy
    kind: ShapedApproximation
    rate: Scalar
    auxiliary_rate: Scalar
    samples: int = eqx.field(static=True)
    warm_up: int = eqx.field(static=True)

    def init(self, params: Parameters, *, key: PRNGKeyArray) -> SurrogateState:
        if self.warm_up:
            mean, covariance = self.kind.moments(params)
            precision = jnp.linalg.inv(covariance)
            theta = gaussian_posterior.at(Gaussian(), mean, -(precision + precision.T) / 4)
            best = cvi(self.energy, Gaussian(), _WARM_RATE, estimator=Pathwise(_WARM_SAMPLES, antithetic=True))
            step = lambda theta, each: (best.step(theta, key=each)[0], None)  # noqa: E731
            of_steps, of_skewness = jax.random.split(key)
            theta = jax.lax.scan(step, theta, jax.random.split(of_steps, self.warm_up))[0]
            params = self.kind.about(theta, self.skewness(theta, of_skewness))
        return SurrogateState(params, once("scale_by_adam").init(params.auxiliary))

    def skewness(self, theta: Pair, key: PRNGKeyArray) -> Float[Array, " d"]:
        """E[w³] of w = Lᵀ(x − μ) where the posterior is near this Gaussian: −Cov(energy, w³ − 3w), to first order."""
        mean, root = gaussian.mean_and_root(theta)
        w = jax.random.normal(key, (_SKEW_PAIRS, mean.size))
        moved = jax.scipy.linalg.solve_triangular(root.T, w.T, lower=False).T
        odd = jax.vmap(lambda x: self.energy(mean + x) - self.energy(mean - x))(moved) / 2
        return -odd @ (w**3 - 3 * w) / _SKEW_PAIRS

    def step(self, state: SurrogateState, batch: Any = None, *, key: PRNGKeyArray) -> tuple[SurrogateState, Info]:
        params = state.params
        log_weights, parts = params.surrogate
        keys = jax.random.split(key, self.kind.components)
        values, moved, slopes = jax.lax.map(lambda each: self.component(params, *each), (parts, params.auxiliary, keys))
        weights = jnp.exp(log_weights)
        value = weights @ values
        log_weights = jax.nn.log_softmax(log_weights - self.rate * (values - value))
        slopes = jax.tree.map(lambda leaf: leaf * weights.reshape(-1, *[1] * (leaf.ndim - 1)), slopes)
        change, adam = once("scale_by_adam").update(slopes, state.adam)
        auxiliary = jax.tree.map(lambda leaf, c: leaf - self.auxiliary_rate * c, params.auxiliary, change)
        return SurrogateState(Parameters((log_weights, moved), auxiliary), adam), Info(value, {})

    def component(
        self, params: Parameters, part: Pair, shape: PyTree[Array], key: PRNGKeyArray
    ) -> tuple[Scalar, Pair, PyTree[Array]]:
        """E[energy + log q] over a component, its Gaussian a step later, and the derivative by its shape.

        q is held in log q: the mean of its own derivative is 0, and gradients have no noise where q is the posterior.
        """
        of_noise, key = jax.random.split(key)
        half = jax.random.normal(of_noise, (-(-self.samples // 2), part[0].size))
        noise = jnp.concatenate([half, -half])[: self.samples]  # in pairs about the centre

        def values(x: Float[Array, "S d"]) -> Float[Array, " S"]:
            return jax.vmap(self.energy)(x) + self.kind.log_prob(params, x)

        def draws(part: Pair, shape: PyTree[Array]) -> Float[Array, "S d"]:
            return self.kind.component_draws(part, shape, key, noise)

        found, pulled = jax.vjp(values, draws(part, shape))
        (by_x,) = pulled(jnp.full(self.samples, 1 / self.samples))
        by_shape = jax.grad(lambda shape: jnp.sum(by_x * draws(part, shape)))(shape)
        _, slope = gaussian_posterior.by_means(
            Gaussian(), part, lambda centred, mean: jnp.sum(by_x * (mean + draws(centred, shape)))
        )
        step = jax.tree.map(lambda g: -self.rate * g, slope)
        square = pairing(step, jax.jvp(Gaussian().to_dual, (part,), (step,))[1])
        scale = _LONGEST / jnp.sqrt(jnp.maximum(square, _LONGEST**2))
        return jnp.mean(found), Gaussian().retract(part, jax.tree.map(lambda s: scale * s, step)), by_shape

    def params(self, state: SurrogateState) -> Parameters:
        return state.params


def surrogate_vi(
    energy: Energy,
    kind: ShapedApproximation,
    rate: float = 0.1,
    *,
    auxiliary_rate: float = 0.05,
    samples: int = 200,
    warm_up: int = 100,
) -> Process:
    """Natural-gradient descent on KL(q‖posterior) of a bent Gaussian, or of a mixture, by the metric of its surrogate.

    A Gaussian moves by ∂F/∂η in its natural chart, as those of `cvi` do, and by `Gaussian.retract`: it never leaves the
    positive definite cone. The metric of a mixture with its label known is that of the weights beside πₖ times that of
    each component, so that log π moves by the values of the components. Auxiliary parameters take steps of Adam.
    Gradients are pathwise, over draws of every component. The value is the free energy F in nats.

    The process starts from the Gaussian that `cvi` finds from mean and covariance of the parameters, bent a little by
    the skewness that the energy has there.

    Args:
        energy: x ↦ −log p(x, data), differentiable, twice for the warm-up.
        kind: what stands for the posterior; parameters are its `Parameters`.
        rate: in (0, 1]. auxiliary_rate: of Adam. samples: draws of a component in a step.
        warm_up: steps of `cvi`; 0 starts from the parameters as they are.

    Reference: J. So, R. E. Turner, arXiv:2310.11837; W. Lin, M. E. Khan, M. Schmidt, arXiv:1906.02914.
    """
    if not 0 < rate <= 1:
        raise ValueError(f"The rate of a natural gradient of a posterior is in (0, 1]; got {rate}.")
    if kind.components < 1:
        raise ValueError(f"A mixture has at least 1 component; got {kind.components}.")
    method = _SurrogateVi(energy, kind, number(rate), number(auxiliary_rate), samples, warm_up)
    return Process(method.init, method.step, method.params)
