"""Models: goldens, frames against automatic differentiation, structure of the metrics."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from qnat.geometry import (
    bures_distance,
    fidelity,
    gibbs_state,
    laws,
    monotone_metric,
    relative_entropy,
    trace_distance,
)
from qnat.geometry.restricted import RestrictedBoltzmannMachine
from qnat.geometry.spins import all_bits
from qnat.quantum import Circuit, GibbsFamily, LatentGibbs, LatentMetric, NetworkEnergy, PauliSum, ThermalTask, tfim
from qnat.quantum.backends.laws import dense_pauli, random_circuit
from qnat.quantum.backends.statevector import unitary
from qnat.quantum.circuits.ansatz import ansatz, hva
from qnat.quantum.circuits.circuit import cnot, phase, rotation

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "metrics_qhbm.json").read_text())
BLOCK = (rotation("Y", 0), rotation("Y", 1), cnot(0, 1), rotation("X", 0), rotation("X", 1), cnot(0, 1))
MODEL = LatentGibbs(Circuit(2, BLOCK), order=2)
PARAMS = {"latent": np.array(GOLDEN["params"][:3]), "angles": np.array(GOLDEN["params"][3:])}
KINDS = {
    "SLD": "sld",
    "WY": "wigner_yanase",
    "BKM": "bkm",
    "GEO": "geometric",
    "HARM": "harmonic",
    "WYD0.25": "wyd:0.25",
    "SAND2": "sandwiched:2",
    "SAND0.75": "sandwiched:0.75",
}


@jax.jit
def start(model, seed, scale):
    return model.init(jax.random.key(seed), scale=scale)


def flat(params):
    return np.concatenate([params["latent"], params["angles"]])


def latent_first(operator):
    """The matrix with the latent block first; a pytree's own order is alphabetical."""
    matrix, count = np.asarray(operator.as_matrix()), operator.in_structure()["angles"].size
    order = np.r_[count : matrix.shape[0], :count]
    return matrix[np.ix_(order, order)]


def test_golden_state():
    wanted = np.array(GOLDEN["rho"]["re"]) + 1j * np.array(GOLDEN["rho"]["im"])
    found = jax.jit(lambda params: gibbs_state(MODEL.log_density(params)))(PARAMS)
    np.testing.assert_allclose(found, wanted, atol=1e-14)


def test_golden_thermal_loss_and_gradient():
    task = ThermalTask(MODEL, PauliSum.from_terms([("ZZ", -1.0), ("XI", -0.7), ("IX", -0.7)]), beta=1.3)
    value, grads = task.value_and_grad(PARAMS)
    assert float(value) + float(task.reference["log_z_exact"].value) == pytest.approx(GOLDEN["vqt_loss"], rel=1e-12)
    np.testing.assert_allclose(flat(grads), GOLDEN["vqt_grad"], rtol=1e-10, atol=1e-14)
    assert float(task.evaluate(PARAMS)["relative_entropy"]) == pytest.approx(GOLDEN["vqt_loss"], rel=1e-12)


def test_golden_learning_loss_and_gradient():
    data = PauliSum.from_terms([("XX", -0.5), ("ZI", 0.8), ("YZ", -0.3), ("IX", 0.4)]).matrix()

    def loss(params):
        return relative_entropy(data, MODEL.log_density(params))

    value, grads = jax.jit(jax.value_and_grad(loss))(PARAMS)
    assert float(value) == pytest.approx(GOLDEN["qmhl_loss"], rel=1e-12)
    np.testing.assert_allclose(flat(grads), GOLDEN["qmhl_grad"], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", KINDS)
def test_golden_metrics(name):
    ours = latent_first(LatentMetric(MODEL, KINDS[name]).at(PARAMS))
    np.testing.assert_allclose(ours, GOLDEN["metrics"][name], rtol=1e-10, atol=1e-14)


@pytest.fixture(scope="module", params=["real", "hea_ring"])
def general(request):
    """A model, its parameters and its metrics by kind, through the density matrix."""
    model = LatentGibbs(ansatz(request.param, 3, 2), order=2)
    params = start(model, 0, 0.4)

    @jax.jit
    def metrics(params):
        kinds = ("bkm", "sld", "harmonic")
        return {kind: monotone_metric(model.log_density, params, kind).as_matrix() for kind in kinds}

    return model, params, metrics(params)


@pytest.mark.parametrize("kind", ["bkm", "sld", "harmonic"])
def test_frames_equal_the_general_metric(general, kind):
    """The block-diagonal frame metric is the pullback through the density matrix, cross blocks and all."""
    model, params, wanted = general
    np.testing.assert_allclose(LatentMetric(model, kind).at(params).as_matrix(), wanted[kind], atol=1e-11)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_frame_gradient_equals_automatic_differentiation(seed):
    model = LatentGibbs(random_circuit(3, 8, 2, seed), order=3)
    params = start(model, seed, 0.5)
    hamiltonian = PauliSum.from_terms([("XYZ", 0.7), ("ZIY", -0.3), ("IZX", 1.1), ("YYI", 0.2)]).matrix()
    value, grads = model.frame(params).free_energy_and_grad(hamiltonian, 1.7)
    wanted = jax.jit(jax.value_and_grad(model.free_energy))(params, hamiltonian, 1.7)
    assert float(value) == pytest.approx(float(wanted[0]), rel=1e-13)
    np.testing.assert_allclose(flat(grads), flat(wanted[1]), atol=1e-13)


def test_bkm_is_the_hessian_of_relative_entropy():
    hessian = jax.jit(jax.hessian(lambda new: MODEL.relative_entropy(new, PARAMS)))(PARAMS)
    blocks = np.block([[hessian[a][b] for b in ("latent", "angles")] for a in ("latent", "angles")])
    np.testing.assert_allclose(blocks, latent_first(LatentMetric(MODEL, "bkm").at(PARAMS)), atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32])
