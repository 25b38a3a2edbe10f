"""Models with a table of data as posteriors: inputs of unit variance, priors, and refusals of what has no posterior."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PyTree

from qnat.experiment.errors import RefusedError

from ..data.responses import Responses
from ..models import regression
from ..models.gaussian import LOG_2PI
from ..models.posterior import Posterior
from ..models.regression import Design

_BINARY = ("logistic", "probit")


class Prior(eqx.Module):
    """Independent normal parameters of one mean and standard deviation; flat without the latter.

    Attributes:
        mean: m. deviation: s, or None for a density of 1 everywhere.
    """

    mean: Float[Array, ""]
    deviation: Float[Array, ""] | None

    def __init__(self, mean: float = 0.0, deviation: float | None = 1.0) -> None:
        self.mean = jnp.asarray(mean, float)
        self.deviation = None if deviation is None else jnp.asarray(deviation, float)

    def log_prob(self, params: PyTree[Array]) -> Float[Array, ""]:
        if self.deviation is None:
            return jnp.zeros(())
        deviation = self.deviation

        def one(x: Array) -> Float[Array, ""]:
            return jnp.sum(-(((x - self.mean) / deviation) ** 2) / 2 - jnp.log(deviation) - LOG_2PI / 2)

        return jax.tree.reduce(jnp.add, jax.tree.map(one, params))


class WithPrior(eqx.Module):
    """(parameters, data) ↦ log p(data | parameters) + log p(parameters)."""

    likelihood: Callable[[Any, Any], Float[Array, ""]]
    prior: Prior

    def __call__(self, params: PyTree[Array], data: Any) -> Float[Array, ""]:
        return self.likelihood(params, data) + self.prior.log_prob(params)


class Scaled(eqx.Module):
    """Rows of a user's to rows of a design: less a centre, over a scale, behind a one."""

    centre: Float[Array, " d"]
    scale: Float[Array, " d"]

    def __call__(self, inputs: Float[ArrayLike, "M d"]) -> Float[Array, "M d+1"]:
        x = jnp.asarray(inputs, float)
        if x.ndim != 2 or x.shape[1] != len(self.centre):
            raise ValueError(f"Inputs are rows of {len(self.centre)} values; got an array of shape {x.shape}.")
        return jnp.concatenate([jnp.ones((len(x), 1)), (x - self.centre) / self.scale], axis=1)


class _Mean(eqx.Module):
    """The mean of a response, in its own units."""

    link: Callable[[Array], Array]
    centre: Float[Array, ""]
    scale: Float[Array, ""]

    def __call__(self, params: Any, x: Float[Array, "M d"]) -> Float[Array, " M"]:
        return self.centre + self.scale * self.link(x @ params["weights"])


def _identity(x: Array) -> Array:
    return x


_LINKS: dict[str, Callable[[Array], Array]] = {
    "linear": _identity,
    "logistic": jax.nn.sigmoid,
    "probit": jax.scipy.stats.norm.cdf,
    "poisson": jnp.exp,
}


def regression_posterior(model: str, data: Responses, prior: Prior) -> tuple[Posterior, Scaled]:
    """The posterior of a regression, and what makes inputs of it of a user's.

    Inputs, and the response of a linear regression, have mean 0 and variance 1; there is an intercept.

    Args:
        model: linear, logistic, probit or poisson. data: inputs and response. prior: of every parameter.

    Raises:
        RefusedError: a response that the model cannot have, a constant column, or a flat prior without a posterior.
    """
    _check_response(model, data)
    centre, scale = data.x.mean(axis=0), data.x.std(axis=0)
    for name, mean, deviation in zip(data.names, centre, scale, strict=True):
        if not deviation > 8 * np.finfo(float).eps * abs(mean):
            raise RefusedError(f"Column {name} is constant, as the intercept is; leave it out with columns.")
    x = np.column_stack([np.ones(len(data.x)), (data.x - centre) / scale])
    y_centre, y_scale = (data.y.mean(), data.y.std()) if model == "linear" else (0.0, 1.0)
    y = (data.y - y_centre) / y_scale
    names = ("intercept", *data.names)
    if prior.deviation is None:
        _check_flat(model, x, y, names)
    start = {"weights": np.zeros(x.shape[1])}
    if model == "linear":
        start, names = {"log_noise": np.zeros(()), **start}, ("log_noise", *names)
    mean = _Mean(_LINKS[model], jnp.asarray(y_centre), jnp.asarray(y_scale))
    joint = WithPrior(getattr(regression, model), prior)
    design = Design(jnp.asarray(x), jnp.asarray(y))
    posterior = Posterior(joint, start, design, names=names, predict=mean)
    return posterior, Scaled(jnp.asarray(centre), jnp.asarray(scale))


