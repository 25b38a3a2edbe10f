"""K-FAC's rescaling and KLD-WRM against stored numbers and direct minimisation; every method trains."""

import json
import pathlib

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from classical.methods.fisher import FisherMetric, KroneckerFisher
from classical.methods.kfac import kfac, rescale
from classical.methods.kld_wrm import kld_wrm_q, kld_wrm_so
from classical.models.network import Layer, Network
from qnat.geometry.families import Bernoulli, Categorical
from qnat.geometry.operators import BlockDiagonal
from qnat.geometry.structured import AbstractInverse, AbstractStructured
from qnat.optim.running import scale_by_running_metric

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "kfac_tiny.json").read_text())
NETWORK = Network(2, (Layer(2), Layer(3, "linear")), Categorical())
WEIGHTS = [jnp.array(GOLDEN["W1"]), jnp.array(GOLDEN["W2"])]
BATCH = jnp.array(GOLDEN["X"]), jnp.eye(3)[jnp.array(GOLDEN["y"])]


def unravel(vector):
    return ravel_pytree(WEIGHTS)[1](jnp.array(vector))


def test_rescale_2x2_golden():
    golden = GOLDEN["rescale"]
    proposal = [jnp.array(w) for w in GOLDEN["kfac_update"]]
    gradient = jax.grad(NETWORK.loss)(WEIGHTS, *BATCH)
    fisher = FisherMetric(NETWORK).at(WEIGHTS, BATCH)
    found = rescale(fisher, gradient, proposal, unravel(golden["delta0"]), jnp.asarray(golden["lambda_"]))
    np.testing.assert_allclose([found.alpha, found.mu], golden["alpha_mu"], rtol=1e-11)
    assert float(found.model) == pytest.approx(golden["model_change"], rel=1e-12)


def test_rescale_without_a_previous_step_is_a_line_search():
    gradient = jax.grad(NETWORK.loss)(WEIGHTS, *BATCH)
    fisher, damping = FisherMetric(NETWORK).at(WEIGHTS, BATCH), jnp.asarray(0.1)
    proposal = jax.tree.map(jnp.negative, gradient)
    curvature = sum(float(jnp.vdot(p, q + 0.1 * p)) for p, q in zip(proposal, fisher.mv(proposal), strict=True))
    slope = sum(float(jnp.vdot(g, g)) for g in gradient)
    for previous in (jax.tree.map(jnp.zeros_like, gradient), jax.tree.map(lambda g: 3 * g, gradient)):
        found = rescale(fisher, gradient, proposal, previous, damping)
        assert float(found.alpha) == pytest.approx(slope / curvature, rel=1e-9)
        assert float(found.mu) == 0


class DenseInverse(AbstractInverse):
    matrix: jax.Array

    def __call__(self, vector):
        return jnp.linalg.solve(self.matrix, vector)


class Dense(AbstractStructured):
    matrix: jax.Array

    def mv(self, vector):
        return self.matrix @ vector

    def in_structure(self):
        return jax.ShapeDtypeStruct(self.matrix.shape[:1], self.matrix.dtype)

    def inverse(self, shift):
        return DenseInverse(self.matrix + shift * jnp.eye(len(self.matrix)))


class Recorded:
    """A metric that plays back stored matrices: `batch` says which."""

    def start(self, params):
        return BlockDiagonal([Dense(jnp.zeros((3, 3)))])

    def at(self, params, batch=None, *, key=None):
        return BlockDiagonal([Dense(jnp.array(GOLDEN["kldwrm"]["F"])[batch])])


def steps(method, rho, **options):
    golden = GOLDEN["kldwrm"]
    rate = lambda step: 1 / jnp.array(golden["lam"])[step]  # noqa: E731
    options |= {"warm_up": 9} if method is kld_wrm_so else {}
    transform = method(rate, Recorded(), rho=rho, damping=0.0, **options)
    params, found = [jnp.zeros(3)], []
    state = transform.init(params)
    for k, g in enumerate(golden["g"]):
        step, state = transform.update([jnp.array(g)], state, params, batch=k)
        params = optax.apply_updates(params, step)
        found.append(step[0])
    return found