@pytest.mark.parametrize("kind", ["bkm", "sld", "wigner_yanase"])
def test_latent_metric_passes_the_laws(kind, dtype):
    params = jax.tree.map(lambda x: x.astype(dtype), PARAMS)
    laws.check_metric(LatentMetric(MODEL, kind), params, key=jax.random.key(0))


def test_latent_block_is_the_fisher_metric_of_the_energy():
    @jax.jit
    def fisher_metric(latent):
        p, scores = jnp.exp(MODEL.log_probabilities(latent)), jax.jacobian(MODEL.log_probabilities)(latent)
        return scores.T @ (p[:, None] * scores)

    fisher = fisher_metric(PARAMS["latent"])
    for kind in ("bkm", "sld", "harmonic"):
        block = LatentMetric(MODEL, kind).at(PARAMS).blocks["latent"].as_matrix()
        np.testing.assert_allclose(block, fisher, atol=1e-15)


def test_global_phases_and_diagonal_gates_move_nothing():
    """Phases after the last gate that the latent state sees are gauge: their rows vanish, the other metrics stay."""
    first = Circuit(2, (phase(0), rotation("Z", 1), *BLOCK))
    gauged = LatentGibbs(first, order=2)
    params = {"latent": PARAMS["latent"], "angles": np.concatenate([[0.4, -0.7], PARAMS["angles"]])}
    ours = np.asarray(gauged.frame(params).metric("bkm").blocks["angles"].as_matrix())
    np.testing.assert_allclose(ours[:2], 0.0, atol=1e-14)
    plain = MODEL.frame(PARAMS).metric("bkm").blocks["angles"].as_matrix()
    np.testing.assert_allclose(ours[2:, 2:], plain, atol=1e-14)


def test_nearly_pure_states_keep_their_metrics():
    """Cold latent energies: SLD tends to four times Fubini–Study of the ground state, and nothing overflows."""
    model = LatentGibbs(Circuit(2, BLOCK), order=1)
    params = {"latent": np.array([-200.0, -300.0]), "angles": PARAMS["angles"]}
    state = lambda angles: unitary(model.circuit, angles, mode="forward")[:, 0]  # noqa: E731
    psi_and_jacobian = jax.jit(lambda a: (state(a), jax.jacfwd(lambda a: state(a).view(float))(a)))
    psi, jacobian = map(np.asarray, psi_and_jacobian(params["angles"]))
    tangents = np.ascontiguousarray(jacobian.T).view(complex).T
    horizontal = tangents - np.outer(psi, psi.conj() @ tangents)
    fubini_study = (horizontal.conj().T @ horizontal).real
    sld = model.frame(params).metric("sld").blocks["angles"].as_matrix()
    np.testing.assert_allclose(sld, 4 * fubini_study, atol=1e-13)
    for kind in ("bkm", "wigner_yanase"):
        assert np.isfinite(model.frame(params).metric(kind).as_matrix()).all()


def test_spin_products_are_ordered_by_size():
    products = jax.jit(lambda latent: LatentGibbs(Circuit(3, BLOCK), order=2).statistics(latent))(np.zeros(6))
    assert products.shape == (8, 6)
    np.testing.assert_array_equal(products[0], 1)
    spins = np.array([[1 - 2 * int(b) for b in f"{x:03b}"] for x in range(8)])
    np.testing.assert_array_equal(products[:, :3], spins)
    np.testing.assert_array_equal(products[:, 4], spins[:, 0] * spins[:, 2])


def test_wrong_orders_are_refused():
    with pytest.raises(ValueError, match="order"):
        LatentGibbs(Circuit(2, BLOCK), order=3)
    with pytest.raises(ValueError, match="order"):
        LatentGibbs(Circuit(2, (cnot(0, 1),)), order=0)


