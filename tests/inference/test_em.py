"""Expectation maximisation: never uphill, scikit-learn's numbers, and its online form."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.mixture import GaussianMixture

from classical.models.mixture import Mixture
from qnat.geometry.families import Gaussian, Poisson
from qnat.inference import em

X = load_iris().data[:, 2:]
MEANS, COVARIANCE = X[[0, 60, 120]], np.cov(X.T)
STARTS = {
    "gaussian": (Gaussian(), X, (MEANS / 3, (np.einsum("ki,kj->kij", MEANS, MEANS) + COVARIANCE) / 3)),
    "poisson": (Poisson(), np.round(5 * X), MEANS * 5 / 3),
}


def moved(process, state):
    state, info = process.step(state)
    return state, info.value


def fitted(name: str, steps: int):
    """(weights, means and second moments of the components), and the loss before every step."""
    family, data, sums = STARTS[name]
    model = Mixture(family)

    @jax.jit
    def fit(x, sums):
        process = em(model, data=x)
        start = process.init(model.maximise((jnp.full(3, 1 / 3), sums)))
        state, losses = jax.lax.scan(lambda state, _: moved(process, state), start, None, steps)
        return model.joint.to_dual(process.params(state)), losses

    return jax.tree.map(np.asarray, fit(data, sums))


def test_a_mixture_of_gaussians_is_that_of_scikit_learn():
    (weights, (first, second)), losses = fitted("gaussian", 60)
    means = first / weights[:, None]
    precisions = np.stack([np.linalg.inv(COVARIANCE)] * 3)
    theirs = GaussianMixture(
        3,
        max_iter=60,
        tol=0.0,
        reg_covar=0,
        weights_init=np.full(3, 1 / 3),
        means_init=MEANS,
        precisions_init=precisions,
    )
    with warnings.catch_warnings(action="ignore"):  # that it did not converge
        theirs.fit(X)
    np.testing.assert_allclose(weights, theirs.weights_, rtol=1e-9)
    np.testing.assert_allclose(means, theirs.means_, rtol=1e-9)
    covariances = second / weights[:, None, None] - np.einsum("ki,kj->kij", means, means)
    np.testing.assert_allclose(covariances, theirs.covariances_, rtol=1e-7)
    # its bound is that of the parameters before the last step, as ours is
    np.testing.assert_allclose(-losses[-1], theirs.lower_bound_, rtol=1e-12)


@pytest.mark.parametrize("name", STARTS)
def test_the_loss_never_rises(name):
    losses = fitted(name, 60)[1]
    assert np.all(np.diff(losses) < 1e-12)
    assert losses[-1] < losses[0] - 0.01


def test_online_steps_average_the_statistics():
    """One component has no latent label: the averages are those of the batches, by hand."""
    model, batches = Mixture(Gaussian()), X.reshape(3, 50, 2)

    @jax.jit
    def statistics(batches):
        process = em(model, rate=lambda step: 1 / (step + 1.0))
        one = jnp.ones(1)
        state = process.init(model.maximise((one, (jnp.zeros((1, 2)), jnp.eye(2)[None]))))
        for batch in batches:
            state, _ = process.step(state, batch)
        return model.joint.to_dual(process.params(state))

    weight, (mean, second) = statistics(batches)
    np.testing.assert_allclose(weight, 1.0, rtol=1e-14)
    np.testing.assert_allclose(mean[0], X.mean(axis=0), rtol=1e-12)  # rates 1/k make plain means
    np.testing.assert_allclose(second[0], X.T @ X / len(X), rtol=1e-12)