@pytest.mark.parametrize(("method", "name"), [(kld_wrm_so, "so_steps"), (kld_wrm_q, "q_steps")])
def test_kldwrm_recursion_is_argmin(method, name):
    golden = GOLDEN["kldwrm"]
    found = steps(method, golden["rho"])
    np.testing.assert_allclose(found, golden[name], rtol=1e-11)
    # each step minimises the model plus the wake of quadratic divergences from all iterates so far
    F, lam, rho = jnp.array(golden["F"]), golden["lam"], golden["rho"]
    places = jnp.concatenate([jnp.zeros((1, 3)), jnp.cumsum(jnp.stack(found), axis=0)])
    for k, g in enumerate(golden["g"]):

        def objective(s, k=k, g=g):
            kappa = [(1.0 if i == 0 else 1 - rho) * rho ** (k - i) for i in range(k + 1)]
            gaps = [places[k] + s - places[i] for i in range(k + 1)]
            wake = sum(w * d @ F[i] @ d / 2 for i, (w, d) in enumerate(zip(kappa, gaps, strict=True)))
            return jnp.array(g) @ s + lam[k] * wake + (s @ F[k] @ s / 2 if method is kld_wrm_q else 0.0)

        np.testing.assert_allclose(jax.grad(objective)(found[k]), 0, atol=1e-11)


def test_kldwrm_rho0():
    golden = GOLDEN["kldwrm"]
    for k, (so, q) in enumerate(zip(steps(kld_wrm_so, 0.0), steps(kld_wrm_q, 0.0), strict=True)):
        natural = -jnp.linalg.solve(jnp.array(golden["F"][k]), jnp.array(golden["g"][k]))
        np.testing.assert_allclose(so, natural / golden["lam"][k], rtol=1e-11)
        np.testing.assert_allclose(q, natural / (golden["lam"][k] + 1), rtol=1e-11)


def test_kldwrm_clips_the_length_of_a_step():
    free, clipped = steps(kld_wrm_q, 0.0)[0], steps(kld_wrm_q, 0.0, clip=1e-4)[0]
    np.testing.assert_allclose(clipped @ jnp.array(GOLDEN["kldwrm"]["F"][0]) @ clipped, 1e-4, rtol=1e-11)
    np.testing.assert_allclose(jnp.cross(free, clipped), 0, atol=1e-15)
    np.testing.assert_array_equal(steps(kld_wrm_q, 0.5, clip=1e9), steps(kld_wrm_q, 0.5))


AUTOENCODER = Network(16, (Layer(8), Layer(3, "linear"), Layer(8), Layer(16, "linear")), Bernoulli())
METRIC = KroneckerFisher(AUTOENCODER)
METHODS = {
    "kfac": kfac(METRIC, damping=0.1),
    "kfac direction": optax.chain(scale_by_running_metric(METRIC, damping=1e-2), optax.scale(-0.3)),
    "kld_wrm so": kld_wrm_so(0.1, METRIC),
    "kld_wrm q": kld_wrm_q(0.3, METRIC),
    "kld_wrm qe": kld_wrm_q(0.1, METRIC, network=AUTOENCODER),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_an_autoencoder(name):
    transform = METHODS[name]
    centres = jax.random.bernoulli(jax.random.key(0), 0.5, (4, 16))
    x = jnp.repeat(centres, 16, axis=0).astype(float)
    x = jnp.abs(x - jax.random.bernoulli(jax.random.key(1), 0.05, x.shape))
    params = AUTOENCODER.init(jax.random.key(2))

    @jax.jit
    def step(params, state, key):
        value, gradient = jax.value_and_grad(AUTOENCODER.loss)(params, x, x)
        change, state = transform.update(
            gradient, state, params, value=value, value_fn=lambda p: AUTOENCODER.loss(p, x, x), batch=(x, x), key=key
        )
        return optax.apply_updates(params, change), state, value

    state = transform.init(params)
    for key in jax.random.split(jax.random.key(3), 40):
        params, state, value = step(params, state, key)
    assert float(value) < 6.0  # 11.1 nats at the start, 3.5 the entropy of the noise and the centre
    assert isinstance(METRIC.at(params, (x, x), key=key), lx.AbstractLinearOperator)
