"""Quantum Hamiltonian-based models: a classical latent distribution rotated by a circuit."""

import functools
import math
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Float, Inexact, PRNGKeyArray

from qnat.geometry.hermitian import dot
from qnat.geometry.metric import AbstractMetric, check_real
from qnat.geometry.monotone import Kernel, kernel
from qnat.geometry.operators import BlockDiagonal, gram
from qnat.geometry.spin_families import AbstractBitFamily, BoltzmannMachine
from qnat.geometry.spins import subsets
from qnat.geometry.weights import rotation_weights

from ..backends.statevector import unitary
from ..circuits.circuit import Circuit
from ..circuits.sizes import frame_dimension
from ..engine import frames
from ..engine.frames import antisymmetric, once
from ..engine.lowering import is_real
from .energies import NetworkEnergy

Params = dict[str, Float[Array, " _"]]


def real_overlaps(a: Inexact[Array, "d m"], b: Inexact[Array, "d m"]) -> Float[Array, " m"]:
    """Re⟨aₓ|bₓ⟩ of the columns."""
    overlaps = a.real * b.real
    return jnp.sum(overlaps + a.imag * b.imag if jnp.iscomplexobj(a) and jnp.iscomplexobj(b) else overlaps, axis=0)


def _starting_spread(circuit: Circuit) -> float:
    """Standard deviation of the angles that a training starts from, in units of π.

    A circuit that reaches every frame has no traps, and wide angles make its tangents independent. Any other one starts
    near the identity, the nearer the deeper it is, so that its layers add up to the same turn: in a scrambled frame it
    ends on a floor that a shallower one does not have.
    """
    dimension = frame_dimension(circuit.n, is_real=is_real(circuit))
    depth = circuit.num_angles / (3 * circuit.n)  # layers of three angles a wire
    return 0.1 if circuit.num_angles >= dimension else 0.25 / math.sqrt(max(depth, 1))


def all_interactions(n: int, order: int) -> BoltzmannMachine:
    """The family of all interactions of at most `order` of n spins."""
    if not 1 <= order <= n:
        raise ValueError(f"The order of the latent energy must lie in 1..{n}; got {order}.")
    return BoltzmannMachine(n, subsets(n, order))


