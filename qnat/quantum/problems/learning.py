"""Hamiltonian learning: the relative entropy D(σ‖ρ) of a model from copies of σ, or from σ itself."""

import types
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Inexact, PRNGKeyArray, PyTree

from qnat.experiment.measures import ERROR, EXACT, Artifact, Measure, Panel
from qnat.experiment.task import Reference, Task
from qnat.geometry.distances import fidelity_from_spectra, trace_distance_from_spectra
from qnat.geometry.divergence import relative_entropy_from_spectra
from qnat.geometry.hermitian import dot, log_trace_exp
from qnat.geometry.metric import AbstractMetric
from qnat.geometry.mirror import AbstractMirrorMap

from ..measure.counts import Moments, exact_moments
from ..methods.likelihood import maximum_likelihood, pretrain, sandwich
from ..methods.state import ThermalState
from ..models import GibbsFamily, LatentGibbs
from ..models.latent import real_overlaps
from ..models.metrics import monotone_metrics
from ..operators.pauli import PauliSum
from .named import named_parameters
from .target import Target


class LearningTask(Task):
    """Minimise D(σ‖ρ) over the states ρ of a model, given σ, or what was measured of it.

    For a GibbsFamily the loss is log Z(θ) − θ·η̂ + μ|θ|²/2: strictly convex, and only the expectations η̂ of the
    generators enter. Its minimiser is the maximum-likelihood state. For a LatentGibbs it is −Tr σ log ρ, which needs σ
    itself. Where σ is given as data its entropy is subtracted, so that the loss is D(σ‖ρ) ≥ 0; with measured moments it
    is not known, and the loss ends near it. The metric BKM is the Hessian of the loss at a state that equals σ.

    Attributes:
        model: a GibbsFamily or a LatentGibbs.
        moments: (P,) η̂ of a GibbsFamily, else None. covariance: (P, P) of η̂; None if they are exact.
        target: σ, for the loss of a LatentGibbs and for the evaluation; None if it is not known.
        entropy: S(σ) if σ is the data, else 0. theta_true: (P,) the θ of σ if it is known.
        start: (P,) where to begin, such as `pretrain` gives; None begins at random. ridge: μ.
        least: the loss of the maximum-likelihood state. copies: how many the moments cost; None if they are exact.
        beta: inverse temperature of σ, by which θ = −β × couplings are told as energies; None if it is not known.
    """

    name = "learning"
    measures: ClassVar[tuple[Measure, ...]] = (Measure("relative_entropy", "nats", exact=True),)
    units: ClassVar[Mapping[str, str]] = types.MappingProxyType(
        {
            "loss": "nats",
            "fidelity": "",
            "trace_distance": "",
            "parameter_error": "nats",
            "expected_error": "nats",
            "error_bound": "nats",
            "copies_for_0.1": "copies",
        }
    )
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel("points", "couplings"),
        Panel("levels", "modular_spectrum"),
    )
    model: GibbsFamily | LatentGibbs
    moments: Float[Array, " P"] | None
    covariance: Float[Array, "P P"] | None
    target: Target | None
    entropy: Float[Array, ""]
    theta_true: Float[Array, " P"] | None
    start: Float[Array, " P"] | None
    ridge: Float[Array, ""]
    least: Float[Array, ""] | None
    copies: Float[Array, ""] | None
    beta: Float[Array, ""] | None

    def __init__(
        self,
        model: GibbsFamily | LatentGibbs,
        data: Moments | Inexact[Array, "d d"],
        *,
        truth: Inexact[Array, "d d"] | None = None,
        theta_true: Float[ArrayLike, " P"] | None = None,
        subset: tuple[int, ...] | None = None,
        ridge: float = 0.0,
        beta: float | None = None,
    ) -> None:
        """A task from data.

        Args:
            model: the states to learn with.
            data: measured `Moments` of the Pauli strings of a GibbsFamily, or σ as a matrix.
            truth: σ, where the data were simulated from it: for the evaluation only.
            theta_true: the parameters of σ, if it belongs to the family: for the evaluation only.
            subset: indices of the generators of a GibbsFamily on which it is pre-trained; None for no pre-training.
            ridge: μ ≥ 0.
            beta: inverse temperature of σ, if it is known; 0 tells nothing of couplings.

        Raises:
            ValueError: data that do not belong to the model, a matrix that is not a state, or moments without a
                maximum-likelihood state.
        """
        self.model = model
        given = data if isinstance(data, Moments) else Target.of(data)
        exact = given if isinstance(given, Target) else None
        self.target = exact if truth is None else Target.of(truth)
        self.ridge = jnp.asarray(ridge, float)
        self.entropy = jnp.zeros(()) if exact is None else exact.entropy
        self.theta_true = None if theta_true is None else jnp.asarray(theta_true, float)
        self.beta = jnp.asarray(beta, float) if beta else None
        self.moments = self.covariance = self.copies = self.start = self.least = None
        if isinstance(model, LatentGibbs):
            if exact is None:
                raise ValueError("A LatentGibbs learns from a density matrix; moments are data for a GibbsFamily.")
            _check_size(2**model.circuit.n, exact)
            return
        moments = _moments_of(model, given)
        self.moments, covariance = jnp.asarray(moments.values, float), jnp.asarray(moments.covariance, float)
        if moments.copies or np.any(moments.covariance):
            self.covariance = covariance
            self.copies = jnp.asarray(moments.copies, float) if moments.copies else None
        best = maximum_likelihood(model, self.moments, covariance, ridge=ridge)
        self.least = best.value - self.entropy
        if subset is not None:
            self.start = pretrain(model, self.moments, subset, ridge=ridge)

    def init(self, key: PRNGKeyArray) -> PyTree[Array]:
        return self.model.init(key) if self.start is None else self.start

    @eqx.filter_jit
    def value_and_grad(
        self, params: PyTree[Array], batch: None = None, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, ""], PyTree[Array]]:
        return jax.value_and_grad(self._loss)(params)

    def _loss(self, params: PyTree[Array]) -> Float[Array, ""]:
        if isinstance(self.model, GibbsFamily):
            assert self.moments is not None
            fit = log_trace_exp(self.model.log_density(params)) - params @ self.moments
            return fit + self.ridge / 2 * params @ params - self.entropy
        assert self.target is not None
        log_p, basis = self.model.spectrum(params)
        return -(real_overlaps(basis, dot(self.target.matrix, basis)) @ log_p) - self.entropy

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
        """The monotone metric of a kind that `qnat.geometry.monotone_metric` knows."""
        return self.model.metric(kind)

    @eqx.filter_jit
    def evaluate(self, params: PyTree[Array]) -> dict[str, Float[Array, ""]]:
        """Distances from σ where it is known; for a GibbsFamily also how well the data determine θ.

        `fisher_min` is λ_min(F). `parameter_error` is |θ − θ_true|. Of moments that were measured, `expected_error`,
        the root of the trace of the sandwich, is the error to expect of the maximum-likelihood θ̂, and
        `error_bound` = √Tr Cov(η̂)/λ_min bounds it.
        Both fall with the root of the number of copies: `copies_for_0.1` says how many make the first 0.1.
        """
        found: dict[str, Float[Array, ""]] = {}
        if self.target is not None:
            log_p, basis = self.model.spectrum(params)
            amplitudes = self.target.basis.conj().T @ basis
            overlap = jnp.abs(amplitudes) ** 2
            found["relative_entropy"] = relative_entropy_from_spectra(self.target.log_p, log_p, overlap)
            found["fidelity"] = fidelity_from_spectra(self.target.log_p, log_p, amplitudes)
            found["trace_distance"] = trace_distance_from_spectra(self.target.log_p, log_p, amplitudes)
        if self.moments is not None:
            fisher = self.metric("bkm").at(params).as_matrix()
            smallest = jnp.linalg.eigvalsh(fisher)[0]
            found["fisher_min"] = smallest
            if self.theta_true is not None:
                found["parameter_error"] = jnp.linalg.norm(params - self.theta_true)
            if self.covariance is not None:
                square = jnp.trace(sandwich(fisher, self.covariance, self.ridge))
                found["expected_error"] = jnp.sqrt(square)
                found["error_bound"] = jnp.sqrt(jnp.trace(self.covariance)) / (smallest + self.ridge)
                if self.copies is not None:
                    found["copies_for_0.1"] = self.copies * square / 0.1**2
        return found

    @property
    def reference(self) -> Mapping[str, Reference]:
        if self.least is None:
            return {"loss": Reference(0.0, "D(σ‖σ), reached if the model contains σ")}
        return {"loss": Reference(self.least, "maximum likelihood by Newton's method", 1e-12)}

    @eqx.filter_jit
    def artifacts(self, params: PyTree[Array]) -> dict[str, Artifact]:
        """Spectra of the trained state and of σ; θ and couplings of a GibbsFamily, standard errors and true values.

        There are no standard errors where the data are exact.

        The couplings are −θ/β, energies; or −θ, in nats, where β is not known.
        """
        log_p, _ = self.model.spectrum(params)
        spectra, thetas = {"modular_spectrum": jnp.sort(-log_p)}, {}
        if self.target is not None:
            spectra["exact_modular_spectrum"] = jnp.sort(-self.target.log_p)
        if self.moments is not None:
            thetas = {"": params} | ({} if self.theta_true is None else {EXACT: self.theta_true})
        if self.covariance is not None:
            fisher = self.metric("bkm").at(params).as_matrix()
            thetas[ERROR] = jnp.sqrt(jnp.diagonal(sandwich(fisher, self.covariance, self.ridge)))
        generators = getattr(self.model, "generators", None)
        along = {"generator": generators.strings} if isinstance(generators, PauliSum) else {}
        found = {name: Artifact(each, ("eigenstate",), {}, "nats", "modular energy") for name, each in spectra.items()}
        beta, unit = (1.0, "nats") if self.beta is None else (self.beta, "units of H")
        if not thetas:
            found |= named_parameters(self.model, params)
        for which, each in thetas.items():
            before, behind = (EXACT, "") if which == EXACT else ("", which)
            sign = 1 if which == ERROR else -1
            found[f"{before}theta{behind}"] = Artifact(each, ("generator",), along, "nats")
            found[f"{before}couplings{behind}"] = Artifact(
                sign * each / beta, ("generator",), along, unit, "coupling" if self.beta is not None else "β × coupling"
            )
        return found

    def trained(self, params: PyTree[Array]) -> ThermalState:
        """The state, thermal for its own Hamiltonian, −log ρ/β, or −log ρ at β = 1 where β is not known."""
        return ThermalState(self.model, params, beta=1.0 if self.beta is None else self.beta)


