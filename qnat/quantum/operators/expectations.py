"""Expectations of Pauli sums on real planes of states."""

import functools

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float, Int

from .planes import Masks, States, apply, plain, signs, with_phases


def _inner(a: States, b: States) -> Float[Array, " batch"]:
    return jnp.sum(a * b, axis=(1, 2))


@functools.partial(jax.jit, static_argnums=0)
def string_expectations(masks: Masks, states: States) -> Float[Array, "batch T"]:
    """⟨v|Pⱼ|v⟩ for every string: the derivative of ⟨v|H|v⟩ by its coefficient, which shares flips as the sum does."""
    n = states.shape[1].bit_length() - 1

    def value(coefficients: Float[Array, " T"], state: States) -> Float[Array, ""]:
        return jnp.sum(state * plain(masks, with_phases(masks, coefficients), n, state))

    ones = jnp.ones(len(masks), states.dtype)
    return jax.vmap(lambda state: jax.grad(value)(ones, state[None]))(states)


def apply_string(masks: Masks, index: Int[Array, ""], planes: Float[Array, "planes d m"]) -> Float[Array, "planes d m"]:
    """Pⱼ on the columns of planes that are stacked along the first axis: one gather of rows, which may cross planes."""
    count, d, _ = planes.shape
    x, z = jnp.asarray(masks).T[:, index]
    turns = jnp.bitwise_count(x & z).astype(int) % 4  # (−i)^turns: the real part gets ±imaginary for odd ones
    row_signs = signs(z[None], jnp.arange(d))[0]
    plane_signs = jnp.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])[turns, :count]
    source = (jnp.arange(count)[:, None] ^ (turns & 1)) * d + (jnp.arange(d) ^ x)
    rows = planes.reshape(count * d, -1).at[source.reshape(-1)].get(mode="promise_in_bounds", unique_indices=True)
    return rows.reshape(planes.shape) * (plane_signs[:, None] * row_signs)[..., None].astype(planes.dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
@functools.partial(jax.jit, static_argnums=0)
def expectation(masks: Masks, coefficients: Float[Array, " T"], states: States) -> Float[Array, " batch"]:
    """⟨v|H|v⟩ for every state of the batch; value and gradient together cost one product with H."""
    return _inner(states, apply(masks, coefficients, states))


@functools.partial(expectation.defjvp, symbolic_zeros=True)
def _expectation_jvp(
    masks: Masks, primals: tuple[Array, Array], tangents: tuple[Array | SymbolicZero, Array | SymbolicZero]
) -> tuple[Array, Array]:
    # d⟨v|H|v⟩ = 2⟨Hv, dv⟩ + Σ dcⱼ⟨v|Pⱼ|v⟩: linear in dv with Hv at hand, so reverse mode does not apply H again
    (coefficients, states), (change, moved) = primals, tangents
    product = apply(masks, coefficients, states)
    value = _inner(states, product)
    tangent = jnp.zeros_like(value)
    if not isinstance(moved, SymbolicZero):
        tangent = tangent + 2 * _inner(product, moved)
    if not isinstance(change, SymbolicZero):
        tangent = tangent + string_expectations(masks, states) @ change.astype(states.dtype)
    return value, tangent
