"""Quantum channels on a few wires, by their Kraus operators."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Inexact

Probability = float | Float[Array, ""]


class Channel(eqx.Module):
    """ρ ↦ Σₖ Kₖ ρ Kₖ† on some wires, with Σₖ Kₖ†Kₖ = 1: it keeps the trace.

    Attributes:
        operators: (k, 2^w, 2^w) the Kₖ. wires: the w wires, the first the most significant.
    """

    operators: Inexact[Array, "k a a"]
    wires: tuple[int, ...] = eqx.field(static=True)

    def __check_init__(self) -> None:
        shape, size = jnp.shape(self.operators), 2 ** len(self.wires)
        if len(shape) != 3 or shape[1:] != (size, size) or len(set(self.wires)) != len(self.wires) or not self.wires:
            raise ValueError(
                f"A channel on distinct wires {self.wires} needs Kraus operators (k, {size}, {size}); got {shape}."
            )
        if isinstance(self.operators, jax.core.Tracer):
            return
        found = np.einsum("kba,kbc->ac", np.conj(self.operators), self.operators)
        excess = np.linalg.norm(found - np.eye(size), ord=2)
        if not excess <= 1e3 * np.finfo(found.dtype).eps:
            raise ValueError(
                f"Kraus operators need Σ K†K = 1; these miss it by {excess:.3g} (spectral norm), so they change the "
                "trace: complete the set, or divide it by a common factor."
            )

    def __call__(self, rho: Inexact[Array, "d d"]) -> Inexact[Array, "d d"]:
        """The state after the channel."""
        n, w = (len(rho) - 1).bit_length(), len(self.wires)
        K = self.operators
        # both sides of ρ at once: out[a, c] = Σ S[a, c, b, e] in[b, e]
        both = jnp.einsum("kab,kce->acbe", K, K.conj()).reshape((2,) * (4 * w))
        places = [*self.wires, *(n + wire for wire in self.wires)]
        out = jnp.tensordot(both, rho.reshape((2,) * (2 * n)), (list(range(2 * w, 4 * w)), places))
        return jnp.moveaxis(out, list(range(2 * w)), places).reshape(rho.shape)


def kraus(operators: ArrayLike, *wires: int) -> Channel:
    """The channel of the Kraus operators (k, 2^w, 2^w) on w wires.

    Raises:
        ValueError: they do not keep the trace.
    """
    array = jnp.asarray(operators)
    return Channel(array if jnp.issubdtype(array.dtype, jnp.inexact) else array.astype(float), wires)


def depolarizing(p: Probability, wire: int) -> Channel:
    """(1 − p)ρ + p·1/2 on a wire: p = 1 forgets everything. PennyLane's DepolarizingChannel(q) is p = 4q/3."""
    _check_probability(p)
    paulis = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    weights = jnp.sqrt(jnp.stack([jnp.asarray(x, float) for x in (1 - 0.75 * p, p / 4, p / 4, p / 4)]))
    return Channel(weights[:, None, None] * paulis, (wire,))


def amplitude_damping(gamma: Probability, wire: int) -> Channel:
    """|1⟩ decays to |0⟩ with probability γ."""
    _check_probability(gamma)
    kept, lost = (jnp.sqrt(jnp.asarray(x, float)) for x in (1 - gamma, gamma))
    operators = [[[1.0, 0.0], [0.0, kept]], [[0.0, lost], [0.0, 0.0]]]
    return Channel(jnp.array(operators), (wire,))


def phase_damping(gamma: Probability, wire: int) -> Channel:
    """Coherences between |0⟩ and |1⟩ shrink by √(1 − γ)."""
    _check_probability(gamma)
    kept, lost = (jnp.sqrt(jnp.asarray(x, float)) for x in (1 - gamma, gamma))
    operators = [[[1.0, 0.0], [0.0, kept]], [[0.0, 0.0], [0.0, lost]]]
    return Channel(jnp.array(operators), (wire,))


def _check_probability(p: Probability) -> None:
    if not isinstance(p, jax.core.Tracer) and not 0 <= float(p) <= 1:
        raise ValueError(f"The probability of a channel lies between 0 and 1; got {float(p)}.")
