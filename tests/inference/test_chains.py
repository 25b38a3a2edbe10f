"""Draws of chains: what is kept of many, moments, R-hat and effective sizes; the no-U-turn sampler."""

import jax
import jax.numpy as jnp
import numpy as np

from qnat.inference import chains as rooms
from qnat.inference.laws import check_process
from qnat.inference.nuts import nuts

RNG = np.random.default_rng(5)


def autoregressive(chains, steps, memory):
    x = np.zeros((chains, steps, len(memory)))
    for t in range(1, steps):
        x[:, t] = memory * x[:, t - 1] + RNG.normal(size=(chains, len(memory)))
    return x


@jax.jit
def walked(series):
    """Chains of 40 draws at most that have been at these places."""
    start = rooms.start_chains(series[:, 0], 40)
    step = lambda chains, position: (rooms.extended(chains, position), None)  # noqa: E731
    return jax.lax.scan(step, start, jnp.moveaxis(series[:, 1:], 1, 0))[0]


def test_every_second_draw_goes_where_there_are_too_many():
    for steps, stride in ((30, 1), (40, 2), (79, 2), (80, 4)):
        series = np.arange(3 * (steps + 1) * 2, dtype=float).reshape(3, steps + 1, 2)
        found = walked(series)
        kept = series[:, stride::stride]
        assert int(found.stride) == stride
        assert int(found.kept) == kept.shape[1]
        np.testing.assert_array_equal(np.asarray(found.draws)[:, : kept.shape[1]], kept)
        np.testing.assert_array_equal(found.position, series[:, -1])


def test_summaries_are_those_of_the_draws_that_are_there():
    """Against blackjax's, which takes whole arrays; R-hat of halves."""
    from blackjax import diagnostics  # compiles when it is imported

    series = autoregressive(4, 31, np.array([0.0, 0.8, -0.5]))
    kept = series[:, 1:]
    mean, covariance, r_hat, size = jax.jit(
        lambda series: (
            *rooms.moments(walked(series)),
            rooms.split_r_hat(walked(series)),
            rooms.effective_sample_size(walked(series)),
        )
    )(series)
    flat = kept.reshape(-1, 3)
    np.testing.assert_allclose(mean, flat.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(flat.T), atol=1e-12)
    halves = kept.reshape(8, 15, 3)
    within, between = halves.var(axis=1, ddof=1).mean(axis=0), halves.mean(axis=1).var(axis=0, ddof=1)
    np.testing.assert_allclose(r_hat, np.sqrt((14 / 15 * within + between) / within), rtol=1e-10)
    np.testing.assert_allclose(size, jax.jit(diagnostics.effective_sample_size)(kept), rtol=1e-6)
    assert not np.isfinite(jax.jit(rooms.split_r_hat)(rooms.start_chains(jnp.zeros((2, 1))))).any()


def test_nuts_draws_from_a_normal_distribution():
    precision = np.array([[2.0, 0.6], [0.6, 1.0]])
    process = nuts(lambda x: (x - 1) @ jnp.asarray(precision) @ (x - 1) / 2, warm_up=200)
    start = rooms.start_chains(jnp.asarray(RNG.normal(size=(2, 2))), 600)
    check_process(process, start, key=jax.random.key(0))

    @jax.jit
    def run(start):
        state = process.init(start, key=jax.random.key(1))
        step = lambda state, key: (process.step(state, key=key)[0], None)  # noqa: E731
        state = jax.lax.scan(step, state, jax.random.split(jax.random.key(2), 500))[0]
        found = process.params(state)
        return (*rooms.moments(found), rooms.split_r_hat(found), rooms.effective_sample_size(found))

    mean, covariance, r_hat, size = map(np.asarray, run(start))
    exact = np.linalg.inv(precision)
    assert (np.abs(mean - 1) < 4 * np.sqrt(np.diag(exact) / size)).all()
    np.testing.assert_allclose(covariance, exact, rtol=0.3, atol=0.1)
    assert (r_hat < 1.05).all()
    assert (size > 200).all()
