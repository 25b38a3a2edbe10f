"""Samplers of bitstrings against enumerated distributions, and the effective sample sizes they claim."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.inference.bits import exchange, mean, sample_latent, sweep, to_spins
from qnat.inference.correlation import autocorrelation_time

pytestmark = pytest.mark.slow

N = 5
TABLE = 1.0 - 2.0 * (np.arange(2**N)[:, None] >> np.arange(N)[::-1] & 1)
COUPLINGS = 0.4 * np.random.default_rng(0).normal(size=(N, N))


def frustrated(s):
    return jnp.einsum("bi,ij,bj->b", s, COUPLINGS, s) + 0.3 * s[:, 0]


def wells(s):
    """A cold ferromagnetic ring: sweeps rarely turn all spins."""
    return -1.2 * jnp.sum(s * jnp.roll(s, 1, axis=1), axis=1) + 0.05 * s.sum(1)


@functools.cache
def drawn(energy, method):
    sample = jax.jit(lambda key: sample_latent(energy, N, method=method, samples=4000, key=key))
    return sample(jax.random.key(1))


@pytest.mark.parametrize("energy", [frustrated, wells])
@pytest.mark.parametrize("method", ["exact", "gibbs", "tempering"])
def test_means_agree_with_enumeration(energy, method):
    p = np.array(jax.nn.softmax(-energy(TABLE)))
    found = drawn(energy, method)
    s = to_spins(found.bits)
    assert s.shape == ((1, 4000, N) if method == "exact" else (8, 500, N))
    np.testing.assert_allclose(found.energies, jax.vmap(energy)(s))
    series = [(found.energies, p @ energy(TABLE))] + [(s[..., i], p @ TABLE[:, i]) for i in range(N)]
    series += [(s[..., i] * s[..., i + 1], p @ (TABLE[:, i] * TABLE[:, i + 1])) for i in range(N - 1)]
    for values, exact in series:
        value, error = mean(values)
        assert abs(value - exact) < 4 * error


def test_effective_sample_sizes_tell_the_samplers_apart():
    sizes = {method: float(drawn(wells, method).effective_sample_size) for method in ("exact", "gibbs", "tempering")}
    assert sizes["exact"] == 4000
    assert sizes["gibbs"] < 400
    assert 3 * sizes["gibbs"] < sizes["tempering"] < 4000


def test_autocorrelation_time_of_a_known_process():
    noise = jax.random.normal(jax.random.key(0), (8, 20000))
    for a in (0.0, 0.5, 0.9):  # x ← a x + noise has τ = (1 + a)/(1 − a)
        start = noise[:, 0] / np.sqrt(1 - a**2)
        _, series = jax.lax.scan(lambda x, e, a=a: (a * x + e, a * x + e), start, noise.T)
        assert float(autocorrelation_time(series.T)) == pytest.approx((1 + a) / (1 - a), rel=0.1)


def test_chains_that_disagree_are_worth_little():
    stuck = jnp.ones((8, 1000)).at[:3].set(-1) + 1e-3 * jax.random.normal(jax.random.key(0), (8, 1000))
    assert float(mean(stuck).standard_error) > 0.1


def test_moves_leave_the_distribution_as_it_is():
    states = jnp.asarray(TABLE)
    p = jax.nn.softmax(-frustrated(states))
    index = jax.random.categorical(jax.random.key(0), jnp.log(p), shape=(20000,))
    moved = sweep(frustrated, states[index], jnp.ones(20000), key=jax.random.key(1))
    counts = np.bincount(((1 - moved) / 2).astype(int) @ (1 << np.arange(N)[::-1]), minlength=2**N)
    assert (abs(counts - 20000 * p) < 4.5 * np.sqrt(20000 * p * (1 - p)) + 1).all()
    assert (moved != states[index]).any()

    inverse = jnp.array([1.0, 0.5])
    pairs = jnp.stack(
        [
            jax.random.categorical(jax.random.key(k), -b * frustrated(states), shape=(20000,))
            for k, b in enumerate(inverse)
        ],
        axis=1,
    )
    swap = jax.vmap(lambda pair, key: exchange(frustrated, states[pair], inverse, jnp.array(False), key=key))
    swapped = swap(pairs, jax.random.split(jax.random.key(2), 20000))
    for level, b in enumerate(inverse):
        p = jax.nn.softmax(-b * frustrated(states))
        counts = np.bincount(((1 - swapped[:, level]) / 2).astype(int) @ (1 << np.arange(N)[::-1]), minlength=2**N)
        assert (abs(counts - 20000 * p) < 4.5 * np.sqrt(20000 * p * (1 - p)) + 1).all()
    assert 0.1 < float(jnp.mean(swapped[:, 0] != states[pairs[:, 0]])) < 1


def test_what_cannot_be_sampled_is_refused():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="21 bits are too many"):
        sample_latent(wells, 21, samples=10, key=key)
    with pytest.raises(ValueError, match="at least one sample"):
        sample_latent(wells, N, samples=0, key=key)
    with pytest.raises(ValueError, match="ascends from 1"):
        sample_latent(wells, N, samples=10, method="tempering", temperatures=(2.0, 3.0), key=key)
