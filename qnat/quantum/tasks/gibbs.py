"""The spec of variational Gibbs sampling."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field

from .bibliography import entries
from .variational import VariationalSpec

if TYPE_CHECKING:
    from ..methods.thermal import ThermalTask


class GibbsSpec(VariationalSpec):
    """Train a thermal state exp(-beta H)/Z and compare it with the exact one.

    Energies are in the units of the Hamiltonian's coefficients, beta in their inverse; angles in radians.
    """

    task_name: ClassVar[str] = "gibbs"
    ladder: ClassVar[str | None] = "beta"

    beta: float = Field(1.0, ge=0, description="inverse temperature, in inverse units of energy")
    observables: bool = Field(False, description="also record thermal observables of the model and the exact state")

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

    def task(self) -> "ThermalTask":
        """The free energy of the model."""
        from .gibbs_objects import task

        return task(self)
