"""Langevin chains against the stationary law of their own discretisation."""

import jax
import numpy as np

from qnat.inference import langevin

STEPS, CHAINS, SIZE, TEMPERATURE = 2000, 64, 0.1, 0.5
CURVATURE = np.array([1.0, 4.0])


def test_the_stationary_variance_of_a_quadratic():
    """x ← (1 − h c) x + √(2hT) N has the variance T/(c (1 − h c/2)), which is T/c up to order h."""
    process = langevin(
        lambda x, batch, key: jax.value_and_grad(lambda y: (CURVATURE * y**2).sum() / 2)(x),
        SIZE,
        temperature=TEMPERATURE,
    )

    @jax.jit
    def squares(key):
        def step(state, i):
            keys = jax.random.split(jax.random.fold_in(key, i), CHAINS)
            state = jax.vmap(lambda s, k: process.step(s, None, key=k)[0])(state, keys)
            return state, (process.params(state) ** 2).mean(axis=0)

        return jax.lax.scan(step, jax.numpy.zeros((CHAINS, 2)), jax.numpy.arange(STEPS))[1]

    rows = np.asarray(squares(jax.random.key(3)))[STEPS // 10 :]
    blocks = rows.reshape(36, 50, 2).mean(axis=1)  # many times the correlation time of 1/(h c)
    error = blocks.std(axis=0, ddof=1) / 6
    wanted = TEMPERATURE / CURVATURE / (1 - SIZE * CURVATURE / 2)
    assert np.all(np.abs(blocks.mean(axis=0) - wanted) < 4 * error)
    assert np.abs(blocks.mean(axis=0) - TEMPERATURE / CURVATURE)[1] > 4 * error[1]  # a bias that is large enough to see
