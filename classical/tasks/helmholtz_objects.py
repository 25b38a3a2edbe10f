"""The task and the optimiser that a HelmholtzSpec describes."""

import optax

from qnat.experiment.task import Task
from qnat.optim import with_rate
from qnat.optim.rate import chain
from qnat.optim.running import scale_by_running_metric

from ..methods.wake_sleep import HelmholtzFisher
from ..models.helmholtz import HelmholtzMachine
from ..problems.helmholtz import HelmholtzTask
from .helmholtz import HelmholtzSpec

# made once: a jitted loop knows a transform by its identity
_ADAM = optax.with_extra_args_support(optax.scale_by_adam())
_PLAIN = optax.with_extra_args_support(optax.identity())


def task(spec: HelmholtzSpec) -> HelmholtzTask:
    """The machine and its data."""
    data = spec.bits()
    machine = HelmholtzMachine((data.train.shape[1], *spec.hidden), signed=spec.signed)
    return HelmholtzTask(
        machine,
        data.train,
        data.test,
        batch=spec.batch,
        algorithm=spec.algorithm,
        samples=spec.samples or 1,
        likelihood_samples=spec.likelihood_samples,
    )


def transform(spec: HelmholtzSpec, task: Task) -> optax.GradientTransformation:
    """The optimiser, its numbers traced."""
    assert isinstance(task, HelmholtzTask)
    assert spec.learning_rate is not None
    above = _ADAM if spec.optimizer.endswith("adam") else _PLAIN
    if not spec.optimizer.startswith("natural"):
        return with_rate(above, spec.learning_rate)
    assert spec.damping is not None
    metric = HelmholtzFisher(task.machine, task.batch, spec.metric_samples or task.samples)
    natural = scale_by_running_metric(metric, damping=spec.damping, memory=None, refresh=spec.refresh or 1, warm_up=0)
    # the metric (F + α)/(1 + α); Adam does not feel the factor
    factor = 1.0 if above is _ADAM else 1 + spec.damping
    return with_rate(chain(natural, above), factor * spec.learning_rate)
