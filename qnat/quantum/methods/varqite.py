"""Variational imaginary time: the flow of a normalised state under −H, projected on a circuit's tangent space."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..circuits.circuit import Circuit, cnot, hadamard
from ..engine import tangents, to_amplitudes
from ..models import PureState
from ..operators.pauli import PauliSum

Params = dict[str, Float[Array, " _"]]


class ImaginaryTime(NamedTuple):
    """A path in imaginary time; row k belongs to τₖ = k dτ.

    Attributes:
        params: the path, angles (steps + 1, P).
        energy: ⟨H⟩, in its units.
        distance: McLachlan's, ‖Σ ∂ⱼψ φ̇ⱼ + (H − ⟨H⟩)ψ‖, in the units of H: what the tangent space does not reach.
    """

    params: Params
    energy: Float[Array, " steps+1"]
    distance: Float[Array, " steps+1"]


def mclachlan(
    model: PureState, hamiltonian: PauliSum, params: Params, ridge: float | Float[Array, ""]
) -> tuple[Params, Float[Array, ""], Float[Array, ""]]:
    """(dφ/dτ, ⟨H⟩, McLachlan's distance) of (A + ridge) φ̇ = −½ ∇⟨H⟩, A the Fubini–Study metric.

    That is natural gradient descent, φ̇ = −2 G⁻¹ ∇⟨H⟩ with G the quantum Fisher information. A has the term of the phase
    subtracted: a global phase of ψ is no motion.
    """
    planes, rows = tangents(model.circuit, params["angles"], model.basis)
    psi, changes = to_amplitudes(planes[None])[0], to_amplitudes(rows)
    image = hamiltonian.apply(psi)
    energy = jnp.vdot(psi, image).real
    phases = jnp.imag(changes.conj() @ psi)
    metric = jnp.real(changes.conj() @ changes.T) - jnp.outer(phases, phases)
    force = -jnp.real(changes.conj() @ image)
    velocity = jnp.linalg.solve(metric + ridge * jnp.eye(len(force), dtype=force.dtype), force)
    rest = image - energy * psi + velocity @ changes + 1j * (velocity @ phases) * psi
    return {"angles": velocity}, energy, jnp.linalg.norm(rest)


@eqx.filter_jit
def varqite(
    model: PureState,
    hamiltonian: PauliSum,
    params: Params,
    *,
    time: float | Float[Array, ""],
    steps: int,
    ridge: float | Float[Array, ""] = 1e-8,
) -> ImaginaryTime:
    """Imaginary time evolution exp(−τH)|ψ⟩/‖·‖ from τ = 0 to `time`, by steps of Runge–Kutta of fourth order.

    Args:
        model: the circuit. hamiltonian: H on its wires. params: where ψ starts.
        time: τ, in units of 1/energy. steps: their number.
        ridge: added to the Fubini–Study metric, which is singular where angles are redundant.

    Reference: S. McArdle et al., npj Quantum Inf. 5, 75 (2019); X. Yuan et al., Quantum 3, 191 (2019).
    """
    dt = jnp.asarray(time, params["angles"].dtype) / steps

    def stage(carry: tuple[Params, Params, Params], weights: Float[Array, " 2"]) -> tuple[tuple, tuple]:
        start, velocity, total = carry
        there = jax.tree.map(lambda x, v: x + dt * weights[0] * v, start, velocity)
        velocity, energy, distance = mclachlan(model, hamiltonian, there, ridge)
        total = jax.tree.map(lambda t, v: t + dt * weights[1] * v, total, velocity)
        return (start, velocity, total), (energy, distance)

    def step(params: Params, _: None) -> tuple[Params, ImaginaryTime]:
        stages = jnp.array([[0, 1 / 6], [1 / 2, 1 / 3], [1 / 2, 1 / 3], [1, 1 / 6]], dt.dtype)
        last, (energy, distance) = jax.lax.scan(stage, (params, params, params), stages)
        return last[2], ImaginaryTime(params, energy[0], distance[0])

    # one step more than is asked for: the last row is that of the end
    return jax.lax.scan(step, params, None, length=steps + 1)[1]


def thermofield(circuit: Circuit) -> PureState:
    """A circuit on 2n wires after n maximally entangled pairs (k, n + k): the purification of an infinite temperature.

    Let the circuit be the identity at zero angles, as the ansätze here are, and start there: `purified_thermal`.
    """
    n, odd = divmod(circuit.n, 2)
    if odd:
        raise ValueError(f"A purification needs an even number of wires, half of them the system's; got {circuit.n}.")
    pairs = tuple(gate for wire in range(n) for gate in (hadamard(wire), cnot(wire, n + wire)))
    return PureState(Circuit(circuit.n, pairs + circuit.block * circuit.layers))


def purified_thermal(
    model: PureState,
    hamiltonian: PauliSum,
    beta: float | Float[Array, ""],
    *,
    steps: int,
    ridge: float | Float[Array, ""] = 1e-8,
) -> ImaginaryTime:
    """The thermofield double of H, by imaginary time β/2 under H ⊗ 1 from n entangled pairs, angles starting at zero.

    The first half of its wires is then in the thermal state of H (`qnat.quantum.reduced_density_matrix`).

    Args:
        model: made by `thermofield`, on 2n wires. hamiltonian: H on the first n of them. beta: β ≥ 0.
        steps: of Runge–Kutta. ridge: as in `varqite`.

    Reference: C. Zoufal, A. Lucchi, S. Woerner, Quantum Mach. Intell. 3, 7 (2021), arXiv:2006.06004.
    """
    idle = model.circuit.n - hamiltonian.n
    if idle != hamiltonian.n:
        raise ValueError(f"A purification of {hamiltonian.n} wires has twice as many; the model has {model.circuit.n}.")
    extended = PauliSum(hamiltonian.coefficients, tuple(string + "I" * idle for string in hamiltonian.strings))
    start = {"angles": jnp.zeros(model.circuit.num_angles)}
    return varqite(model, extended, start, time=beta / 2, steps=steps, ridge=ridge)
