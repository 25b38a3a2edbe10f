"""Imaginary time on circuits against exact imaginary time, and exact mirror descent against a complete family."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg

from qnat.geometry import HessianMetric, LogTraceExp, relative_entropy
from qnat.geometry.mirror import AbstractMirrorMap
from qnat.optim import mirror_descent, natural_gradient
from qnat.quantum import (
    Circuit,
    GibbsFamily,
    PauliSum,
    PureMetric,
    PureState,
    matrix_multiplicative_weights,
    purified_thermal,
    reduced_density_matrix,
    thermofield,
    varqite,
)
from qnat.quantum.circuits.ansatz import real
from qnat.quantum.circuits.circuit import rotation
from qnat.quantum.methods.varqite import mclachlan

pytestmark = pytest.mark.slow

ISING = PauliSum.from_terms([("ZZ", -1.0), ("XI", -0.7), ("IX", -0.7)])
BETA = 1.2
# X, Y, Z on a system wire, times 1, X, Z on its partner so that Y stands an odd number of times: real rotations, which
# move the entangled pairs in all 15 real directions
ODD = {"I": "II", "X": "YZ", "Y": "YI", "Z": "YX"}


def complete():
    gates = []
    for a, b in itertools.product("IXYZ", repeat=2):
        if (a, b) == ("I", "I"):
            continue
        left, right = ODD[a], ODD[b]
        if a != "I" and b != "I":  # one Y of the two must go: the partner's letter takes it from the second wire
            right = {"X": "XI", "Y": "ZX", "Z": "ZI"}[b]
        string = left[0] + right[0] + left[1] + right[1]
        wires = [wire for wire, letter in enumerate(string) if letter != "I"]
        gates.append(rotation(string.replace("I", ""), *wires))
    return Circuit(4, tuple(gates))


def test_a_complete_circuit_reaches_the_thermofield_double():
    """M = exp(−βH/2)/√Z as a matrix of amplitudes: steps of 0.01 in imaginary time β/2."""
    model = thermofield(complete())
    path = purified_thermal(model, ISING, BETA, steps=60)
    psi = model.state(jax.tree.map(lambda x: x[-1], path.params))
    exact = scipy.linalg.expm(-BETA / 2 * np.asarray(ISING.matrix()))
    exact = (exact / np.linalg.norm(exact)).ravel()
    assert abs(np.vdot(exact, psi)) ** 2 > 1 - 1e-6
    thermal = scipy.linalg.expm(-BETA * np.asarray(ISING.matrix()))
    np.testing.assert_allclose(reduced_density_matrix(psi, (0, 1)), thermal / np.trace(thermal), atol=1e-5)
    assert float(path.distance.max()) < 1e-4  # nothing is out of reach
    assert float(path.energy[-1]) == pytest.approx(np.trace(thermal @ ISING.matrix()) / np.trace(thermal), abs=1e-5)


def test_the_velocity_is_natural_gradient_descent():
    """φ̇ = −½ FS⁻¹ ∇E = −2 SLD⁻¹ ∇E, on a circuit whose global phase moves with its angles."""
    model = PureState(Circuit(2, (rotation("Z", 0), rotation("X", 0), rotation("Y", 1), rotation("ZX", 0, 1))))
    params = {"angles": jnp.array([0.3, -0.7, 0.5, 0.9])}
    ridge = 1e-3
    velocity, energy, _ = mclachlan(model, ISING, params, ridge)
    value, grads = jax.value_and_grad(model.energy)(params, ISING)
    descent = natural_gradient(2.0, PureMetric(model), damping=4 * ridge, trust=None, box=None, accept=None)
    wanted, _ = descent.update(grads, descent.init(params), params)
    np.testing.assert_allclose(velocity["angles"], wanted["angles"], atol=1e-12)
    assert float(energy) == pytest.approx(float(value), abs=1e-14)


def test_the_distance_is_what_the_tangent_space_leaves():
    """One angle on a circle that H leaves: the distance is that of the exact derivative, phase removed."""
    model = PureState(Circuit(1, (rotation("X", 0),)))
    params, H = {"angles": jnp.array([0.8])}, PauliSum.from_terms([("Z", 1.0), ("X", 0.5)])
    velocity, energy, distance = mclachlan(model, H, params, 0.0)
    dense, state = np.asarray(H.matrix()), lambda t: np.array([np.cos(t / 2), -1j * np.sin(t / 2)])
    psi, tangent = state(0.8), (state(0.8 + 1e-6) - state(0.8 - 1e-6)) / 2e-6
    wanted = -(dense @ psi - np.vdot(psi, dense @ psi).real * psi)
    reached = tangent * float(velocity["angles"][0])
    reached = reached - psi * np.vdot(psi, reached)
    assert float(distance) == pytest.approx(np.linalg.norm(wanted - reached), abs=1e-8)
    variance = np.vdot(psi, dense @ dense @ psi).real - float(energy) ** 2
    assert 0.1 < float(distance) < np.sqrt(variance)


def test_redundant_angles_follow_exact_imaginary_time_from_any_start():
    """27 angles for the seven directions of a real state on three wires; the energy never rises."""
    model = PureState(real(3, 3))
    H = PauliSum.from_terms([("ZZI", -1.0), ("IZZ", -1.0), ("XII", -0.8), ("IXI", -0.8), ("IIX", -0.8)])
    start = model.init(jax.random.key(1), scale=0.2)
    path = varqite(model, H, start, time=2.0, steps=100)
    exact = scipy.linalg.expm(-2.0 * np.asarray(H.matrix())) @ model.state(start)
    found = model.state(jax.tree.map(lambda x: x[-1], path.params))
    assert abs(np.vdot(exact, found)) ** 2 / np.vdot(exact, exact).real > 1 - 1e-6
    assert np.diff(path.energy).max() < 0


def test_purifications_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="even number of wires"):
        thermofield(real(3, 1))
    with pytest.raises(ValueError, match="twice as many"):
        purified_thermal(thermofield(real(2, 1)), ISING, 1.0, steps=2)


COMPLETE = GibbsFamily(PauliSum.from_strings(["".join(s) for s in itertools.product("IXYZ", repeat=2)][1:]).matrices())
START = np.random.default_rng(3).normal(scale=0.3, size=15)
RATE, STEPS = 0.3, 12


def exact_path():
    return matrix_multiplicative_weights(COMPLETE.log_density(START), ISING.matrix(), BETA, rate=RATE, steps=STEPS)


def test_mirror_descent_over_all_states_decreases_the_free_energy_and_arrives_at_unit_rate():
    path = exact_path()
    target = -BETA * ISING.matrix()
    distances = jax.vmap(lambda K: relative_entropy(K, target.astype(K.dtype)))(path)
    assert np.all(np.diff(distances) < 0)
    k = STEPS
    np.testing.assert_allclose(path[k], (1 - RATE) ** k * path[0] + (1 - (1 - RATE) ** k) * target, atol=1e-13)
    once = matrix_multiplicative_weights(path[0], ISING.matrix(), BETA, rate=1.0, steps=1)[1]
    np.testing.assert_allclose(once, target, atol=1e-14)


def follow(optimizer, params, value_and_grad, to_log_density):
    @jax.jit
    def step(carry, _):
        params, state = carry
        value, grads = value_and_grad(params)
        updates, state = optimizer.update(grads, state, params, value=value)
        return (optax.apply_updates(params, updates), state), params

    path = jax.lax.scan(step, (params, optimizer.init(params)), None, length=STEPS + 1)[1]
    return jax.vmap(to_log_density)(path)


def test_a_complete_family_follows_it_by_natural_gradient():
    optimizer = natural_gradient(RATE, HessianMetric(COMPLETE.mirror), damping=0.0, trust=None, box=None, accept=None)
    loss = jax.value_and_grad(lambda theta: COMPLETE.free_energy(theta, ISING.matrix(), BETA))
    found = follow(optimizer, START, loss, COMPLETE.log_density)
    np.testing.assert_allclose(found, exact_path(), atol=1e-11)


class Means(AbstractMirrorMap):
    """The conjugate of a mirror map: the expectations are the parameters, and the coefficients their dual."""

    mirror: LogTraceExp

    def potential(self, eta):
        theta = jax.lax.stop_gradient(self.mirror.to_primal(eta))  # the maximiser, where only η·θ has a derivative
        return theta @ eta - self.mirror.potential(theta)

    def to_primal(self, theta):
        return self.mirror.to_dual(theta)


def test_a_complete_family_follows_it_by_mirror_descent_in_its_expectations():
    mirror = COMPLETE.mirror
    target = jnp.array([float(jnp.trace(-BETA * ISING.matrix() @ G).real) / 4 for G in COMPLETE.generators])

    def loss(eta):  # ∇F = log ρ + βH up to a constant, in the coordinates of the expectations
        return jnp.zeros(()), mirror.to_primal(eta) - target

    optimizer = mirror_descent(RATE, Means(mirror), accept=None)
    found = follow(optimizer, mirror.to_dual(START), loss, lambda eta: COMPLETE.log_density(mirror.to_primal(eta)))
    np.testing.assert_allclose(found, exact_path(), atol=1e-7)
