"""Inference of the parameters of a model."""

import types
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from qnat.experiment.errors import RefusedError
from qnat.experiment.measures import Artifact, Measure, Panel
from qnat.experiment.task import Task
from qnat.geometry.families import Gaussian
from qnat.inference.chains import effective_sample_size, split_r_hat

from ..models.approximations import AbstractApproximation, AbstractDensityApproximation, GaussianApproximation
from ..models.posterior import Posterior
from ..models.trained_posterior import TrainedPosterior

_DRAWS = 1000
_KEY = 20211130
"""Of the draws that evaluate: the same at every step, none that a step has seen."""


class PosteriorTask(Task):
    """The posterior of a model, for which a Gaussian or the draws of chains will stand.

    Attributes:
        posterior: the model with its data. approximation: what stands for it; None for a Gaussian of any covariance.
        prepared: makes inputs of the model of a user's, for predictions.

    Raises:
        RefusedError: the model is not finite at its start.
    """

    name = "posterior"
    measures = (Measure("elbo", "nats", better="higher"), Measure("r_hat"))
    units = types.MappingProxyType({"loss": "nats", "elbo_error": "nats", "effective_sample_size": ""})
    panels = (Panel("points", "parameters"), Panel("matrix", "correlations"))
    posterior: Posterior
    approximation: AbstractApproximation
    prepared: Callable[[Any], Any] | None

    def __init__(
        self,
        posterior: Posterior,
        approximation: AbstractApproximation | None = None,
        prepared: Callable[[Any], Any] | None = None,
    ) -> None:
        if fault := posterior.fault():
            raise RefusedError(fault)
        self.posterior, self.prepared = posterior, prepared
        self.approximation = GaussianApproximation(Gaussian()) if approximation is None else approximation

    def init(self, key: PRNGKeyArray) -> PyTree[Array]:
        return self.approximation.start(self.posterior)

    def value_and_grad(
        self, params: PyTree[Array], batch: Any = None, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, ""], PyTree[Array]]:
        raise RefusedError("A posterior has no gradient by what stands for it; give a process, such as qbvi.")

    def evaluate(self, params: PyTree[Array]) -> dict[str, Float[Array, ""]]:
        """Of a Gaussian the evidence lower bound and its standard error; of chains the worst R-hat and size."""
        kind = self.approximation
        if not isinstance(kind, AbstractDensityApproximation):
            worst = jnp.max(split_r_hat(params)), jnp.min(effective_sample_size(params))
            return dict(zip(("r_hat", "effective_sample_size"), worst, strict=True))
        values = kind.log_weights(self.posterior, params, jax.random.key(_KEY), _DRAWS)
        return {"elbo": jnp.mean(values), "elbo_error": jnp.std(values) / _DRAWS**0.5}

    def artifacts(self, params: PyTree[Array]) -> Mapping[str, Array | Artifact]:
        """Means, standard deviations and correlations, by the names of the parameters."""
        mean, covariance = self.approximation.moments(params)
        deviation = jnp.sqrt(jnp.diagonal(covariance))
        names = {"parameter": self.posterior.names}
        return {
            "parameters": Artifact(mean, ("parameter",), names),
            "parameters_error": Artifact(deviation, ("parameter",), names, long_name="posterior standard deviation"),
            "correlations": Artifact(
                covariance / jnp.outer(deviation, deviation),
                ("parameter", "with"),
                {**names, "with": self.posterior.names},
            ),
        }

    def trained(self, params: PyTree[Array]) -> TrainedPosterior:
        """The posterior, which samples, predicts with intervals and tells its evidence lower bound."""
        return TrainedPosterior(self.posterior, self.approximation, params, self.prepared)

    def trouble(self, params: PyTree[Array]) -> str:
        return "The steps are too long, or a draw has no density; choose a baseline, a smaller rate, or more samples."
