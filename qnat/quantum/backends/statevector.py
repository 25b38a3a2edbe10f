"""The jitted JAX statevector backend, batched over basis states.

Every parametrised gate is U(t) = α(t) + β(t) A, where A permutes amplitudes by an exclusive-or mask and multiplies them
by phases, and dU/dt = D U with D = A/2 (rotations) or D = iA (phases). Rotations by strings with an odd number of Y
stay real, so a real ansatz runs in real arithmetic. Layers are scanned: compile time does not grow with depth.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact, Int, PRNGKeyArray

from ..circuit import Circuit, Gate
from ..pauli import PauliSum, masks, row_phases
from .base import AbstractBackend

States = Inexact[Array, "d batch"]


class _Action(NamedTuple):
    """A gate as data: A v = table * v[rows]; `generator` D = generator * A."""

    rows: np.ndarray
    table: np.ndarray
    generator: complex


def _action(gate: Gate, n: int) -> _Action:
    rows = np.arange(2**n)
    if gate.kind == "phase":
        ones = sum(1 << (n - 1 - wire) for wire in gate.wires)
        return _Action(rows, 1.0 * (rows & ones == ones), 1j)
    string = ["I"] * n
    for letter, wire in zip(gate.pauli, gate.wires, strict=True):
        string[wire] = letter
    x, z = masks("".join(string))
    table = -1j * row_phases(x, z, n)
    return _Action(rows ^ x, table.real if gate.pauli.count("Y") % 2 else table, 0.5)


def is_real(circuit: Circuit) -> bool:
    """Whether U is a real orthogonal matrix: rotations by strings with an odd number of Y, and CNOTs only."""
    return all(gate.kind == "cnot" or gate.pauli.count("Y") % 2 for gate in circuit.block)


def _permute(states: States, rows: np.ndarray) -> States:
    """The rows in another order; what is promised here keeps the gather, and the scatter that transposes it, plain."""
    return states.at[rows].get(mode="promise_in_bounds", unique_indices=True)


def _act(action: _Action, states: States) -> States:
    diagonal = (action.rows[1:] > action.rows[:-1]).all()
    return jnp.asarray(action.table, states.dtype)[:, None] * (states if diagonal else _permute(states, action.rows))


def _apply(gate: Gate, angle: Float[Array, ""], states: States, n: int) -> States:
    action = _action(gate, n)
    acted = _act(action, states)
    if gate.kind == "phase":
        return states + (jnp.exp(1j * angle) - 1) * acted
    return jnp.cos(angle / 2) * states + jnp.sin(angle / 2) * acted


def _apply_cnot(gate: Gate, states: States, n: int) -> States:
    control, target = (1 << (n - 1 - wire) for wire in gate.wires)
    rows = np.arange(2**n)
    return _permute(states, np.where(rows & control, rows ^ target, rows))


def _dtype(circuit: Circuit, angles: Float[Array, " P"]) -> jnp.dtype:
    return angles.dtype if is_real(circuit) else jnp.result_type(angles.dtype, jnp.complex64)


def _by_layer(circuit: Circuit, angles: Float[Array, " P"]) -> Float[Array, "L p"]:
    if angles.shape != (circuit.num_angles,):
        raise ValueError(f"The circuit has {circuit.num_angles} angles; got an array of shape {angles.shape}.")
    return angles.reshape(circuit.layers, circuit.angles_per_layer)


def evolve(circuit: Circuit, angles: Float[Array, " P"], states: States) -> States:
    """U(t) applied to the columns of `states` (d, batch), which must be of the circuit's dtype."""

    def layer(states: States, angles: Float[Array, " p"]) -> tuple[States, None]:
        parameters = iter(angles)
        for gate in circuit.block:
            if gate.kind == "cnot":
                states = _apply_cnot(gate, states, circuit.n)
            else:
                states = _apply(gate, next(parameters), states, circuit.n)
        return states, None

    return jax.lax.scan(layer, states, _by_layer(circuit, angles))[0]