@pytest.mark.parametrize("kind", ["latent", "family"])
def test_evaluation_equals_the_divergences_of_dense_states(kind):
    hamiltonian = tfim(1, 3, field=0.8, periodic=True)
    model = (
        LatentGibbs(ansatz("hea", 3, 2), order=2)
        if kind == "latent"
        else GibbsFamily(PauliSum.from_strings(["XXI", "IYZ", "ZII"]).matrices())
    )
    task = ThermalTask(model, hamiltonian, beta=1.4)
    params, h = start(model, 2, 0.7), np.asarray(hamiltonian.matrix())

    @jax.jit
    def divergences(params):
        K, exact = model.log_density(params), -1.4 * h
        return gibbs_state(K), {
            "relative_entropy": relative_entropy(K, exact),
            "fidelity": fidelity(K, exact),
            "trace_distance": trace_distance(K, exact),
            "bures_distance": bures_distance(K, exact),
        }

    rho, dense = jax.device_get(divergences(params))
    assert 0 <= dense.pop("bures_distance") <= np.sqrt(2)
    energy, free_energy = np.trace(rho @ h).real, float(task.value_and_grad(params)[0])
    wanted = dense | {"energy": energy, "entropy": 1.4 * energy - free_energy}
    wanted |= {"beta_free_energy": free_energy, "free_energy": free_energy / 1.4}
    measured = task.evaluate(params)
    for name, value in wanted.items():
        assert float(measured[name]) == pytest.approx(float(value), rel=1e-12), name
    excess = free_energy - float(task.reference["beta_free_energy"].value)
    assert float(measured["relative_entropy"]) == pytest.approx(excess, rel=1e-10)
    np.testing.assert_allclose(task.artifacts(params)["density_matrix"].value, rho, atol=1e-13)


def test_relative_entropy_of_the_exact_state_has_no_rounding_floor():
    """A model with the exact eigenframe and energies: D is far below the last digit of the loss."""
    hamiltonian = PauliSum.from_terms([("ZI", -1.0), ("IZ", -0.5), ("ZZ", 0.3)])
    model = LatentGibbs(Circuit(2, (rotation("Y", 0),)), order=2)
    task = ThermalTask(model, hamiltonian, beta=2.0)
    exact = {"latent": 2.0 * np.array([-1.0, -0.5, 0.3]), "angles": np.zeros(1)}
    assert float(task.evaluate(exact)["relative_entropy"]) < 1e-30
    nudged = {"latent": exact["latent"], "angles": np.array([1e-9])}
    metric = model.frame(exact).metric("bkm").blocks["angles"].as_matrix()
    assert float(task.evaluate(nudged)["relative_entropy"]) == pytest.approx(0.5e-18 * metric.item(), rel=1e-6)


def test_precision_follows_the_parameters():
    params = jax.tree.map(lambda x: x.astype(np.float32), PARAMS)
    operator = LatentMetric(MODEL, "bkm").at(params)
    assert operator.as_matrix().dtype == jnp.float32
    np.testing.assert_allclose(operator.as_matrix(), LatentMetric(MODEL, "bkm").at(PARAMS).as_matrix(), atol=1e-5)


def test_single_precision_is_said():
    with jax.enable_x64(False), pytest.warns(UserWarning, match="single precision"):
        ThermalTask(MODEL, tfim(1, 2), beta=1.0)


def test_family_at_infinite_temperature():
    family = GibbsFamily(PauliSum.from_strings(["ZZ", "XI", "IX"]).matrices())
    assert family.generators.dtype == jnp.float64
    at_rest = np.zeros(3)
    np.testing.assert_allclose(gibbs_state(family.log_density(at_rest)), np.eye(4) / 4, atol=1e-16)
    task = ThermalTask(family, tfim(1, 2), beta=0.0)
    assert float(task.evaluate(at_rest)["relative_entropy"]) == 0.0
    assert float(task.value_and_grad(at_rest)[0]) == pytest.approx(-2 * np.log(2))
    np.testing.assert_allclose(dense_pauli("ZZ").real, np.asarray(family.generators)[0])


NETWORK = LatentGibbs(Circuit(3, (rotation("Y", 0), cnot(0, 1), rotation("Y", 1), cnot(1, 2)), 2), NetworkEnergy(3, 4))


@pytest.mark.slow
def test_a_network_energy_has_the_metric_of_its_log_density():
    params = start(NETWORK, 0, 0.7)
    found = NETWORK.frame(params).metric("bkm").as_matrix()
    general = jax.jit(lambda params: monotone_metric(NETWORK.log_density, params, "bkm").as_matrix())
    np.testing.assert_allclose(found, general(params), atol=1e-13)


