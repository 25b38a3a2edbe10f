"""Entropy-SGD against its limits, its recursion by hand, and the local entropy of a quadratic."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from classical.methods.entropy_sgd import entropy_sgd
from qnat.inference import descend

CURVATURE = np.array([1.0, 3.0])
START = {"w": np.array([1.0, -2.0])}


def bowl(params, batch, key):
    """½ Σ c w² and its gradient."""
    return jax.value_and_grad(lambda p: (CURVATURE * p["w"] ** 2).sum() / 2)(params)


def walk(process, steps):
    """(x, x′) after every step; of a descent the same twice."""

    def step(state, key):
        state, _ = process.step(state, None, key=key)
        return state, (process.params(state)["w"], getattr(state, "place", process.params(state))["w"])

    @jax.jit
    def found(params):
        keys = jax.random.split(jax.random.key(0), steps)
        return jax.lax.scan(step, process.init(params, key=None), keys)[1]

    return np.asarray(found(START))


def test_without_inner_steps_it_is_gradient_descent():
    found = walk(entropy_sgd(bowl, 0.1, inner_steps=0, momentum=False), 3)
    np.testing.assert_allclose(found, walk(descend(bowl, optax.sgd(0.1)), 3), rtol=1e-14)
    found = walk(entropy_sgd(bowl, 0.1, inner_steps=0), 3)
    nesterov = descend(bowl, optax.sgd(0.1, momentum=0.9, nesterov=True))
    np.testing.assert_allclose(found, walk(nesterov, 3), rtol=1e-14)


def test_one_inner_step_without_noise_is_a_scaled_gradient():
    found = walk(entropy_sgd(bowl, 2.0, inner_steps=1, inner_rate=0.3, noise=0.0, momentum=False), 3)
    wanted = START["w"] * (1 - 2.0 * 0.25 * 0.3 * CURVATURE) ** np.arange(1, 4)[:, None]
    np.testing.assert_allclose(found, [wanted, wanted], rtol=1e-14)


def test_the_recursion_by_hand():
    gamma, rate = 0.5, 0.1
    found = walk(
        entropy_sgd(bowl, 0.7, inner_steps=2, inner_rate=rate, gamma=gamma, growth=1.0, noise=0.0, momentum=False), 4
    )
    centre, centres, places = START["w"], [], []
    for move in range(2):
        place = mean = centre
        for inner in range(2):
            place = place - rate * (CURVATURE * place - gamma * 2**move * (centre - place))
            mean = 0.75 * mean + 0.25 * place
            centre = centre - 0.7 * (centre - mean) if inner else centre
            centres.append(centre)
            places.append(centre if inner else place)
    np.testing.assert_allclose(found, [centres, places], rtol=1e-14)


def test_noise_has_its_size():
    # no gradient and no spring: steps are noise of variance 2η′ε²
    def flat(params, batch, key):
        return params["w"][0], jax.tree.map(jnp.zeros_like, params)

    process = entropy_sgd(flat, 1.0, inner_steps=10**6, inner_rate=0.1, gamma=0.0, noise=0.01)
    params = {"w": np.zeros(200_000)}
    after = jax.jit(lambda p, key: process.step(process.init(p, key=None), None, key=key)[0])(params, jax.random.key(1))
    variance = 2 * 0.1 * 0.01**2
    error = variance * np.sqrt(2 / 200_000)
    assert abs(float(np.var(after.place["w"])) - variance) < 4 * error
    assert not np.any(after.centre["w"])


def test_the_noise_of_the_walk_is_not_that_of_the_gradient():
    def noisy(params, batch, key):
        return params["a"][0], {"a": jnp.zeros(2), "b": jax.random.normal(key, ())}

    process = entropy_sgd(noisy, 1.0, inner_steps=10, inner_rate=0.5, gamma=0.0, noise=1.0)
    start = {"a": np.zeros(2), "b": np.zeros(())}

    @jax.jit
    def places(keys):
        def place(key):
            drawn = [
                noisy(start, None, each)[1]["b"] for each in (jax.random.split(key)[0], jax.random.fold_in(key, 1))
            ]
            return process.step(process.init(start), None, key=key)[0].place["b"], jnp.stack(drawn)

        return jax.lax.map(place, keys)

    found, drawn = jax.tree.map(np.asarray, places(jax.random.split(jax.random.key(0), 20)))
    # the gradient's draw is one of these; were the walk's the same, x' would be a multiple of it
    assert all(np.std(found / column) > 0.1 for column in drawn.T)


def test_a_walk_has_a_length():
    with pytest.raises(ValueError, match="inner_steps = -1"):
        entropy_sgd(bowl, 0.1, inner_steps=-1)
