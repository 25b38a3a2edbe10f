"""Natural-gradient descent on a density by the geometry of its surrogate (SNGD)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, PRNGKeyArray, PyTree

from classical.models.surrogate import AbstractSurrogateDensity, Parameters
from qnat.geometry.families import Gamma
from qnat.geometry.joint import MixtureFamily
from qnat.inference.process import Process, descend
from qnat.optim.accept import ValueFn, needed, select
from qnat.optim.mirror import mirror_descent
from qnat.optim.rate import Scalar, ScalarOrSchedule, scaled, with_rate

_HALVINGS = 20
_POINTS = 1000
_TOGETHER = 100
"""Points of a line search that are evaluated at once."""

Trial = Callable[[Scalar], PyTree[Array]]
"""Where the step of a multiple of the gradient leads."""
Choice = Callable[[Trial, Scalar | None, ValueFn | None], tuple[Bool[Array, ""], Scalar]]
"""(trial, value, value_fn) ↦ whether there is a good multiple, and which."""


class Length(NamedTuple):
    """length: the multiple of the gradient that the step took; 0 where none was good."""

    length: Scalar


class ScaledState(NamedTuple):
    """inner: the state of the transform whose steps are scaled."""

    inner: Any
    diagnostics: Length


class _Scaled(eqx.Module):
    """Steps of a transform on a multiple of the gradient that is chosen anew for each."""

    inner: optax.GradientTransformation
    choose: Choice

    def init(self, params: PyTree[Array]) -> ScaledState:
        return ScaledState(self.inner.init(params), Length(jnp.zeros(())))

    def update(
        self,
        updates: PyTree[Array],
        state: ScaledState,
        params: PyTree[Array],
        *,
        value: Scalar | None = None,
        value_fn: ValueFn | None = None,
        **extra: Any,
    ) -> tuple[PyTree[Array], ScaledState]:
        def step(length: Scalar) -> tuple[PyTree[Array], Any]:
            return self.inner.update(scaled(length, updates), state.inner, params)

        good, length = self.choose(lambda length: optax.apply_updates(params, step(length)[0]), value, value_fn)
        change, inner = step(length)
        change = select(good, change, jax.tree.map(jnp.zeros_like, change))
        return change, ScaledState(inner, Length(jnp.where(good, length, 0)))


class _Halving(eqx.Module):
    inside: Callable[[PyTree[Array]], Bool[Array, ""]]

    def __call__(self, trial: Trial, value: Scalar | None, value_fn: ValueFn | None) -> tuple[Bool[Array, ""], Scalar]:
        def outside(loop: tuple[Scalar, Bool[Array, ""]]) -> Bool[Array, ""]:
            length, good = loop
            return ~good & (length > 0.5**_HALVINGS)

        def halve(loop: tuple[Scalar, Bool[Array, ""]]) -> tuple[Scalar, Bool[Array, ""]]:
            length = loop[0] / 2
            return length, self.inside(trial(length))

        one = jnp.ones(())
        length, good = jax.lax.while_loop(outside, halve, (one, self.inside(trial(one))))
        return good, length


class _Search(eqx.Module):
    together: int = eqx.field(static=True)

    def __call__(self, trial: Trial, value: Scalar | None, value_fn: ValueFn | None) -> tuple[Bool[Array, ""], Scalar]:
        value, found = needed(value, value_fn)
        lengths = jnp.linspace(0, 1, _POINTS + 1)[1:]
        values = jax.lax.map(lambda length: found(trial(length)), lengths, batch_size=self.together)
        best = jnp.argmin(jnp.where(jnp.isnan(values), jnp.inf, values))
        return values[best] < value, lengths[best]


def halved(
    inner: optax.GradientTransformation, inside: Callable[[PyTree[Array]], Bool[Array, ""]]
) -> optax.GradientTransformationExtraArgs:
    """The step of `inner`, of half the gradient and half of that, at most twenty times, until it leads inside.

    If it never does, there is no step: `length` in the diagnostics is 0.

    Args:
        inner: an optax transform that needs gradient and parameters only.
        inside: whether parameters are in the domain.
    """
    method = _Scaled(inner, _Halving(inside))
    return optax.GradientTransformationExtraArgs(method.init, method.update)


def searched(
    inner: optax.GradientTransformation, *, together: int = _TOGETHER
) -> optax.GradientTransformationExtraArgs:
    """The best step of `inner` over 1000 multiples of the gradient, evenly spaced in (0, 1]; none if none is better.

    A thousand losses a step: for few parameters. `update` takes `value` and `value_fn`, as optax's line searches do.

    Args:
        inner: an optax transform that needs gradient and parameters only.
        together: points evaluated at once; 1 for transforms or losses that factorise matrices, of which jaxlib 0.10
            cannot do batches at the same time.
    """
    method = _Scaled(inner, _Search(together))
    return optax.GradientTransformationExtraArgs(method.init, method.update)


class ApartState(NamedTuple):
    """States of the transforms of θ and λ."""

    surrogate: Any
    auxiliary: Any


class _Apart(eqx.Module):
    # optax.multi_transform would hide rates in closures, and hand the mirror map a tree that is not θ
    surrogate: optax.GradientTransformation
    auxiliary: optax.GradientTransformation

    def init(self, params: Parameters) -> ApartState:
        return ApartState(self.surrogate.init(params.surrogate), self.auxiliary.init(params.auxiliary))

    def update(
        self,
        updates: Parameters,
        state: ApartState,
        params: Parameters,
        *,
        value: Scalar | None = None,
        value_fn: ValueFn | None = None,
        **extra: Any,
    ) -> tuple[Parameters, ApartState]:
        judge = value_fn and (lambda theta: value_fn(params._replace(surrogate=theta)))
        theta, first = self.surrogate.update(
            updates.surrogate, state.surrogate, params.surrogate, value=value, value_fn=judge
        )
        auxiliary, second = self.auxiliary.update(updates.auxiliary, state.auxiliary, params.auxiliary)
        return Parameters(theta, auxiliary), ApartState(first, second)


def apart(
    surrogate: optax.GradientTransformation, auxiliary: optax.GradientTransformation
) -> optax.GradientTransformationExtraArgs:
    """One transform for θ, another for λ, of `Parameters`; a trial of θ is judged at the λ of before.

    Args:
        surrogate: handed `value` and a `value_fn` of θ, such as `qnat.optim.mirror_descent`. auxiliary: such as Adam.
    """
    method = _Apart(optax.with_extra_args_support(surrogate), auxiliary)
    return optax.GradientTransformationExtraArgs(method.init, method.update)


_ADAM = optax.scale_by_adam()


def surrogate_descent(
    density: AbstractSurrogateDensity, rate: ScalarOrSchedule | None = 0.3, auxiliary_rate: ScalarOrSchedule = 0.05
) -> optax.GradientTransformationExtraArgs:
    """∇ψ(θ₊) = ∇ψ(θ) − ρ ∂f/∂θ, ψ of the surrogate, and Adam for the auxiliary parameters: maximum likelihood.

    This is `qnat.optim.mirror_descent` with the surrogate, which is natural-gradient descent by its Fisher metric
    without a matrix. A step out of the domain is halved until it is inside.

    Args:
        density: whose `Parameters` are optimised.
        rate: ρ, a number or a schedule; None for a line search over (0, 1] at each step, where a thousand losses are
            cheap: for counts.
        auxiliary_rate: of Adam.

    Reference: J. So, R. E. Turner, arXiv:2310.11837.
    """
    mirror = density.surrogate
    step = mirror_descent(1.0 if rate is None else rate, mirror, accept=None)
    if rate is None:
        family = mirror.component if isinstance(mirror, MixtureFamily) else mirror
        theta = searched(step, together=_TOGETHER if isinstance(family, Gamma) else 1)
    else:
        theta = halved(step, density.inside)
    return apart(theta, with_rate(_ADAM, auxiliary_rate))


class _Likelihood(eqx.Module):
    density: AbstractSurrogateDensity
    data: Any

    def __call__(self, params: Parameters, batch: Any, key: PRNGKeyArray | None) -> tuple[Scalar, Parameters]:
        return jax.value_and_grad(self.density.loss)(params, self.data if batch is None else batch)


def sngd(
    density: AbstractSurrogateDensity,
    rate: ScalarOrSchedule | None = 0.3,
    auxiliary_rate: ScalarOrSchedule = 0.05,
    *,
    data: Any = None,
) -> Process:
    """Maximum likelihood by the natural gradient of a surrogate; the loss is −log p(x), the mean over items in nats.

    Start it from `density.start(data, key=…)`.

    Args:
        density, rate, auxiliary_rate: as in `surrogate_descent`.
        data: what every step sees, where the problem feeds no batches.
    """
    return descend(_Likelihood(density, data), surrogate_descent(density, rate, auxiliary_rate))
