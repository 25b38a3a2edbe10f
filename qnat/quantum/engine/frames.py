"""Frame generators: how every angle rotates the eigenframe of U, one real product of matrices each.

With dU/dtₖ = U Aₖ, Aₖ = U≤† (−iG) U≤ of every operation that takes angle k: states U≤|x⟩ meet their own derivatives.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Inexact, Int

from ..circuits.circuit import Circuit
from .evolve import States, gathered, multiplied, to_amplitudes
from .routes import route_of, stacked_steps
from .turns import planned, turns

_WIDE = 4  # wires of a window


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


def _others(states: States) -> States:
    """What Re A + Im A of ⟨x|A|y⟩ = −conj⟨y|A|x⟩ is a product with: the moved states x with these of y."""
    if states.shape[-1] == 1:
        return -states
    real, imag = states[..., 0], states[..., 1]
    return jnp.stack([-real - imag, real - imag], -1)


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
    plan, size = planned(circuit.n, circuit.block, circuit.layers, _WIDE), 2**circuit.n
    route, steps, h = route_of(plan, plan.windows), stacked_steps(plan, angles), size // 2
    states = jnp.zeros((size, size, plan.planes), angles.dtype).at[..., 0].set(jnp.eye(size, dtype=angles.dtype))
    states = gathered(states, steps.order[0])
    shape = (2, h, h) if plan.planes == 1 else (size, size)
    rotations = jnp.zeros((circuit.num_angles, *shape), angles.dtype)
    turned = turns(plan, route, angles, steps.before) if circuit.num_angles else steps.matrices
    bounds, angle = jnp.asarray(route.bounds), jnp.asarray(route.angle)

    def window(carry: tuple[States, Array], step: tuple) -> tuple[tuple[States, Array], None]:
        states, rotations = carry
        w, index, first, last = step
        others = _others(states).reshape(size, -1).T

        def insert(row: Int[Array, ""], rotations: Array) -> Array:
            moved = multiplied(states, turned[row]).reshape(size, -1)
            if plan.planes == 2:
                return rotations.at[angle[row]].add(moved @ others)
            right = moved @ others[:, h:]
            return rotations.at[angle[row]].add(_packed(right[:h], moved[:h] @ others[:, :h], right[h:]))

        if circuit.num_angles:
            rotations = lax.fori_loop(first, last, insert, rotations)
        return (gathered(multiplied(states, w), index), rotations), None

    xs = (steps.matrices, steps.order[1:], bounds[:-1], bounds[1:])
    (states, rotations), _ = lax.scan(window, (states, rotations), xs)
    return to_amplitudes(states).T, rotations
