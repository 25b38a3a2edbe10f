"""The task and the optimiser that a BoltzmannSpec describes."""

import jax.numpy as jnp
import numpy as np
import optax

from qnat.experiment.errors import RefusedError
from qnat.experiment.task import Task
from qnat.geometry import HessianMetric
from qnat.geometry.spin_families import BoltzmannMachine
from qnat.geometry.spins import subsets
from qnat.optim import mirror_descent, natural_gradient, with_rate

from ..problems.boltzmann import BoltzmannTask, empirical
from .boltzmann import BoltzmannSpec

# made once: a jitted loop knows a transform by its identity
_ADAM = optax.with_extra_args_support(optax.scale_by_adam())
_PLAIN = optax.with_extra_args_support(optax.identity())


def task(spec: BoltzmannSpec) -> BoltzmannTask:
    """The relative entropy of the machine from the data.

    Raises:
        RefusedError: no machine has the moments of the data.
    """
    machine = BoltzmannMachine(spec.n, subsets(spec.n, spec.order or 1))
    try:
        if spec.data != "ising":
            return BoltzmannTask(machine, empirical(spec.bits().train))
        chain = ising(spec)
        source = BoltzmannMachine(spec.n, tuple(chain))
        log_p = source.log_probs(jnp.array(list(chain.values())))
        inside = set(chain) <= set(machine.interactions)
        theta = np.array([chain.get(each, 0.0) for each in machine.interactions])
        return BoltzmannTask(machine, log_p, theta_true=theta if inside else None)
    except ValueError as error:
        raise RefusedError(str(error)) from None


def ising(spec: BoltzmannSpec) -> dict[tuple[int, ...], float]:
    """θ of the chain: −β times the coefficients of H, by the units that they couple."""
    beta, coupling, field = spec.beta or 0.0, spec.coupling or 0.0, spec.field or 0.0
    found: dict[tuple[int, ...], float] = {(unit,): beta * field for unit in range(spec.n)}
    bonds = [(unit, unit + 1) for unit in range(spec.n - 1)]
    if spec.periodic and spec.n > 2:
        bonds.append((0, spec.n - 1))
    return found | dict.fromkeys(bonds, beta * coupling)


def transform(spec: BoltzmannSpec, task: Task) -> optax.GradientTransformation:
    """The optimiser, its rate traced."""
    assert isinstance(task, BoltzmannTask)
    assert spec.learning_rate is not None
    if spec.optimizer == "natural":
        return natural_gradient(spec.learning_rate, HessianMetric(task.machine))
    if spec.optimizer == "mirror":
        return mirror_descent(spec.learning_rate, task.machine)
    return with_rate(_ADAM if spec.optimizer == "adam" else _PLAIN, spec.learning_rate)
