"""Fidelities and distances: closed forms, many digits near purity, ranges, derivatives of first and second order."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from qnat.geometry import (
    LogTraceExp,
    bures_distance,
    entropy,
    fidelity,
    fidelity_from_spectra,
    free_energy,
    gibbs_state,
    log_spectrum,
    log_trace_exp,
    monotone_metric,
    relative_entropy,
    trace_distance,
    trace_distance_from_spectra,
)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_overlap_quantities_of_one_qubit(paulis, dtype):
    """F = Tr ρσ + 2√(det ρ det σ); T is half the distance of the Bloch vectors."""
    X, Y, Z = paulis("X", "Y", "Z")
    a, b = (m.astype(dtype) for m in (0.3 * X - 0.5 * Y + 0.8 * Z, -0.2 * X + 0.1 * Y + 1.1 * Z))

    @jax.jit
    def compared(a, b):
        return gibbs_state(a), gibbs_state(b), fidelity(a, b), bures_distance(a, b), trace_distance(a, b)

    rho, sigma, *found = map(np.asarray, compared(a, b))
    F = (np.trace(rho @ sigma) + 2 * np.sqrt(np.linalg.det(rho) * np.linalg.det(sigma))).real
    bloch = np.array([np.trace((rho - sigma) @ P).real for P in (X, Y, Z)])
    rel = 30 * float(np.finfo(dtype).eps)
    assert found[0] == pytest.approx(F, rel=rel)
    assert found[1] == pytest.approx(np.sqrt(2 - 2 * np.sqrt(F)), rel=20 * rel)
    assert found[2] == pytest.approx(np.linalg.norm(bloch) / 2, rel=rel)


def test_quantities_from_spectra(hermitian):
    @jax.jit
    def compared(a, b):
        (log_p, V), (log_q, W) = log_spectrum(a), log_spectrum(b)
        spectra = log_p, log_q, V.conj().T @ W
        return {
            "fidelity": (fidelity_from_spectra(*spectra), fidelity(a, b)),
            "trace distance": (trace_distance_from_spectra(*spectra), trace_distance(a, b)),
        }

    for name, pair in compared(hermitian(7, 4), hermitian(8, 4)).items():
        found, wanted = map(float, pair)
        assert found == pytest.approx(wanted, rel=1e-13), name


def test_bures_distance_keeps_the_digits_of_close_states(paulis):
    mirror, theta = LogTraceExp(paulis("ZZ", "XI", "IX")), np.array([0.7, 0.4, 0.9])
    direction = np.array([1.0, -2.0, 0.5])
    K, change = (np.tensordot(v, mirror.generators, axes=1) for v in (theta, direction))
    sld = np.asarray(jax.jit(lambda t: monotone_metric(mirror.log_density, t, "sld").as_matrix())(theta))
    for shift in (1e-4, 1e-7, 1e-10):
        line_element = shift * np.sqrt(direction @ sld @ direction) / 2
        assert bures_distance(K, K + shift * change) == pytest.approx(line_element, rel=2 * shift + 1e-15 / shift)


def test_fidelity_of_nearly_pure_states_is_the_overlap():
    psi, phi = np.array([1.0, 0.0]), np.array([np.cos(0.3), np.sin(0.3)])
    K_psi, K_phi = 200 * np.outer(psi, psi), 200 * np.outer(phi, phi)
    assert fidelity(K_psi, K_phi) == pytest.approx(np.cos(0.3) ** 2, rel=1e-13)
    assert trace_distance(K_psi, K_phi) == pytest.approx(np.sin(0.3), rel=1e-13)


def exact_state(K):
    """Eigenvalues and eigenvectors of ρ to eighty digits."""
    mpmath.mp.dps = 80
    levels, V = mpmath.eighe(mpmath.matrix([[mpmath.mpc(complex(x)) for x in row] for row in K]))
    weights = [mpmath.exp(level - max(levels)) for level in levels]
    return [weight / sum(weights) for weight in weights], V


def exact(K_rho, K_sigma):
    """Fidelity, Bures and trace distance, relative entropy, entropy of the first."""
    (p, V), (q, W) = exact_state(K_rho), exact_state(K_sigma)
    product = mpmath.diag([mpmath.sqrt(x) for x in p]) * V.H * W * mpmath.diag([mpmath.sqrt(x) for x in q])
    root = sum(mpmath.svd_c(product, compute_uv=False))
    difference = V * mpmath.diag(p) * V.H - W * mpmath.diag(q) * W.H
    trace = sum(abs(x) for x in mpmath.eighe(difference, eigvals_only=True)) / 2
    overlap, pairs = V.H * W, [(i, j) for i in range(len(p)) for j in range(len(p))]
    relative = sum(abs(overlap[i, j]) ** 2 * p[i] * mpmath.log(p[i] / q[j]) for i, j in pairs)
    values = root**2, mpmath.sqrt(abs(2 - 2 * root)), trace, relative, -sum(x * mpmath.log(x) for x in p)
    return dict(zip(MEASURES, map(float, values), strict=True))


MEASURES = ("fidelity", "Bures distance", "trace distance", "relative entropy", "entropy")


@jax.jit
def measured(a, b):
    found = fidelity(a, b), bures_distance(a, b), trace_distance(a, b), relative_entropy(a, b), entropy(a)
    return dict(zip(MEASURES, found, strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("spread", [1.0, 37.0, 80.0])
def test_promises_hold_for_nearly_pure_states_in_every_precision(hermitian, dtype, spread):
    """Every measure against eighty digits, as its docstring promises, from coinciding states to distant ones."""
    eps, d = float(np.finfo(dtype).eps), 3
    frame = np.linalg.eigh(hermitian(0, d, 1.0, dtype))[1]
    K = (frame * np.array([0.0, 0.4, 1.0]) * spread) @ frame.conj().T
    K = ((K + K.conj().T) / 2).astype(dtype)
    unit = 10 * eps * (spread + d)
    for shift in (0.0, 1e-9, 1e-5, 1e-2, 1.0):
        other = K + (shift * hermitian(1, d, 1.0, dtype)).astype(dtype)
        found, wanted = jax.tree.map(float, measured(K, other)), exact(K, other)
        assert 0 <= found["fidelity"] <= 1
        assert found["fidelity"] == pytest.approx(wanted["fidelity"], abs=unit)
        assert 0 <= found["trace distance"] <= 1
        assert found["trace distance"] == pytest.approx(wanted["trace distance"], abs=unit)
        close = min(eps**0.5, 0.42 * wanted["Bures distance"])
        assert -unit <= found["Bures distance"] - wanted["Bures distance"] <= unit + close
        assert found["relative entropy"] >= 0
        root = max(wanted["relative entropy"], 0.0) ** 0.5
        assert found["relative entropy"] == pytest.approx(wanted["relative entropy"], abs=unit * (root + unit))
        assert found["entropy"] == pytest.approx(wanted["entropy"], rel=unit)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gap", [0.5, 15.0, 37.0, 300.0])
def test_a_state_is_at_no_distance_from_itself(dtype, gap):
    K = np.array([[gap, 0.3, 0.0], [0.3, 0.0, 0.1], [0.0, 0.1, -gap]], dtype)
    found = jax.tree.map(float, measured(K, K))
    eps = float(np.finfo(dtype).eps)
    assert found["Bures distance"] == found["trace distance"] == 0
    assert 1 - 10 * eps < found["fidelity"] <= 1
    assert 0 <= found["relative entropy"] <= (eps * (gap + 3)) ** 2
    # a multiple of 1 added to K is the same state
    assert measured(K, K + 2 * np.eye(3, dtype=dtype))["Bures distance"] < 10 * eps * (gap + 3)


def test_distances_of_orthogonal_states_are_the_largest():
    K = np.diag([500.0, 0.0, 0.0])
    found = measured(K, K[::-1, ::-1].copy())
    np.testing.assert_allclose([found[name] for name in MEASURES[:3]], [0, np.sqrt(2), 1], atol=1e-15)


def test_spectral_forms_keep_their_ranges():
    """Of pure states whose amplitudes are a little too long, as those of a long circuit are."""
    log_p, amplitudes = np.array([0.0, -np.inf]), (1 + 1e-14) * np.eye(2)
    assert fidelity_from_spectra(log_p, log_p, amplitudes) == 1
    assert trace_distance_from_spectra(log_p, log_p[::-1], amplitudes) == 1


SCALARS = {
    "log Tr exp": lambda K, other: log_trace_exp(K),
    "entropy": lambda K, other: entropy(K),
    "free energy": lambda K, other: free_energy(K, other, 1.3),
    "relative entropy": relative_entropy,
    "relative entropy, second": lambda K, other: relative_entropy(other, K),
    "fidelity": fidelity,
    "fidelity, second": lambda K, other: fidelity(other, K),
    "Bures distance": bures_distance,
    "Bures distance, second": lambda K, other: bures_distance(other, K),
    "trace distance": trace_distance,
    "trace distance, second": lambda K, other: trace_distance(other, K),
}


@pytest.mark.parametrize("name", SCALARS)
@pytest.mark.parametrize("dtype", [np.float64, pytest.param(np.complex128, marks=pytest.mark.slow)])
def test_second_derivatives_where_eigenvalues_coincide(hermitian, name, dtype):
    """jax.hessian, the tangent of a gradient and forward over forward, against differences of the gradient."""
    frame, other = np.linalg.eigh(hermitian(2, 3, 1.0, dtype))[1], hermitian(3, 3, 0.5, dtype)
    directions, h = np.stack([hermitian(seed, 3, 1.0, dtype) for seed in (4, 5)]), 1e-5

    @jax.jit
    def bends(K):
        def along(x):
            return SCALARS[name](K + jnp.tensordot(x, directions, axes=1), other)

        x, first, slope = jnp.zeros(2), jnp.array([1.0, 0.0]), jax.grad(along)
        forward = jax.jacfwd(jax.jacfwd(along))(x)
        above, below = jax.lax.map(slope, h * jnp.concatenate([jnp.eye(2), -jnp.eye(2)])).reshape(2, 2, 2)
        return jax.hessian(along)(x), jax.jvp(slope, (x,), (first,))[1], forward, (above - below) / (2 * h)

    for spectrum in ([0.5, 0.5, -1.0], [0.0, 0.0, 0.0]):
        K = (frame * np.array(spectrum)) @ frame.conj().T
        hessian, tangent, forward, wanted = bends((K + K.conj().T) / 2)
        np.testing.assert_allclose(hessian, wanted, atol=1e-8, err_msg=name)
        np.testing.assert_allclose(forward, hessian, atol=1e-12)
        np.testing.assert_allclose(tangent, hessian[0], atol=1e-12)


MODES = {
    "forward over a Hessian": lambda f: jax.jacfwd(jax.hessian(f)),
    "reverse over a Hessian": lambda f: jax.jacrev(jax.hessian(f)),
    "forward": lambda f: jax.jacfwd(jax.jacfwd(jax.jacfwd(f))),
    "reverse": lambda f: jax.jacrev(jax.jacrev(jax.jacrev(f))),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SCALARS)
def test_third_derivatives_are_refused_not_nan(hermitian, name, mode):
    """Where a spectrum is simple they would be right; whether it is, nobody knows when a function is traced."""
    directions, other = np.stack([hermitian(seed, 3) for seed in (4, 5)]), hermitian(3, 3, 0.5)

    def along(x):
        return SCALARS[name](jnp.tensordot(x, directions, axes=1), other)

    third, x = MODES[mode](along), jax.ShapeDtypeStruct((2,), float)
    if name in ("log Tr exp", "relative entropy, second"):  # theirs is a second one of the state
        jax.eval_shape(third, x)
        return
    with pytest.raises(ValueError, match="first and second derivatives only"):
        jax.eval_shape(third, x)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "reverse"])
def test_third_derivatives_of_the_potential_where_all_eigenvalues_coincide(mode):
    """The third cumulant, in a maximally mixed state the third central moment of the levels."""
    levels = np.array([0.3, -1.2, 2.0])
    found = jax.jit(MODES[mode](lambda x: log_trace_exp(x * np.diag(levels))))(0.0)
    assert float(found) == pytest.approx(np.mean((levels - levels.mean()) ** 3), rel=1e-13)


def test_the_curvature_of_the_fidelity_is_half_the_sld_metric(paulis):
    mirror, theta = LogTraceExp(paulis("ZZ", "XI", "IX")), np.zeros(3)  # where all eigenvalues coincide

    @jax.jit
    def both(theta):
        def fallen(v):
            return 1 - fidelity(mirror.log_density(v), mirror.log_density(theta))

        return jax.hessian(fallen)(theta), monotone_metric(mirror.log_density, theta, "sld").as_matrix()

    hessian, metric = both(theta)
    np.testing.assert_allclose(hessian, metric / 2, atol=1e-14)
