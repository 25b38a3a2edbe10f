"""States that were trained, as their users see them, against dense matrices and PennyLane."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest
import scipy.linalg

from qnat.quantum import GibbsFamily, LatentGibbs, PauliSum, tfim
from qnat.quantum.backends.openqasm import to_openqasm
from qnat.quantum.backends.statevector import unitary
from qnat.quantum.circuits.ansatz import hea
from qnat.quantum.circuits.circuit import (
    Circuit,
    cnot,
    cz,
    hadamard,
    pauli,
    phase,
    rotation,
    swap,
)
from qnat.quantum.circuits.circuit import unitary as fixed
from qnat.quantum.methods.state import ThermalState

TERMS = [("XXI", 0.3), ("IZZ", -1.1), ("YIY", 0.7), ("III", 0.2)]


def dense(terms):
    letters = {"I": np.eye(2), "X": [[0, 1], [1, 0]], "Y": [[0, -1j], [1j, 0]], "Z": np.diag([1, -1])}
    total = 0
    for string, value in terms:
        matrix = np.eye(1)
        for letter in string:
            matrix = np.kron(matrix, letters[letter])
        total = total + value * matrix
    return total


@pytest.fixture
def trained():
    """A circuit model with random parameters."""
    model = LatentGibbs(hea(3, 2), order=2)
    return ThermalState(model, model.init(jax.random.key(1), scale=0.5), dense(TERMS), 0.7)


def test_what_is_measured_is_what_the_matrix_says(trained):
    rho = np.asarray(trained.state())
    assert np.trace(rho) == pytest.approx(1, abs=1e-14)
    log_density = np.asarray(trained.model.log_density(trained.params))
    np.testing.assert_allclose(rho, scipy.linalg.expm(log_density), atol=1e-13)
    wanted = np.trace(rho @ dense(TERMS)).real
    assert float(trained.expectation(PauliSum.from_terms(TERMS))) == pytest.approx(wanted, abs=1e-13)
    assert float(trained.observables()["energy_density"]) == pytest.approx(wanted / 3, abs=1e-13)
    with pytest.raises(ValueError, match="acts on 2 qubits and the state has 3"):
        trained.expectation(PauliSum.from_terms([("ZZ", 1.0)]))


@pytest.mark.parametrize(("axes", "string"), [(None, "ZIZ"), ("XYZ", "XYZ"), ("YYX", "YIX")])
def test_samples_have_the_means_of_the_state(trained, axes, string):
    shots = 20_000
    bits = np.asarray(trained.sample(shots, key=jax.random.key(3), axes=axes))
    assert bits.shape == (shots, 3)
    signs = np.prod([1 - 2 * bits[:, wire] for wire, letter in enumerate(string) if letter != "I"], axis=0)
    wanted = float(trained.expectation(PauliSum.from_terms([(string, 1.0)])))
    assert abs(signs.mean() - wanted) < 4 * signs.std() / np.sqrt(shots)


def test_axes_that_are_none_are_refused(trained):
    for axes in ("ZZ", "ZZI", "zzz"):
        with pytest.raises(ValueError, match="give a letter X, Y or Z for each of the 3 qubits"):
            trained.sample(1, key=jax.random.key(0), axes=axes)


def test_pennylane_prepares_the_state(trained):
    prepare = trained.to_pennylane()

    @qml.qnode(qml.device("default.mixed", wires=3))
    def mixed():
        prepare()
        return qml.density_matrix(wires=range(3))

    @qml.qnode(qml.device("default.qubit", wires=3))
    def pure(bits):
        prepare(bits)
        return qml.state()

    np.testing.assert_allclose(mixed(), trained.state(), atol=1e-12)
    for x in range(8):
        bits = [int(bit) for bit in f"{x:03b}"]
        assert abs(np.vdot(pure(bits), np.asarray(trained.basis)[:, x])) == pytest.approx(1, abs=1e-12)
    latent = np.asarray(trained.latent(5000, key=jax.random.key(2))) @ [4, 2, 1]
    p = np.exp(trained.log_p)
    assert np.all(abs(np.bincount(latent, minlength=8) / 5000 - p) < 4 * np.sqrt(p * (1 - p) / 5000) + 1e-3)


def test_a_family_has_its_own_hamiltonian_and_no_circuit():
    family = GibbsFamily(PauliSum.from_strings(("XX", "ZI", "IZ")))
    theta = jnp.array([0.3, -0.5, 0.2])
    state = ThermalState(family, theta, beta=2.0)
    own = -(0.3 * dense([("XX", 1)]) - 0.5 * dense([("ZI", 1)]) + 0.2 * dense([("IZ", 1)])) / 2
    shift = np.asarray(state.hamiltonian) - own
    np.testing.assert_allclose(shift, shift[0, 0] * np.eye(4), atol=1e-14)  # energies up to a constant
    for refused in (state.to_openqasm, lambda: state.latent(1, key=jax.random.key(0))):
        with pytest.raises(ValueError, match="has no circuit; train model qhbm"):
            refused()
    with pytest.raises(ValueError, match="call it without bits"):
        state.to_pennylane()([0, 1])


def turned(letter):
    """A rotation about an axis."""
    return lambda t: np.cos(t / 2) * np.eye(2) - 1j * np.sin(t / 2) * dense([(letter, 1)])


def general(t, f, g):
    """The gate U, without the phase that OpenQASM 3 gives it."""
    c, s = np.cos(t / 2), np.sin(t / 2)
    return np.array([[c, -np.exp(1j * g) * s], [np.exp(1j * f) * s, np.exp(1j * (f + g)) * c]])


def interpreted(program, n, bits):
    """What a small reader of OpenQASM 3 makes of a program: the state, by Kronecker products."""
    names = {
        **{letter.lower(): lambda letter=letter: dense([(letter, 1)]) for letter in "XYZ"},
        **{f"r{letter.lower()}": turned(letter) for letter in "XYZ"},
        "h": lambda: dense([("X", 1), ("Z", 1)]) / np.sqrt(2),
        "s": lambda: np.diag([1, 1j]),
        "sdg": lambda: np.diag([1, -1j]),
        "p": lambda t: np.diag([1, np.exp(1j * t)]),
        "U": general,
        "swap": lambda: np.eye(4)[[0, 2, 1, 3]],
    }
    state = np.zeros(2**n, complex)
    state[0] = 1
    head = ["OPENQASM 3.0;", 'include "stdgates.inc";', f"input bit[{n}] bits;", f"qubit[{n}] q;"]
    lines = program.splitlines()
    assert lines[:4] == head
    for line in lines[4:]:
        asked = re.fullmatch(r"(?:if \(bits\[(\d+)\]\) )?(?:ctrl(?:\((\d+)\))? @ )?(\w+)(?:\((.*)\))? (.*);", line)
        condition, controls, name, angles, operands = asked.groups()
        if condition and not bits[int(condition)]:
            continue
        count = int(controls or 1) if "ctrl" in line else 0
        if name in ("cx", "cz"):
            name, count = name[1], 1
        matrix = names[name](*map(float, filter(None, (angles or "").split(","))))
        wires = [int(w) for w in re.findall(r"q\[(\d+)\]", operands)]
        full = np.eye(2**count * len(matrix), dtype=complex)
        full[-len(matrix) :, -len(matrix) :] = matrix
        tensor = np.moveaxis(state.reshape([2] * n), wires, range(len(wires)))
        shape = tensor.shape
        state = np.moveaxis((full @ tensor.reshape(len(full), -1)).reshape(shape), range(len(wires)), wires).ravel()
    return state


ROOT = np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2
BLOCKS = {
    "ansatz": hea(3, 1).block,
    "rotations": (rotation("X", 0), rotation("YZ", 2, 0), rotation("XYZ", 0, 1, 2), rotation("ZZ", 1, 2)),
    "controlled": (hadamard(0), hadamard(1), rotation("Y", 2, controls=(0, 1)), rotation("YX", 0, 2, controls=(1,))),
    "phases": (hadamard(0), hadamard(1), hadamard(2), phase(0), phase(0, 2), phase(2, 1, 0), phase()),
    "named": (hadamard(0), cnot(0, 2), swap(1, 2), pauli("Y", 1), cz(0, 1), pauli("Z", 0), pauli("X", 2)),
    "matrices": (
        fixed(ROOT, 0),
        fixed(np.diag([1j, np.exp(0.3j)]), 1),
        fixed([[0, np.exp(0.2j)], [1j, 0]], 2),
        fixed([[0.6, 0.8j], [0.8j, 0.6]], 1),
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_program_does_what_the_circuit_does(name):
    circuit = Circuit(3, BLOCKS[name], 2)
    angles = np.random.default_rng(0).normal(size=circuit.num_angles)
    program, columns = to_openqasm(circuit, angles), np.asarray(unitary(circuit, jnp.asarray(angles)))
    phases = []
    for x in range(8):
        state = interpreted(program, 3, [int(bit) for bit in f"{x:03b}"])
        phases.append(np.vdot(columns[:, x], state))
    # up to one global phase, the same for every start
    np.testing.assert_allclose(phases, phases[0], atol=1e-13)
    assert abs(phases[0]) == pytest.approx(1, abs=1e-13)


def test_a_matrix_on_two_wires_has_no_name():
    circuit = Circuit(2, (fixed(np.diag([1, 1, 1, 1j]), 0, 1),))
    with pytest.raises(ValueError, match=r"The fixed gate on wires \(0, 1\) has no name in OpenQASM"):
        to_openqasm(circuit, np.zeros(0))


def test_its_precision_is_that_of_the_exact_state():
    hamiltonian = tfim(1, 2, coupling=1.0, field=0.7)
    family = GibbsFamily(PauliSum.from_strings(hamiltonian.strings))
    state = ThermalState(family, -1.3 * hamiltonian.coefficients, hamiltonian.matrix(), 1.3)
    terms = zip(hamiltonian.strings, np.asarray(hamiltonian.coefficients), strict=True)
    energies, levels = np.linalg.eigh(dense(terms))
    p = np.exp(-1.3 * energies) / np.exp(-1.3 * energies).sum()
    np.testing.assert_allclose(state.state(), (levels * p) @ levels.T, atol=1e-14)
