"""The task that a GibbsSpec describes."""

from jaxtyping import Array, PyTree

from ..methods import ThermalTask
from ..models import GibbsFamily
from .gibbs import GibbsSpec
from .system_objects import hamiltonian
from .variational_objects import model


def task(spec: GibbsSpec) -> ThermalTask:
    """The free energy of the model."""
    operator = hamiltonian(spec)
    return ThermalTask(model(spec, operator), operator, spec.beta, observables=spec.observables)


def scaled(spec: GibbsSpec, params: PyTree[Array], factor: float) -> PyTree[Array]:
    """The parameters of ρ^factor, normalised."""
    found = model(spec, hamiltonian(spec))
    return factor * params if isinstance(found, GibbsFamily) else found.scaled(params, factor)
