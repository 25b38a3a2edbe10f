"""Sums over data in chunks, whose gradients hold one chunk at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

Summand = Callable[[PyTree[Array], PyTree[Array]], Float[Array, ""]]


def summed(summand: Summand, theta: PyTree[Array], chunks: PyTree[Array]) -> Float[Array, ""]:
    """Σ summand(θ, chunk) over the first axis of the chunks, differentiable once, in reverse, and in θ alone.

    The derivatives are collected in the same pass as the values: what a chunk needs in between is never held for two of
    them, and nothing is computed twice. A summand that closes over other arrays is constant in them.
    """
    return _summed(summand, theta, chunks)


def _add(a: PyTree[Array], b: PyTree[Array]) -> PyTree[Array]:
    return jax.tree.map(jnp.add, a, b)


def _over(function: Callable[[PyTree[Array]], PyTree[Array]], chunks: PyTree[Array]) -> Any:
    """Σ function(chunk); of a single chunk without a loop, in which XLA would not share a product between threads."""
    first = jax.tree.map(lambda leaf: leaf[0], chunks)
    if len(jax.tree.leaves(chunks)[0]) == 1:
        return function(first)
    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(function, first))
    return jax.lax.scan(lambda total, chunk: (_add(total, function(chunk)), None), zero, chunks)[0]


def _value(summand: Summand, theta: PyTree[Array], chunks: PyTree[Array]) -> Float[Array, ""]:
    return _over(lambda chunk: summand(theta, chunk), chunks)


_summed = jax.custom_vjp(_value, nondiff_argnums=(0,))


def _forward(summand: Summand, theta: PyTree[Array], chunks: PyTree[Array]) -> tuple[Float[Array, ""], PyTree[Array]]:
    return _over(lambda chunk: jax.value_and_grad(summand)(theta, chunk), chunks)


def _backward(_summand: Summand, slope: PyTree[Array], cotangent: Float[Array, ""]) -> tuple[PyTree[Array], None]:
    return jax.tree.map(lambda leaf: cotangent * leaf, slope), None


_summed.defvjp(_forward, _backward)