class LatentGibbs(eqx.Module):
    """ρ(θ, φ) = U(φ) diag(p_θ) U(φ)†, p_θ(b) ∝ exp(−E_θ(b)): the quantum Hamiltonian-based model (QHBM).

    The energy is a sum over sets of spins, E_θ(b) = Σ_S θ_S Π_{i∈S} sᵢ: of all sets of at most one spin it is a product
    of Bernoulli variables, of at most k the KOBE(k) energy, of all any distribution. Or it is a network of one hidden
    layer. Parameters are {"latent": (T,), "angles": (P,)}; the first are dimensionless, the second radians.

    Attributes:
        circuit: U on n wires with P angles.
        latent: the family of p on n bits, such as `BoltzmannMachine` or `NetworkEnergy`; its own parameters, which make
            exponents and not energies, are −θ.

    Reference: Verdon et al., arXiv:1910.02071; Sbahi et al., arXiv:2206.04663.
    """

    circuit: Circuit
    latent: AbstractBitFamily

    def __init__(
        self,
        circuit: Circuit,
        latent: AbstractBitFamily | None = None,
        *,
        order: int | None = None,
        hidden: int | None = None,
    ) -> None:
        """A model with that latent family, or of all interactions of at most `order` spins, by default of one.

        Raises:
            ValueError: more than one latent energy is given, or one that does not fit the circuit.
        """
        if hidden is not None:
            warnings.warn("hidden= goes; pass latent=NetworkEnergy(n, hidden).", DeprecationWarning, stacklevel=4)
            latent = NetworkEnergy(circuit.n, hidden) if latent is None else latent
        if latent is not None and order is not None:
            raise ValueError(f"The latent energy has an order or is a family of its own; got {order} and {latent}.")
        if latent is None:
            latent = all_interactions(circuit.n, 1 if order is None else order)
        if not isinstance(latent, AbstractBitFamily):
            raise ValueError(f"The latent energy is a family of bits; got {latent}. For an order, write order=.")
        if latent.n != circuit.n:
            raise ValueError(f"The latent energy is one of {latent.n} bits, the circuit has {circuit.n} wires.")
        self.circuit, self.latent = circuit, latent

    def init(self, key: PRNGKeyArray, *, scale: float | None = None) -> Params:
        """Normal parameters of standard deviation `scale` (latent; of a network, its output) and π·`scale` (angles).

        By default 0.1 (latent) and what suits the circuit (angles): wide where it reaches every eigenframe, else the
        narrower, the deeper it is.
        """
        latent_key, angle_key = jax.random.split(key)
        spread = _starting_spread(self.circuit) if scale is None else scale
        angles = spread * jnp.pi * jax.random.normal(angle_key, (self.circuit.num_angles,))
        return {"latent": self.latent.init(latent_key, scale=0.1 if scale is None else scale), "angles": angles}

    def energies(self, latent: Float[Array, " T"]) -> Float[Array, " d"]:
        """E_θ(b) of every bit string."""
        return -self.latent.exponents(-latent)

    def statistics(self, latent: Float[Array, " T"]) -> Float[Array, "d T"]:
        """∂E_θ(b)/∂θ of every bit string, a table; the spin products where the energy is their sum."""
        return jax.jacfwd(self.energies)(latent)

    def latent_gradient(self, latent: Float[Array, " T"], weights: Float[Array, " d"]) -> Float[Array, " T"]:
        """Σ_b w_b ∂E_θ(b)/∂θ, without the table."""
        (gradient,) = jax.vjp(self.energies, latent)[1](weights)
        return gradient

    def scaled(self, params: Params, factor: float | Float[Array, ""]) -> Params:
        """The parameters whose energies are `factor` times as large: ρ^factor, normalised."""
        return params | {"latent": self.latent.scaled(params["latent"], factor)}

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
        return Frame(self, params["latent"], log_p, basis, rotations)


class Frame(eqx.Module):
    """A LatentGibbs at one point, seen from its eigenframe.

    Attributes:
        model, latent: the model, and its latent parameters.
        log_p: (d,) log-eigenvalues. basis: (d, d) U.
        rotations: (P, d, d) Re A + Im A of the frame generators dU = U A dφ; of a real circuit, where they are
        antisymmetric, half of them as `engine.frames.once` keeps it, (P, 2, d/2, d/2).
    """

    model: LatentGibbs
    latent: Float[Array, " T"]
    log_p: Float[Array, " d"]
    basis: Inexact[Array, "d d"]
    rotations: Float[Array, "P d d"] | Float[Array, "P 2 d/2 d/2"]

    @property
    def matrices(self) -> Float[Array, "P d d"]:
        """Re A + Im A, whole."""
        return antisymmetric(self.rotations) if self.rotations.ndim == 4 else self.rotations

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
        weighted = weighted.real - weighted.imag
        if self.rotations.ndim == 4:
            weighted = once(weighted - weighted.T)
        return value, {
            "latent": self.model.latent_gradient(self.latent, -p * (local - value)),
            "angles": self.rotations.reshape(-1, weighted.size) @ weighted.ravel(),
        }

    @functools.partial(jax.jit, static_argnames="kind")
    def metric(self, kind: str | Kernel) -> BlockDiagonal:
        """The monotone metric of that kind, Fisher-normalised: Fisher on the latent, weighted frame Gram on the angles.

        The block between latent and angles vanishes for every monotone metric: the first move eigenvalues, the second
        the eigenframe.
        """
        p = jnp.exp(self.log_p)
        weights = jnp.sqrt(rotation_weights(kernel(kind), self.log_p))
        if self.rotations.ndim == 4:
            weights = once(jnp.sqrt(2) * weights)
        angles = gram(self.rotations.reshape(-1, weights.size), weights.ravel())
        return BlockDiagonal(
            {
                "latent": self.model.latent.covariance(-self.latent, p),
                "angles": lx.MatrixLinearOperator(angles, lx.positive_semidefinite_tag),
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
        check_real(self, params)
        return self.model.frame(params).metric(self.kind)
