"""The spec of variational Gibbs sampling."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from pydantic import Field, model_validator

from .bibliography import entries
from .variational import VariationalSpec

if TYPE_CHECKING:
    import optax

    from qnat.experiment.task import Task

    from ..problems.sampled import SampledThermalTask
    from ..problems.thermal import ThermalTask


class GibbsSpec(VariationalSpec):
    """Train a thermal state exp(-beta H)/Z and compare it with the exact one.

    Energies are in the units of the Hamiltonian's coefficients, beta in their inverse; angles in radians.
    """

    task_name: ClassVar[str] = "gibbs"
    used_with: ClassVar[tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = (
        *VariationalSpec.used_with,
        ("model", ("qhbm",), ("shots",)),
        ("optimizer", ("natural", "adam", "sgd"), ("shots",)),
    )
    ladder: ClassVar[str | None] = "beta"

    beta: float = Field(1.0, ge=0, description="inverse temperature, in inverse units of energy")
    shots: int | None = Field(
        None,
        ge=1,
        description="shots of a measurement; loss, gradient and metric are then estimates (default: exact)",
    )
    observables: bool = Field(False, description="also record thermal observables of the model and the exact state")

    @model_validator(mode="after")
    def _sampled(self) -> Self:
        if self.shots is None or self.optimizer != "natural":
            return self
        if self.metric != "bkm" or self.blocks != "full":
            raise ValueError(
                "Shots estimate the whole bkm metric; leave metric and blocks out, or leave shots out for the others."
            )
        # noise of the gradient, divided by small eigenvalues, would carry the default of the exact method away
        for name, value in (("learning_rate", 0.3), ("damping", 1.0)):
            if name not in self.model_fields_set:
                self._resolve(name, value)
        return self

    def citations(self) -> Mapping[str, str]:
        """BibTeX entries of the model, the optimiser and the Hamiltonian."""
        return entries(self.hamiltonian, self.model, self.optimizer)

    def warm_start(self, params: Any, previous: Self, how: str) -> Any:
        """The state of `previous`, its log-density scaled by the ratio of the betas or as it is.

        If ρ is thermal at β, then ρ^(β'/β) is at β', so a scaled start has no error of its own. At β = 0, where K = 0,
        there is nothing to scale, and the start is plain.
        """
        factor = self.beta / previous.beta if how == "scaled" and previous.beta > 0 else 1.0
        from .gibbs_objects import scaled

        return scaled(self, params, factor)

    @classmethod
    def problem(cls) -> "type[Task]":
        from ..problems import ThermalTask

        return ThermalTask

    def task(self) -> "ThermalTask | SampledThermalTask":
        """The free energy of the model, or an estimate of it."""
        from .gibbs_objects import task

        return task(self)

    def transform(self, task: "Task") -> "optax.GradientTransformation":
        """The optimiser for that task; an estimated loss is no judge of steps, so that all are taken."""
        if self.shots is None or self.optimizer != "natural":
            return super().transform(task)
        from .gibbs_objects import sampled_natural_gradient

        return sampled_natural_gradient(self, cast("SampledThermalTask", task))
