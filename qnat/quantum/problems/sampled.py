"""Variational Gibbs sampling with shots: what a device and a sampler of bitstrings would give."""

from collections.abc import Mapping
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact, PRNGKeyArray, PyTree

from qnat.experiment.measures import Artifact
from qnat.experiment.task import Reference, Task
from qnat.geometry.hermitian import dot
from qnat.geometry.metric import AbstractMetric, EuclideanMetric
from qnat.inference.estimate import Estimate
from qnat.inference.score import sample_mean, score_gradient, total

from ..backends import AbstractBackend, Statevector
from ..measure.measurement import Measurement
from ..methods.sampled_metric import SampledMetric, bitstring_counts
from ..methods.shift import shift_gradient, shifts
from ..methods.state import ThermalState
from ..models import Frame, LatentGibbs
from ..models.latent import Params
from ..operators.pauli import PauliSum
from .thermal import ThermalTask

_LOSS = 0  # the stream of a step's key that the loss and its gradient draw from; the metric takes another

Draws = tuple[Float[Array, "G d m"], Float[Array, "G d m"]]


class SampledThermalTask(Task):
    """`ThermalTask` with its loss and gradient estimated from N shots each, fresh at every step.

    With noise "pauli" a shot draws a bitstring x ~ p, runs the circuit on it and measures one group of commuting Pauli
    strings: N shots give the loss and, by the score estimator, the latent gradient; N more for every shifted angle give
    the angles'. With noise "latent" only the N bitstrings are drawn, and their expectations h(x) and ∂h(x) are exact:
    at an optimum that the model reaches, E − βh is constant and that noise of the latent gradient vanishes, while that
    of Pauli shots stays. What is evaluated on the way is exact in both.

    Attributes:
        exact: the task without noise.
        backend: what runs the circuits.
        measurement: groups of the Hamiltonian's strings, and the shots of each.
        shots: N. noise: "pauli" or "latent".
    """

    name = "gibbs"
    measures, units, panels, costs = ThermalTask.measures, ThermalTask.units, ThermalTask.panels, ThermalTask.costs
    exact: ThermalTask
    backend: AbstractBackend
    measurement: Measurement
    shots: int = eqx.field(static=True)
    noise: Literal["pauli", "latent"] = eqx.field(static=True)

    def __init__(
        self,
        model: LatentGibbs,
        hamiltonian: PauliSum,
        beta: float,
        *,
        shots: int,
        noise: Literal["pauli", "latent"] = "pauli",
        backend: AbstractBackend | None = None,
    ) -> None:
        if not isinstance(model, LatentGibbs):
            raise ValueError(f"Shots need a model with a circuit to run, a LatentGibbs; got {type(model).__name__}.")
        self.exact = ThermalTask(model, hamiltonian, beta)
        self.backend = backend or Statevector()
        self.measurement = Measurement(hamiltonian, shots)
        self.shots = shots
        self.noise = noise

    @property
    def model(self) -> LatentGibbs:
        """The model."""
        assert isinstance(self.exact.model, LatentGibbs)
        return self.exact.model

    @property
    def shots_per_step(self) -> int:
        """Shots of one loss and gradient: N, and with Pauli noise N more for every shifted angle."""
        return self.shots * (1 + len(shifts(self.model.circuit).angle) if self.noise == "pauli" else 1)

    @property
    def traceable(self) -> bool:
        return self.noise == "latent" or self.backend.traceable

    def init(self, key: PRNGKeyArray) -> PyTree[Array]:
        return self.exact.init(key)

    def value_and_grad(
        self, params: Params, batch: None = None, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, ""], Params]:
        if key is None:
            raise ValueError("A sampled task draws its shots anew at every step; pass key=.")
        loss, gradient = self.estimate(params, key=key)
        return loss.value, {name: part.value for name, part in gradient.items()}

    def estimate(self, params: Params, *, key: PRNGKeyArray) -> tuple[Estimate, dict[str, Estimate]]:
        """β⟨H⟩ − S and its gradient, unbiased, with their standard errors."""
        estimated = self._from_bitstrings if self.noise == "latent" else self._from_shots
        (values, counts), angles = estimated(params, jax.random.fold_in(key, _LOSS))
        statistics = self.model.statistics(params["latent"])
        loss = total(jax.vmap(lambda v, c: sample_mean(v.ravel(), c.ravel()))(values, counts))
        # values are βh + log p, and −log p is E up to a constant
        latent = total(jax.vmap(lambda v, c: score_gradient(-statistics, v, c))(values, counts))
        return loss, {"latent": latent, "angles": angles}

    def _from_bitstrings(self, params: Params, key: PRNGKeyArray) -> tuple[Draws, Estimate]:
        """(βh(x) + log p(x) of each bitstring, how many there were), and the mean of β∂h(x)."""
        frame = self.model.frame(params)
        rotated = self.exact.beta * dot(frame.basis.conj().T, dot(self.exact.hamiltonian, frame.basis))
        counts = bitstring_counts(frame.log_p, self.shots, key=key)
        values = jnp.diagonal(rotated).real + frame.log_p
        return (values[None, :, None], counts[None, :, None]), sample_mean(_slopes(frame, rotated), counts)

    def _from_shots(self, params: Params, key: PRNGKeyArray) -> tuple[Draws, Estimate]:
        """(What bitstring x and outcome y contribute to the loss, how many there were), group by group; and β∂⟨H⟩.

        A group's share of log p and of the Hamiltonian's constant is that of its shots.
        """
        plan, beta, circuit = self.measurement, self.exact.beta, self.model.circuit
        first, second = jax.random.split(key)
        log_p = self.model.log_probabilities(params["latent"])
        p, backend = jnp.exp(log_p), self.backend
        counts = plan.run_each(backend, circuit, params["angles"], p, key=first)
        share = jnp.asarray(plan.shots, p.dtype) / self.shots
        shared = log_p[:, None] + beta * plan.constant
        values = beta * plan.outcomes[:, None, :] + share[:, None, None] * shared

        def energy(angles: Float[Array, " P"], key: PRNGKeyArray) -> Estimate:
            return plan.estimate(plan.run_mixture(backend, circuit, angles, p, key=key))

        value, error = shift_gradient(energy, circuit, params["angles"], key=second, traceable=backend.traceable)
        return (values, counts), Estimate(beta * value, beta * error)

    @property
    def metrics(self) -> Mapping[str, AbstractMetric]:
        """The metrics that bitstrings estimate: BKM; and the Euclidean one, which needs no estimate."""
        return {"bkm": self.metric("bkm"), "euclidean": EuclideanMetric()}

    def metric(self, kind: Any = "bkm") -> AbstractMetric:
        """The sampled metric of that kind, from N bitstrings an evaluation."""
        if kind != "bkm":
            raise ValueError(f"Shots estimate the metric bkm; {kind} needs the probabilities p(x), so leave shots out.")
        return SampledMetric(self.model, self.shots)

    def evaluate(self, params: PyTree[Array]) -> dict[str, Float[Array, ""]]:
        """As `ThermalTask.evaluate`, exact; and the shots of a step."""
        return self.exact.evaluate(params) | {"shots": jnp.asarray(self.shots_per_step, dtype=float)}

    def trained(self, params: PyTree[Array]) -> ThermalState:
        return self.exact.trained(params)

    def artifacts(self, params: PyTree[Array]) -> dict[str, Array | Artifact]:
        return self.exact.artifacts(params)

    @property
    def reference(self) -> Mapping[str, Reference]:
        return self.exact.reference


def _slopes(frame: Frame, rotated: Inexact[Array, "d d"]) -> Float[Array, "P d"]:
    """∂ₖh(x) = 2 Re Σ_y ⟨x|U†HU|y⟩ Aₖ[y, x] for every bitstring; Re A and Im A are the odd and even part of R."""
    real, imaginary = rotated.real, jnp.imag(rotated)
    turned = jnp.einsum("xy,kyx->kx", real - imaginary, frame.matrices)
    return turned - jnp.einsum("xy,kxy->kx", real + imaginary, frame.matrices)
