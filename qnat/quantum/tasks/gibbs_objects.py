"""The task that a GibbsSpec describes."""

import optax
from jaxtyping import Array, PyTree

from qnat.experiment.errors import RefusedError
from qnat.optim import natural_gradient

from ..models import GibbsFamily, LatentGibbs
from ..problems import SampledThermalTask, ThermalTask
from .gibbs import GibbsSpec
from .system_objects import hamiltonian
from .variational_objects import damping_of, model


def task(spec: GibbsSpec) -> ThermalTask | SampledThermalTask:
    """The free energy of the model, or an estimate of it."""
    operator = hamiltonian(spec)
    found = model(spec, operator)
    if spec.shots is None:
        return ThermalTask(found, operator, spec.beta, observables=spec.observables)
    assert isinstance(found, LatentGibbs)
    try:
        return SampledThermalTask(found, operator, spec.beta, shots=spec.shots)
    except ValueError as error:  # too few for the settings of this Hamiltonian
        raise RefusedError(str(error)) from None


def sampled_natural_gradient(spec: GibbsSpec, problem: SampledThermalTask) -> optax.GradientTransformation:
    """Natural gradient with the sampled metric and a fixed trust radius."""
    assert spec.learning_rate is not None
    metric = problem.metric("bkm")
    return natural_gradient(spec.learning_rate, metric, damping=damping_of(spec), trust=spec.trust, accept=None)


def scaled(spec: GibbsSpec, params: PyTree[Array], factor: float) -> PyTree[Array]:
    """The parameters of ρ^factor, normalised."""
    found = model(spec, hamiltonian(spec))
    return factor * params if isinstance(found, GibbsFamily) else found.scaled(params, factor)
