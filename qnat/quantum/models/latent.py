"""Quantum Hamiltonian-based models: a classical latent distribution rotated by a circuit."""

import functools
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Float, Inexact, PRNGKeyArray

from qnat.geometry.hermitian import dot
from qnat.geometry.metric import AbstractMetric
from qnat.geometry.monotone import Kernel, kernel, rotation_weights
from qnat.geometry.operators import BlockDiagonal

from ..backends.statevector import unitary
from ..circuit import Circuit
from ..engine import frames

Params = dict[str, Float[Array, " _"]]


@functools.lru_cache(maxsize=16)
def spin_products(n: int, order: int) -> Float[np.ndarray, "d T"]:
    """Π_{i∈S} sᵢ for every bit string and every set 0 < |S| ≤ order, by size, then lexicographically; s = 1 − 2b."""
    spins = 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n)[::-1] & 1)
    sets = [s for size in range(1, order + 1) for s in itertools.combinations(range(n), size)]
    return np.stack([spins[:, list(s)].prod(1) for s in sets], axis=1)


def real_overlaps(a: Inexact[Array, "d m"], b: Inexact[Array, "d m"]) -> Float[Array, " m"]:
    """Re⟨aₓ|bₓ⟩ of the columns."""
    overlaps = a.real * b.real
    return jnp.sum(overlaps + a.imag * b.imag if jnp.iscomplexobj(a) and jnp.iscomplexobj(b) else overlaps, axis=0)


class LatentGibbs(eqx.Module):
    """ρ(θ, φ) = U(φ) diag(p_θ) U(φ)†, p_θ(b) ∝ exp(−E_θ(b)): the quantum Hamiltonian-based model (QHBM).

    The energy is E_θ(b) = Σ_S θ_S Π_{i∈S} sᵢ over all sets of at most `order` spins: order 1 is a product of Bernoulli
    variables, order k the KOBE(k) energy, order n any distribution. Parameters are {"latent": (T,), "angles": (P,)};
    the first are dimensionless, the second radians.

    Attributes:
        circuit: U on n wires with P angles.
        order: largest number of spins in an interaction, 1 ≤ order ≤ n.

    Reference: Verdon et al., arXiv:1910.02071; Sbahi et al., arXiv:2206.04663.
    """

    circuit: Circuit
    order: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if not 1 <= self.order <= self.circuit.n:
            raise ValueError(f"The order of the latent energy must lie in 1..{self.circuit.n}; got {self.order}.")

    @property
    def statistics(self) -> Float[np.ndarray, "d T"]:
        """The spin products, one row a bit string."""
        return spin_products(self.circuit.n, self.order)

    def init(self, key: PRNGKeyArray, *, scale: float = 0.1) -> Params:
        """Normal parameters of standard deviation `scale` (latent) and π·`scale` (angles)."""
        latent_key, angle_key = jax.random.split(key)
        return {
            "latent": scale * jax.random.normal(latent_key, (self.statistics.shape[1],)),
            "angles": scale * jnp.pi * jax.random.normal(angle_key, (self.circuit.num_angles,)),
        }

    def log_probabilities(self, latent: Float[Array, " T"]) -> Float[Array, " d"]:
        """log p_θ(b), exactly, by enumeration."""
        return jax.nn.log_softmax(-(self.statistics.astype(latent.dtype) @ latent))

    def spectrum(self, params: Params) -> tuple[Float[Array, " d"], Inexact[Array, "d d"]]:
        """(log-eigenvalues, eigenbasis) of ρ; no diagonalisation is needed."""
        return self.log_probabilities(params["latent"]), unitary(self.circuit, params["angles"])

    def log_density(self, params: Params) -> Inexact[Array, "d d"]:
        """K = log ρ = U diag(log p) U†."""
        # metrics push tangents forward through this map
        basis = unitary(self.circuit, params["angles"], mode="forward")
        return dot(basis * self.log_probabilities(params["latent"]), basis.conj().T)

    def free_energy(
        self, params: Params, hamiltonian: Inexact[Array, "d d"], beta: float | Float[Array, ""]
    ) -> Float[Array, ""]:
        """β⟨H⟩ − S, with exact derivatives of every order."""
        log_p, basis = self.spectrum(params)
        levels = real_overlaps(basis, dot(hamiltonian, basis))
        return jnp.exp(log_p) @ (beta * levels + log_p)

    def relative_entropy(self, params: Params, reference: Params) -> Float[Array, ""]:
        """D(ρ_params ‖ ρ_reference), differentiable to every order, also where the two coincide."""
        return self.free_energy(params, -self.log_density(reference), 1.0)

    def frame(self, params: Params) -> "Frame":
        """Everything that gradients and metrics need, from one sweep over the circuit."""
        basis, rotations = frames(self.circuit, params["angles"])
        log_p = self.log_probabilities(params["latent"])
        return Frame(log_p, basis, rotations, jnp.asarray(self.statistics, log_p.dtype))


