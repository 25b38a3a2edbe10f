"""The quantum exponential family, also called the fully visible quantum Boltzmann machine."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact, Int, PRNGKeyArray

from qnat.geometry.divergence import free_energy, relative_entropy
from qnat.geometry.mirror import LogTraceExp
from qnat.geometry.monotone import Kind
from qnat.geometry.state_metrics import MonotoneMetric, dense_times

from ..operators.pauli import PauliSum


class GibbsFamily(eqx.Module):
    """ρ(θ) = exp(Σₐ θₐ Fₐ − ψ(θ)), ψ(θ) = log Tr exp(Σₐ θₐ Fₐ).

    Attributes:
        generators: (P, d, d) the Fₐ, Hermitian, linearly independent together with the identity, real if they can be;
            or a PauliSum, whose terms they then are, and which is faster.
    """

    generators: Inexact[Array, "P d d"] | PauliSum

    @property
    def mirror(self) -> LogTraceExp:
        """The mirror map θ ↦ ⟨F⟩ whose Bregman divergence is the relative entropy and whose Hessian is BKM."""
        if isinstance(self.generators, PauliSum):
            return LogTraceExp(self.generators.coefficients[:, None, None] * self.generators.matrices())
        return LogTraceExp(self.generators)

    def init(self, key: PRNGKeyArray, *, scale: float = 0.1) -> Float[Array, " P"]:
        """Normal parameters of standard deviation `scale`."""
        each = self.generators.coefficients if isinstance(self.generators, PauliSum) else self.generators
        return scale * jax.random.normal(key, (each.shape[0],))

    def log_density(self, theta: Float[Array, " P"]) -> Inexact[Array, "d d"]:
        """K = Σₐ θₐ Fₐ, the unnormalised log-density."""
        if isinstance(self.generators, PauliSum):
            return PauliSum(theta * self.generators.coefficients.astype(theta.dtype), self.generators.strings).matrix()
        return jnp.tensordot(theta, self.generators, axes=1)

    def metric(self, kind: Kind = "bkm") -> MonotoneMetric:
        """The monotone metric of a kind that `qnat.geometry.monotone_metric` knows."""
        return MonotoneMetric(self.log_density, kind, self._times)

    def _times(self, index: Int[Array, ""], planes: Float[Array, "planes d d"]) -> Float[Array, "planes d d"]:
        """Fₐ V, in the real planes of V."""
        if isinstance(self.generators, PauliSum):
            return self.generators.apply_term(index, planes)
        return dense_times(self.generators[index], planes)

    def spectrum(self, theta: Float[Array, " P"]) -> tuple[Float[Array, " d"], Inexact[Array, "d d"]]:
        """(log-eigenvalues, eigenbasis) of ρ by diagonalisation."""
        energies, basis = jnp.linalg.eigh(self.log_density(theta))
        return jax.nn.log_softmax(energies), basis

    def free_energy(
        self, theta: Float[Array, " P"], hamiltonian: Inexact[Array, "d d"], beta: float | Float[Array, ""]
    ) -> Float[Array, ""]:
        """β⟨H⟩ − S."""
        return free_energy(self.log_density(theta), hamiltonian, beta)

    def relative_entropy(self, theta: Float[Array, " P"], reference: Float[Array, " P"]) -> Float[Array, ""]:
        """D(ρ_θ ‖ ρ_reference)."""
        return relative_entropy(self.log_density(theta), self.log_density(reference))
