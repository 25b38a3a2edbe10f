"""How much of the identity is added to a metric before it is inverted.

A damping rule is a function (gradient norm, rejected tries so far, step) -> λ ≥ 0; these make the usual ones.
"""

from collections.abc import Callable
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Constant(eqx.Module):
    """λ, always."""

    value: Float[Array, ""]

    def __call__(self, norm: Float[Array, ""], rejected: Int[Array, ""], step: Int[Array, ""]) -> Float[Array, ""]:
        return self.value


class Scheduled(eqx.Module):
    """λ(step), by an optax schedule."""

    schedule: Callable[[Int[Array, ""]], Float[Array, ""]]

    def __call__(self, norm: Float[Array, ""], rejected: Int[Array, ""], step: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.asarray(self.schedule(step))


class Adaptive(eqx.Module):
    """Levenberg–Marquardt: λ = clip(slope·‖g‖, low, high)·4^min(rejected, 6).

    A floor that does not vanish keeps the null space of an over-parameterised model from blowing up; four times more
    after each rejected try bends the step towards plain descent until one is accepted.
    """

    low: Float[Array, ""]
    high: Float[Array, ""]
    slope: Float[Array, ""]

    def __call__(self, norm: Float[Array, ""], rejected: Int[Array, ""], step: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.clip(self.slope * norm, self.low, self.high) * 4.0 ** jnp.minimum(rejected, 6)


def adaptive(low: float = 1e-4, high: float = 1e-3, slope: float = 3e-4) -> Adaptive:
    """The default rule of `natural_gradient`; its numbers suit angles in radians and losses in nats.

    They were chosen on transverse-field Ising rings of four and six qubits with other seeds than the benchmarks use.
    """
    return Adaptive(*(jnp.asarray(x, dtype=float) for x in (low, high, slope)))


Rule = Constant | Scheduled | Adaptive
Damping = float | Float[Array, ""] | Literal["adaptive"] | Callable[[Int[Array, ""]], Float[Array, ""]] | Rule


def resolve(damping: Damping) -> Rule:
    """A rule from what a user writes: "adaptive", a number, an optax schedule, or a rule of this module."""
    if isinstance(damping, str):
        if damping != "adaptive":
            raise ValueError(f"Unknown damping '{damping}'; give a number, a schedule, or 'adaptive'.")
        return adaptive()
    if isinstance(damping, Constant | Scheduled | Adaptive):
        return damping
    if callable(damping):
        return Scheduled(damping)
    return Constant(jnp.asarray(damping, dtype=float))
