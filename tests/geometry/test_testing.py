"""The strategies draw what they promise, and the laws of states hold on what they draw."""

import itertools
import subprocess
import sys

import jax
import numpy as np
from hypothesis import given, settings

from qnat.geometry import LogTraceExp, entropy, gibbs_state, log_trace_exp, monotone_metric, relative_entropy, testing

# one program serves all examples of a test, and the first one compiles it
few = settings(max_examples=30, deadline=None, derandomize=True)


@few
@given(K=testing.hermitian(3), real=testing.hermitian(3, real=True, dtype=np.float32), kraus=testing.channels(2))
def test_strategies_draw_what_they_promise(K, real, kraus):
    np.testing.assert_array_equal(K, K.conj().T)
    assert (K.dtype, real.dtype, kraus.shape) == (np.complex128, np.float32, (2, 2, 2))
    np.testing.assert_array_equal(real, real.T)
    np.testing.assert_allclose(np.einsum("kba,kbc->ac", kraus.conj(), kraus), np.eye(2), atol=1e-14)


@few
@given(x=testing.vectors(2, bound=0.1, dtype=np.float32))
def test_bounds_are_those_of_the_precision(x):
    assert x.dtype == np.float32
    assert np.abs(x).max() <= np.float32(0.1)


@few
@given(F=testing.generators(2, 5, real=True))
def test_generators_are_independent_of_each_other_and_the_identity(F):
    everything = np.concatenate([F, np.eye(4)[None]]).reshape(6, 16)
    np.testing.assert_array_equal(everything @ everything.T, 4 * np.eye(6))


@jax.jit
def _divergences(K, L):
    return relative_entropy(K, L), relative_entropy(L, K), entropy(K), log_trace_exp(K)


@few
@given(K=testing.states(3), L=testing.states(3))
def test_divergences_are_positive_and_entropies_bounded(K, L):
    there, back, S, log_z = map(float, _divergences(K, L))
    assert min(there, back) >= 0
    assert -1e-15 <= S <= np.log(3) + 1e-14
    # Gibbs' inequality: log Tr exp K = max over states of ⟨K⟩ + S, here for the state of L
    rho = np.asarray(gibbs_state(L))
    energy = np.trace(rho @ K).real - float(np.sum(np.linalg.eigvalsh(rho) * np.log(np.linalg.eigvalsh(rho))))
    assert energy <= log_z + 1e-12


def _density_divergence(rho, sigma):
    p, V = np.linalg.eigh(rho)
    q, W = np.linalg.eigh(sigma)
    overlaps = np.abs(V.conj().T @ W) ** 2
    p, q = np.clip(p, 1e-300, None), np.clip(q, 1e-300, None)
    return float(p @ np.log(p) - p @ overlaps @ np.log(q))


@few
@given(K=testing.states(2), L=testing.states(2), kraus=testing.channels(2))
def test_channels_do_not_increase_relative_entropy(K, L, kraus):
    rho, sigma = np.asarray(gibbs_state(K)), np.asarray(gibbs_state(L))
    after = [np.einsum("kab,bc,kdc->ad", kraus, state, kraus.conj()) for state in (rho, sigma)]
    assert _density_divergence(*after) <= float(relative_entropy(K, L)) + 1e-12


@jax.jit
def _chain(F, theta):
    return [
        monotone_metric(LogTraceExp(F).log_density, theta, kind).as_matrix()
        for kind in ("sld", "wigner_yanase", "bkm", "geometric", "harmonic")
    ]


@few
@given(F=testing.generators(2, 3, real=True), theta=testing.vectors(3))
def test_monotone_metrics_are_ordered(F, theta):
    metrics = [np.asarray(metric) for metric in _chain(F, theta)]
    for below, above in itertools.pairwise(metrics):
        assert np.linalg.eigvalsh(above - below)[0] >= -1e-12 * np.linalg.norm(above)


def test_hypothesis_is_loaded_with_the_strategies_only():
    code = "import sys, qnat.geometry as g, qnat.quantum.backends.laws; g.laws; print('hypothesis' in sys.modules); "
    code += "import qnat.geometry.testing; print('hypothesis' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "True"]
