"""QuTiP: its operators and states, its solvers as sources of data, and its algebra as a backend.

QuTiP's tensor order is ours: the first factor is wire 0. Its index 0 is spin up, as our bit 0.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import qutip
from jaxtyping import Array, ArrayLike, Complex, Float, Inexact, Int, PRNGKeyArray
from qutip.solver.integrator import IntegratorException

from ..circuits.circuit import Circuit, Gate
from ..operators.pauli import PauliSum
from .base import AbstractBackend

__all__ = [
    "Evolution",
    "QuTiP",
    "evolve",
    "from_density_matrix",
    "from_pauli_sum",
    "sigma_minus",
    "states_from_mcsolve",
    "states_from_mesolve",
    "to_density_matrix",
    "to_pauli_sum",
]

_OPERATORS = {"I": qutip.qeye(2), "X": qutip.sigmax(), "Y": qutip.sigmay(), "Z": qutip.sigmaz()}
_ONE = qutip.fock_dm(2, 1)  # |1⟩⟨1|
# rows I, X, Y, Z of half their entries 00, 01, 10, 11, conjugated: coefficients of a (2, 2) matrix
_COEFFICIENTS = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [0, 1j, -1j, 0], [1, 0, 0, -1]]) / 2


def _qubits(qobj: Any) -> int:
    """n of a ket or an operator on n qubits."""
    n = len(qobj.dims[0])
    if qobj.dims[0] != [2] * n or not (qobj.isket or qobj.dims[1] == qobj.dims[0]):
        raise ValueError(
            f"A Qobj of dims {qobj.dims} is no ket or operator of qubits; give it dims [[2]*n, [2]*n], or [[2]*n, [1]]."
        )
    return n


def to_pauli_sum(qobj: Any) -> PauliSum:
    """A Hermitian operator on qubits as a PauliSum; terms below 1e-14 of the largest are left out.

    Raises:
        ValueError: the Qobj is not Hermitian, not an operator, or not one of qubits.
    """
    n = _qubits(qobj)
    if not qobj.isoper or not qobj.isherm:
        raise ValueError(f"A Hamiltonian is a Hermitian operator; got a Qobj of type '{qobj.type}' that is not.")
    tensor = qobj.full().reshape((2,) * (2 * n))
    for wire in range(n):  # the pair (row bit, column bit) of the leading wire becomes a letter at the end
        tensor = np.moveaxis(tensor, n - wire, 1).reshape(4, *(2,) * (2 * (n - wire - 1)), *(4,) * wire)
        tensor = np.moveaxis(np.tensordot(_COEFFICIENTS, tensor, axes=1), 0, -1)
    letters = np.argwhere(np.abs(tensor) > 1e-14 * np.abs(tensor).max())
    terms = [("".join("IXYZ"[letter] for letter in row), float(tensor[tuple(row)].real)) for row in letters]
    return PauliSum.from_terms(terms or [("I" * n, 0.0)])


def from_pauli_sum(pauli_sum: PauliSum) -> Any:
    """The Qobj of dims [[2]*n, [2]*n]."""
    terms = zip(np.asarray(pauli_sum.coefficients, float), pauli_sum.strings, strict=True)
    return sum(
        coefficient * qutip.tensor([_OPERATORS[letter] for letter in string]).to("CSR") for coefficient, string in terms
    )


def to_density_matrix(qobj: Any) -> Complex[Array, "d d"]:
    """A ket or a density matrix of qubits as an array, wire 0 the most significant bit.

    Raises:
        ValueError: it is not a state of qubits, or its trace is not 1 within 1e-6.
    """
    _qubits(qobj)
    rho = qobj.proj() if qobj.isket else qobj
    if not rho.isherm or abs(rho.tr() - 1) > 1e-6:
        raise ValueError(f"A state is Hermitian with trace 1; got a Qobj of trace {complex(rho.tr()):.6g}.")
    return jnp.asarray(rho.full())


def from_density_matrix(rho: Inexact[ArrayLike, "d d"]) -> Any:
    """The Qobj of a density matrix, or of any operator, on n qubits."""
    matrix = np.asarray(rho, complex)
    n = max(len(matrix), 1).bit_length() - 1
    if matrix.shape != (2**n, 2**n) or n == 0:
        raise ValueError(f"An operator on n qubits has the shape (2^n, 2^n); got {matrix.shape}.")
    return qutip.Qobj(matrix, dims=[[2] * n, [2] * n])


def sigma_minus(wire: int, n: int) -> Any:
    """|1⟩⟨0| on a wire of n: spin down from spin up, the decay of a qubit whose excited state is bit 0."""
    return qutip.tensor([qutip.sigmam() if k == wire else qutip.qeye(2) for k in range(n)])


def _operator(operator: Any) -> Any:
    if isinstance(operator, PauliSum):
        return from_pauli_sum(operator)
    return operator if isinstance(operator, qutip.Qobj) else from_density_matrix(operator)


class Evolution(NamedTuple):
    """States (T, d, d) at T times; trajectories: how many were averaged, None for the master equation.

    The average of N trajectories has a standard error of order 1/√N, as that of N measurements.
    """

    states: Complex[Array, "T d d"]
    trajectories: int | None = None


def _stacked(states: Iterable[Any] | None, how: str) -> Complex[Array, "T d d"]:
    found = [] if states is None else list(states)
    if not found:
        raise ValueError(f'The result of {how} holds no states; solve with options={{"store_states": True}}.')
    return jnp.stack([to_density_matrix(state) for state in found])


def states_from_mesolve(result: Any) -> Evolution:
    """The states of a `qutip.mesolve` (or `sesolve`) result at its times."""
    return Evolution(_stacked(result.states, "mesolve"))


def states_from_mcsolve(result: Any) -> Evolution:
    """The averaged states of a `qutip.mcsolve` result at its times, and the number of trajectories."""
    return Evolution(_stacked(result.average_states, "mcsolve"), int(result.num_trajectories))


def evolve(
    hamiltonian: Any,
    state: Any,
    times: Float[ArrayLike, " T"],
    collapse_operators: Sequence[Any] = (),
    *,
    trajectories: int | None = None,
    key: PRNGKeyArray | None = None,
) -> Evolution:
    """States under dρ/dt = −i[H, ρ] + Σ (CρC† − {C†C, ρ}/2), by `qutip.mesolve` or `qutip.mcsolve`.

    Args:
        hamiltonian: H, energies in units of 1/time; operators are PauliSums, (d, d) arrays or Qobjs.
        state: the state at times[0], a (d, d) density matrix or a Qobj; trajectories start from its eigenvectors.
        times: ascending. collapse_operators: the C, in units of time^(−1/2).
        trajectories: average so many quantum jump trajectories of `key` instead of the master equation.

    Raises:
        ValueError: trajectories without key or jumps, or the solver does not reach the last time.
    """
    H, jumps = _operator(hamiltonian), [_operator(operator) for operator in collapse_operators]
    start, grid = _operator(state), np.asarray(times, float)
    # tighter than QuTiP's defaults, whose 1e-6 would show in a relative entropy
    options = {"store_states": True, "progress_bar": "", "atol": 1e-12, "rtol": 1e-10, "nsteps": 1_000_000}
    try:
        if trajectories is None:
            return states_from_mesolve(qutip.mesolve(H, start, grid, jumps, options=options))
        if key is None or not jumps:
            raise ValueError("Trajectories need key= and at least one collapse operator.")
        seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
        found = qutip.mcsolve(H, start, grid, jumps, ntraj=trajectories, seeds=seed, options=options)
    except IntegratorException as error:
        raise ValueError(
            f"QuTiP does not solve the dynamics ({error}); choose shorter times or smaller rates."
        ) from None
    return states_from_mcsolve(found)


def _gate(gate: Gate, angle: float, n: int) -> Any:
    """A gate on all wires; G = P on the controlled subspace has G³ = G, a projector G² = G."""
    if gate.kind == "fixed":
        width = len(gate.wires)
        small = qutip.Qobj(np.array(gate.matrix), dims=[[2] * width, [2] * width])
        rest = [wire for wire in range(n) if wire not in gate.wires]
        full = qutip.tensor([small, *(qutip.qeye(2) for _ in rest)])
        return full.permute(np.argsort([*gate.wires, *rest]).tolist())
    factors = [qutip.qeye(2)] * n
    for wire in gate.controls + (gate.wires if gate.kind == "phase" else ()):
        factors[wire] = _ONE
    for wire, letter in zip(gate.wires, gate.pauli, strict=False):
        factors[wire] = _OPERATORS[letter]
    G = qutip.tensor(factors)
    if gate.kind == "phase":
        return 1 + (np.exp(1j * angle) - 1) * G
    return 1 + (np.cos(angle / 2) - 1) * G * G - 1j * np.sin(angle / 2) * G


class QuTiP(AbstractBackend):
    """Kets and operators of QuTiP: slow, and independent of everything here."""

    traceable: ClassVar[bool] = False

    def _ket(self, circuit: Circuit, angles: Float[Array, " P"], bits: Int[Array, " n"]) -> Any:
        parameters = iter(np.asarray(angles, float).tolist())
        gates = (gate for _ in range(circuit.layers) for gate in circuit.block)
        start = qutip.basis([2] * circuit.n, np.asarray(bits).tolist())
        return functools.reduce(
            lambda ket, gate: _gate(gate, next(parameters) if gate.parametrised else 0.0, circuit.n) * ket, gates, start
        )

    def state(self, circuit: Circuit, angles: Float[Array, " P"], bits: Int[Array, " n"]) -> Complex[Array, " d"]:
        return jnp.asarray(self._ket(circuit, angles, bits).full()[:, 0])

    def expectation(
        self, circuit: Circuit, angles: Float[Array, " P"], bits: Int[Array, " n"], observable: PauliSum
    ) -> Float[Array, ""]:
        return jnp.asarray(qutip.expect(from_pauli_sum(observable), self._ket(circuit, angles, bits)), float)

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
