"""Variational Gibbs sampling where no density matrix fits: the free energy is estimated from a few vectors."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from qnat.experiment.bounds import check_whole
from qnat.experiment.errors import RefusedError
from qnat.experiment.measures import Artifact, Measure, Panel
from qnat.experiment.task import Reference, Task
from qnat.geometry.metric import AbstractMetric, EuclideanMetric
from qnat.inference.process import Linearised

from ..methods.state import ThermalState
from ..methods.vector_metric import METRIC, Kind, VectorMetric
from ..methods.vector_observables import vector_observables
from ..methods.vectors import Draw, Slopes, VectorFreeEnergy, check_strings, draw, planes_of, real_part
from ..models import LatentGibbs
from ..models.latent import Params
from ..operators.pauli import PauliSum
from ..operators.sizes import DENSE
from .named import named_parameters

_LOSS, _JUDGE = 0, METRIC + 1  # streams of a key: of the loss and its gradient, and of what is evaluated on the way
_SPECTRUM = 1024  # probabilities that are kept, the largest ones


class VectorThermalTask(Task):
    """`ThermalTask` for 10 to 20 qubits: β⟨H⟩ from K bit strings and R vectors of random signs, fresh at every step.

    Entropy and latent Fisher matrix are exact. A trial is judged on the vectors of its own step, the part of whose
    noise that is linear in the step is taken out. What is evaluated has vectors of its own, the same at every step, and
    standard errors.

    Attributes:
        free_energy: model, Hamiltonian and β. geometry: the metric of the natural gradient.
        log_z, log_z_error: log Tr exp(−βH) and its standard error; NaN where it is not known. source: whence it is.
        strings, vectors: K and R.
    """

    name = "gibbs"
    measures = (Measure("relative_entropy", "nats", exact=True),)
    units = types.MappingProxyType(
        {
            "relative_entropy_error": "nats",
            "energy": "units of H",
            "energy_error": "units of H",
            "entropy": "nats",
            "free_energy": "units of H",
            "free_energy_error": "units of H",
            "beta_free_energy": "nats",
            "beta_free_energy_error": "nats",
            "loss": "nats",
        }
    )
    panels = (
        Panel("points", "magnetisations", "magnetisations"),
        Panel("matrix", "correlations_zz", "correlations ⟨ZᵢZⱼ⟩"),
    )
    free_energy: VectorFreeEnergy
    geometry: VectorMetric
    log_z: Float[Array, ""]
    log_z_error: Float[Array, ""]
    source: str = eqx.field(static=True)
    strings: int = eqx.field(static=True)
    vectors: int = eqx.field(static=True)
    observables: bool = eqx.field(static=True)

    def __init__(
        self,
        model: LatentGibbs,
        hamiltonian: PauliSum,
        beta: float,
        *,
        strings: int = 64,
        vectors: int = 16,
        metric: Kind = "bkm",
        products: bool = False,
        log_z: Reference | None = None,
        observables: bool = False,
    ) -> None:
        """A task with that many strings and vectors for the loss, and an eighth of them for the metric.

        Args:
            model: a LatentGibbs. hamiltonian: H on as many qubits. beta: inverse temperature, above zero.
            strings: K ≤ 2^n. vectors: R ≥ 2, which errors need.
            metric, products: kind and products of the `VectorMetric`, whose rows are single-precision numbers.
            log_z: log Tr exp(−βH) and how far it can be trusted, if it is known.
            observables: whether the artifacts have magnetisations and correlations.

        Raises:
            ValueError: a model without a circuit or of one qubit, other qubits than those of H, K or R out of bounds, a
                metric that vectors do not estimate.
        """
        check_strings(model, strings)
        check_whole(vectors=(vectors, 2))  # which a standard error needs
        found = jnp.asarray(beta, float)
        self.free_energy = VectorFreeEnergy(model, real_part(hamiltonian, planes_of(model.circuit)), found)
        few = min(strings, max(1, strings // 8)), max(1, vectors // 8)
        self.geometry = VectorMetric(model, metric, *few, nodes=4, products=products, single=True)
        known = log_z or Reference(jnp.nan, "", jnp.nan)
        self.log_z, self.log_z_error = jnp.asarray(known.value, float), jnp.asarray(known.tolerance, float)
        self.source, self.strings, self.vectors, self.observables = known.source, strings, vectors, observables

    @property
    def model(self) -> LatentGibbs:
        """The model."""
        return self.free_energy.model

    def init(self, key: PRNGKeyArray) -> PyTree[Array]:
        return self.model.init(key)

    def _drawn(self, params: Params, key: PRNGKeyArray | None, stream: int) -> Draw:
        if key is None:
            raise ValueError("A task of random vectors draws them anew at every step; pass key=.")
        log_p = self.model.log_probabilities(params["latent"])
        return draw(log_p, self.strings, self.vectors, key=jax.random.fold_in(key, stream))

    def slopes(self, params: Params, *, key: PRNGKeyArray) -> Slopes:
        """β⟨H⟩ − S and its gradient, unbiased, with their standard errors."""
        return self.free_energy.slopes(params, self._drawn(params, key, _LOSS))

    def value_and_grad(
        self, params: Params, batch: None = None, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, ""], Params]:
        # value alone, where the gradient is not wanted: the compiler drops the rest
        drawn = self._drawn(params, key, _LOSS)
        slopes = self.free_energy.slopes(params, drawn)
        return self.free_energy.value(params, drawn).value, {k: part.value for k, part in slopes.gradient.items()}

    def linearise(self, params: Params, batch: None = None, key: PRNGKeyArray | None = None) -> Linearised:
        """Value, gradient and metric, and what judges a trial: its value on the vectors of the step, corrected.

        The estimate has another derivative by the angles than the gradient, which would drown small decreases in
        noise; the difference times the step is taken off, so that a trial close by decreases as the gradient says.
        """
        drawn = self._drawn(params, key, _LOSS)
        slopes = self.free_energy.slopes(params, drawn)
        excess = slopes.plain - slopes.gradient["angles"].value

        def judge(trial: Params) -> Float[Array, ""]:
            value = self.free_energy.value(trial, self._drawn(trial, key, _LOSS)).value
            return value - excess @ (trial["angles"] - params["angles"])

        gradient = {name: part.value for name, part in slopes.gradient.items()}
        return Linearised(slopes.value.value, gradient, self.geometry.at(params, key=key), judge)

    @property
    def metrics(self) -> Mapping[str, AbstractMetric]:
        """The metric of the task, and the Euclidean one."""
        return {self.geometry.kind: self.geometry, "euclidean": EuclideanMetric()}

    def metric(self, kind: Any = "bkm") -> AbstractMetric:
        """The metric of that kind, of as many strings and vectors as the task's own."""
        return dataclasses.replace(self.geometry, kind=kind)

    @eqx.filter_jit
    def evaluate(self, params: PyTree[Array]) -> dict[str, Float[Array, ""]]:
        """Thermodynamics and, where log Z is known, the relative entropy F + log Z, with standard errors.

        Energies are in the units of H, the rest in nats. An estimated relative entropy may be negative.
        """
        log_p = self.model.log_probabilities(params["latent"])
        energy = self.free_energy.energy(params, self._judges(params))
        entropy, beta = -jnp.exp(log_p) @ log_p, self.free_energy.beta
        free = beta * energy.value - entropy
        found = {
            "energy": energy.value,
            "energy_error": energy.standard_error,
            "entropy": entropy,
            "free_energy": energy.value - entropy / beta,
            "free_energy_error": energy.standard_error,  # the entropy has none
            "beta_free_energy": free,
            "beta_free_energy_error": beta * energy.standard_error,
        }
        if not self.source:
            return found
        error = jnp.hypot(beta * energy.standard_error, self.log_z_error)
        return {"relative_entropy": free + self.log_z, "relative_entropy_error": error} | found

    def _judges(self, params: Params) -> Draw:
        """Vectors of a key of their own, four times as many as those of a step."""
        log_p = self.model.log_probabilities(params["latent"])
        return draw(log_p, self.strings, 4 * self.vectors, key=jax.random.fold_in(jax.random.key(0), _JUDGE))

    def trained(self, params: PyTree[Array]) -> ThermalState:
        """The state, of few enough qubits to be measured, sampled or exported as a density matrix.

        Raises:
            RefusedError: there are too many.
        """
        if (n := self.model.circuit.n) > DENSE:
            raise RefusedError(
                f"A density matrix of {n} qubits has too many numbers, one of {DENSE} is the largest held; what "
                "was measured of the state is in the artifacts of the run."
            )
        return ThermalState(self.model, params, self.free_energy.hamiltonian.matrix(), self.free_energy.beta)

    @property
    def reference(self) -> Mapping[str, Reference]:
        if not self.source:
            return {}
        known = {"beta_free_energy": -self.log_z, "log_z_exact": self.log_z, "loss": -self.log_z}
        return {name: Reference(value, self.source, float(self.log_z_error)) for name, value in known.items()}

    @eqx.filter_jit
    def artifacts(self, params: PyTree[Array]) -> dict[str, Array | Artifact]:
        """The largest probabilities, the latent energies, and on demand observables with their standard errors."""
        log_p = self.model.log_probabilities(params["latent"])
        largest = jnp.exp(jax.lax.top_k(log_p, min(_SPECTRUM, log_p.size))[0])
        found: dict[str, Array | Artifact] = {
            "spectrum": Artifact(largest, ("eigenstate",), long_name="probability"),
            **named_parameters(self.model, params),
        }
        if self.observables:
            found |= vector_observables(self.model, params, self._judges(params))
        return found