def _moments_of(family: GibbsFamily, data: Moments | Target) -> Moments:
    """The expectations of the generators, in their order."""
    terms = family.generators
    if isinstance(data, Moments):
        if not isinstance(terms, PauliSum):
            raise ValueError("Measured moments are of Pauli strings; give the GibbsFamily a PauliSum of them.")
        strangers = [string for string in data.strings if string not in terms.strings]
        if strangers:
            raise ValueError(
                f"The family has no generator {', '.join(strangers[:6])}; add it, or leave its moment out."
            )
        found = data.of(terms.strings)
        scale = np.asarray(terms.coefficients)
        return found._replace(values=scale * found.values, covariance=np.outer(scale, scale) * found.covariance)
    if isinstance(terms, PauliSum):
        _check_size(2**terms.n, data)
        return _moments_of(family, exact_moments(data.matrix, terms.strings))
    _check_size(terms.shape[1], data)
    values = np.einsum("aij,ji->a", terms, data.matrix).real
    return Moments(tuple(f"F[{a}]" for a in range(len(values))), values, np.zeros((len(values), len(values))), 0)


def _check_size(d: int, target: Target) -> None:
    if target.log_p.size != d:
        raise ValueError(f"The state is {target.log_p.size} x {target.log_p.size}, but the model {d} x {d}.")
