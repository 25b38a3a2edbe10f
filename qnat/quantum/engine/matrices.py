"""From angles to window matrices: the only part of the engine that automatic differentiation goes through.

Everything is batched over the circuit: sines and cosines of all angles, then runs, blocks, layers and windows, each a
product of pairs in a tree, so that the traced program does not grow with the circuit.
"""

import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Inexact

from .factors import Gates, Program
from .plan import Plan


def gate_matrices(gates: Gates, angles: Float[Array, " P"], planes: int) -> Inexact[Array, "G d d"]:
    """The matrices of all gates of one size, the identity first; real for a circuit of one plane."""
    terms = gates.terms if planes == 2 else gates.terms.real
    dtype = jnp.result_type(angles.dtype, jnp.complex64) if planes == 2 else angles.dtype
    # fixed gates have angle −1 and ω = 0, whatever stands there
    turned = gates.omega.astype(angles.dtype) * (angles[gates.angle] if angles.size else jnp.zeros(len(gates.angle)))
    cos, sin = jnp.cos(turned)[:, None, None], jnp.sin(turned)[:, None, None]
    return (
        jnp.asarray(terms[:, 0], dtype) + cos * jnp.asarray(terms[:, 1], dtype) + sin * jnp.asarray(terms[:, 2], dtype)
    )


def multiply(a: Inexact[Array, "... a b"], b: Inexact[Array, "... b c"]) -> Inexact[Array, "... a c"]:
    """Small products without a dot, which XLA on a CPU runs slowly where it is complex."""
    terms = [a[..., :, i, None] * b[..., i, None, :] for i in range(a.shape[-1])]
    return functools.reduce(jnp.add, terms)


def _product(factors: Inexact[Array, "... J d d"], multiply: Callable) -> Inexact[Array, "... d d"]:
    """factors[J−1] … factors[0], by halves."""
    while (count := factors.shape[-3]) > 1:
        pairs = multiply(factors[..., 1::2, :, :], factors[..., 0 : count - count % 2 : 2, :, :])
        factors = jnp.concatenate([pairs, factors[..., count - count % 2 :, :, :]], axis=-3)
    return factors[..., 0, :, :]


def kron(a: Inexact[Array, "... p q"], b: Inexact[Array, "... r s"]) -> Inexact[Array, "... pr qs"]:
    """Kronecker products, batched."""
    product = a[..., :, None, :, None] * b[..., None, :, None, :]
    return product.reshape(*product.shape[:-4], a.shape[-2] * b.shape[-2], a.shape[-1] * b.shape[-1])


def prefixes(
    factors: Inexact[Array, "N J d d"],
) -> tuple[Inexact[Array, "N J d d"], Inexact[Array, "N d d"]]:
    """Products of the factors before each one, and of all."""
    through = lax.associative_scan(lambda a, b: multiply(b, a), factors, axis=1)
    identity = jnp.broadcast_to(jnp.eye(factors.shape[-1], dtype=factors.dtype), factors[:, :1].shape)
    return jnp.concatenate([identity, through[:, :-1]], axis=1), through[:, -1]


def _layers(program: Program, angles: Float[Array, " P"], planes: int) -> Inexact[Array, "T J K K"]:
    """All Kronecker layers, each with its wires in an order of its own."""
    ones, twos = (gate_matrices(gates, angles, planes) for gates in (program.ones, program.twos))
    runs = _product(ones[program.runs], multiply)
    factors = []
    if program.blocks.shape[-1]:
        step, first, second = np.moveaxis(program.steps, -1, 0)
        steps = kron(runs[first], runs[second])
        if len(twos) > 1:
            steps = multiply(twos[step], steps)
        blocks = _product(steps, multiply)
        factors += [blocks[program.blocks[..., i]] for i in range(program.blocks.shape[-1])]
    factors += [runs[program.singles[..., i]] for i in range(program.singles.shape[-1])]
    return functools.reduce(kron, factors)


def _reorderings(program: Program) -> Float[np.ndarray, "T J K K"]:
    """Permutation matrices from the order of wires of the layer before into that of every layer."""
    before = np.concatenate([program.orders[:, :1], program.orders[:, :-1]], axis=1)
    # place i of a layer holds the wire that stood at place source[i]
    source = np.argsort(before, axis=-1)
    source = np.take_along_axis(source, program.orders, axis=-1)
    k = source.shape[-1]
    bits = np.arange(2**k)[:, None] >> np.arange(k)[::-1] & 1
    index = (bits[None, None] << (k - 1 - source)[:, :, None, :]).sum(-1)
    return 1.0 * (index[..., None] == np.arange(2**k))


def _to_real(v: Inexact[Array, "... K K"]) -> Float[Array, "... 2K K"]:
    return jnp.concatenate([v.real, v.imag], axis=-2)


def _multiply_real(a: Float[Array, "... 2K K"], b: Float[Array, "... 2K K"]) -> Float[Array, "... 2K K"]:
    """The product of complex matrices [Re; Im] as one real product."""
    size = a.shape[-1]
    real, imag = a[..., :size, :], a[..., size:, :]
    turned = jnp.concatenate([-imag, real], axis=-2)
    return jnp.matmul(jnp.concatenate([a, turned], axis=-1), b)


def window_matrices(plan: Plan, angles: Float[Array, " P"]) -> Float[Array, "T cK cK"]:
    """W with new row = row @ W, on rows of K amplitudes of `plan.planes` interleaved real numbers."""
    if angles.shape != (plan.num_angles,):
        raise ValueError(f"The circuit has {plan.num_angles} angles; got an array of shape {angles.shape}.")
    size = 2**plan.k
    if plan.windows == 0:
        return jnp.zeros((0, plan.planes * size, plan.planes * size), angles.dtype)
    layers = _layers(plan.program, angles, plan.planes)
    depth = layers.shape[1]
    if plan.planes == 2:
        layers = _to_real(layers)
    if depth > 1:
        layers = jnp.matmul(layers, jnp.asarray(_reorderings(plan.program), layers.dtype))
    v = _product(layers, _multiply_real if plan.planes == 2 else jnp.matmul)
    return rows_of(v[:, :size], v[:, size:]) if plan.planes == 2 else v.mT


def rows_of(real: Float[Array, "... K K"], imag: Float[Array, "... K K"]) -> Float[Array, "... 2K 2K"]:
    """The matrix that multiplies rows of interleaved real and imaginary parts from the right."""
    real, imag = real.mT, imag.mT  # out[i] = Σ_j V[i, j] in[j]
    rows = jnp.stack([jnp.stack([real, imag], -1), jnp.stack([-imag, real], -1)], -3)
    return rows.reshape(*real.shape[:-2], 2 * real.shape[-2], 2 * real.shape[-1])


def layer_rows(
    plan: Plan, angles: Float[Array, " P"]
) -> tuple[Float[Array, "T J cK cK"], Float[np.ndarray, "T J cK cK"]]:
    """Every layer and the reordering of wires before it, as matrices that rows of a window pass through in turn."""
    layers = _layers(plan.program, angles, plan.planes)
    orders = np.kron(np.swapaxes(_reorderings(plan.program), -1, -2), np.eye(plan.planes))
    return rows_of(layers.real, layers.imag) if plan.planes == 2 else layers.mT, orders
