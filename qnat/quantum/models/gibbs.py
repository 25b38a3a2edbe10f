"""The quantum exponential family, also called the fully visible quantum Boltzmann machine."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact, PRNGKeyArray

from qnat.geometry.divergence import free_energy
from qnat.geometry.mirror import LogTraceExp


class GibbsFamily(eqx.Module):
    """ρ(θ) = exp(Σₐ θₐ Fₐ − ψ(θ)), ψ(θ) = log Tr exp(Σₐ θₐ Fₐ).

    Attributes:
        generators: (P, d, d) the Fₐ, Hermitian, linearly independent together with the identity; real if they can be.
    """

    generators: Inexact[Array, "P d d"]

    @property
    def mirror(self) -> LogTraceExp:
        """The mirror map θ ↦ ⟨F⟩ whose Bregman divergence is the relative entropy and whose Hessian is BKM."""
        return LogTraceExp(self.generators)

    def init(self, key: PRNGKeyArray, *, scale: float = 0.1) -> Float[Array, " P"]:
        """Normal parameters of standard deviation `scale`."""
        return scale * jax.random.normal(key, (self.generators.shape[0],))

    def log_density(self, theta: Float[Array, " P"]) -> Inexact[Array, "d d"]:
        """K = Σₐ θₐ Fₐ, the unnormalised log-density."""
        return jnp.tensordot(theta, self.generators, axes=1)

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
        return self.free_energy(theta, -self.log_density(reference), 1.0) + self.mirror.potential(reference)
