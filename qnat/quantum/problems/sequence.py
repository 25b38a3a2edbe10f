"""Learning from states that are not quite the true ones."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact, PyTree

from qnat.experiment.measures import Measure
from qnat.geometry.divergence import relative_entropy_from_spectra

from ..models import GibbsFamily, LatentGibbs
from .learning import LearningTask, Target


class SequenceTask(LearningTask):
    """Learn from σ̂, which is not quite the true σ: an average of trajectories, or a model's own state, evolved.

    The loss and the metric are those of `LearningTask`, and so is the curve `relative_entropy` = D(σ̂‖ρ). The error that
    counts is `true_relative_entropy` = D(σ‖ρ): along a recursive sequence it can grow while every loss is small.

    Attributes:
        true: σ.
    """

    name = "sequence"
    measures = (*LearningTask.measures, Measure("true_relative_entropy", "nats", exact=True))
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
