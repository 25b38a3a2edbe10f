"""The tasks that a SequenceSpec describes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from qnat.experiment.errors import RefusedError
from qnat.geometry.hermitian import gibbs_state

from ..methods.dynamics import Dynamics, closed_dynamics, density_matrix, open_dynamics
from ..models import GibbsFamily
from ..operators.pauli import PauliSum
from ..problems import LearningTask, ThermalTask
from ..problems.sequence import SequenceTask
from .sequence import SequenceSpec
from .system_objects import hamiltonian
from .variational_objects import model

_DATA_STREAM = 102  # of the seed, apart from those of the training loop


def task(spec: SequenceSpec) -> ThermalTask | LearningTask:
    """D(ρ‖σ) of a thermal state σ for a ladder, else D(σ‖ρ) of the state after some steps of time.

    Raises:
        ValueError: the spec is of a whole sequence.
    """
    if spec.element is None:
        raise ValueError("A sequence is several runs: pass spec.rungs() to run_sweep, or give element for one of them.")
    operator = hamiltonian(spec)
    states = model(spec, operator)
    if spec.kind == "ladder":
        return ThermalTask(states, operator, spec.places[spec.element])
    truth, data = dynamics(spec, operator)
    first, times = gibbs_state(-(spec.beta or 0.0) * operator.matrix()), jnp.asarray(spec.places)
    true = truth(first, times)[spec.element]
    try:
        if spec.previous is not None:
            return SequenceTask(states, data(density_matrix(states, spec.previous), times[:2])[1], true)
        if spec.data == "recursive" or spec.trajectories is not None:
            return SequenceTask(states, data(first, times)[spec.element], true)
        return LearningTask(states, true)
    except ValueError as error:  # no state of the family fits
        raise RefusedError(str(error)) from None


def dynamics(spec: SequenceSpec, operator: PauliSum) -> tuple[Dynamics, Dynamics]:
    """What happens to the true state, and what is known of it: they differ by the noise of trajectories."""
    if spec.kind == "quench":
        exact = closed_dynamics(hamiltonian(spec.after))
        return exact, exact
    exact = open_dynamics(operator, spec.decay or 0.0)
    if spec.trajectories is None:
        return exact, exact
    key = jax.random.fold_in(jax.random.key(spec.seed), _DATA_STREAM)
    if spec.data == "recursive":  # every step of time has trajectories of its own
        key = jax.random.fold_in(key, spec.element or 0)
    return exact, open_dynamics(operator, spec.decay or 0.0, trajectories=spec.trajectories, key=key)


def scaled(spec: SequenceSpec, params: PyTree[Array], factor: float) -> PyTree[Array]:
    """The parameters of ρ^factor, normalised."""
    found = model(spec, hamiltonian(spec))
    return factor * params if isinstance(found, GibbsFamily) else found.scaled(params, factor)
