"""The BKM metric of a latent model from sampled bitstrings."""

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Float, PRNGKeyArray

from qnat.geometry.metric import AbstractMetric
from qnat.geometry.operators import BlockDiagonal
from qnat.inference.estimate import Estimate

from ..models import Frame, LatentGibbs
from ..models.latent import Params

_METRIC = 1  # the stream of a step's key that the metric draws from; the loss and its gradient take stream 0


def bitstring_counts(log_p: Float[Array, " d"], shots: int, *, key: PRNGKeyArray) -> Float[Array, " d"]:
    """How often each bitstring is met in `shots` independent draws from p."""
    return jax.random.multinomial(key, jnp.asarray(shots, log_p.dtype), jnp.exp(log_p))


def absolute(matrix: Float[Array, "P P"]) -> Float[Array, "P P"]:
    """|G| = V |e| Vᵀ of a symmetric matrix: what makes an indefinite estimate safe to damp and to solve with."""
    values, vectors = jnp.linalg.eigh(matrix)
    return (vectors * jnp.abs(values)) @ vectors.T


class SampledMetric(AbstractMetric):
    """The BKM metric as N bitstrings x ~ p estimate it: unbiased, symmetric, indefinite; made positive by |·|.

    Latent block: the sample covariance of ∂E. Circuit block: G_kl = 2 E_x Σ_y (E_y − E_x) Re(conj W_k W_l)[x, y] with
    the frame generators W of the simulated circuit; the noise is that of the bitstrings. The block between the two
    vanishes and is not estimated. SLD and Wigner–Yanase have no such estimator: they need the probabilities p(x).

    Attributes:
        model: a LatentGibbs.
        shots: N ≥ 2, bitstrings an evaluation.

    Reference: F. Sbahi et al., arXiv:2206.04663.
    """

    model: LatentGibbs
    shots: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.shots < 2:
            raise ValueError(f"A sample covariance needs at least two shots; got {self.shots}.")

    def at(self, params: Params, batch: None = None, *, key: PRNGKeyArray | None = None) -> BlockDiagonal:
        """|Ĝ| of fresh bitstrings, positive semidefinite: what a solver applies is (|e| + λ)⁻¹."""
        frame, counts = self._draw(params, key)
        blocks = {"latent": _covariance(frame, counts), "angles": absolute(_circuit_block(frame, counts))}
        return BlockDiagonal({n: lx.MatrixLinearOperator(b, lx.positive_semidefinite_tag) for n, b in blocks.items()})

    def estimate(self, params: Params, *, key: PRNGKeyArray) -> dict[str, Estimate]:
        """The two blocks as dense matrices without |·|: unbiased, with the standard error of every entry."""
        frame, counts = self._draw(params, key)
        return {
            "latent": Estimate(_covariance(frame, counts), _covariance_error(frame, counts)),
            "angles": Estimate(_circuit_block(frame, counts), _circuit_error(frame, counts)),
        }

    def _draw(self, params: Params, key: PRNGKeyArray | None) -> tuple[Frame, Float[Array, " d"]]:
        if key is None:
            raise ValueError("A sampled metric draws bitstrings at every evaluation; pass key=.")
        frame = self.model.frame(params)
        return frame, bitstring_counts(frame.log_p, self.shots, key=jax.random.fold_in(key, _METRIC))


def _covariance(frame: Frame, counts: Float[Array, " d"]) -> Float[Array, "T T"]:
    shots = jnp.sum(counts)
    return frame.model.latent.covariance(-frame.latent, counts / shots).as_matrix() * shots / (shots - 1)


def _covariance_error(frame: Frame, counts: Float[Array, " d"]) -> Float[Array, "T T"]:
    shots = jnp.sum(counts)
    statistics = frame.model.statistics(frame.latent)
    squares = (statistics - counts @ statistics / shots) ** 2
    variance = (counts * squares.T) @ squares / shots - _covariance(frame, counts) ** 2
    return jnp.sqrt(jnp.maximum(variance, 0) / (shots - 1))


def _circuit_block(frame: Frame, counts: Float[Array, " d"]) -> Float[Array, "P P"]:
    """Σ_xy (n_x − n_y)/N (log p_x − log p_y) Re(conj W_k W_l)[x, y]: the bitstrings' mean, symmetrised in x and y."""
    drawn = counts / jnp.sum(counts)
    weights = (drawn[:, None] - drawn) * (frame.log_p[:, None] - frame.log_p)
    rows = frame.matrices.reshape(-1, counts.size**2)
    return (rows * weights.ravel()) @ rows.T


def _circuit_error(frame: Frame, counts: Float[Array, " d"]) -> Float[Array, "P P"]:
    """From the spread of the contributions of single bitstrings."""
    shots = jnp.sum(counts)
    turned = frame.matrices.mT
    parts = jnp.concatenate([frame.matrices - turned, frame.matrices + turned], axis=2) / 2  # Re W and Im W, or less
    gaps = frame.log_p[:, None] - frame.log_p  # E_y − E_x
    gaps = jnp.concatenate([gaps, gaps], axis=1)

    def squared(total: Float[Array, "P P"], row: tuple[Array, Array, Array]) -> tuple[Float[Array, "P P"], None]:
        count, gap, each = row
        return total + count * (2 * (each * gap) @ each.T) ** 2, None

    start = jnp.zeros((len(parts), len(parts)), parts.dtype)
    squares, _ = jax.lax.scan(squared, start, (counts, gaps, jnp.moveaxis(parts, 1, 0)))
    variance = squares / shots - _circuit_block(frame, counts) ** 2
    return jnp.sqrt(jnp.maximum(variance, 0) / (shots - 1))