def test_a_network_energy_has_the_gradient_of_its_free_energy():
    params, H = start(NETWORK, 1, 0.7), tfim(1, 3).matrix()
    value, gradient = NETWORK.frame(params).free_energy_and_grad(H, 1.3)
    wanted_value, wanted = jax.jit(jax.value_and_grad(NETWORK.free_energy))(params, H, 1.3)
    assert abs(float(value) - float(wanted_value)) < 1e-13
    for name in wanted:
        np.testing.assert_allclose(gradient[name], wanted[name], atol=1e-13)


@pytest.mark.parametrize("model", [MODEL, NETWORK])
def test_scaled_parameters_are_the_state_to_a_power(model):
    params = start(model, 2, 0.7)
    both = jax.jit(lambda params: [model.energies(each["latent"]) for each in (params, model.scaled(params, 2.5))])
    energies, scaled = map(np.asarray, both(params))
    np.testing.assert_allclose(scaled, 2.5 * energies, atol=1e-14)


@pytest.mark.parametrize(
    "given",
    [
        {"order": 1, "latent": NetworkEnergy(3, 2)},
        {"order": 4},
        {"order": 0},
        {"latent": 2},
        {"latent": NetworkEnergy(2, 2)},
    ],
)
def test_a_latent_energy_is_one_thing(given):
    with pytest.raises(ValueError, match="latent energy"):
        LatentGibbs(Circuit(3, ()), **given)
    with pytest.raises(ValueError, match="at least one hidden unit; got 0"):
        NetworkEnergy(3, 0)


def test_hidden_units_by_their_old_name():
    with pytest.warns(DeprecationWarning, match="NetworkEnergy"):
        assert LatentGibbs(Circuit(3, ()), hidden=2).latent == NetworkEnergy(3, 2)
    with pytest.warns(DeprecationWarning, match="goes"), pytest.raises(ValueError, match="latent energy"):
        LatentGibbs(Circuit(3, ()), order=1, hidden=2)


def test_the_latent_family_may_be_a_machine_of_any_interactions():
    """Its θ is minus the model's: p ∝ exp(θ·t) = exp(−E)."""
    machine, circuit = RestrictedBoltzmannMachine(2, 1), Circuit(3, (rotation("Y", 0), cnot(0, 1), rotation("Y", 2)))
    model = LatentGibbs(circuit, machine)
    params = start(model, 3, 0.7)

    @jax.jit
    def described(params):
        block = model.frame(params).metric("sld").blocks["latent"].as_matrix()
        return model.log_probabilities(params["latent"]), block, model.log_density(params)

    @jax.jit
    def expected(latent):
        every = jax.vmap(lambda bits: machine.log_prob(-latent, bits))(all_bits(3))
        return every, machine.hessian(-latent).as_matrix()

    log_p, block, K = map(np.asarray, described(params))
    wanted, fisher = map(np.asarray, expected(params["latent"]))
    np.testing.assert_allclose(log_p, wanted, atol=1e-14)
    np.testing.assert_allclose(block, fisher, atol=1e-14)
    np.testing.assert_allclose(np.linalg.eigvalsh(K), np.sort(wanted), atol=1e-13)


def test_a_layer_of_the_hamiltonian_ansatz_is_a_trotter_step():
    hamiltonian = PauliSum.from_terms([("ZZI", -1.0), ("III", 0.5), ("IZZ", 0.3), ("XIY", 0.7)])
    circuit = hva(hamiltonian, 1)
    assert circuit.num_angles == 3
    coefficients = np.asarray(hamiltonian.coefficients)
    angles = 2 * 0.1 * coefficients[[0, 2, 3]]
    wanted = np.eye(8)
    for coefficient, string in zip(coefficients, hamiltonian.strings, strict=True):
        if string != "III":
            wanted = scipy.linalg.expm(-0.1j * float(coefficient) * dense_pauli(string)) @ wanted
    np.testing.assert_allclose(unitary(circuit, angles), wanted, atol=1e-14)


def test_starts_are_wide_where_every_frame_is_reached_and_else_the_narrower_the_deeper():
    def spread(name, n, layers):
        angles = jax.jit(LatentGibbs(ansatz(name, n, layers)).init)(jax.random.key(0))["angles"]
        return float(np.std(angles)) / np.pi

    wide = [spread("real", 4, 10), spread("hea_ring", 4, 20)]  # 120 and 240 angles, as many as frames have
    narrow = [np.sqrt(layers) * spread("real", 5, layers) for layers in (8, 32)]
    np.testing.assert_allclose(wide, 0.1, rtol=0.2)
    np.testing.assert_allclose(narrow, 0.25, rtol=0.2)
    assert np.std(start(MODEL, 0, 1.0)["angles"]) > 1  # a scale that is given is that of both
