"""Chains of hidden states that are seen through rows."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from qnat.geometry.joint import Joint
from qnat.inference.em import AbstractLatentModel

from ..data.missing import Sequences
from .emissions import AbstractEmission, finite_log

HiddenMarkovParams = tuple[Float[Array, " K"], Float[Array, "K K"], Joint]
"""(log p of the first state, log p of the next state, a row for each present one, emission with πₖ = 1)."""


class HiddenMarkov(AbstractLatentModel):
    """A hidden Markov model of K states: which state a row is of is not seen, and depends on that of the row before.

    Parameters are logarithms of probabilities and the (a, θ) of the emission, `HiddenMarkovParams`.

    Attributes:
        emission: the distributions of a row in each of the states.

    Reference: L. Baum, T. Petrie, G. Soules, N. Weiss, Ann. Math. Stat. 41, 164 (1970).
    """

    emission: AbstractEmission

    def clamped(self, theta: HiddenMarkovParams, data: Sequences) -> Float[Array, ""]:
        start, move, emission = theta
        penalty = self.emission.penalty(emission)
        return self.path_sum(start, move, self.emission.scores(emission, data.rows)[data.order], data) + penalty

    def path_sum(
        self,
        start: Float[Array, " K"],
        move: Float[Array, "K K"],
        scores: Float[Array, "S T K"],
        data: Sequences,
        *,
        best: bool = False,
    ) -> Float[Array, ""]:
        """log Σ exp(score) over all paths of a sequence, or the score of the best one, as a mean over rows.

        Its derivatives in the scores of rows are the probabilities of states given a sequence, or the best path.
        """
        over = jnp.max if best else jax.nn.logsumexp

        def one(scores: Float[Array, "T K"], length: Int[Array, ""]) -> Float[Array, ""]:
            def step(log: Float[Array, " K"], row: tuple[Array, Array]) -> tuple[Float[Array, " K"], None]:
                time, score = row
                return jnp.where(time < length, over(log[:, None] + move, axis=0) + score, log), None

            first = start + scores[0]
            return over(jax.lax.scan(step, first, (jnp.arange(1, len(scores)), scores[1:]))[0], axis=0)

        return jnp.vdot(data.weights, jax.vmap(one)(scores, jnp.asarray(data.lengths))) / data.total

    def maximise(self, eta: HiddenMarkovParams) -> HiddenMarkovParams:
        start, move, emission = eta
        logits, parts = self.emission.maximise(emission)
        left = jnp.sum(move, axis=1, keepdims=True)
        # from a state that no path leaves, one that a prior keeps, all moves are alike
        moves = jnp.where(left > 0, move, 1) / jnp.where(left > 0, left, len(move))
        return (
            finite_log(start / jnp.sum(start)),
            finite_log(moves),
            (logits - jnp.log(emission[0]), parts),
        )
