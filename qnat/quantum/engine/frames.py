"""Frame generators: how every angle rotates the eigenframe of U, one real product a gate.

With dU/dtₖ = U Aₖ, Aₖ = −i Σ U≤† G U≤ over the operations that take angle k. A generator G has one eigenvalue on at
least half of its space; up to that constant it is a sum of few projectors, so that half of the features of a state
carry it: fₓ = v† U≤|x⟩, and U≤† G U≤ = c + Σ λ f f†. Windows of two wires need no embedding.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Complex, Float, Inexact, Int

from ..circuits.circuit import Circuit
from .evolve import States, gather, gathers, to_amplitudes
from .factors import Gates
from .insertions import Insertions, insertions
from .matrices import gate_matrices, kron, multiply, prefixes, window_matrices
from .plan import Plan, make_plan


def _half_rank(gates: Gates) -> tuple[Complex[np.ndarray, "G k h"], Float[np.ndarray, "G h"], Float[np.ndarray, " G"]]:
    """Vectors v, weights λ and constants c with generator = c + Σ λ v v†, h = k/2 vectors each."""
    half = gates.generator.shape[-1] // 2
    values, vectors = np.linalg.eigh(gates.generator)
    constant = values[:, half - 1]  # of pairs (−ω, ω), (−ω, 0, 0, ω), … this one is as frequent as any
    weight = values - constant[:, None]
    order = np.argsort(-np.abs(weight), axis=1)[:, :half]
    return np.take_along_axis(vectors, order[:, None], 2), np.take_along_axis(weight, order, 1), constant


def _pulled_back(plan: Plan, where: Insertions, angles: Float[Array, " P"]) -> Complex[Array, "G 4 2"]:
    """U≤† v inside every block, for the vectors v of its operations."""
    program = plan.program
    ones, twos = (gate_matrices(gates, angles, plan.planes) for gates in (program.ones, program.twos))
    before_run, runs = prefixes(ones[program.runs])
    step, first, second = np.moveaxis(program.steps, -1, 0)
    pairs = kron(runs[first], runs[second])
    before_step, _ = prefixes(multiply(twos[step], pairs))
    place, run = tuple(where.place.T), tuple(where.run.T)
    last = before_step[place]
    # on both wires: through the runs of its own step; on one: through its run alone, beside the identity
    both = jnp.asarray(_half_rank(program.twos)[0])[np.where(where.on == 2, where.number, 0)]
    both = multiply(pairs[place].conj().mT, both)
    one = jnp.asarray(_half_rank(program.ones)[0])[np.where(where.on == 2, 0, where.number)]
    one = multiply(before_run[run].conj().mT, one)
    identity = jnp.eye(2, dtype=one.dtype)[None]
    on = where.on[:, None, None]
    vectors = jnp.where(on == 2, both, jnp.where(on == 0, kron(one, identity), kron(identity, one)))
    return multiply(last.conj().mT, vectors)


def _weights(plan: Plan, where: Insertions) -> tuple[Float[np.ndarray, "G 2"], Float[np.ndarray, " G"]]:
    """λ and c of every operation."""
    (_, one, one_constant), (_, two, two_constant) = (_half_rank(g) for g in (plan.program.ones, plan.program.twos))
    both = where.on == 2
    index_one, index_two = np.where(both, 0, where.number), np.where(both, where.number, 0)
    weight = np.where(both[:, None], two[index_two], np.repeat(one, 2, axis=1)[index_one])
    return weight, np.where(both, two_constant[index_two], one_constant[index_one])


def generators(plan: Plan, where: Insertions, angles: Float[Array, " P"]) -> Complex[Array, "G 4 4"]:
    """U≤† G U≤ of every operation inside its block, U≤ all that acts there before it."""
    weight, constant = _weights(plan, where)
    vectors = _pulled_back(plan, where, angles).astype(jnp.result_type(angles.dtype, jnp.complex64))
    projected = multiply(vectors * weight.astype(angles.dtype)[:, None], vectors.conj().mT)
    return projected + constant.astype(angles.dtype)[:, None, None] * jnp.eye(4, dtype=angles.dtype)


def _features(vectors: Complex[Array, "G 4 2"]) -> Float[Array, "G 8 4"]:
    """Real matrices that take rows (four amplitudes, Re and Im) to Re and Im of v† row, for both v."""
    v = vectors.conj()
    real = jnp.stack([v.real, v.imag], -1)  # of a real amplitude
    imag = jnp.stack([-v.imag, v.real], -1)  # of i times it
    return jnp.stack([real, imag], 2).reshape(len(v), 8, 4)


def once(matrices: Float[Array, "... d d"]) -> Float[Array, "... 2 d/2 d/2"]:
    """Each pair of different indices once: the upper right block, and a triangle of either block on the diagonal."""
    h = matrices.shape[-1] // 2
    return _packed(matrices[..., :h, h:], matrices[..., :h, :h], matrices[..., h:, h:])


def _packed(
    across: Float[Array, "... h h"], upper: Float[Array, "... h h"], lower: Float[Array, "... h h"]
) -> Float[Array, "... 2 h h"]:
    # the diagonals, zero in an antisymmetric matrix, would stand twice; one of them stands once
    return jnp.stack([across, jnp.where(_below(across), upper, lower)], -3)


def _below(block: Float[Array, "... h h"]) -> Bool[np.ndarray, "h h"]:
    return np.tri(block.shape[-1], k=-1, dtype=bool)


def antisymmetric(pairs: Float[Array, "... 2 h h"]) -> Float[Array, "... 2h 2h"]:
    """The antisymmetric matrices of which `once` keeps these pairs."""
    across, within = pairs[..., 0, :, :], pairs[..., 1, :, :]
    upper, lower = (jnp.where(of, within, 0) for of in (_below(within), ~_below(within)))
    return jnp.block([[upper - upper.mT, across], [-across.mT, lower - lower.mT]])


class _Sweep(NamedTuple):
    """What frames start from, and what an operation adds to its angle, given the rows of states before its window."""

    start: Float[Array, "P ..."]
    added: Callable[[Float[Array, "rows amplitudes"], Int[Array, ""]], Float[Array, "..."]]


def _of_real(circuit: Circuit, plan: Plan, where: Insertions, angles: Float[Array, " P"]) -> _Sweep:
    """A = S (−iG) Sᵀ with the states S as rows: no transpose of a product is taken, which would cost as much as it."""
    turns = generators(plan, where, angles).imag  # G is imaginary
    h = 2 ** (circuit.n - 1)

    def added(rows: Float[Array, "rows 4"], g: Int[Array, ""]) -> Float[Array, "2 h h"]:
        states, turned = (each.reshape(2 * h, 2 * h) for each in (rows, rows @ turns[g]))
        right = turned @ states[h:].T
        return _packed(right[:h], turned[:h] @ states[:h].T, right[h:])

    return _Sweep(jnp.zeros((circuit.num_angles, 2, h, h), angles.dtype), added)


def _of_complex(circuit: Circuit, plan: Plan, where: Insertions, angles: Float[Array, " P"]) -> _Sweep:
    """R = Im W − Re W with W = c + Σ λ conj(f) fᵀ: features (Re f, Im f) meet λ (Im f − Re f, −Re f − Im f)."""
    size = 2**circuit.n
    weight, constant = (each.astype(angles.dtype) for each in _weights(plan, where))
    left = _features(_pulled_back(plan, where, angles)).astype(angles.dtype)
    meet = jnp.stack([left[..., 1::2] - left[..., 0::2], -left[..., 1::2] - left[..., 0::2]], -1)
    right = (meet * weight[:, None, :, None]).reshape(left.shape)

    def added(rows: Float[Array, "rows 8"], g: Int[Array, ""]) -> Float[Array, "d d"]:
        f, meets = ((rows @ features[g]).reshape(size, -1) for features in (left, right))
        return f @ meets.T

    shifts = jnp.zeros(circuit.num_angles, angles.dtype).at[jnp.asarray(where.angle)].add(constant)
    return _Sweep(-shifts[:, None, None] * jnp.eye(size, dtype=angles.dtype), added)


@functools.partial(jax.jit, static_argnames="circuit")
def frames(
    circuit: Circuit, angles: Float[Array, " P"]
) -> tuple[Inexact[Array, "d d"], Float[Array, "P d d"] | Float[Array, "P 2 d/2 d/2"]]:
    """U and Rₖ = Re Aₖ + Im Aₖ of the frame generators dU/dtₖ = U Aₖ.

    Aₖ is skew-Hermitian: Re Aₖ is antisymmetric and Im Aₖ symmetric, so Rₖ holds all of Aₖ, and
    Σ w Re(conj Aₖ ∘ Aₗ) = Σ w Rₖ Rₗ for every symmetric weight w: metrics and gradients need no complex product.

    Returns U (d, d), real for a real circuit, and R (P, d, d); of a real circuit, whose R is antisymmetric, half of it
    as `once` keeps it, (P, 2, d/2, d/2).
    """
    if circuit.n == 1:  # as the first of two wires
        basis, rotations = frames(Circuit(2, circuit.block, circuit.layers), angles)
        if rotations.ndim == 4:
            return basis[::2, ::2], once(antisymmetric(rotations)[:, ::2, ::2])
        return basis[::2, ::2], rotations[:, ::2, ::2]
    plan, size = make_plan(circuit, 2), 2**circuit.n
    where = insertions(plan)
    sweep = (_of_real if plan.planes == 1 else _of_complex)(circuit, plan, where, angles)
    matrices, tables = window_matrices(plan, angles), gathers(plan.inner)
    bounds, angle = jnp.asarray(where.bounds), jnp.asarray(where.angle)

    def window(carry: tuple[States, Array], step: tuple) -> tuple[tuple[States, Array], None]:
        states, rotations = carry
        w, high, low, first, last = step
        states = gather(states, high, low)
        rows = states.reshape(-1, 4 * plan.planes)

        def insert(g: Int[Array, ""], rotations: Array) -> Array:
            return rotations.at[angle[g]].add(sweep.added(rows, g))

        rotations = lax.fori_loop(first, last, insert, rotations)
        return ((rows @ w).reshape(states.shape), rotations), None

    states = jnp.zeros((size, size, plan.planes), angles.dtype).at[..., 0].set(jnp.eye(size, dtype=angles.dtype))
    rotations = sweep.start
    if plan.windows:
        steps = (matrices, *tables, bounds[:-1], bounds[1:])
        (states, rotations), _ = lax.scan(window, (states, rotations), steps)
    outer = gathers(plan.outer)
    return to_amplitudes(gather(states, outer.high[-1], outer.low[-1])).T, rotations
