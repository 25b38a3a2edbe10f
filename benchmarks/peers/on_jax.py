"""JAX as one would write it without a library: a contraction a gate, jitted, differentiated by JAX itself."""

import jax
import jax.numpy as jnp
import numpy as np

from . import neutral
from .job import Job
from .neutral import Spec

jax.config.update("jax_enable_x64", True)

_PAULI = {"X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])}


def _matrix(gate: neutral.Gate, angles: jax.Array) -> jax.Array:
    if gate.angle is None:
        return jnp.asarray(neutral.matrix(gate, 0.0), complex)
    half = angles[gate.angle] / 2
    return jnp.cos(half) * np.eye(2) - 1j * jnp.sin(half) * _PAULI[gate.name[1:]]


def _state(spec: Spec, angles: jax.Array) -> jax.Array:
    """The final state of a circuit of one-wire rotations and fixed gates."""
    n = spec["n"]
    state = jnp.zeros((2,) * n, complex).at[(0,) * n].set(1)
    for gate in neutral.gates(spec):
        width = len(gate.wires)
        tensor = _matrix(gate, angles).reshape((2,) * (2 * width))
        moved = jnp.tensordot(tensor, state, axes=(tuple(range(width, 2 * width)), gate.wires))
        state = jnp.moveaxis(moved, range(width), gate.wires)
    return state.reshape(-1)


def evaluation(spec: Spec) -> Job:
    """The final state from |0…0⟩."""
    angles, state = jnp.asarray(neutral.angles(spec)), jax.jit(lambda angles: _state(spec, angles))
    return Job(lambda: state(angles).block_until_ready(), neutral.state_numbers)


def pure_metric(spec: Spec) -> Job:
    """Fubini–Study by forward-mode Jacobian and Gram product, all in one jitted function."""
    angles = jnp.asarray(neutral.angles(spec))

    def metric(angles: jax.Array) -> jax.Array:
        state, tangents = _state(spec, angles), jax.jacfwd(lambda t: _state(spec, t))(angles)
        overlaps = state.conj() @ tangents
        return (tangents.conj().T @ tangents - jnp.outer(overlaps.conj(), overlaps)).real

    compiled = jax.jit(metric)
    return Job(lambda: compiled(angles).block_until_ready(), neutral.array_numbers)


TASKS = {"evaluation": evaluation, "pure_metric": pure_metric}
