"""Variational Gibbs sampling with energies from a device, state by state."""

from collections.abc import Mapping
from typing import Any, Protocol

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qnat.experiment.measures import Artifact
from qnat.experiment.task import Reference, Task
from qnat.geometry.metric import AbstractMetric

from ..circuits.circuit import Circuit
from ..methods.state import ThermalState
from ..models import LatentGibbs
from ..models.latent import Params
from ..operators.pauli import PauliSum
from .thermal import ThermalTask


class Device(Protocol):
    """A backend that differentiates its expectations, as `qnat.quantum.backends.pennylane.PennyLane` does."""

    def expectation_and_grad(
        self, circuit: Circuit, angles: Float[Array, " P"], bits: Int[Array, " n"], observable: PauliSum
    ) -> tuple[Float[Array, ""], Float[Array, " P"]]:
        """⟨b|U† O U|b⟩ and its gradient in the angles."""
        ...


class DeviceThermalTask(Task):
    """The free energy of a LatentGibbs, h(b) = ⟨b|U†HU|b⟩ and ∂h(b)/∂φ from a device, the latent distribution exact.

    F = Σ_b p(b) [β h(b) + log p(b)] costs a gradient for each of the 2^n basis states. Metrics are the model's own, by
    its frames, and so is what `evaluate` measures; neither asks the device.

    Attributes:
        exact: the same problem by the statevector engine.
        hamiltonian: H. device: where circuits run.
    """

    name = "gibbs"
    measures, units, panels, costs = ThermalTask.measures, ThermalTask.units, ThermalTask.panels, ThermalTask.costs
    exact: ThermalTask
    hamiltonian: PauliSum
    device: Device

    def __init__(self, model: LatentGibbs, hamiltonian: PauliSum, beta: float, device: Device) -> None:
        self.exact = ThermalTask(model, hamiltonian, beta)
        self.hamiltonian = hamiltonian
        self.device = device

    @property
    def traceable(self) -> bool:
        return False

    def init(self, key: PRNGKeyArray) -> Params:
        return self.exact.init(key)

    def value_and_grad(
        self, params: Params, batch: None = None, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, ""], Params]:
        n = self.hamiltonian.n
        model: Any = self.exact.model
        states = jnp.arange(2**n)[:, None] >> jnp.arange(n)[::-1] & 1
        found = [
            self.device.expectation_and_grad(model.circuit, params["angles"], bits, self.hamiltonian) for bits in states
        ]
        energies, slopes = (jnp.stack(each) for each in zip(*found, strict=True))
        return _gathered(self.exact, params["latent"], energies, slopes)

    @property
    def metrics(self) -> Mapping[str, AbstractMetric]:
        """Those of `ThermalTask`."""
        return self.exact.metrics

    def evaluate(self, params: Params) -> dict[str, Float[Array, ""]]:
        """As `ThermalTask.evaluate`."""
        return self.exact.evaluate(params)

    @property
    def reference(self) -> Mapping[str, Reference]:
        return self.exact.reference

    def trained(self, params: Params) -> ThermalState:
        return self.exact.trained(params)

    def artifacts(self, params: Params) -> dict[str, Array | Artifact]:
        """As `ThermalTask.artifacts`."""
        return self.exact.artifacts(params)


@eqx.filter_jit
def _gathered(
    exact: ThermalTask, latent: Float[Array, " T"], energies: Float[Array, " d"], slopes: Float[Array, "d P"]
) -> tuple[Float[Array, ""], Params]:
    """β⟨H⟩ − S and its gradient from h(b) and ∂h(b): Cov_p(∂E, E − βh) on the latent, β Σ p ∂h on the angles."""
    model: Any = exact.model
    log_p = model.log_probabilities(latent)
    p = jnp.exp(log_p)
    local = exact.beta * energies + log_p
    value = p @ local
    slope = model.latent_gradient(latent, -p * (local - value))
    return value, {"latent": slope, "angles": exact.beta * (p @ slopes)}
