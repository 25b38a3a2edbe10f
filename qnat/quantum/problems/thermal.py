"""Variational Gibbs sampling: the free energy of a model against a Hamiltonian."""

import types
import warnings
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact, PRNGKeyArray, PyTree

from qnat.experiment.measures import Artifact, Measure, Panel
from qnat.experiment.task import Reference, Task
from qnat.geometry.distances import fidelity_from_spectra, trace_distance_from_spectra
from qnat.geometry.divergence import relative_entropy_from_spectra
from qnat.geometry.metric import AbstractMetric
from qnat.geometry.mirror import AbstractMirrorMap
from qnat.inference.process import Linearised

from ..exact.dense import thermal
from ..methods.observables import thermal_observables
from ..methods.state import ThermalState
from ..models import GibbsFamily, LatentGibbs
from ..models.metrics import monotone_metrics
from ..operators.pauli import PauliSum
from .named import named_parameters

_CALLED = {
    "energy_density": ("units of H", "energy per qubit"),
    "specific_heat": ("", "specific heat per qubit"),
    "magnetisation_x": ("", "magnetisation x"),
    "magnetisation_z": ("", "magnetisation z"),
    "susceptibility_x": ("1/energy", "susceptibility x"),
    "susceptibility_z": ("1/energy", "susceptibility z"),
}
"""Units and names of the observables that are numbers."""


