"""Sampled estimators: exact limits, no bias, honest errors, and training with them."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.experiment import run
from qnat.inference.score import score_gradient
from qnat.optim import natural_gradient
from qnat.quantum import Circuit, GibbsFamily, LatentGibbs, LatentMetric, PauliSum, Statevector, hea, tfim
from qnat.quantum.backends.laws import random_circuit
from qnat.quantum.circuits.ansatz import real
from qnat.quantum.circuits.circuit import hadamard, phase, rotation
from qnat.quantum.methods.sampled_metric import SampledMetric, absolute
from qnat.quantum.methods.shift import parameter_shift, shifts
from qnat.quantum.problems.sampled import SampledThermalTask

OBSERVABLE = PauliSum.from_terms([("ZXY", 0.7), ("IZI", -1.2), ("YIY", 0.4)])
BITS = np.array([0, 1, 1])
MODEL = LatentGibbs(hea(2, 2), order=2)
_normal = np.random.default_rng(7).normal
PARAMS = {"latent": _normal(scale=0.4, size=3), "angles": _normal(scale=0.4 * np.pi, size=MODEL.circuit.num_angles)}
HAMILTONIAN = PauliSum.from_terms([("ZZ", -1.0), ("XI", -0.7), ("IX", -0.7), ("II", 0.3)])


class Device(Statevector):
    """A simulator that JAX cannot look into: it only samples, by NumPy, so that no number of shots compiles."""

    traceable = False

    def sample(self, circuit, angles, bits, *, shots, key):
        p = np.abs(np.asarray(self.state(circuit, angles, bits))) ** 2
        seed = jax.random.key_data(key).tolist()
        index = np.random.default_rng(seed).choice(len(p), shots, p=p / p.sum())
        return index[:, None] >> np.arange(circuit.n)[::-1] & 1


@functools.cache
def sampled(noise):
    return SampledThermalTask(MODEL, HAMILTONIAN, 1.3, shots=300, noise=noise)


@eqx.filter_jit
def estimates(task, params):
    """400 independent estimates; compiled once for tasks that differ in numbers."""
    return jax.vmap(lambda key: task.estimate(params, key=key))(jax.random.split(jax.random.key(0), 400))


def every_kind():
    block = (
        hadamard(0),
        rotation("X", 0),
        rotation("YZ", 1, 2),
        rotation("Y", 2, controls=(0,)),
        rotation("ZX", 0, 2, controls=(1,)),
        phase(0),
        phase(1, 2),
        phase(2, 0, 1),
        rotation("Z", 1, controls=(2, 0)),
    )
    return Circuit(3, block, 2)


@pytest.mark.parametrize("circuit", [every_kind(), random_circuit(3, 10, 2, 1)], ids=["every kind", "random"])
def test_parameter_shift_is_the_gradient_for_every_gate(circuit):
    @jax.jit
    def both(angles):
        exact = jax.grad(lambda t: Statevector().expectation(circuit, t, BITS, OBSERVABLE))(angles)
        return exact, parameter_shift(Statevector(), circuit, angles, BITS, OBSERVABLE)

    exact, (value, error) = both(np.random.default_rng(0).normal(size=circuit.num_angles))
    np.testing.assert_allclose(value, exact, atol=1e-12)
    np.testing.assert_array_equal(error, 0)
    assert np.abs(exact).max() > 0.1


def test_controlled_rotations_take_four_terms_and_others_two():
    np.testing.assert_array_equal(np.bincount(shifts(every_kind()).angle), 2 * [2, 2, 4, 4, 2, 2, 2, 4])


@pytest.mark.slow
def test_measured_parameter_shift_is_unbiased_and_a_device_has_it_too():
    circuit = Circuit(3, (rotation("X", 0), rotation("YY", 0, 1), rotation("Y", 2, controls=(0,))))
    angles = jnp.array([0.4, 1.1, -0.7])
    exact = parameter_shift(Statevector(), circuit, angles, BITS, OBSERVABLE).value

    def measured(key, backend):
        return parameter_shift(backend, circuit, angles, BITS, OBSERVABLE, shots=200, key=key)

    keys = jax.random.split(jax.random.key(0), 400)
    value, error = jax.jit(jax.vmap(lambda key: measured(key, Statevector())))(keys)
    assert (abs(value.mean(0) - exact) < 4 * value.std(0) / 20).all()
    np.testing.assert_allclose(jnp.sqrt(jnp.mean(error**2, 0)), value.std(0), rtol=4 / np.sqrt(800))
    value, error = measured(jax.random.key(1), Device())
    assert (abs(value - exact) < 4 * error).all()


def test_score_gradient_has_the_leave_one_out_baseline():
    rng = np.random.default_rng(0)
    statistics, values = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    counts = rng.integers(0, 5, (4, 2))
    draws = np.repeat(np.arange(8), counts.ravel())
    s, f = statistics[draws // 2], values.ravel()[draws]
    baseline = np.array([np.delete(f, i).mean() for i in range(len(f))])
    wanted = np.mean((f - baseline)[:, None] * s, axis=0)
    np.testing.assert_allclose(score_gradient(statistics, values, counts.astype(float)).value, wanted, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["latent", "pauli"])
def test_loss_and_gradient_are_unbiased_and_know_their_errors(noise):
    task = sampled(noise)
    exact, grads = task.exact.value_and_grad(PARAMS)
    loss, gradient = estimates(task, PARAMS)
    for wanted, (value, error) in ((exact, loss), *((grads[name], gradient[name]) for name in grads)):
        spread = value.std(0)
        assert value.shape[1:] == wanted.shape
        assert (abs(value.mean(0) - wanted) < 4 * spread / 20 + 1e-12).all()
        np.testing.assert_allclose(jnp.sqrt(jnp.mean(error**2, 0)), spread, rtol=0.17, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "vanishes"), [("latent", True), ("pauli", False)])
def test_latent_noise_vanishes_at_an_optimum_and_pauli_noise_does_not(noise, vanishes):
    # H = −Z₀Z₁: the latent distribution alone is thermal
    task, coefficients = sampled(noise), jnp.array([-1.0, 0.0, 0.0, 0.0])
    ising = eqx.tree_at(lambda h: h.coefficients, task.measurement.observable, coefficients)
    task = eqx.tree_at(lambda t: (t.exact.hamiltonian, t.measurement.observable), task, (ising.matrix(), ising))
    params = {"latent": jnp.array([0.0, 0.0, -1.3]), "angles": jnp.zeros_like(PARAMS["angles"])}
    loss, gradient = estimates(task, params)
    for value, error in (loss, gradient["latent"]):
        assert (float(value.std(0).max()) < 1e-12) == vanishes
        assert (float(error.max()) < 1e-12) == vanishes
    assert (float(gradient["angles"].value.std(0).max()) < 1e-12) == vanishes


@pytest.mark.slow
def test_a_device_gives_the_gradient_and_counts_its_shots():
    model = LatentGibbs(real(2, 1), order=1)
    params = model.init(jax.random.key(0), scale=0.5)
    task = SampledThermalTask(model, HAMILTONIAN, 1.0, shots=600, backend=Device())
    assert not task.traceable
    assert task.shots_per_step == 600 * (1 + 2 * model.circuit.num_angles)
    assert float(task.evaluate(params)["shots"]) == task.shots_per_step
    exact, grads = task.exact.value_and_grad(params)
    loss, gradient = task.estimate(params, key=jax.random.key(1))
    assert abs(float(loss.value) - float(exact)) < 4 * float(loss.standard_error)
    for name, estimate in gradient.items():
        value, error = jax.device_get(estimate)
        assert (abs(value - np.asarray(grads[name])) < 4 * error).all()


@pytest.mark.slow
def test_sampled_metric_is_unbiased_and_knows_its_errors():
    metric = SampledMetric(MODEL, 400)
    keys = jax.random.split(jax.random.key(0), 400)
    blocks = jax.jit(jax.vmap(lambda key: metric.estimate(PARAMS, key=key)))(keys)
    exact = LatentMetric(MODEL).at(PARAMS)
    for name, (value, error) in blocks.items():
        np.testing.assert_allclose(value, jnp.swapaxes(value, 1, 2), atol=1e-14)
        spread = value.std(0)
        assert (abs(value.mean(0) - exact.blocks[name].as_matrix()) < 4 * spread / 20 + 1e-12).all()
        np.testing.assert_allclose(jnp.sqrt(jnp.mean(error**2, 0)), spread, rtol=0.3, atol=1e-3)
    assert float(jnp.linalg.eigvalsh(blocks["angles"].value).min()) < -1e-4  # an estimate alone is not a metric


@pytest.mark.slow
def test_sampled_metric_is_safe_to_solve_with():
    metric, key = SampledMetric(MODEL, 50), jax.random.key(0)
    operator = metric.at(PARAMS, key=key)
    raw = metric.estimate(PARAMS, key=key)
    np.testing.assert_allclose(operator.blocks["latent"].as_matrix(), raw["latent"].value, atol=1e-14)
    np.testing.assert_allclose(operator.blocks["angles"].as_matrix(), absolute(raw["angles"].value), atol=1e-14)
    e = np.linalg.eigvalsh(raw["angles"].value)
    np.testing.assert_allclose(np.linalg.eigvalsh(operator.blocks["angles"].as_matrix()), np.sort(abs(e)), atol=1e-14)


@pytest.mark.slow
def test_a_run_with_shots_trains():
    model = LatentGibbs(real(2, 3), order=2)
    task = SampledThermalTask(model, tfim(1, 2), 1.0, shots=500, noise="latent")
    optimizer = natural_gradient(0.3, task.metric("bkm"), damping=1e-2, accept=None)
    entropy = run(task, optimizer, steps=60, seed=0, progress=False).curves["relative_entropy"][0]
    assert entropy[0] > 0.5
    assert entropy[-10:].max() < 5e-3
    assert len(set(entropy[-10:])) == 10  # fresh shots at every step


def test_what_has_no_sampled_estimate_is_refused():
    with pytest.raises(ValueError, match="need a model with a circuit"):
        SampledThermalTask(GibbsFamily(PauliSum.from_strings(["ZZ", "XI"])), HAMILTONIAN, 1.0, shots=100)
    with pytest.raises(ValueError, match="0 shots are too few"):
        SampledThermalTask(MODEL, HAMILTONIAN, 1.0, shots=0)
    task = SampledThermalTask(MODEL, HAMILTONIAN, 1.0, shots=100)
    with pytest.raises(ValueError, match="sld needs the probabilities"):
        task.metric("sld")
    with pytest.raises(ValueError, match="pass key="):
        task.value_and_grad(PARAMS)
    with pytest.raises(ValueError, match="pass key="):
        task.metric().at(PARAMS)
    with pytest.raises(ValueError, match="at least two shots"):
        SampledMetric(MODEL, 1)
    with pytest.raises(ValueError, match="both shots= and key="):
        parameter_shift(Statevector(), every_kind(), jnp.zeros(16), BITS, OBSERVABLE, shots=100)
