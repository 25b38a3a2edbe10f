"""log Tr exp, the Gibbs state and the logarithm of a density matrix: values, derivatives, refusals."""

import inspect

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special

from qnat import geometry
from qnat.geometry import gibbs_state, log_density, log_mean, log_spectrum, log_trace_exp
from qnat.geometry.hermitian import dot, log_sinhc

SINGLE = tuple(pytest.param(dtype, marks=pytest.mark.slow) for dtype in (np.float32, np.complex64))
DTYPES = (*SINGLE, np.float64, np.complex128)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gibbs_state_is_a_density_matrix_of_the_same_field(hermitian, dtype):
    rho = np.asarray(gibbs_state(hermitian(0, 5, 1.0, dtype)))
    tolerance = 50 * np.finfo(dtype).eps
    assert rho.dtype == dtype
    assert np.abs(np.trace(rho) - 1) < tolerance
    assert np.abs(rho - rho.conj().T).max() < tolerance
    assert np.linalg.eigvalsh(rho)[0] > 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_of_log_trace_exp_is_the_state(hermitian, dtype):
    gradient, rho = jax.jit(lambda K: (jax.grad(log_trace_exp)(K), gibbs_state(K)))(hermitian(1, 4, 1.0, dtype))
    # JAX's gradient of a real function is the conjugate of the direction of steepest ascent
    np.testing.assert_allclose(gradient, np.conj(rho), atol=50 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_hessian_is_exact_where_every_eigenvalue_coincides(paulis, dtype):
    F = paulis("XI", "ZZ", "IX", "ZI") if np.issubdtype(dtype, np.floating) else paulis("XI", "YZ", "IX", "YI")
    F = F.astype(dtype)

    def potential(theta):
        return log_trace_exp(jnp.tensordot(theta, F, axes=1))

    eps = float(np.finfo(dtype).eps)
    value, hessian = jax.jit(lambda t: (potential(t), jax.hessian(potential)(t)))(np.zeros(4, np.finfo(dtype).dtype))
    assert float(value) == pytest.approx(np.log(4), rel=4 * eps)
    # at the maximally mixed state every metric is Tr(FₐF_b)/d
    np.testing.assert_allclose(hessian, np.eye(4), atol=4 * eps)


@jax.jit
def slopes(K, first, second):
    """Of the Gibbs state along one tangent, and how that changes along another."""

    def slope(K):
        return jax.jvp(gibbs_state, (K,), (first,))[1]

    return jax.jvp(slope, (K,), (second,))


def test_derivative_of_the_state_agrees_with_differences_at_a_partly_degenerate_spectrum(hermitian):
    _, V = np.linalg.eigh(hermitian(2, 4))
    K = (V * np.array([0.7, 0.7, -1.0, 0.2])) @ V.conj().T
    dK, h = hermitian(3, 4), 1e-5
    tangent, _ = slopes(K, dK, dK)
    above, below = (np.asarray(gibbs_state(K + sign * h * dK)) for sign in (1, -1))
    np.testing.assert_allclose(tangent, (above - below) / (2 * h), atol=1e-10)


@pytest.mark.parametrize("spectrum", [(0.7, 0.7, -1.0, 0.2), (0.0, 0.0, 0.0, 0.0), (0.3, 0.1, 40.0, -9.0)], ids=str)
def test_second_derivative_of_the_state_agrees_with_differences(hermitian, spectrum):
    _, V = np.linalg.eigh(hermitian(2, 4))
    K = (V * np.array(spectrum)) @ V.conj().T
    first, second, h = hermitian(3, 4), hermitian(4, 4), 1e-5
    _, bend = slopes(K, first, second)
    above, below = (np.asarray(slopes(K + sign * h * second, first, second)[0]) for sign in (1, -1))
    np.testing.assert_allclose(bend, (above - below) / (2 * h), atol=1e-9)


@pytest.mark.slow
def test_derivatives_survive_vmap_and_reverse_mode(hermitian):
    K = np.stack([*(hermitian(seed, 3) for seed in range(4)), np.zeros((3, 3))])
    weight = hermitian(9, 3)

    @jax.jit
    def gradients(K):
        slope = jax.grad(lambda K: jnp.vdot(weight, gibbs_state(K)).real)
        return jax.vmap(slope)(K), jax.lax.map(slope, K)

    batched, one_by_one = gradients(K)
    np.testing.assert_allclose(one_by_one, batched, atol=1e-14)
    assert np.all(np.isfinite(batched))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_overflow_at_a_thousand(dtype):
    K = np.diag(np.array([1000.0, -1000.0, 999.0], dtype))

    @jax.jit
    def values(K, dK):
        return log_trace_exp(K), *jax.jvp(gibbs_state, (K,), (dK,))

    value, state, tangent = map(np.asarray, values(K, np.ones((3, 3), dtype)))
    assert value == pytest.approx(1000 + np.log1p(np.exp(-1)), rel=1e-6)
    assert np.all(np.isfinite(state))
    assert np.all(np.isfinite(tangent))


def test_log_mean_and_log_sinhc_against_fifty_digits():
    mpmath.mp.dps = 50
    for gap in (0.0, 1e-12, 1e-4, 0.3, 1.99, 2.01, 40.0, 1400.0):
        u = mpmath.mpf(gap) / 2
        wanted = mpmath.log(mpmath.sinh(u) / u) if gap else mpmath.mpf(0)
        # its absolute error is the relative one of what is exponentiated
        assert abs(float(log_sinhc(gap / 2)) - wanted) < 4e-16 * max(1, wanted)
        x = mpmath.mpf(-1.5)
        mean = (mpmath.exp(x) - mpmath.exp(x - gap)) / gap if gap else mpmath.exp(x)
        assert abs(float(log_mean(-1.5, -1.5 - gap)) / mean - 1) < 1e-15 * max(1, gap)
    slope, bend = jax.jit(jax.value_and_grad(jax.grad(log_sinhc)))(0.0)
    assert slope == 0
    assert float(bend) == pytest.approx(1 / 3, rel=1e-15)


def test_log_spectrum_is_normalised_and_diagonalises(hermitian):
    K = hermitian(4, 5)
    log_p, V = map(np.asarray, log_spectrum(K))
    assert scipy.special.logsumexp(log_p) == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose((V * log_p) @ V.conj().T, K - float(log_trace_exp(K)) * np.eye(5), atol=1e-14)


def test_log_density_inverts_the_gibbs_state(hermitian):
    rho = gibbs_state(hermitian(5, 4))
    np.testing.assert_allclose(gibbs_state(log_density(rho)), rho, atol=1e-15)
    assert log_trace_exp(log_density(rho)) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize(
    ("rho", "words"),
    [
        (np.ones((2, 3)), "square.*(2, 3)"),
        (np.array([[0.5, 0.3], [0.0, 0.5]]), "Hermitian.*0.3"),
        (np.diag([0.5, 0.7]), "trace 1.2"),
        (np.diag([1.5, -0.5]), "positive.*-0.5"),
        (np.diag([np.nan, 1.0]), "finite"),
        (np.diag([1.0, 0.0]), "smallest eigenvalue is 0.*sld.*wigner_yanase.*floor="),
    ],
)
def test_log_density_refuses_with_numbers(rho, words):
    with pytest.raises(ValueError, match=words.replace("(2, 3)", r"\(2, 3\)")):
        log_density(rho)


def test_log_density_with_a_floor():
    K = log_density(np.diag([1.0, 0.0]), floor=1e-6)
    np.testing.assert_allclose(np.diag(gibbs_state(K)), [1 / (1 + 1e-6), 1e-6 / (1 + 1e-6)], rtol=1e-14)
    for floor in (0.0, -1e-3, 0.6, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1/d"):
            log_density(np.diag([1.0, 0.0]), floor=floor)


def test_log_density_says_that_it_works_outside_jit_only():
    with pytest.raises(TypeError, match="outside jit"):
        jax.jit(log_density)(np.eye(2) / 2)


OF_ONE = {
    "log_spectrum": geometry.log_spectrum,
    "gibbs_state": geometry.gibbs_state,
    "log_trace_exp": geometry.log_trace_exp,
    "entropy": geometry.entropy,
}
OF_TWO = {
    "relative_entropy": (geometry.relative_entropy, "K_rho", "K_sigma"),
    "fidelity": (geometry.fidelity, "K_rho", "K_sigma"),
    "bures_distance": (geometry.bures_distance, "K_rho", "K_sigma"),
    "trace_distance": (geometry.trace_distance, "K_rho", "K_sigma"),
    "free_energy": (geometry.free_energy, "K", "H"),
    "petz": (geometry.petz("bkm"), "K", "dK"),
    "petz_density": (geometry.petz_density("sld"), "rho", "change"),
    "hilbert_schmidt": (geometry.hilbert_schmidt, "rho", "change"),
}
STACK, SQUARE, LOPSIDED = np.zeros((2, 3, 3)), np.eye(3), np.triu(np.ones((3, 3)))


@pytest.mark.parametrize("name", OF_ONE)
def test_functions_of_a_matrix_take_one_and_say_so(name):
    """A stack would give one number that belongs to no member; jax.vmap and jax.lax.map hand over one at a time."""
    for call in (OF_ONE[name], jax.jit(OF_ONE[name])):
        with pytest.raises(ValueError, match=r"K has shape \(2, 3, 3\).*one matrix.*lax.map"):
            call(STACK)
        for other in (np.ones((2, 3)), np.ones(3), np.ones((0, 0))):
            with pytest.raises(ValueError, match="K must be a square matrix"):
                call(other)
    with pytest.raises(ValueError, match="K must be Hermitian; it differs from its adjoint by 1"):
        OF_ONE[name](LOPSIDED)
    found = jax.jit(lambda stack: (jax.vmap(OF_ONE[name])(stack), jax.lax.map(OF_ONE[name], stack)))(STACK)
    jax.tree.map(np.testing.assert_allclose, *found)


@pytest.mark.parametrize("name", OF_TWO)
def test_functions_of_two_matrices_name_the_one_that_is_wrong(name):
    function, first, second = OF_TWO[name]
    for call in (function, jax.jit(function)):
        with pytest.raises(ValueError, match=rf"{first} has shape \(2, 3, 3\)"):
            call(STACK, SQUARE)
        with pytest.raises(ValueError, match=rf"{second} has shape \(2, 3, 3\)"):
            call(SQUARE, STACK)
        with pytest.raises(ValueError, match=f"{first} and {second} must be of one size"):
            call(SQUARE, np.eye(2))
    for pair, wrong in (((LOPSIDED, SQUARE), first), ((SQUARE, LOPSIDED), second)):
        with pytest.raises(ValueError, match=f"{wrong} must be Hermitian"):
            function(*pair)


VECTORS = {
    "log_p": lambda x: geometry.log_density_weights("bkm", x),
    "log_p ": lambda x: geometry.rotation_weights("bkm", x),
    "p": lambda x: geometry.density_weights("sld", x),
    "log_q": lambda x: geometry.relative_entropy_from_spectra(np.zeros(2), x, np.eye(2)),
    "log_q ": lambda x: geometry.fidelity_from_spectra(np.zeros(2), x, np.eye(2)),
    "log_q  ": lambda x: geometry.trace_distance_from_spectra(np.zeros(2), x, np.eye(2)),
    "psi": lambda x: geometry.fubini_study(x, np.zeros(2)),
    "theta": geometry.NegativeEntropy().potential,
    "theta ": lambda x: geometry.LogPartition(np.eye(2)).potential(x),
    "theta  ": lambda x: geometry.LogTraceExp(np.stack([np.eye(2)] * 2)).potential(x),
}


@pytest.mark.parametrize("name", VECTORS)
def test_functions_of_a_vector_take_one_and_say_so(name):
    with pytest.raises(ValueError, match=rf"{name.strip()} must be one vector; its shape is \(2, 2\)"):
        VECTORS[name](np.zeros((2, 2)))


@pytest.mark.parametrize("infinity", [np.inf, -np.inf])
def test_an_infinite_level_is_refused_where_it_is_known(infinity):
    K = np.diag([0.0, infinity])
    for function in OF_ONE.values():
        with pytest.raises(ValueError, match="K holds infinity"):
            function(K)
    for function, first, second in OF_TWO.values():
        for pair, wrong in (((K, np.eye(2)), first), ((np.eye(2), K), second)):
            with pytest.raises(ValueError, match=f"{wrong} holds infinity"):
                function(*pair)
    scalars = (geometry.log_trace_exp, geometry.entropy, lambda K: geometry.fidelity(K, np.eye(2)))
    assert np.all(np.isnan(jax.jit(lambda K: [function(K) for function in scalars])(K)))


def test_a_broken_matrix_is_not_called_lopsided():
    """NaN in, NaN out: whoever watches a run must see it."""
    assert np.isnan(geometry.log_trace_exp(np.full((2, 2), np.nan)))


def test_functions_of_a_log_density_say_so_in_their_first_line():
    """Given a density matrix instead, they would compute a plausible number that means nothing."""
    functions = {name: f for name, f in vars(geometry).items() if name in geometry.__all__ and inspect.isfunction(f)}
    takes = {name for name, f in functions.items() if any(p.startswith("K") for p in inspect.signature(f).parameters)}
    assert takes == {*OF_ONE, *OF_TWO} - {"petz", "petz_density", "hilbert_schmidt"}
    for name in (*sorted(takes), "petz", "monotone_metric", "MonotoneMetric"):
        assert "log-densit" in getattr(geometry, name).__doc__.splitlines()[0], name


@pytest.mark.parametrize("dtype", DTYPES)
def test_dot_is_the_matrix_product(dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(*shape, 2)).view(complex)[..., 0] for shape in ((4, 6), (6, 3)))
    a, b = ((m if np.issubdtype(dtype, np.complexfloating) else m.real).astype(dtype) for m in (a, b))
    product, mixed = jax.jit(lambda a, b: (dot(a, b), dot(a.real, b)))(a, b)
    assert product.dtype == dtype
    np.testing.assert_allclose(product, a @ b, atol=50 * np.finfo(dtype).eps)
    np.testing.assert_allclose(mixed, a.real @ b, atol=50 * np.finfo(dtype).eps)
