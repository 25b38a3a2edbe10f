"""Parameter shift: exact derivatives from expectations at shifted angles, for every gate of the set."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qnat.inference.estimate import Estimate

from ..backends import AbstractBackend
from ..circuits.circuit import Circuit, Gate
from ..measure.measurement import Measurement
from ..operators.pauli import PauliSum

_BATCH = 8  # shifted circuits run at once: enough to fill the processor, few enough to stay in its cache

# (shift, weight) of the frequencies 1, and 1/2 and 1
_TWO_TERMS = ((np.pi / 2, 0.5), (-np.pi / 2, -0.5))
_NEAR, _FAR = (np.sqrt(2) + 1) / (4 * np.sqrt(2)), (np.sqrt(2) - 1) / (4 * np.sqrt(2))
_FOUR_TERMS = ((np.pi / 2, _NEAR), (-np.pi / 2, -_NEAR), (3 * np.pi / 2, -_FAR), (-3 * np.pi / 2, _FAR))


class Shifts(NamedTuple):
    """∂f/∂t_k = Σ weight f(t + shift e_k) over the terms with angle k.

    Attributes:
        angle: (S,) k. shift: (S,) radians. weight: (S,).
    """

    angle: Int[np.ndarray, " S"]
    shift: Float[np.ndarray, " S"]
    weight: Float[np.ndarray, " S"]

    def at(self, angles: Float[Array, " P"]) -> Float[Array, "S P"]:
        """The shifted angles."""
        moved = jnp.asarray(self.shift, angles.dtype)[:, None] * jax.nn.one_hot(self.angle, angles.size)
        return angles + moved.astype(angles.dtype)


def _rule(gate: Gate) -> tuple[tuple[float, float], ...]:
    """A controlled rotation has the eigenvalues 0 and ±1/2, hence two frequencies; other gates have one."""
    return _FOUR_TERMS if gate.controls else _TWO_TERMS


@functools.lru_cache(maxsize=64)
def shifts(circuit: Circuit) -> Shifts:
    """Two terms for a rotation or a phase, four for a controlled rotation.

    Reference: M. Schuld et al., Phys. Rev. A 99, 032331 (2019); G.-L. R. Anselmetti et al., New J. Phys. 23, 113010
    (2021).
    """
    gates = [gate for _ in range(circuit.layers) for gate in circuit.block if gate.parametrised]
    rows = [(k, *term) for k, gate in enumerate(gates) for term in _rule(gate)]
    table = np.array(rows).reshape(-1, 3)
    return Shifts(table[:, 0].astype(int), table[:, 1], table[:, 2])


def shift_gradient(
    expectation: Callable[[Float[Array, " P"], PRNGKeyArray], Estimate],
    circuit: Circuit,
    angles: Float[Array, " P"],
    *,
    key: PRNGKeyArray,
    traceable: bool = True,
) -> Estimate:
    """The derivative of an expectation of the circuit with respect to every angle, each shifted one on its own.

    Args:
        expectation: (angles, key) ↦ estimate; linear in U ρ U† of the circuit.
        circuit: whose gates say which rule. angles: (P,) radians. key: of independent draws at the shifted angles.
        traceable: whether JAX can trace `expectation`; False calls it shift by shift.
    """
    rule = shifts(circuit)
    if not len(rule.angle):
        return Estimate(jnp.zeros_like(angles), jnp.zeros_like(angles))
    terms = (rule.at(angles), jax.random.split(key, len(rule.angle)))
    if traceable:
        value, error = jax.lax.map(lambda term: expectation(*term), terms, batch_size=_BATCH)
    else:
        value, error = (jnp.stack(parts) for parts in zip(*map(expectation, *terms), strict=True))
    zero = jnp.zeros_like(angles)
    variance = zero.at[rule.angle].add((rule.weight * error) ** 2)
    return Estimate(zero.at[rule.angle].add(rule.weight * value), jnp.sqrt(variance))


def parameter_shift(
    backend: AbstractBackend,
    circuit: Circuit,
    angles: Float[Array, " P"],
    bits: Int[Array, " n"],
    observable: PauliSum,
    *,
    shots: int | None = None,
    key: PRNGKeyArray | None = None,
) -> Estimate:
    """∂⟨b|U†(t) O U(t)|b⟩/∂t for every angle, in units of the observable.

    Args:
        backend: any; where JAX traces it, this function can be traced as well.
        circuit: U. angles: (P,) t in radians. bits: (n,) b. observable: O.
        shots: of each expectation, of which there are two an angle, four for controlled rotations; None for exact
            expectations, which give the exact gradient.
        key: of the outcomes; needed with shots.

    Returns:
        (P,) values and standard errors, zero without shots.

    Raises:
        ValueError: shots without a key or a key without shots; fewer than two a group of commuting strings.
    """
    if (shots is None) != (key is None):
        raise ValueError("A measured gradient needs both shots= and key=, an exact one neither.")
    plan = None if shots is None else Measurement(observable, shots)

    def expectation(at: Float[Array, " P"], own: PRNGKeyArray) -> Estimate:
        if plan is not None:
            return plan.estimate(plan.run(backend, circuit, at, bits, key=own))
        value = backend.expectation(circuit, at, bits, observable)
        return Estimate(value, jnp.zeros_like(value))

    keys = jax.random.key(0) if key is None else key
    return shift_gradient(expectation, circuit, angles, traceable=backend.traceable, key=keys)
