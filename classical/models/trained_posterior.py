"""A posterior that was inferred: draws, predictions with intervals, the evidence lower bound."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from qnat.inference.estimate import Estimate

from .approximations import AbstractApproximation, AbstractDensityApproximation
from .posterior import Posterior


class Prediction(NamedTuple):
    """Of every number that is predicted: the posterior mean, and the ends of a central interval."""

    mean: Float[Array, "..."]
    lower: Float[Array, "..."]
    upper: Float[Array, "..."]


class TrainedPosterior(eqx.Module):
    """A posterior and what stands for it.

    Attributes:
        posterior: the model with its data. approximation: the kind of stand-in. params: its parameters.
        prepared: makes inputs of the model of a user's.
    """

    posterior: Posterior
    approximation: AbstractApproximation
    params: PyTree[Array]
    prepared: Callable[[Any], Any] | None = None

    def sample(self, count: int, *, key: PRNGKeyArray) -> PyTree[Array]:
        """Draws of the parameters, shaped as the model has them, with a leading axis."""
        return jax.vmap(self.posterior.tree)(self.approximation.draws(self.params, key, count))

    def predict(
        self, inputs: Any, *, level: float = 0.9, samples: int = 1000, key: PRNGKeyArray | None = None
    ) -> Prediction:
        """What the model predicts of inputs: means and intervals over the posterior.

        Args:
            inputs: (M, d) rows like those of the data, without the response. level: of the intervals, in (0, 1).
            samples: draws that they are taken from. key: of them; None for one that is always the same.
        """
        if self.posterior.predict is None:
            raise ValueError("The model does not say what it predicts; use `expect` with a function of its parameters.")
        x = inputs if self.prepared is None else self.prepared(inputs)
        rule = self.posterior.predict
        return self.expect(lambda params: rule(params, x), level=level, samples=samples, key=key)

    def expect(
        self,
        fn: Callable[[Any], Array],
        *,
        level: float = 0.9,
        samples: int = 1000,
        key: PRNGKeyArray | None = None,
    ) -> Prediction:
        """The posterior mean of a function of the parameters, and a central interval of it."""
        if not 0 < level < 1:
            raise ValueError(f"The level of an interval is between 0 and 1; got {level}.")
        values = jax.vmap(fn)(self.sample(samples, key=jax.random.key(0) if key is None else key))
        lower, upper = jnp.quantile(values, jnp.array([(1 - level) / 2, (1 + level) / 2]), axis=0)
        return Prediction(jnp.mean(values, axis=0), lower, upper)

    def elbo(self, *, samples: int = 10_000, key: PRNGKeyArray | None = None) -> Estimate:
        """The evidence lower bound in nats, from fresh draws, with its standard error."""
        if not isinstance(self.approximation, AbstractDensityApproximation):
            raise ValueError("Draws of chains have no density, and no evidence lower bound; use another process.")
        return _elbo(self, jax.random.key(0) if key is None else key, samples)


@eqx.filter_jit
def _elbo(trained: TrainedPosterior, key: PRNGKeyArray, samples: int) -> Estimate:
    kind = trained.approximation
    assert isinstance(kind, AbstractDensityApproximation)
    values = kind.log_weights(trained.posterior, trained.params, key, samples)
    return Estimate(jnp.mean(values), jnp.std(values) / samples**0.5)