def unitary(circuit: Circuit, angles: Float[Array, " P"]) -> Inexact[Array, "d d"]:
    """The matrix U(t), columns U|x⟩; real when the circuit is."""
    return evolve(circuit, angles, jnp.eye(2**circuit.n, dtype=_dtype(circuit, angles)))


def frames(circuit: Circuit, angles: Float[Array, " P"]) -> tuple[Inexact[Array, "d d"], Float[Array, "P d d"]]:
    """U and the frame generators of one sweep: dU/dtₖ = U Aₖ, Aₖ = U≤ₖ† Dₖ U≤ₖ skew-Hermitian.

    Returns U (d, d) and Rₖ = Re Aₖ + Im Aₖ (P, d, d). Re Aₖ is antisymmetric and Im Aₖ symmetric, so Rₖ holds all of
    Aₖ, and Σ w Re(conj Aₖ ∘ Aₗ) = Σ w Rₖ Rₗ for every symmetric weight w: metrics and gradients need no complex
    product.
    """
    n = circuit.n

    def layer(states: States, angles: Float[Array, " p"]) -> tuple[States, Float[Array, "p d d"]]:
        parameters = iter(angles)
        left, right = [], []
        for gate in circuit.block:
            if gate.kind == "cnot":
                states = _apply_cnot(gate, states, n)
                continue
            states = _apply(gate, next(parameters), states, n)
            action = _action(gate, n)
            left.append(states)
            right.append(action.generator * _act(action, states))
        return states, _real_products(left, right)

    start = jnp.eye(2**n, dtype=_dtype(circuit, angles))
    if circuit.num_angles == 0:
        return evolve(circuit, angles, start), jnp.zeros((0, *start.shape), angles.dtype)
    final, products = jax.lax.scan(layer, start, _by_layer(circuit, angles))
    return final, products.reshape(-1, *start.shape)


def _real_products(left: list[States], right: list[States]) -> Float[Array, "p d d"]:
    """Re(S†T) + Im(S†T) for each pair, as one real product of stacked real and imaginary parts."""
    s, t = jnp.stack(left), jnp.stack(right)
    if jnp.iscomplexobj(s):
        s, t = jnp.concatenate([s.real, s.imag], 1), jnp.concatenate([t.real + t.imag, t.imag - t.real], 1)
    return jnp.matmul(s.mT, t)


class Statevector(AbstractBackend):
    """Exact amplitudes on the device that JAX uses, in the precision of the angles."""

    traceable: ClassVar[bool] = True

    def state(self, circuit: Circuit, angles: Float[Array, " P"], bits: Int[Array, " n"]) -> Complex[Array, " d"]:
        dtype = _dtype(circuit, angles)
        index = jnp.dot(bits, jnp.asarray(1 << np.arange(circuit.n)[::-1]))
        start = jax.nn.one_hot(index, 2**circuit.n, dtype=dtype)[:, None]
        return evolve(circuit, angles, start)[:, 0].astype(jnp.result_type(dtype, jnp.complex64))

    def expectation(
        self, circuit: Circuit, angles: Float[Array, " P"], bits: Int[Array, " n"], observable: PauliSum
    ) -> Float[Array, ""]:
        state = self.state(circuit, angles, bits)
        return jnp.vdot(state, observable.apply(state)).real

    def sample(
        self,
        circuit: Circuit,
        angles: Float[Array, " P"],
        bits: Int[Array, " n"],
        *,
        shots: int,
        key: PRNGKeyArray,
    ) -> Int[Array, "shots n"]:
        probabilities = jnp.abs(self.state(circuit, angles, bits)) ** 2
        index = jax.random.choice(key, 2**circuit.n, (shots,), p=probabilities)
        return index[:, None] >> jnp.arange(circuit.n)[::-1] & 1
