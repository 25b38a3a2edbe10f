"""Measurement: groups commute, shots are divided well, estimates are unbiased and know their error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.quantum import PauliSum, Statevector, tfim
from qnat.quantum.backends.laws import dense_pauli, dense_unitary, random_circuit
from qnat.quantum.measure.groups import allocate, commuting_groups, in_basis
from qnat.quantum.measure.measurement import Measurement, estimate

pytestmark = pytest.mark.slow

CIRCUIT = random_circuit(3, 8, 2, 0)
ANGLES = np.random.default_rng(0).normal(size=CIRCUIT.num_angles)
BITS = np.array([0, 1, 0])
OBSERVABLE = PauliSum.from_terms([("ZXY", 0.7), ("IZI", -1.2), ("III", 0.3), ("YIY", 0.4), ("IIY", 0.1)])
PSI = dense_unitary(CIRCUIT, ANGLES)[:, 0b010]
DENSE = sum(c * dense_pauli(s) for c, s in zip(np.asarray(OBSERVABLE.coefficients), OBSERVABLE.strings, strict=True))
EXACT = (PSI.conj() @ DENSE @ PSI).real


class Device(Statevector):
    """A simulator that JAX cannot look into: it only samples, by NumPy, so that no number of shots compiles."""

    traceable = False

    def sample(self, circuit, angles, bits, *, shots, key):
        p = np.abs(np.asarray(self.state(circuit, angles, bits))) ** 2
        seed = jax.random.key_data(key).tolist()
        index = np.random.default_rng(seed).choice(len(p), shots, p=p / p.sum())
        return index[:, None] >> np.arange(circuit.n)[::-1] & 1


@pytest.mark.parametrize("seed", range(5))
def test_groups_commute_qubit_by_qubit_and_have_every_string_once(seed):
    rng = np.random.default_rng(seed)
    strings = {"".join(rng.choice(list("IXYZ"), 4)) for _ in range(30)} | {"IIII"}
    observable = PauliSum.from_terms((string, rng.normal()) for string in sorted(strings))
    groups = commuting_groups(observable)
    for basis, terms in groups:
        assert set(basis) <= set("XYZ")
        for term in terms:
            assert all(letter in ("I", b) for letter, b in zip(observable.strings[term], basis, strict=True))
    found = sorted(term for group in groups for term in group.terms)
    assert found == [k for k, string in enumerate(observable.strings) if string != "IIII"]
    largest = [abs(float(observable.coefficients[group.terms[0]])) for group in groups]
    assert largest == sorted(largest, reverse=True)


def test_the_ising_model_has_two_settings():
    assert [group.basis for group in commuting_groups(tfim(1, 4))] == ["ZZZZ", "XXXX"]


def test_shots_follow_the_deviations_and_that_is_optimal():
    sigma = np.array([0.1, 2.0, 1.0, 0.0])
    shots = np.array(allocate(1000, sigma))
    assert shots.sum() == 1000
    assert shots.min() == 2
    np.testing.assert_allclose(shots[:3], 998 * sigma[:3] / sigma.sum(), atol=2)
    best = np.sum(sigma**2 / shots)
    assert best == pytest.approx(sigma.sum() ** 2 / 1000, rel=1e-2)
    assert best < np.sum(sigma**2 / 250)
    for total in (4, 5, 7, 11):
        assert sum(allocate(total, [1.0, 0.0])) == total
        assert sum(allocate(total, [0.0, 0.0])) == total


def test_rotated_states_are_those_of_the_appended_rotations():
    plan = Measurement(OBSERVABLE, 100)
    ours = plan.probabilities(Statevector().state(CIRCUIT, ANGLES, BITS))
    for group, probabilities in zip(plan.groups, ours, strict=True):
        theirs = Statevector().state(in_basis(CIRCUIT, group.basis), ANGLES, BITS)
        np.testing.assert_allclose(probabilities, np.abs(theirs) ** 2, atol=1e-14)


def test_without_noise_it_is_the_expectation():
    plan = Measurement(OBSERVABLE, 100)
    counts = 1e14 * plan.probabilities(Statevector().state(CIRCUIT, ANGLES, BITS))
    value, error = plan.estimate(counts)
    assert float(value) == pytest.approx(EXACT, abs=1e-13)
    assert float(error) < 1e-6


def test_estimates_are_unbiased_and_know_their_error():
    measure = jax.jit(lambda key: estimate(Statevector(), CIRCUIT, ANGLES, BITS, OBSERVABLE, shots=300, key=key))
    value, error = jax.vmap(measure)(jax.random.split(jax.random.key(1), 1000))
    assert abs(value.mean() - EXACT) < 4 * value.std() / np.sqrt(1000)
    assert float(jnp.sqrt(jnp.mean(error**2)) / value.std()) == pytest.approx(1, abs=4 / np.sqrt(2000))


def test_a_pilot_run_lowers_the_error():
    state = Statevector().state(CIRCUIT, ANGLES, BITS)
    plain = Measurement(OBSERVABLE, 1000)
    pilot = plain.counts(plain.probabilities(state), key=jax.random.key(2))
    better = Measurement(OBSERVABLE, 1000, plain.deviations(pilot).tolist())
    exact = plain.deviations(1e9 * plain.probabilities(state))
    plain_error, error = (jnp.sum(exact**2 / jnp.array(plan.shots)) for plan in (plain, better))
    assert float(error) < float(plain_error)
    assert float(error) == pytest.approx(float(exact.sum()) ** 2 / 1000, rel=1e-2)


def test_a_device_is_measured_by_its_own_samples():
    value, error = estimate(Device(), CIRCUIT, ANGLES, BITS, OBSERVABLE, shots=4000, key=jax.random.key(3))
    assert abs(float(value) - EXACT) < 4 * float(error)
    p = np.array([0.1, 0, 0.4, 0, 0, 0.3, 0.2, 0])
    plan = Measurement(OBSERVABLE, 6000)
    device = np.asarray(plan.run_each(Device(), CIRCUIT, ANGLES, p, key=jax.random.key(4)))
    traced = jax.jit(lambda p, key: plan.run_each(Statevector(), CIRCUIT, ANGLES, p, key=key))
    traced = np.asarray(traced(p, jax.random.key(4)))
    assert device.shape == (2, 8, 8)
    np.testing.assert_array_equal(device.sum((1, 2)), plan.shots)
    np.testing.assert_array_equal(device.sum(2)[:, p == 0], 0)
    assert (abs(device - traced) < 5 * np.sqrt(device + traced + 1)).all()
    mixed, own = plan.estimate(plan.run_mixture(Device(), CIRCUIT, ANGLES, p, key=jax.random.key(5)))
    bits = np.arange(8)[:, None] >> np.array([2, 1, 0]) & 1
    wanted = sum(
        p[x] * float(Statevector().expectation(CIRCUIT, ANGLES, bits[x], OBSERVABLE)) for x in np.flatnonzero(p)
    )
    assert abs(float(mixed) - wanted) < 4 * float(own)


@pytest.mark.parametrize("shots", [0, 1, 3, -5])
def test_too_few_shots_are_refused(shots):
    with pytest.raises(ValueError, match=f"{shots} shots are too few.*give at least 4"):
        estimate(Statevector(), CIRCUIT, ANGLES, BITS, OBSERVABLE, shots=shots, key=jax.random.key(0))


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="needs no measurement"):
        Measurement(PauliSum.from_terms([("III", 2.0)]), 100)
    with pytest.raises(ValueError, match="3 wires has no expectation on 4"):
        estimate(Statevector(), CIRCUIT, ANGLES, BITS, tfim(1, 4), shots=100, key=jax.random.key(0))