def garch_posterior(returns: Float[np.ndarray, " N"], called: str, prior: Prior) -> Posterior:
    """The posterior of a GARCH(1,1) model of returns, whose mean is taken off and whose variance is made 1.

    Raises:
        RefusedError: the returns are constant.
    """
    deviation = returns.std()
    if not deviation > 8 * np.finfo(float).eps * abs(returns.mean()):
        raise RefusedError(f"Column {called} is constant, and has no volatility; choose another.")
    start = {"log_variance": 0.0, "news": -2.0, "persistence": 2.0}
    scaled = jnp.asarray((returns - returns.mean()) / deviation)
    return Posterior(WithPrior(regression.garch, prior), start, scaled, names=tuple(start))


def _check_response(model: str, data: Responses) -> None:
    y = data.y
    if model in _BINARY and not np.isin(y, (0, 1)).all():
        odd = y[~np.isin(y, (0, 1))][0]
        raise RefusedError(f"Column {data.called} holds {odd:g}, and labels of model {model} are 0 and 1; number them.")
    if model == "poisson" and not ((y >= 0) & (y == np.round(y))).all():
        odd = y[~((y >= 0) & (y == np.round(y)))][0]
        raise RefusedError(f"Column {data.called} holds {odd:g}, and model poisson takes counts 0, 1, 2, ….")
    if model != "poisson" and y.std() == 0:
        raise RefusedError(f"Column {data.called} is constant, and tells nothing; choose another target.")


def _check_flat(model: str, x: Float[np.ndarray, "N d"], y: Float[np.ndarray, " N"], names: tuple[str, ...]) -> None:
    """Refuses a flat prior where the likelihood is constant along a direction, or rises for ever along one."""
    for k in range(2, x.shape[1] + 1):
        if np.linalg.matrix_rank(x[:, :k]) < k:
            raise RefusedError(
                f"Column {names[k - 1]} is a combination of those before it, which a flat prior leaves undecided; "
                "leave it out with columns, or choose prior normal."
            )
    if model == "linear" and np.sum((y - x @ np.linalg.lstsq(x, y)[0]) ** 2) < 1e-20 * len(y):
        raise RefusedError(
            "The inputs give the response exactly, so that the density rises for ever as the noise falls and a flat "
            "prior has no posterior; choose prior normal."
        )
    if model == "poisson" and _rises(x[y == 0], x[y > 0]):
        raise RefusedError(
            "The rows of count 0 lie on one side of a plane that holds all others, so that the likelihood rises for "
            "ever and a flat prior has no posterior; choose prior normal."
        )
    if model in _BINARY and _rises(-(2 * y - 1)[:, None] * x, x[:0]):
        raise RefusedError(
            "A plane separates the two labels, so that the likelihood rises for ever and a flat prior has no "
            "posterior; choose prior normal."
        )


def _rises(lower: Float[np.ndarray, "M d"], still: Float[np.ndarray, "L d"]) -> bool:
    """Whether some direction lowers x·v of rows, raises none of them, and leaves the others as they are."""
    from scipy.optimize import linprog

    found = linprog(
        lower.sum(axis=0),
        A_ub=lower,
        b_ub=np.zeros(len(lower)),
        A_eq=still if len(still) else None,
        b_eq=np.zeros(len(still)) if len(still) else None,
        bounds=(-1, 1),
    )
    return bool(found.status == 0 and -found.fun > 1e-7 * (len(lower) + len(still)))