class Frame(eqx.Module):
    """A LatentGibbs at one point, seen from its eigenframe.

    Attributes:
        log_p: (d,) log-eigenvalues. basis: (d, d) U.
        rotations: (P, d, d) Re A + Im A of the frame generators dU = U A dφ.
        statistics: (d, T) spin products.
    """

    log_p: Float[Array, " d"]
    basis: Inexact[Array, "d d"]
    rotations: Float[Array, "P d d"]
    statistics: Float[Array, "d T"]

    def free_energy_and_grad(
        self, hamiltonian: Inexact[Array, "d d"], beta: float | Float[Array, ""]
    ) -> tuple[Float[Array, ""], Params]:
        """β⟨H⟩ − S and its gradient: Cov_p(∂E, E − βh) on the latent, Tr(β U†HU [A, P]) on the angles."""
        p = jnp.exp(self.log_p)
        rotated = beta * dot(self.basis.conj().T, dot(hamiltonian, self.basis))
        local = jnp.diagonal(rotated).real + self.log_p
        value = p @ local
        # With Q[x, y] = (p_y − p_x) (βU†HU)[y, x] skew-Hermitian, Re Σ A∘Q = Σ R∘(Re Q − Im Q).
        weighted = (p[None, :] - p[:, None]) * rotated.T
        return value, {
            "latent": -(p * (local - value)) @ self.statistics,
            "angles": jnp.einsum("kxy,xy->k", self.rotations, weighted.real - weighted.imag),
        }

    def metric(self, kind: str | Kernel) -> BlockDiagonal:
        """The monotone metric of that kind, Fisher-normalised: Fisher on the latent, weighted frame Gram on the angles.

        The block between latent and angles vanishes for every monotone metric: the first move eigenvalues, the second
        the eigenframe.
        """
        p = jnp.exp(self.log_p)
        centred = self.statistics - p @ self.statistics
        fisher = (p * centred.T) @ centred
        weights = jnp.sqrt(rotation_weights(kernel(kind), self.log_p))
        if jnp.iscomplexobj(self.basis):
            rows = (self.rotations * weights).reshape(-1, p.size**2)
        else:  # antisymmetric: half of the entries say everything
            above = np.triu_indices(p.size, 1)
            rows = self.rotations[:, *above] * (jnp.sqrt(2.0) * weights[above])
        return BlockDiagonal(
            {
                "latent": lx.MatrixLinearOperator(fisher, lx.positive_semidefinite_tag),
                "angles": lx.MatrixLinearOperator(rows @ rows.T, lx.positive_semidefinite_tag),
            }
        )


class LatentMetric(AbstractMetric):
    """The monotone metric of a LatentGibbs, dense, from one frame sweep.

    Attributes:
        model: the model.
        kind: as in `qnat.geometry.monotone_metric`.
    """

    model: LatentGibbs
    kind: str | Kernel = eqx.field(static=True, default="bkm")

    def at(self, params: Params, batch: None = None, *, key: PRNGKeyArray | None = None) -> BlockDiagonal:
        return self.model.frame(params).metric(self.kind)
