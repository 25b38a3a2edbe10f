"""Sequences of states in time: what makes the next state, and learning from states that are not quite the true ones."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Inexact, PRNGKeyArray, PyTree

from qnat.geometry.divergence import relative_entropy_from_spectra

from ..models import GibbsFamily, LatentGibbs
from ..pauli import PauliSum
from .hamiltonian_learning import LearningTask, Target

Dynamics = Callable[[Inexact[Array, "d d"], Float[Array, " T"]], Complex[Array, "T d d"]]
"""(the state at time 0, ascending times from 0) to the states at these times."""


def closed_dynamics(hamiltonian: PauliSum) -> Dynamics:
    """ρ(t) = exp(−iHt) ρ exp(iHt), exactly, by one diagonalisation of H; energies in units of 1/time."""
    energies, levels = jnp.linalg.eigh(hamiltonian.matrix())
    gaps = energies[:, None] - energies

    def evolve(rho: Inexact[Array, "d d"], times: Float[Array, " T"]) -> Complex[Array, "T d d"]:
        phases = jnp.exp(-1j * gaps * jnp.asarray(times)[:, None, None])
        return levels @ (phases * (levels.conj().T @ rho @ levels)) @ levels.conj().T

    return evolve


def open_dynamics(
    hamiltonian: PauliSum, decay: float, *, trajectories: int | None = None, key: PRNGKeyArray | None = None
) -> Dynamics:
    """The Lindblad equation of H and a decay |0⟩ → |1⟩ of every qubit, C = √decay σ₋, solved by QuTiP.

    Args:
        hamiltonian: H, energies in units of 1/time.
        decay: rate of each qubit, 1/time, ≥ 0.
        trajectories: average so many quantum jump trajectories of `key` (`mcsolve`), which leaves an error of order
            1/√trajectories; None solves the master equation (`mesolve`).
        key: of the trajectories.
    """
    from ..backends import qutip

    collapse = [decay**0.5 * qutip.sigma_minus(wire, hamiltonian.n) for wire in range(hamiltonian.n)]

    def evolve(rho: Inexact[Array, "d d"], times: Float[Array, " T"]) -> Complex[Array, "T d d"]:
        return qutip.evolve(hamiltonian, rho, times, collapse, trajectories=trajectories, key=key).states

    return evolve


def density_matrix(model: LatentGibbs | GibbsFamily, params: PyTree[Array]) -> Inexact[Array, "d d"]:
    """The state of a model as a matrix."""
    log_p, basis = model.spectrum(params)
    return (basis * jnp.exp(log_p)) @ basis.conj().T


class SequenceTask(LearningTask):
    """Learn from σ̂, which is not quite the true σ: an average of trajectories, or a model's own state, evolved.

    The loss and the metric are those of `LearningTask`, and so is the curve `relative_entropy` = D(σ̂‖ρ). The error that
    counts is `true_relative_entropy` = D(σ‖ρ): along a recursive sequence it can grow while every loss is small.

    Attributes:
        true: σ.
    """

    name = "sequence"
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
