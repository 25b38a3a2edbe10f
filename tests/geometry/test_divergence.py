"""Divergences: many digits where states almost agree, closed forms, gradients, proximal objectives."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from qnat.geometry import (
    LogPartition,
    LogTraceExp,
    NegativeEntropy,
    bregman,
    bures_distance,
    entropy,
    fidelity,
    fidelity_from_spectra,
    free_energy,
    gibbs_state,
    kl,
    log_spectrum,
    log_trace_exp,
    monotone_metric,
    relative_entropy,
    relative_entropy_from_spectra,
    trace_distance,
    trace_distance_from_spectra,
)


def exact_relative_entropy(K_rho, K_sigma):
    """D by sixty-digit matrix functions."""
    mpmath.mp.dps = 60
    first, second = (mpmath.matrix(np.asarray(K).tolist()) for K in (K_rho, K_sigma))

    def trace(matrix):
        return sum(matrix[i, i] for i in range(matrix.rows))

    exponentials = [mpmath.expm(K) for K in (first, second)]
    z_rho, z_sigma = (mpmath.re(trace(e)) for e in exponentials)
    energy = mpmath.re(trace(exponentials[0] * (first - second))) / z_rho
    return energy - mpmath.log(z_rho) + mpmath.log(z_sigma)


@pytest.mark.parametrize("shift", [1e-10, 1e-5, 1e-1, 3.0])
def test_relative_entropy_against_sixty_digits(hermitian, shift):
    K, dK = hermitian(0, 3, 1.0, jnp.float64), hermitian(1, 3, 1.0, jnp.float64)
    near = K + shift * dK
    wanted = exact_relative_entropy(K, near)
    assert wanted < 10 * shift**2
    # what rounding of K itself allows: 1e-16/shift
    assert float(relative_entropy(K, near)) == pytest.approx(float(wanted), rel=1e-14 + 1e-15 / shift)


def test_relative_entropy_of_nearly_pure_states():
    # eigenvalues down to exp(−600), eigenframes 0.1 apart: D = Σ p log p − ⟨log σ⟩
    c, s = np.cos(0.1), np.sin(0.1)
    frame = jnp.array([[c, -s], [s, c]])
    K_rho, K_sigma = jnp.diag(jnp.array([0.0, -600.0])), (frame * jnp.array([0.0, -600.0])) @ frame.T
    assert relative_entropy(K_rho, K_sigma) == pytest.approx(600 * s**2, rel=1e-13)
    assert relative_entropy(K_rho, K_rho) == 0


@pytest.mark.slow
def test_spectral_form_handles_zero_eigenvalues_of_the_first_state():
    log_p, log_q = jnp.array([0.0, -jnp.inf]), jnp.log(jnp.array([0.25, 0.75]))
    assert relative_entropy_from_spectra(log_p, log_q, jnp.eye(2)) == pytest.approx(np.log(4), rel=1e-15)
    assert kl(log_p, log_q) == pytest.approx(np.log(4), rel=1e-15)
    assert kl(log_q, log_p) == jnp.inf
    gradient = jax.grad(lambda q: relative_entropy_from_spectra(log_p, q, jnp.eye(2)))(log_q)
    assert jnp.all(jnp.isfinite(gradient))


def test_kl_of_close_distributions():
    p = jnp.log(jnp.array([0.2, 0.3, 0.5]))
    shift = 1e-9 * jnp.array([1.0, -2.0, 0.5])
    variance = jnp.exp(p) @ shift**2 - (jnp.exp(p) @ shift) ** 2
    assert kl(p, p + shift) == pytest.approx(float(variance) / 2, rel=1e-6)
    assert kl(p, p + 7) < 1e-30


def test_bregman_divergences_are_the_relative_entropies(paulis):
    F = paulis("ZZ", "XI", "IX", "YI")
    x, y = jnp.array([0.7, 0.4, 0.9, -0.25]), jnp.array([-0.1, 0.3, 0.2, 0.5])
    mirror = LogTraceExp(F)
    wanted = relative_entropy(mirror.log_density(y), mirror.log_density(x))
    assert bregman(mirror)(x, y) == pytest.approx(float(wanted), rel=1e-14)
    s = jnp.diagonal(paulis("ZI", "IZ", "ZZ"), axis1=1, axis2=2)
    assert bregman(LogPartition(s))(x[:3], y[:3]) == pytest.approx(float(kl(y[:3] @ s, x[:3] @ s)), rel=1e-13)
    p, q = jax.nn.softmax(x), jax.nn.softmax(y)
    assert bregman(NegativeEntropy())(p, q) == pytest.approx(float(kl(x, y)), rel=1e-13)


def test_free_energy_is_minus_log_z_plus_relative_entropy(hermitian):
    K, H = hermitian(2, 4), hermitian(3, 4)
    for beta in (0.0, 0.7, 5.0):
        wanted = relative_entropy(K, -beta * H) - log_trace_exp(-beta * H)
        assert free_energy(K, H, beta) == pytest.approx(float(wanted), rel=1e-13)
    assert entropy(jnp.zeros((4, 4))) == pytest.approx(np.log(4), rel=1e-15)
    # one qubit, gap 40: S = e⁻⁴⁰(41 + …)
    assert entropy(jnp.diag(jnp.array([40.0, 0.0]))) == pytest.approx(41 * np.exp(-40), rel=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("spectrum", [(0.3, -1.0, 0.7), (0.5, 0.5, -1.0), (0.0, 0.0, 0.0)], ids=str)
def test_gradients_against_differences(hermitian, spectrum):
    _, V = jnp.linalg.eigh(hermitian(4, 3))
    K = (V * jnp.array(spectrum)) @ V.conj().T
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
    for name, function in functions.items():
        _, slope = jax.jvp(function, (K,), (dK,))
        difference = (function(K + h * dK) - function(K - h * dK)) / (2 * h)
        assert slope == pytest.approx(float(difference), abs=3e-10), name
        reverse = jnp.sum(jax.grad(function)(K) * dK).real  # JAX's gradient is a conjugate
        assert slope == pytest.approx(float(reverse), abs=1e-13), name


@pytest.mark.parametrize("dtype", [jnp.complex64, jnp.complex128])
def test_overlap_quantities_of_one_qubit(paulis, dtype):
    """F = Tr ρσ + 2√(det ρ det σ); T is half the distance of the Bloch vectors."""
    X, Y, Z = paulis("X", "Y", "Z").astype(dtype)
    a, b = 0.3 * X - 0.5 * Y + 0.8 * Z, -0.2 * X + 0.1 * Y + 1.1 * Z
    rho, sigma = gibbs_state(a), gibbs_state(b)
    F = (jnp.trace(rho @ sigma) + 2 * jnp.sqrt(jnp.linalg.det(rho) * jnp.linalg.det(sigma))).real
    bloch = jnp.array([jnp.trace((rho - sigma) @ P).real for P in (X, Y, Z)])
    rel = 30 * float(jnp.finfo(dtype).eps)
    assert fidelity(a, b) == pytest.approx(float(F), rel=rel)
    assert bures_distance(a, b) == pytest.approx(float(jnp.sqrt(2 - 2 * jnp.sqrt(F))), rel=20 * rel)
    assert trace_distance(a, b) == pytest.approx(float(jnp.linalg.norm(bloch)) / 2, rel=rel)


def test_quantities_from_spectra(hermitian):
    a, b = hermitian(7, 4), hermitian(8, 4)
    (log_p, V), (log_q, W) = log_spectrum(a), log_spectrum(b)
    amplitudes = V.conj().T @ W
    assert fidelity_from_spectra(log_p, log_q, amplitudes) == pytest.approx(float(fidelity(a, b)), rel=1e-13)
    assert trace_distance_from_spectra(log_p, log_q, amplitudes) == pytest.approx(
        float(trace_distance(a, b)), rel=1e-13
    )


def test_bures_distance_keeps_the_digits_of_close_states(paulis):
    mirror, theta = LogTraceExp(paulis("ZZ", "XI", "IX")), jnp.array([0.7, 0.4, 0.9])
    direction = jnp.array([1.0, -2.0, 0.5])
    sld = monotone_metric(mirror.log_density, theta, "sld")
    for shift in (1e-4, 1e-7, 1e-10):
        found = bures_distance(mirror.log_density(theta), mirror.log_density(theta + shift * direction))
        line_element = shift * jnp.sqrt(direction @ sld.mv(direction)) / 2
        assert found == pytest.approx(float(line_element), rel=2 * shift + 1e-15 / shift)


def test_fidelity_of_nearly_pure_states_is_the_overlap():
    psi, phi = jnp.array([1.0, 0.0]), jnp.array([np.cos(0.3), np.sin(0.3)])
    K_psi, K_phi = 200 * jnp.outer(psi, psi), 200 * jnp.outer(phi, phi)
    assert fidelity(K_psi, K_phi) == pytest.approx(np.cos(0.3) ** 2, rel=1e-13)
    assert trace_distance(K_psi, K_phi) == pytest.approx(np.sin(0.3), rel=1e-13)


class TestProximalObjective:
    """⟨g, v⟩ + D/η along −g, θₖ = (0.3, −0.2, 0.5, 0.1), g = F(θₖ)(θₖ − βθ_H), η = ½; the file writes exp(−Σ θG)."""

    theta = jnp.array([0.3, -0.2, 0.5, 0.1])
    goal = 1.5 * jnp.array([-1.0, -0.7, -0.9, 0.3])
    rate = 0.5

    @pytest.fixture
    def mirror(self, paulis):
        return LogTraceExp(paulis("ZZ", "XI", "IX", "YI"))

    @pytest.fixture
    def gradient(self, mirror):
        return monotone_metric(mirror.log_density, -self.theta).mv(self.theta - self.goal)

    def test_gradient_is_that_of_the_free_energy(self, mirror, gradient):
        beta_H = mirror.log_density(self.goal)
        found = jax.grad(lambda v: free_energy(mirror.log_density(-v), beta_H))(self.theta)
        np.testing.assert_allclose(found, gradient, rtol=1e-13)

    @pytest.mark.parametrize("direction", ["model_prev", "prev_model"])
    def test_values(self, golden, mirror, gradient, direction):
        stored = golden("prox_checks")["prox_objective_along_-g"]
        previous = mirror.log_density(-self.theta)
        for R, wanted in zip(stored["R"], stored[direction], strict=True):
            v = self.theta - R * gradient / jnp.linalg.norm(gradient)
            points = (mirror.log_density(-v), previous)
            distance = relative_entropy(*(points if direction == "model_prev" else points[::-1]))
            assert gradient @ v + distance / self.rate == pytest.approx(wanted, rel=1e-10)

    def test_exact_steps(self, golden, mirror, gradient):
        stored = golden("prox_checks")
        step = self.theta - self.rate * (self.theta - self.goal)  # natural gradient: F cancels
        np.testing.assert_allclose(step, stored["NGD step same lr"], rtol=1e-10)
        target = mirror.to_dual(-self.theta) + self.rate * gradient
        np.testing.assert_allclose(target, stored["moment_target_eta_plus_lr_g"], rtol=1e-10)
        # moment matching; the stored minimiser came from an optimiser that stopped at this residual
        minimiser, residual = jnp.array(stored["prev||model minimiser"]), stored["stationarity eta(u)-(eta_k+lr g)"]
        assert jnp.abs(mirror.to_dual(-minimiser) - target).max() == pytest.approx(residual, rel=1e-6)
        np.testing.assert_allclose(-mirror.to_primal(target), minimiser, atol=2 * residual)
