"""Hidden Markov models with their data."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from qnat.experiment.measures import Artifact

from ..data.missing import Sequences
from ..models.chains import HiddenMarkov, HiddenMarkovParams
from ..models.emissions import AbstractEmission, Symbols, probabilities
from ..models.trained_densities import TrainedMarkov
from .components import described_components, emission_freedom, gaussians, lost, maximised, spread
from .densities import AbstractLatentDensity, Centred
from .view import View


class MarkovDensity(AbstractLatentDensity):
    """A hidden Markov model of `states` states."""

    model: HiddenMarkov
    data: Sequences
    names: tuple[str, ...] = eqx.field(static=True)
    items: float = eqx.field(static=True)
    centre: Float[Array, " d"]
    states: int = eqx.field(static=True)
    view: View | None

    def start(self, key: PRNGKeyArray) -> HiddenMarkovParams:
        """States that are as likely to stay as to go anywhere."""
        emission = spread(self.model.emission, self.data.rows, self.states, key)
        move = np.eye(self.states) / 2 + 1 / (2 * self.states)
        return maximised(self.model, (np.ones(self.states), move, emission))

    def log_prior(self, theta: HiddenMarkovParams) -> Float[Array, ""]:
        return self.model.emission.penalty(theta[2])

    def described(self, theta: HiddenMarkovParams) -> dict[str, Artifact]:
        """The probabilities of first states and of moves, and the distribution of a row in every state."""
        start, move, emission = theta
        along = {"state": range(1, self.states + 1), "next_state": range(1, self.states + 1)}
        return {
            "start": Artifact(probabilities(start), ("state",), {"state": along["state"]}),
            "transitions": Artifact(probabilities(move), ("state", "next_state"), along, long_name="probability"),
        } | described_components(self.model.emission, emission, self.names, self.centre, self.view, "state")

    def trained(self, theta: HiddenMarkovParams) -> TrainedMarkov:
        symbols = isinstance(self.model.emission, Symbols)
        return TrainedMarkov(self.model, theta, jnp.zeros_like(self.centre) if symbols else self.centre)

    def failed(self, theta: HiddenMarkovParams) -> str:
        return lost(self.model.emission, theta[2], "state")

    @property
    def freedom(self) -> int:
        moves = (self.states + 1) * (self.states - 1)
        return moves + emission_freedom(self.model.emission, self.states, len(self.names))


def hidden_markov(data: Centred, states: int, emission: str, prior: float) -> MarkovDensity:
    """A hidden Markov model and its data.

    Args:
        data: rows in sequences. states: how many. emission: the covariance of a row, or categorical.
        prior: as of `gaussian_mixture`.

    Raises:
        RefusedError: there are fewer rows than states; the values are not symbols.
    """
    data.check_items(states, "states")
    centre = data.centre
    if emission == "categorical":
        data = data.as_symbols
        most = np.nanmax(data.table.values, axis=0).astype(int)
        sizes = tuple(int(each) + 1 for each in most)
        found: AbstractEmission = Symbols(sizes=sizes, prior=jnp.asarray(prior / data.weight))
    else:
        found = gaussians(data, emission, prior)
    return MarkovDensity(
        model=HiddenMarkov(found),
        data=data.sequences,
        names=data.table.names,
        items=data.weight,
        centre=jnp.asarray(centre),
        states=states,
        view=None if emission == "categorical" else View.of(data),
    )
