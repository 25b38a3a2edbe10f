"""The jitted JAX statevector backend: circuits are planned once and run by `qnat.quantum.engine`."""

import functools
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact, Int, PRNGKeyArray

from ..circuits.circuit import Circuit
from ..engine import Plan, evolve_planes, plan, to_amplitudes, window_matrices
from ..engine.evolve import Mode
from ..engine.memory import check_memory
from ..operators.pauli import PauliSum
from .base import AbstractBackend


def _planes(states: Inexact[Array, "batch d"], plan: Plan) -> Float[Array, "batch d planes"]:
    if plan.planes == 1:
        return states[..., None]
    return jnp.stack([states.real, states.imag], -1)


@functools.partial(jax.jit, static_argnames=("circuit", "mode"))
def evolve(
    circuit: Circuit, angles: Float[Array, " P"], states: Inexact[Array, "batch d"], *, mode: Mode = "reverse"
) -> Inexact[Array, "batch d"]:
    """U(t) applied to every row of `states`, 2^n amplitudes each, wire 0 the most significant bit.

    Args:
        circuit: U on n wires. angles: (P,) radians; their precision is that of the result.
        states: real or complex; complex rows through a real circuit count as two.
        mode: "reverse" for gradients (jax.grad, jax.vjp, also jax.jvp and jax.hessian of a gradient) by the adjoint
            method, which keeps a constant number of states at any depth; "forward" for jax.jvp, jax.jacfwd and
            jax.linearize of the states themselves, which JAX refuses for functions with a rule for reverse mode.

    Returns:
        (batch, d), real if the circuit and the states are.
    """
    if states.ndim != 2 or states.shape[1] != 2**circuit.n:
        raise ValueError(f"States of {circuit.n} wires are rows, (batch, {2**circuit.n}); got {states.shape}.")
    check_memory(circuit, len(states), angles.dtype)
    found = plan(circuit, len(states))
    if found.planes == 1 and jnp.iscomplexobj(states):
        real, imag = jnp.split(evolve(circuit, angles, jnp.concatenate([states.real, states.imag]), mode=mode), 2)
        return jax.lax.complex(real, imag)
    start = _planes(states, found).astype(angles.dtype)
    return to_amplitudes(evolve_planes(found, window_matrices(found, angles), start, mode))


@functools.partial(jax.jit, static_argnames=("circuit", "mode"))
def unitary(circuit: Circuit, angles: Float[Array, " P"], *, mode: Mode = "reverse") -> Inexact[Array, "d d"]:
    """The matrix U(t), columns U|x⟩; real when the circuit is."""
    return evolve(circuit, angles, jnp.eye(2**circuit.n, dtype=angles.dtype), mode=mode).T


@functools.partial(jax.jit, static_argnames=("circuit", "mode"))
def _from_bits(
    circuit: Circuit, angles: Float[Array, " P"], bits: Int[Array, " n"], mode: Mode
) -> Float[Array, "1 d planes"]:
    """U(t)|b⟩ as real planes."""
    check_memory(circuit, 1, angles.dtype)
    found = plan(circuit)
    # the barrier keeps XLA from folding a state of known bits into a constant of the compiled program
    index = jnp.dot(jax.lax.optimization_barrier(bits), jnp.asarray(1 << np.arange(circuit.n)[::-1]))
    start = jnp.zeros((1, 2**circuit.n, found.planes), angles.dtype).at[0, index, 0].set(1)
    return evolve_planes(found, window_matrices(found, angles), start, mode)


@jax.jit
def _amplitudes(state: Float[Array, "1 d planes"]) -> Complex[Array, " d"]:
    return to_amplitudes(state)[0].astype(jnp.result_type(state.dtype, jnp.complex64))


@jax.jit
def _expectation(state: Float[Array, "1 d planes"], observable: PauliSum) -> Float[Array, ""]:
    return observable.expectation_planes(state)[0]


@functools.partial(jax.jit, static_argnames="shots")
def _outcomes(state: Float[Array, "1 d planes"], key: PRNGKeyArray, *, shots: int) -> Int[Array, "shots n"]:
    probabilities = jnp.sum(state[0] ** 2, axis=-1)
    d = probabilities.size
    index = jax.random.choice(key, d, (shots,), p=probabilities)
    return index[:, None] >> jnp.arange(d.bit_length() - 1)[::-1] & 1


class Statevector(AbstractBackend):
    """Exact amplitudes on the device that JAX uses, in the precision of the angles.

    Attributes:
        mode: how derivatives are taken; see `qnat.quantum.backends.statevector.evolve`.
    """

    traceable: ClassVar[bool] = True
    mode: Mode = eqx.field(static=True, default="reverse")

    def _state(
        self, circuit: Circuit, angles: Float[Array, " P"], bits: Int[Array, " n"]
    ) -> Float[Array, "1 d planes"]:
        return _from_bits(circuit, jnp.asarray(angles), jnp.asarray(bits), self.mode)

    def state(self, circuit: Circuit, angles: Float[Array, " P"], bits: Int[Array, " n"]) -> Complex[Array, " d"]:
        return _amplitudes(self._state(circuit, angles, bits))

    def expectation(
        self, circuit: Circuit, angles: Float[Array, " P"], bits: Int[Array, " n"], observable: PauliSum
    ) -> Float[Array, ""]:
        return _expectation(self._state(circuit, angles, bits), observable)

    def sample(
        self,
        circuit: Circuit,
        angles: Float[Array, " P"],
        bits: Int[Array, " n"],
        *,
        shots: int,
        key: PRNGKeyArray,
    ) -> Int[Array, "shots n"]:
        return _outcomes(self._state(circuit, angles, bits), key, shots=shots)