class ThermalTask(Task):
    """Minimise F[ρ] = β⟨H⟩ − S = −log Z + D(ρ ‖ ρ_β), ρ_β = exp(−βH)/Z, over the states of a model.

    Attributes:
        model: a LatentGibbs or a GibbsFamily.
        hamiltonian: (d, d) H, in units of energy. energies: (d,) its spectrum, ascending. levels: (d, d) its
        eigenbasis. beta: inverse temperature ≥ 0. The three arrays and β may be traced: a ladder in β or the couplings
        compiles once.
        observables: whether the artifacts have those of `thermal_observables`, trained and exact.
    """

    name = "gibbs"
    measures = (Measure("relative_entropy", "nats", exact=True),)
    units = types.MappingProxyType(
        {
            "fidelity": "",
            "trace_distance": "",
            "energy": "units of H",
            "entropy": "nats",
            "free_energy": "units of H",
            "beta_free_energy": "nats",
            "loss": "nats",
        }
    )
    panels = (
        Panel("levels", "spectrum", against="energies"),
        Panel("matrix", "correlations_zz", "correlations ⟨ZᵢZⱼ⟩"),
    )
    costs = ("shots",)
    model: LatentGibbs | GibbsFamily
    hamiltonian: Inexact[Array, "d d"]
    energies: Float[Array, " d"]
    levels: Inexact[Array, "d d"]
    beta: Float[Array, ""]
    observables: bool = eqx.field(static=True)

    def __init__(
        self, model: LatentGibbs | GibbsFamily, hamiltonian: PauliSum, beta: float, *, observables: bool = False
    ) -> None:
        self.model = model
        self.observables = observables
        self.hamiltonian = hamiltonian.matrix()
        self.energies, self.levels = jnp.linalg.eigh(self.hamiltonian)
        self.beta = jnp.asarray(beta, self.energies.dtype)
        if self.energies.dtype != jnp.float64:
            warnings.warn(
                "This thermal task runs in single precision, where a relative entropy below about 1e-6 is noise; "
                'jax.config.update("jax_enable_x64", True) before the first array gives double precision.',
                stacklevel=2,
            )

    def init(self, key: PRNGKeyArray) -> PyTree[Array]:
        return self.model.init(key)

    @eqx.filter_jit
    def value_and_grad(
        self, params: PyTree[Array], batch: None = None, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, ""], PyTree[Array]]:
        return jax.value_and_grad(self.model.free_energy)(params, self.hamiltonian, self.beta)

    @eqx.filter_jit
    def linearise(self, params: PyTree[Array], batch: None = None, key: PRNGKeyArray | None = None) -> Linearised:
        """Free energy, gradient and BKM metric; of a LatentGibbs from one sweep over the circuit."""
        if not isinstance(self.model, LatentGibbs):
            return super().linearise(params, batch, key)
        frame = self.model.frame(params)
        value, gradient = frame.free_energy_and_grad(self.hamiltonian, self.beta)
        return Linearised(value, gradient, frame.metric("bkm"))

    @property
    def metrics(self) -> Mapping[str, AbstractMetric]:
        """Every monotone metric of the model by its name, BKM first, and the Euclidean one."""
        return monotone_metrics(self.model)

    @property
    def mirror(self) -> AbstractMirrorMap:
        """The mirror map from θ to the expectations, which a GibbsFamily has."""
        assert isinstance(self.model, GibbsFamily)
        return self.model.mirror

    def metric(self, kind: Any = "bkm") -> AbstractMetric:
        """The monotone metric of a kind that `qnat.geometry.monotone_metric` knows, with or without parameter."""
        return self.model.metric(kind)

    @eqx.filter_jit
    def evaluate(self, params: PyTree[Array]) -> dict[str, Float[Array, ""]]:
        """Distances from ρ_β and thermodynamics; energies in the units of H, the rest dimensionless or in nats.

        The relative entropy is a sum of non-negative terms, so it keeps its digits far below the last one of the loss.
        """
        exact = thermal(self.energies, self.beta)
        log_p, basis = self.model.spectrum(params)
        p = jnp.exp(log_p)
        amplitudes = basis.conj().T @ self.levels
        overlap = jnp.abs(amplitudes) ** 2
        energy = p @ overlap @ self.energies
        entropy = -p @ log_p
        return {
            "relative_entropy": relative_entropy_from_spectra(log_p, exact.log_p, overlap),
            "fidelity": fidelity_from_spectra(log_p, exact.log_p, amplitudes),
            "trace_distance": trace_distance_from_spectra(log_p, exact.log_p, amplitudes),
            "energy": energy,
            "entropy": entropy,
            "free_energy": energy - entropy / self.beta,
            "beta_free_energy": self.beta * energy - entropy,
        }

    @property
    def reference(self) -> Mapping[str, Reference]:
        exact = thermal(self.energies, self.beta)
        known = {
            "energy": exact.energy,
            "entropy": exact.entropy,
            "free_energy": -exact.log_z / self.beta,
            "beta_free_energy": -exact.log_z,
            "log_z_exact": exact.log_z,
        }
        return {name: Reference(value, "exact diagonalisation", 1e-12) for name, value in known.items()}

    def trained(self, params: PyTree[Array]) -> ThermalState:
        """The state, to be measured, sampled or exported."""
        return ThermalState(self.model, params, self.hamiltonian, self.beta)

    @eqx.filter_jit
    def artifacts(self, params: PyTree[Array]) -> dict[str, Array | Artifact]:
        """The spectrum of H; of the trained and the exact state spectra, for n ≤ 6 density matrices, observables.

        Of a model whose latent energy is a sum over sets of spins, also the energies; of a GibbsFamily of Pauli strings
        its θ.
        """
        exact = thermal(self.energies, self.beta)
        trained = self._of_state(*self.model.spectrum(params)) | named_parameters(self.model, params)
        energies = Artifact(self.energies, ("eigenstate",), unit="units of H", long_name="energy of the level")
        return {
            "energies": energies,
            **trained,
            **{f"exact_{name}": found for name, found in self._of_state(exact.log_p, self.levels).items()},
        }

    def _of_state(self, log_p: Float[Array, " d"], basis: Inexact[Array, "d d"]) -> dict[str, Array | Artifact]:
        p, n = jnp.exp(log_p), log_p.size.bit_length() - 1
        found: dict[str, Array | Artifact] = {
            "spectrum": Artifact(jnp.sort(p)[::-1], ("eigenstate",), long_name="probability")
        }
        if n <= 6:
            states = [format(state, f"0{n}b") for state in range(2**n)]
            found["density_matrix"] = Artifact(
                (basis * p) @ basis.conj().T, ("ket", "bra"), {"ket": states, "bra": states}
            )
        if self.observables:
            found |= thermal_observables(log_p, basis, self.hamiltonian, self.beta)
            for name, dims in (("correlations_zz", ("qubit_i", "qubit_j")), ("bloch_vectors", ("qubit", "axis"))):
                along = {dim: list("XYZ") if dim == "axis" else range(n) for dim in dims}
                found[name] = Artifact(found[name], dims, along)
            found |= {name: Artifact(found[name], (), {}, *label) for name, label in _CALLED.items()}
        return found
