"""Learning from states that are not quite the true ones."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact, PyTree

from qnat.experiment.measures import Measure
from qnat.geometry.divergence import relative_entropy_from_spectra
from qnat.geometry.hermitian import gibbs_state

from ..methods.dynamics import Dynamics, closed_dynamics, density_matrix, open_dynamics
from ..models import GibbsFamily, LatentGibbs
from ..operators.pauli import PauliSum
from .learning import LearningTask
from .target import Target


class SequenceTask(LearningTask):
    """Learn from σ̂, which is not quite the true σ: an average of trajectories, or a model's own state, evolved.

    The loss and the metric are those of `LearningTask`, and so is the curve `relative_entropy` = D(σ̂‖ρ). The error that
    counts is `true_relative_entropy` = D(σ‖ρ): along a recursive sequence it can grow while every loss is small.

    Attributes:
        true: σ.
    """

    name = "sequence"
    measures = (*LearningTask.measures, Measure("true_relative_entropy", "nats", exact=True))
    panels = ()
    true: Target

    def __init__(
        self, model: GibbsFamily | LatentGibbs, data: Inexact[Array, "d d"], true: Inexact[Array, "d d"]
    ) -> None:
        super().__init__(model, data)
        self.true = Target.of(true)

    def evaluate(self, params: PyTree[Array]) -> dict[str, Float[Array, ""]]:
        """As `LearningTask`, and the relative entropy from the true state."""
        log_p, basis = self.model.spectrum(params)
        overlap = jnp.abs(self.true.basis.conj().T @ basis) ** 2
        error = relative_entropy_from_spectra(self.true.log_p, log_p, overlap)
        return super().evaluate(params) | {"true_relative_entropy": error}


_DATA_STREAM = 102  # of the seed, apart from those of the training loop


def closed(hamiltonian: PauliSum) -> tuple[Dynamics, Dynamics]:
    """What happens to the true state of a closed system, and what is known of it: the same."""
    exact = closed_dynamics(hamiltonian)
    return exact, exact


def decaying(
    hamiltonian: PauliSum, decay: float, trajectories: int | None, *, seed: int, element: int | None
) -> tuple[Dynamics, Dynamics]:
    """What happens to the true state of an open system, and what is known of it: they differ by trajectories' noise.

    Args:
        hamiltonian, decay, trajectories: as in `open_dynamics`.
        seed: of the trajectories. element: which step of time, where each has trajectories of its own.
    """
    exact = open_dynamics(hamiltonian, decay)
    if trajectories is None:
        return exact, exact
    key = jax.random.fold_in(jax.random.key(seed), _DATA_STREAM)
    key = key if element is None else jax.random.fold_in(key, element)
    return exact, open_dynamics(hamiltonian, decay, trajectories=trajectories, key=key)


def evolved(
    model: GibbsFamily | LatentGibbs,
    first: tuple[PauliSum, float],
    dynamics: tuple[Dynamics, Dynamics],
    times: Sequence[float],
    element: int,
    *,
    data: Literal["exact", "noisy", "recursive"],
    previous: PyTree[Array] | None = None,
) -> LearningTask:
    """Learn the state at one of the times, given the thermal state exp(−βH) at time 0.

    Args:
        model: the states to learn with. first: H and β. dynamics: of the true state, and of what is known.
        times: evenly spaced, from 0. element: which of them.
        data: "exact" is the true state; "noisy" what is known of it; "recursive" what becomes, in one step of time, of
            the model with the parameters `previous`, at the first element of the true state.
    """
    hamiltonian, beta = first
    truth, known = dynamics
    sigma, places = gibbs_state(-beta * hamiltonian.matrix()), jnp.asarray(times)
    true = truth(sigma, places)[element]
    if data == "exact":
        return LearningTask(model, true)
    if previous is not None:
        return SequenceTask(model, known(density_matrix(model, previous), places[:2])[1], true)
    return SequenceTask(model, known(sigma, places)[element], true)
