"""Pure states and their metric, against textbook states that JAX differentiates and against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.geometry import PullbackMetric, fubini_study, laws
from qnat.quantum import Circuit, PauliSum
from qnat.quantum.backends.laws import dense_pauli, dense_unitary, random_circuit
from qnat.quantum.circuits.ansatz import real
from qnat.quantum.circuits.circuit import cnot, hadamard, phase, rotation
from qnat.quantum.engine import tangent_gram, tangents
from qnat.quantum.models import PureMetric, PureState

pytestmark = pytest.mark.slow

LADDER = (*(rotation(p, w) for w in range(4) for p in "XYZ"), *(cnot(w, w + 1) for w in range(3)))
CASES = {
    "one wire": random_circuit(1, 4, 2, 0),
    "two wires": random_circuit(2, 9, 2, 3),
    "three wires": random_circuit(3, 12, 2, 1),
    "five wires": random_circuit(5, 12, 2, 2),
    "six wires": random_circuit(6, 20, 1, 4),
    "ladder": Circuit(4, LADDER, 5),
    "real": real(4, 2),
    # lowered to phases of parities in several windows, all with one angle
    "shared angles": Circuit(
        4, (*map(hadamard, range(4)), phase(0, 1, 2, 3), rotation("YX", 0, 3, controls=(1, 2)), rotation("X", 1)), 2
    ),
    "fixed and last": Circuit(3, (hadamard(0), cnot(0, 2), rotation("Y", 1))),
}


def textbook(circuit, basis):
    """angles ↦ U(t)|b⟩ by dense matrices: V(t) is a + b cos(ωt) + c sin(ωt), which three angles of the oracle give."""

    def state(angles):
        psi, taken = np.eye(2**circuit.n, dtype=complex)[basis], iter(range(circuit.num_angles))
        for gate in circuit.block * circuit.layers:
            alone = Circuit(circuit.n, (gate,))
            if not gate.parametrised:
                psi = dense_unitary(alone, np.zeros(0)) @ psi
                continue
            rate, angle = 0.5 if gate.kind == "rotation" else 1.0, angles[next(taken)]
            zero, half, quarter = (dense_unitary(alone, np.array([t * np.pi / rate])) for t in (0, 1, 0.5))
            mean, slope = (zero + half) / 2, (zero - half) / 2
            psi = (mean + jnp.cos(rate * angle) * slope + jnp.sin(rate * angle) * (quarter - mean)) @ psi
        return psi

    return state


def amplitudes(planes):
    planes = np.asarray(planes)
    return planes[..., 0] if planes.shape[-1] == 1 else planes[..., 0] + 1j * planes[..., 1]


EVERYDAY = ("one wire", "three wires", "real", "shared angles")


@pytest.mark.parametrize("name", [name if name in EVERYDAY else pytest.param(name) for name in CASES])
def test_tangents_and_metric_equal_those_of_textbook_states(name):
    circuit, basis = CASES[name], 2 ** CASES[name].n - 2
    angles = np.random.default_rng(1).normal(size=circuit.num_angles)
    plain = textbook(circuit, basis)

    @jax.jit
    def by_the_book(angles):
        return plain(angles), jax.jacfwd(plain)(angles), PullbackMetric(plain, fubini_study).at(angles).as_matrix()

    psi, jacobian, metric = map(np.asarray, by_the_book(angles))
    state, rows = tangents(circuit, angles, basis)
    np.testing.assert_allclose(amplitudes(state), psi, atol=1e-14)
    np.testing.assert_allclose(amplitudes(rows).T, jacobian, atol=1e-13)
    model = PureState(circuit, tuple(int(bit) for bit in f"{basis:0{circuit.n}b}"))
    ours = jax.jit(lambda params: PureMetric(model).at(params).as_matrix())({"angles": angles})
    np.testing.assert_allclose(ours, 4 * metric, atol=1e-13)


def test_tangents_equal_finite_differences():
    circuit = random_circuit(4, 14, 2, 5)
    angles = jax.random.normal(jax.random.key(2), (circuit.num_angles,))
    _, rows = tangents(circuit, angles, 5)
    for k, row in enumerate(amplitudes(rows)):
        shift = 1e-6 * np.eye(len(angles))[k]
        change = dense_unitary(circuit, angles + shift)[:, 5] - dense_unitary(circuit, angles - shift)[:, 5]
        np.testing.assert_allclose(row, change / 2e-6, atol=1e-9)


def test_real_circuits_need_one_plane():
    state, rows = jax.jit(tangents, static_argnums=0)(real(3, 1), jnp.ones(9))
    assert state.shape == (8, 1)
    assert rows.shape == (9, 8, 1)


def test_precision_follows_the_angles():
    circuit = random_circuit(4, 12, 2, 6)
    angles = jax.random.normal(jax.random.key(3), (circuit.num_angles,))
    gram = jax.jit(tangent_gram, static_argnums=0)
    single = gram(circuit, angles.astype(jnp.float32))
    assert single.dtype == jnp.float32
    assert float(jnp.abs(single - gram(circuit, angles)).max()) < 100 * jnp.finfo(jnp.float32).eps


@pytest.mark.parametrize("name", ["real", pytest.param("shared angles")])
def test_pure_metric_passes_the_laws(name):
    model = PureState(CASES[name])
    laws.check_metric(PureMetric(model), model.init(jax.random.key(4), scale=1.0), key=jax.random.key(5))


def test_circuits_without_angles_have_an_empty_metric():
    for circuit in (Circuit(2, (hadamard(0), cnot(0, 1))), Circuit(2, (cnot(0, 1),)), Circuit(2, LADDER[:3], 0)):
        state, rows = tangents(circuit, jnp.zeros(0), 2)
        np.testing.assert_allclose(amplitudes(state), dense_unitary(circuit, jnp.zeros(0))[:, 2], atol=1e-15)
        assert rows.shape[0] == 0
        assert tangent_gram(circuit, jnp.zeros(0)).shape == (0, 0)


def test_energy_has_the_gradient_that_tangents_give():
    model = PureState(Circuit(4, LADDER, 2), (1, 0, 0, 1))
    hamiltonian = PauliSum.from_terms([("ZXYI", 0.7), ("IZIX", 1.0)])
    params = model.init(jax.random.key(6), scale=1.0)
    value, grads = jax.value_and_grad(model.energy)(params, hamiltonian)
    dense = 0.7 * dense_pauli("ZXYI") + dense_pauli("IZIX")
    psi, rows = model.state(params), amplitudes(tangents(model.circuit, params["angles"], model.basis)[1])
    assert float(value) == pytest.approx(float((psi.conj() @ dense @ psi).real), abs=1e-13)
    np.testing.assert_allclose(grads["angles"], 2 * (rows.conj() @ dense @ psi).real, atol=1e-13)


def test_wrong_bits_are_refused():
    with pytest.raises(ValueError, match="as many bits"):
        PureState(Circuit(2, (hadamard(0),)), (0, 1, 1))
    with pytest.raises(ValueError, match="as many bits"):
        PureState(Circuit(2, (hadamard(0),)), (0, 2))


def test_an_infidelity_is_a_square():
    """Never negative, and with digits where 1 − |⟨φ|ψ⟩|² has none."""
    circuit = real(3, 2)
    model = PureState(circuit)
    angles = np.random.default_rng(0).normal(size=circuit.num_angles)

    @jax.jit
    def facts(angles, change):
        found = [model.infidelity({"angles": angles + h * change}, {"angles": angles}) for h in (0.0, 1e-9, 1e-4)]
        return jnp.stack(found), PureMetric(model).at({"angles": angles}).as_matrix()

    change = np.random.default_rng(1).normal(size=angles.size)
    found, metric = map(np.asarray, facts(angles, change))
    curvature = change @ metric @ change / 4
    assert 0 <= found[0] < 1e-30
    assert found[1] == pytest.approx(curvature * 1e-18, rel=1e-5)
    assert found[2] == pytest.approx(curvature * 1e-8, rel=1e-3)
