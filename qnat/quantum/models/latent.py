"""Quantum Hamiltonian-based models: a classical latent distribution rotated by a circuit."""

import functools

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
from ..circuits.circuit import Circuit
from ..engine import frames
from .energies import network_energy, network_init, spin_products, spins

Params = dict[str, Float[Array, " _"]]


def real_overlaps(a: Inexact[Array, "d m"], b: Inexact[Array, "d m"]) -> Float[Array, " m"]:
    """Re⟨aₓ|bₓ⟩ of the columns."""
    overlaps = a.real * b.real
    return jnp.sum(overlaps + a.imag * b.imag if jnp.iscomplexobj(a) and jnp.iscomplexobj(b) else overlaps, axis=0)


class LatentGibbs(eqx.Module):
    """ρ(θ, φ) = U(φ) diag(p_θ) U(φ)†, p_θ(b) ∝ exp(−E_θ(b)): the quantum Hamiltonian-based model (QHBM).

    The energy is a sum over all sets of at most `order` spins, E_θ(b) = Σ_S θ_S Π_{i∈S} sᵢ: order 1 is a product of
    Bernoulli variables, order k the KOBE(k) energy, order n any distribution. Or it is a network of one hidden layer,
    E_θ(b) = v · tanh(W s + b). Parameters are {"latent": (T,), "angles": (P,)}; the first are dimensionless, the second
    radians.

    Attributes:
        circuit: U on n wires with P angles.
        order: largest number of spins in an interaction, 1 ≤ order ≤ n; or None, and then
        hidden: number of hidden units ≥ 1.

    Reference: Verdon et al., arXiv:1910.02071; Sbahi et al., arXiv:2206.04663.
    """

    circuit: Circuit
    order: int | None = eqx.field(static=True, default=None)
    hidden: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if (self.order is None) == (self.hidden is None):
            raise ValueError(f"The latent energy has an order or hidden units; got {self.order} and {self.hidden}.")
        if self.order is not None and not 1 <= self.order <= self.circuit.n:
            raise ValueError(f"The order of the latent energy must lie in 1..{self.circuit.n}; got {self.order}.")
        if self.hidden is not None and self.hidden < 1:
            raise ValueError(f"The latent energy needs at least one hidden unit; got {self.hidden}.")

    def init(self, key: PRNGKeyArray, *, scale: float = 0.1) -> Params:
        """Normal parameters of standard deviation `scale` (latent; of a network, its output) and π·`scale` (angles)."""
        latent_key, angle_key = jax.random.split(key)
        if self.hidden is None:
            latent = scale * jax.random.normal(latent_key, (spin_products(self.circuit.n, self._order).shape[1],))
        else:
            latent = network_init(latent_key, self.circuit.n, self.hidden, scale)
        angles = scale * jnp.pi * jax.random.normal(angle_key, (self.circuit.num_angles,))
        return {"latent": latent, "angles": angles}

    @property
    def _order(self) -> int:
        return self.order or 1

    def energies(self, latent: Float[Array, " T"]) -> Float[Array, " d"]:
        """E_θ(b) of every bit string."""
        if self.hidden is None:
            return jnp.asarray(spin_products(self.circuit.n, self._order), latent.dtype) @ latent
        return network_energy(latent, jnp.asarray(spins(self.circuit.n), latent.dtype))

    def statistics(self, latent: Float[Array, " T"]) -> Float[Array, "d T"]:
        """∂E_θ(b)/∂θ of every bit string; the spin products where the energy is their sum."""
        if self.hidden is None:
            return jnp.asarray(spin_products(self.circuit.n, self._order), latent.dtype)
        return jax.jacrev(self.energies)(latent)

    def scaled(self, params: Params, factor: float | Float[Array, ""]) -> Params:
        """The parameters whose energies are `factor` times as large: ρ^factor, normalised."""
        latent = params["latent"]
        if self.hidden is None:
            return params | {"latent": factor * latent}
        return params | {"latent": latent.at[-self.hidden :].multiply(factor)}

    def log_probabilities(self, latent: Float[Array, " T"]) -> Float[Array, " d"]:
        """log p_θ(b), exactly, by enumeration."""
        return jax.nn.log_softmax(-self.energies(latent))

    def spectrum(self, params: Params) -> tuple[Float[Array, " d"], Inexact[Array, "d d"]]:
        """(log-eigenvalues, eigenbasis) of ρ; no diagonalisation is needed."""
        return self.log_probabilities(params["latent"]), unitary(self.circuit, params["angles"])

    @eqx.filter_jit
    def log_density(self, params: Params) -> Inexact[Array, "d d"]:
        """K = log ρ = U diag(log p) U†."""
        # metrics push tangents forward through this map
        basis = unitary(self.circuit, params["angles"], mode="forward")
        return dot(basis * self.log_probabilities(params["latent"]), basis.conj().T)

    @jax.jit
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

    def metric(self, kind: str | Kernel = "bkm") -> "LatentMetric":
        """The monotone metric of a kind that `qnat.geometry.monotone_metric` knows."""
        return LatentMetric(self, kind)

    @jax.jit
    def frame(self, params: Params) -> "Frame":
        """Everything that gradients and metrics need, from one sweep over the circuit."""
        basis, rotations = frames(self.circuit, params["angles"])
        log_p = self.log_probabilities(params["latent"])
        return Frame(log_p, basis, rotations, self.statistics(params["latent"]))


class Frame(eqx.Module):
    """A LatentGibbs at one point, seen from its eigenframe.

    Attributes:
        log_p: (d,) log-eigenvalues. basis: (d, d) U.
        rotations: (P, d, d) Re A + Im A of the frame generators dU = U A dφ.
        statistics: (d, T) derivatives of the latent energy.
    """

    log_p: Float[Array, " d"]
    basis: Inexact[Array, "d d"]
    rotations: Float[Array, "P d d"]
    statistics: Float[Array, "d T"]

    @jax.jit
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

    @functools.partial(jax.jit, static_argnames="kind")
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
