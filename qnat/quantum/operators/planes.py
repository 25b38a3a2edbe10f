"""Pauli sums on real arrays of states: products, expectation values and their derivatives, without complex arithmetic.

States are arrays (batch, 2^n, planes): planes are 1 (real amplitudes) or 2 (real part, imaginary part). A string with
the bit masks (x, z) is a flip of the wires in x times a diagonal of signs; strings of equal x share the flip:

    (H v)[r] = Σₓ Dₓ[r] v[r ^ x],    Dₓ[r] = Σⱼ cⱼ (−i)^{|x & zⱼ|} (−1)^{|r & zⱼ|}.

Signs factorise over wires, so that Dₓ is a product of two tables of about 2^{n/2} columns; coefficients may be traced,
and no constant is as large as a state. An odd number of Y makes Dₓ imaginary: it exchanges the planes.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Inexact, Int

Masks = tuple[tuple[int, int], ...]
States = Inexact[Array, "batch d planes"]

# Measured on one core: rows of 2^9 amplitudes stay in the first cache, 2^5 x 2^4 make two small fast products of them.
_MIDDLE, _LOW = 5, 4
_BLOCKED = 12  # wires from which that pays
_UNROLLED = 32  # more flips than this are scanned, or compiling them would take longer than using them


class _Group(NamedTuple):
    """The strings that flip the wires in x and have the same parity of Y; `terms` are their positions."""

    x: int
    odd: bool
    terms: tuple[int, ...]


@functools.lru_cache(maxsize=64)
def _groups(masks: Masks) -> tuple[_Group, ...]:
    found: dict[tuple[int, bool], list[int]] = {}
    for position, (x, z) in enumerate(masks):
        found.setdefault((x, bool((x & z).bit_count() % 2)), []).append(position)
    return tuple(_Group(x, odd, tuple(terms)) for (x, odd), terms in found.items())


def with_phases(masks: Masks, coefficients: Float[Array, " T"]) -> Float[Array, " T"]:
    """cⱼ (−i)^{|x & z|}, without the factor i of the odd ones."""
    phases = np.array([(1.0, -1.0, -1.0, 1.0)[(x & z).bit_count() % 4] for x, z in masks])
    return coefficients * jnp.asarray(phases, coefficients.dtype)


def signs(z: Int[np.ndarray, " T"] | Int[Array, " T"], rows: Any) -> Any:
    """(−1)^{|r & z|} (T, rows) as integers: a table where z and the rows are known, else a computation."""
    xp = np if isinstance(z, np.ndarray) and isinstance(rows, np.ndarray) else jnp
    # the count is an unsigned byte, which has no −1
    return 1 - 2 * (xp.bitwise_count(rows & z[:, None]).astype(int) & 1)


def _diagonal(
    z: Int[np.ndarray, " T"] | Int[Array, " T"], coefficients: Float[Array, " T"], n: int
) -> Float[Array, "a b"]:
    """Σⱼ cⱼ (−1)^{|r & zⱼ|}, r = (high bits, low bits); an axis on which nothing is known to depend has length 1."""

    def table(z: Int[np.ndarray, " T"] | Int[Array, " T"], bits: int) -> Float[Array, "T _"]:
        idle = isinstance(z, np.ndarray) and not z.any()
        return jnp.asarray(signs(z, np.arange(1 if idle else 2**bits)), coefficients.dtype)

    low = n - n // 2
    return (coefficients[:, None] * table(z >> low, n // 2)).T @ table(z & (2**low - 1), low)


def _flip(states: States, x: int, n: int) -> States:
    """v[r ^ x]: every run of ones in x reverses one axis."""
    runs = [(bit, len(list(run))) for bit, run in itertools.groupby(format(x, f"0{n}b"))]
    axes = [1 + axis for axis, (bit, _) in enumerate(runs) if bit == "1"]
    shape = (states.shape[0], *(2**length for _, length in runs), states.shape[-1])
    return lax.rev(states.reshape(shape), axes).reshape(states.shape) if axes else states


def times_i(states: States) -> States:
    """i·v. A real plane alone gives zero: what leaves it does not come back into a real inner product with it."""
    if jnp.iscomplexobj(states):
        return 1j * states
    if states.shape[-1] == 1:
        return jnp.zeros_like(states)
    return jnp.stack([-states[..., 1], states[..., 0]], axis=-1)


def _flipped(masks: Masks, coefficients: Float[Array, " T"], n: int, source: Callable[[int], States]) -> States:
    """Σ over groups of Dₓ v[r ^ x] on the lowest n wires; `source` of the higher bits of x gives the states to flip."""
    total = jnp.zeros((), coefficients.dtype)
    for x, odd, terms in _groups(masks):
        states = source(x >> n)
        flipped = _flip(states, x & (2**n - 1), n)
        flipped = times_i(flipped) if odd else flipped
        z = np.array([masks[term][1] & (2**n - 1) for term in terms])
        diagonal = _diagonal(z, coefficients[np.array(terms)], n)
        split = flipped.reshape(-1, 2 ** (n // 2), 2 ** (n - n // 2), states.shape[-1])
        total = total + (diagonal[..., None] * split).reshape(states.shape)
    return total


def _scanned(masks: Masks, coefficients: Float[Array, " T"], n: int, states: States) -> States:
    """The same sum with one compiled step for all groups, padded to the largest; the flip is a gather."""
    groups = _groups(masks)
    terms = np.zeros((len(groups), max(len(group.terms) for group in groups)), int)
    present = np.zeros(terms.shape)
    for k, group in enumerate(groups):
        terms[k, : len(group.terms)], present[k, : len(group.terms)] = group.terms, 1.0
    table = (
        np.array([group.x for group in groups]),
        np.array([group.odd for group in groups]),
        np.array([z for _, z in masks])[terms],
        coefficients[terms] * jnp.asarray(present, coefficients.dtype),
    )
    rows = jnp.arange(2**n)

    @jax.checkpoint  # else reverse mode keeps the flipped states of every group
    def step(total: States, group: tuple[Array, Array, Array, Array]) -> tuple[States, None]:
        x, odd, z, coefficients = group
        flipped = states.at[:, rows ^ x].get(mode="promise_in_bounds", unique_indices=True)
        flipped = jnp.where(odd, times_i(flipped), flipped)
        return total + _diagonal(z, coefficients, n).reshape(-1, 1) * flipped, None

    return lax.scan(step, jnp.zeros_like(states), table)[0]


def _blocked(masks: Masks, coefficients: Float[Array, " T"], states: States) -> States:
    """The same sum, row by row of 2^(middle + low) amplitudes, so that the rows at hand stay in cache.

    What acts on low wires alone, or on middle wires alone, is one product with a small dense matrix; flips of the wires
    above choose another row.
    """
    planes = states.shape[-1]
    bits, width = _MIDDLE + _LOW, 2**_LOW * planes
    low: list[int] = []
    middle: list[int] = []
    rest: list[int] = []
    for position, (x, z) in enumerate(masks):
        inside_low, inside_middle = (x | z) >> _LOW == 0, (x | z) & ~((2**_MIDDLE - 1) << _LOW) == 0
        even = (x & z).bit_count() % 2 == 0
        (low if inside_low else middle if inside_middle and even else rest).append(position)

    right = _dense([masks[j] for j in low], coefficients[np.array(low, np.int64)], _LOW, planes)
    shifted = [(masks[j][0] >> _LOW, masks[j][1] >> _LOW) for j in middle]
    left = _dense(shifted, coefficients[np.array(middle, np.int64)], _MIDDLE, 1).T
    others = tuple(masks[j] for j in rest)
    scale, above = coefficients[np.array(rest, np.int64)], np.array([z >> bits for _, z in others], np.int64)
    rows = states.reshape(-1, 2**bits, planes)

    def row(i: Int[Array, ""]) -> States:
        def source(x: int) -> States:
            return rows[i ^ x][None]

        own = rows[i].reshape(-1, width)
        signed = scale * signs(above, i)[:, 0]
        total = own @ right + left @ own
        return total.reshape(1, -1, planes) + _flipped(others, signed, bits, source)

    return lax.map(row, jnp.arange(len(rows))).reshape(states.shape)


def _dense(masks: list[tuple[int, int]], coefficients: Float[Array, " T"], n: int, planes: int) -> Float[Array, "k k"]:
    """The matrix M with v ↦ v M on rows of 2^n amplitudes with their planes; zero without strings."""
    identity = jnp.eye(2**n * planes, dtype=coefficients.dtype).reshape(-1, 2**n, planes)
    image = _flipped(tuple(masks), coefficients, n, lambda _: identity)
    return jnp.broadcast_to(image, identity.shape).reshape(len(identity), -1)


def plain(masks: Masks, coefficients: Float[Array, " T"], n: int, states: States) -> States:
    """H v in the form that differentiates well with respect to everything."""
    if len(_groups(masks)) > _UNROLLED:
        return _scanned(masks, coefficients, n, states)
    return _flipped(masks, coefficients, n, lambda _: states)


@functools.partial(jax.jit, static_argnums=0)
def apply(masks: Masks, coefficients: Float[Array, " T"], states: States) -> States:
    """H v for every state of the batch; complex states of one or more planes too."""
    n = states.shape[1].bit_length() - 1
    real_type = jnp.finfo(states.dtype).dtype
    coefficients = with_phases(masks, coefficients.astype(real_type))
    few = len(_groups(masks)) <= _UNROLLED
    if few and n >= _BLOCKED and states.shape[-1] <= 2 and not jnp.iscomplexobj(states):
        return _blocked(masks, coefficients, states)
    return plain(masks, coefficients, n, states)
