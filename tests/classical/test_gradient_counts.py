"""Backward passes that a step takes beside the gradient of the loss, by one rule for every method."""

import jax
import jax.numpy as jnp
import pytest

from classical.methods.averaged import averaged_descent
from classical.methods.fisher import KroneckerFisher, OuterProductFisher
from classical.methods.kfac import kfac
from classical.methods.kld_wrm import kld_wrm_q
from classical.methods.kld_wrm_linear import kld_wrm_so
from classical.methods.tridiagonal import TridiagonalFisher
from classical.models.network import Layer, Network
from qnat.geometry.families import Categorical
from qnat.inference import descend
from qnat.optim import natural_gradient

NETWORK = Network(2, (Layer(3), Layer(3, "linear")), Categorical())
SAMPLED, EXACT = KroneckerFisher(NETWORK), KroneckerFisher(NETWORK, "exact")
METHODS = {
    "K-FAC": (lambda: averaged_descent(0.1, SAMPLED), 1),
    "K-FAC, exact": (lambda: averaged_descent(0.1, EXACT), 3),
    "K-FAC, a quarter": (lambda: averaged_descent(0.1, KroneckerFisher(NETWORK, items=2)), 0.25),
    "K-FAC, tridiagonal": (lambda: averaged_descent(0.1, TridiagonalFisher(NETWORK)), 1),
    "K-FAC, rescaled": (lambda: kfac(SAMPLED), 1 + 4),
    "FOOF": (lambda: averaged_descent(0.1, KroneckerFisher(NETWORK, outputs=False), factored=False), 0),
    "natural": (lambda: natural_gradient(0.1, OuterProductFisher(NETWORK), damping=1.0, accept=None), 1),
    "SO-KLD-WRM": (lambda: kld_wrm_so(0.1, SAMPLED), 1),
    "Q-KLD-WRM": (lambda: kld_wrm_q(0.1, SAMPLED), 1),
    "QE-KLD-WRM": (lambda: kld_wrm_q(0.1, SAMPLED, network=NETWORK, inner_steps=3), 1 + 3),
}


@pytest.mark.parametrize("name", METHODS)
def test_passes_are_counted(name):
    make, wanted = METHODS[name]

    @jax.jit
    def spent():
        keys = jax.random.split(jax.random.key(0), 4)
        x, y = jax.random.normal(keys[0], (8, 2)), jax.nn.one_hot(jnp.arange(8) % 3, 3)
        process = descend(lambda params, batch, key: jax.value_and_grad(NETWORK.loss)(params, *batch), make())
        state = process.init(NETWORK.init(keys[1]), key=keys[2])
        state, _ = process.step(state, (x, y), key=keys[3])
        return process.step(state, (x, y), key=keys[3])[1].scalars["model_gradients"]

    assert float(spent()) == wanted


def test_a_metric_that_is_kept_costs_nothing():
    def passes(step):
        return float(spent(step))

    @jax.jit
    def spent(step):
        from qnat.optim import scale_by_running_metric

        keys = jax.random.split(jax.random.key(0), 3)
        batch = jax.random.normal(keys[0], (8, 2)), jax.nn.one_hot(jnp.arange(8) % 3, 3)
        params = NETWORK.init(keys[1])
        method = scale_by_running_metric(SAMPLED, memory=None, refresh=5, warm_up=2)
        state = method.init(params)._replace(step=step)
        return method.update(params, state, params, batch=batch, key=keys[2])[1].diagnostics.model_gradients

    assert [passes(step) for step in (0, 1, 2, 5, 6)] == [1, 1, 0, 1, 0]
