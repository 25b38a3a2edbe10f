"""Natural-gradient descent on a density by the geometry of its surrogate (SNGD)."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import optax
from jaxtyping import PRNGKeyArray

from classical.models.surrogate import AbstractSurrogateDensity, Parameters
from qnat.geometry.families import Gamma
from qnat.geometry.joint import MixtureFamily
from qnat.inference.process import Process, descend
from qnat.optim.accept import ValueFn
from qnat.optim.mirror import mirror_descent
from qnat.optim.rate import Scalar, ScalarOrSchedule, with_rate

from .lengths import TOGETHER, halved, searched


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
        theta = searched(step, together=TOGETHER if isinstance(family, Gamma) else 1)
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
