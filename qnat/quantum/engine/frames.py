"""Frame generators: how every angle rotates the eigenframe of U, one real product a gate.

With dU/dtₖ = U Aₖ, Aₖ = −i Σ U≤† G U≤ over the operations that take angle k. A generator G has one eigenvalue on at
least half of its space; up to that constant it is a sum of few projectors, so that half of the features of a state
carry it: fₓ = v† U≤|x⟩, and U≤† G U≤ = c + Σ λ f f†. Windows of two wires need no embedding.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float, Inexact, Int

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


def _features(vectors: Complex[Array, "G 4 2"], planes: int) -> Float[Array, "G 4c 4"]:
    """Real matrices that take rows (four amplitudes, planes) to Re and Im of v† row, for both v."""
    v = vectors.conj()
    real = jnp.stack([v.real, v.imag], -1)  # of a real amplitude
    imag = jnp.stack([-v.imag, v.real], -1)  # of i times it
    parts = jnp.stack([real, imag][:planes], 2)
    return parts.reshape(len(v), 4 * planes, 4)


@functools.partial(jax.jit, static_argnames="circuit")
def frames(circuit: Circuit, angles: Float[Array, " P"]) -> tuple[Inexact[Array, "d d"], Float[Array, "P d d"]]:
    """U and Rₖ = Re Aₖ + Im Aₖ of the frame generators dU/dtₖ = U Aₖ.

    Aₖ is skew-Hermitian: Re Aₖ is antisymmetric and Im Aₖ symmetric, so Rₖ holds all of Aₖ, and
    Σ w Re(conj Aₖ ∘ Aₗ) = Σ w Rₖ Rₗ for every symmetric weight w: metrics and gradients need no complex product.

    Returns U (d, d), real for a real circuit, and R (P, d, d).
    """
    if circuit.n == 1:  # as the first of two wires
        basis, rotations = frames(Circuit(2, circuit.block, circuit.layers), angles)
        return basis[::2, ::2], rotations[:, ::2, ::2]
    plan, size = make_plan(circuit, 2), 2**circuit.n
    where = insertions(plan)
    weight, constant = _weights(plan, where)
    left = _features(_pulled_back(plan, where, angles), plan.planes).astype(angles.dtype)
    scale = weight.astype(angles.dtype)[:, None, :]
    if plan.planes == 1:  # W = Σ λ conj(f) fᵀ is imaginary and R = Z − Zᵀ with Z = Σ λ Re f Im fᵀ, half of the product
        left, right = left[..., 0::2], left[..., 1::2] * scale
    else:  # R = Im W − Re W: features (Re f, Im f) meet λ (Im f − Re f, −Re f − Im f)
        meet = jnp.stack([left[..., 1::2] - left[..., 0::2], -left[..., 1::2] - left[..., 0::2]], -1)
        right = (meet * scale[..., None]).reshape(left.shape)
    matrices, tables = window_matrices(plan, angles), gathers(plan.inner)
    bounds, angle = jnp.asarray(where.bounds), jnp.asarray(where.angle)
    width = 4 * plan.planes

    def window(carry: tuple[States, Array], step: tuple) -> tuple[tuple[States, Array], None]:
        states, rotations = carry
        w, high, low, start, stop = step
        states = gather(states, high, low)
        rows = states.reshape(-1, width)

        def insert(g: Int[Array, ""], rotations: Float[Array, "P d d"]) -> Float[Array, "P d d"]:
            f, meets = ((rows @ features[g]).reshape(size, -1) for features in (left, right))
            product = f @ meets.T
            return rotations.at[angle[g]].add(product - product.T if plan.planes == 1 else product)

        rotations = lax.fori_loop(start, stop, insert, rotations)
        return ((rows @ w).reshape(states.shape), rotations), None

    states = jnp.zeros((size, size, plan.planes), angles.dtype).at[..., 0].set(jnp.eye(size, dtype=angles.dtype))
    shifts = jnp.zeros(circuit.num_angles, angles.dtype).at[angle].add(constant.astype(angles.dtype))
    rotations = -(plan.planes - 1) * shifts[:, None, None] * jnp.eye(size, dtype=angles.dtype)
    if plan.windows:
        steps = (matrices, *tables, bounds[:-1], bounds[1:])
        (states, rotations), _ = lax.scan(window, (states, rotations), steps)
    outer = gathers(plan.outer)
    return to_amplitudes(gather(states, outer.high[-1], outer.low[-1])).T, rotations
