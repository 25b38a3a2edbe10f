"""Divergences: many digits where states almost agree, closed forms, gradients, proximal objectives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from qnat.geometry import (
    Dual,
    LogPartition,
    LogTraceExp,
    NegativeEntropy,
    bregman,
    bures_distance,
    entropy,
    fidelity,
    free_energy,
    kl,
    log_trace_exp,
    monotone_metric,
    relative_entropy,
    relative_entropy_from_spectra,
    trace_distance,
)


def exact_relative_entropy(K_rho, K_sigma):
    """D by sixty-digit matrix functions."""
    mpmath.mp.dps = 60
    first, second = (mpmath.matrix(K.tolist()) for K in (K_rho, K_sigma))

    def trace(matrix):
        return sum(matrix[i, i] for i in range(matrix.rows))

    exponentials = [mpmath.expm(K) for K in (first, second)]
    z_rho, z_sigma = (mpmath.re(trace(e)) for e in exponentials)
    energy = mpmath.re(trace(exponentials[0] * (first - second))) / z_rho
    return energy - mpmath.log(z_rho) + mpmath.log(z_sigma)


@pytest.mark.parametrize("shift", [1e-10, 1e-5, 1e-1, 3.0])
def test_relative_entropy_against_sixty_digits(hermitian, shift):
    K, dK = hermitian(0, 3, 1.0, np.float64), hermitian(1, 3, 1.0, np.float64)
    near = K + shift * dK
    wanted = exact_relative_entropy(K, near)
    assert wanted < 10 * shift**2
    # what rounding of K itself allows: 1e-16/shift
    assert float(relative_entropy(K, near)) == pytest.approx(float(wanted), rel=1e-14 + 1e-15 / shift)


def test_relative_entropy_of_nearly_pure_states():
    # eigenvalues down to exp(−600), eigenframes 0.1 apart: D = Σ p log p − ⟨log σ⟩
    c, s = np.cos(0.1), np.sin(0.1)
    frame = np.array([[c, -s], [s, c]])
    K_rho, K_sigma = np.diag([0.0, -600.0]), (frame * np.array([0.0, -600.0])) @ frame.T
    assert relative_entropy(K_rho, K_sigma) == pytest.approx(600 * s**2, rel=1e-13)
    assert relative_entropy(K_rho, K_rho) == 0


@pytest.mark.slow
def test_spectral_form_handles_zero_eigenvalues_of_the_first_state():
    log_p, log_q = np.array([0.0, -np.inf]), np.log([0.25, 0.75])
    assert relative_entropy_from_spectra(log_p, log_q, np.eye(2)) == pytest.approx(np.log(4), rel=1e-15)
    assert kl(log_p, log_q) == pytest.approx(np.log(4), rel=1e-15)
    assert kl(log_q, log_p) == np.inf
    gradient = jax.grad(lambda q: relative_entropy_from_spectra(log_p, q, np.eye(2)))(log_q)
    assert np.all(np.isfinite(gradient))


def test_kl_of_close_distributions():
    p = np.log([0.2, 0.3, 0.5])
    shift = 1e-9 * np.array([1.0, -2.0, 0.5])
    variance = np.exp(p) @ shift**2 - (np.exp(p) @ shift) ** 2
    assert kl(p, p + shift) == pytest.approx(variance / 2, rel=1e-6)
    assert kl(p, p + 7) < 1e-30


def test_zeros_of_probability_vectors():
    """The slope is −∞ at a zero. Two points may share it; the gap is infinite if the second alone has it."""
    mirror, inside = NegativeEntropy(), np.array([0.2, 0.3, 0.5])
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.3, 0.7, 0.0])

    @jax.jit
    def facts(p, q, inside):
        pairs = [(p, q), (p, inside), (inside, p), (p, p)]
        both = [(bregman(mirror)(a, b), kl(jnp.log(a), jnp.log(b))) for a, b in pairs]
        slope = mirror.to_dual(p)
        return both, slope, jax.grad(mirror.potential)(p), mirror.to_primal(slope), Dual(mirror).potential(slope)

    both, slope, gradient, back, conjugate = jax.tree.map(np.asarray, facts(p, q, inside))
    for found, wanted in both:
        assert found == pytest.approx(wanted, rel=1e-13, abs=1e-16)
    assert both[0][0] == pytest.approx(0.5 * np.log(0.25 / 0.21), rel=1e-13)
    assert both[2][0] == np.inf
    np.testing.assert_array_equal(slope, [np.log(0.5) + 1, np.log(0.5) + 1, -np.inf])
    np.testing.assert_array_equal(gradient, slope)
    np.testing.assert_allclose(back, p, atol=1e-16)
    assert conjugate == pytest.approx(1, rel=1e-15)


def test_an_impossible_outcome_makes_the_divergence_infinite_however_rare_it_is():
    assert kl(np.array([0.0, -800.0]), np.array([0.0, -np.inf])) == np.inf


def test_bregman_divergences_are_the_relative_entropies(paulis):
    mirror, s = LogTraceExp(paulis("ZZ", "XI", "IX", "YI")), np.diagonal(paulis("ZI", "IZ", "ZZ"), axis1=1, axis2=2)
    x, y = np.array([0.7, 0.4, 0.9, -0.25]), np.array([-0.1, 0.3, 0.2, 0.5])

    @jax.jit
    def pairs(x, y):
        p, q = jax.nn.softmax(x), jax.nn.softmax(y)
        return {
            "states": (bregman(mirror)(x, y), relative_entropy(mirror.log_density(y), mirror.log_density(x))),
            "family": (bregman(LogPartition(s))(x[:3], y[:3]), kl(y[:3] @ s, x[:3] @ s)),
            "simplex": (bregman(NegativeEntropy())(p, q), kl(x, y)),
        }

    for name, rel in (("states", 1e-14), ("family", 1e-13), ("simplex", 1e-13)):
        found, wanted = map(float, pairs(x, y)[name])
        assert found == pytest.approx(wanted, rel=rel), name


def test_free_energy_is_minus_log_z_plus_relative_entropy(hermitian):
    K, H = hermitian(2, 4), hermitian(3, 4)

    @jax.jit
    def both(beta):
        return free_energy(K, H, beta), relative_entropy(K, -beta * H) - log_trace_exp(-beta * H)

    for beta in (0.0, 0.7, 5.0):
        found, wanted = map(float, both(beta))
        assert found == pytest.approx(wanted, rel=1e-13)
    assert entropy(np.zeros((4, 4))) == pytest.approx(np.log(4), rel=1e-15)
    # one qubit, gap 40: S = e⁻⁴⁰(41 + …)
    assert entropy(np.diag([40.0, 0.0])) == pytest.approx(41 * np.exp(-40), rel=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("spectrum", [(0.3, -1.0, 0.7), (0.5, 0.5, -1.0), (0.0, 0.0, 0.0)], ids=str)
def test_gradients_against_differences(hermitian, spectrum):
    _, V = np.linalg.eigh(hermitian(4, 3))
    K = (V * np.array(spectrum)) @ V.conj().T
    other, dK, h = hermitian(5, 3), hermitian(6, 3), 1e-5
    functions = {
        "relative entropy, first": lambda K: relative_entropy(K, other),
        "relative entropy, second": lambda K: relative_entropy(other, K),
        "entropy": entropy,
        "free energy": lambda K: free_energy(K, other, 1.3),
        "fidelity": lambda K: fidelity(K, other),
        "Bures distance": lambda K: bures_distance(other, K),
        "trace distance": lambda K: trace_distance(K, other),
    }

    @jax.jit
    def slopes(K, dK):
        """Along dK: in forward mode, by differences, in reverse mode."""
        return {
            name: (
                jax.jvp(function, (K,), (dK,))[1],
                (function(K + h * dK) - function(K - h * dK)) / (2 * h),
                jnp.sum(jax.grad(function)(K) * dK).real,  # JAX's gradient is a conjugate
            )
            for name, function in functions.items()
        }

    for name, found in slopes(K, dK).items():
        slope, difference, reverse = map(float, found)
        assert slope == pytest.approx(difference, abs=3e-10), name
        assert slope == pytest.approx(reverse, abs=1e-13), name


@eqx.filter_jit
def gradients_of_the_free_energy(mirror, theta, goal):
    """By the metric, and by automatic differentiation."""

    def energy(v):
        return free_energy(mirror.log_density(-v), mirror.log_density(goal))

    return monotone_metric(mirror.log_density, -theta).mv(theta - goal), jax.grad(energy)(theta)


class TestProximalObjective:
    """⟨g, v⟩ + D/η along −g, θₖ = (0.3, −0.2, 0.5, 0.1), g = F(θₖ)(θₖ − βθ_H), η = ½; the file writes exp(−Σ θG)."""

    theta = np.array([0.3, -0.2, 0.5, 0.1])
    goal = 1.5 * np.array([-1.0, -0.7, -0.9, 0.3])
    rate = 0.5

    @pytest.fixture
    def mirror(self, paulis):
        return LogTraceExp(paulis("ZZ", "XI", "IX", "YI"))

    @pytest.fixture
    def gradients(self, mirror):
        return [np.asarray(gradient) for gradient in gradients_of_the_free_energy(mirror, self.theta, self.goal)]

    def test_gradient_is_that_of_the_free_energy(self, gradients):
        gradient, found = gradients
        np.testing.assert_allclose(found, gradient, rtol=1e-13)

    @pytest.mark.parametrize("direction", ["model_prev", "prev_model"])
    def test_values(self, golden, mirror, gradients, direction):
        stored, gradient = golden("prox_checks")["prox_objective_along_-g"], gradients[0]
        for R, wanted in zip(stored["R"], stored[direction], strict=True):
            v = self.theta - R * gradient / np.linalg.norm(gradient)
            points = [np.tensordot(-t, mirror.generators, axes=1) for t in (v, self.theta)]
            distance = float(relative_entropy(*(points if direction == "model_prev" else points[::-1])))
            assert gradient @ v + distance / self.rate == pytest.approx(wanted, rel=1e-10)

    def test_exact_steps(self, golden, mirror, gradients):
        stored, gradient = golden("prox_checks"), gradients[0]
        step = self.theta - self.rate * (self.theta - self.goal)  # natural gradient: F cancels
        np.testing.assert_allclose(step, stored["NGD step same lr"], rtol=1e-10)
        # moment matching; the stored minimiser came from an optimiser that stopped at this residual
        minimiser, residual = np.array(stored["prev||model minimiser"]), stored["stationarity eta(u)-(eta_k+lr g)"]

        @jax.jit
        def matched(theta, gradient, minimiser):
            target = mirror.to_dual(-theta) + self.rate * gradient
            return target, mirror.to_dual(-minimiser), -mirror.to_primal(target)

        target, there, found = map(np.asarray, matched(self.theta, gradient, minimiser))
        np.testing.assert_allclose(target, stored["moment_target_eta_plus_lr_g"], rtol=1e-10)
        assert np.abs(there - target).max() == pytest.approx(residual, rel=1e-6)
        np.testing.assert_allclose(found, minimiser, atol=2 * residual)
