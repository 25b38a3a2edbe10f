"""K-FAC's rescaling and KLD-WRM against stored numbers and direct minimisation; every method trains."""

import json
import pathlib

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import optax
import pytest

from classical.methods.fisher import FisherMetric, KroneckerFisher
from classical.methods.kfac import kfac
from classical.methods.kld_wrm import kld_wrm_q
from classical.methods.kld_wrm_linear import kld_wrm_so
from classical.methods.rescaling import rescale
from classical.models.network import Layer, Network
from qnat.geometry.families import Bernoulli, Categorical
from qnat.geometry.operators import BlockDiagonal
from qnat.geometry.structured import AbstractInverse, AbstractStructured
from qnat.optim.running import scale_by_running_metric

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "kfac_tiny.json").read_text())
NETWORK = Network(2, (Layer(2), Layer(3, "linear")), Categorical())
WEIGHTS = [np.array(GOLDEN["W1"]), np.array(GOLDEN["W2"])]
BATCH = np.array(GOLDEN["X"]), np.eye(3)[GOLDEN["y"]]


@pytest.fixture(scope="module")
def gradient():
    return [np.asarray(g) for g in jax.jit(jax.grad(NETWORK.loss))(WEIGHTS, *BATCH)]


@jax.jit
def rescaled(gradient, proposal, previous, damping):
    """F times the proposal, and what `rescale` finds."""
    fisher = FisherMetric(NETWORK).at(WEIGHTS, BATCH)
    return fisher.mv(proposal), rescale(fisher, gradient, proposal, previous, damping)


def test_rescale_2x2_golden(gradient):
    golden, ends = GOLDEN["rescale"], np.cumsum([w.size for w in WEIGHTS])[:-1]
    previous = [d.reshape(w.shape) for d, w in zip(np.split(np.array(golden["delta0"]), ends), WEIGHTS, strict=True)]
    proposal = [np.array(w) for w in GOLDEN["kfac_update"]]
    _, found = rescaled(gradient, proposal, previous, np.asarray(golden["lambda_"], float))
    np.testing.assert_allclose([found.alpha, found.mu], golden["alpha_mu"], rtol=1e-11)
    assert float(found.model) == pytest.approx(golden["model_change"], rel=1e-12)


def test_rescale_without_a_previous_step_is_a_line_search(gradient):
    proposal, slope = [-g for g in gradient], sum(np.vdot(g, g) for g in gradient)
    for previous in ([np.zeros_like(g) for g in gradient], [3 * g for g in gradient]):
        product, found = rescaled(gradient, proposal, previous, np.asarray(0.1))
        curvature = sum(np.vdot(p, q + 0.1 * p) for p, q in zip(proposal, product, strict=True))
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

    def passes(self, batch=None):
        return 1.0

    def at(self, params, batch=None, *, key=None):
        return BlockDiagonal([Dense(jnp.array(GOLDEN["kldwrm"]["F"])[batch])])


def steps(method, rho, **options):
    golden = GOLDEN["kldwrm"]
    rate = lambda step: 1 / jnp.array(golden["lam"])[step]  # noqa: E731
    options |= {"warm_up": 9} if method is kld_wrm_so else {}
    transform = method(rate, Recorded(), rho=rho, damping=0.0, **options)

    def step(carry, stored):
        (params, state), (k, g) = carry, stored
        change, state = transform.update([g], state, params, batch=k)
        return (optax.apply_updates(params, change), state), change[0]

    @jax.jit
    def walk(start, gradients):
        return jax.lax.scan(step, (start, transform.init(start)), (jnp.arange(len(gradients)), gradients))[1]

    return np.asarray(walk([np.zeros(3)], np.array(golden["g"])))


@pytest.mark.parametrize(("method", "name"), [(kld_wrm_so, "so_steps"), (kld_wrm_q, "q_steps")])
def test_kldwrm_recursion_is_argmin(method, name):
    golden = GOLDEN["kldwrm"]
    found = steps(method, golden["rho"])
    np.testing.assert_allclose(found, golden[name], rtol=1e-11)
    # each step minimises the model plus the wake of quadratic divergences from all iterates so far
    F, lam, rho = np.array(golden["F"]), golden["lam"], golden["rho"]

    def objective(s, places, k, g):
        kappa = [(1.0 if i == 0 else 1 - rho) * rho ** (k - i) for i in range(k + 1)]
        gaps = [places[k] + s - places[i] for i in range(k + 1)]
        wake = sum(w * d @ F[i] @ d / 2 for i, (w, d) in enumerate(zip(kappa, gaps, strict=True)))
        return g @ s + lam[k] * wake + (s @ F[k] @ s / 2 if method is kld_wrm_q else 0.0)

    @jax.jit
    def slopes(found, places, gradients):
        return [jax.grad(objective)(found[k], places, k, gradients[k]) for k in range(len(golden["g"]))]

    places = np.concatenate([np.zeros((1, 3)), np.cumsum(found, axis=0)])
    np.testing.assert_allclose(slopes(found, places, np.array(golden["g"])), 0, atol=1e-11)


def test_kldwrm_rho0():
    golden = GOLDEN["kldwrm"]
    for k, (so, q) in enumerate(zip(steps(kld_wrm_so, 0.0), steps(kld_wrm_q, 0.0), strict=True)):
        natural = -np.linalg.solve(golden["F"][k], golden["g"][k])
        np.testing.assert_allclose(so, natural / golden["lam"][k], rtol=1e-11)
        np.testing.assert_allclose(q, natural / (golden["lam"][k] + 1), rtol=1e-11)


def test_kldwrm_clips_the_length_of_a_step():
    free, clipped = steps(kld_wrm_q, 0.0)[0], steps(kld_wrm_q, 0.0, clip=1e-4)[0]
    np.testing.assert_allclose(clipped @ np.array(GOLDEN["kldwrm"]["F"][0]) @ clipped, 1e-4, rtol=1e-11)
    np.testing.assert_allclose(np.cross(free, clipped), 0, atol=1e-15)
    np.testing.assert_array_equal(steps(kld_wrm_q, 0.5, clip=1e9), steps(kld_wrm_q, 0.5))


AUTOENCODER = Network(16, (Layer(8), Layer(3, "linear"), Layer(8), Layer(16, "linear")), Bernoulli())
METRIC = KroneckerFisher(AUTOENCODER)
METHODS = {
    "kfac": lambda: kfac(METRIC, damping=0.1),
    "kfac direction": lambda: optax.chain(scale_by_running_metric(METRIC, damping=1e-2), optax.scale(-0.3)),
    "kld_wrm so": lambda: kld_wrm_so(0.1, METRIC),
    "kld_wrm q": lambda: kld_wrm_q(0.3, METRIC),
    "kld_wrm qe": lambda: kld_wrm_q(0.1, METRIC, network=AUTOENCODER),
}


@pytest.fixture(scope="module")
def pictures():
    """Sixteen noisy copies of each of four centres."""

    @jax.jit
    def draw():
        centres = jax.random.bernoulli(jax.random.key(0), 0.5, (4, 16))
        x = jnp.repeat(centres, 16, axis=0).astype(float)
        return jnp.abs(x - jax.random.bernoulli(jax.random.key(1), 0.05, x.shape))

    return draw()


@pytest.mark.parametrize(
    "name", [name if name in ("kfac", "kld_wrm qe") else pytest.param(name, marks=pytest.mark.slow) for name in METHODS]
)
def test_every_method_trains_an_autoencoder(name, pictures):
    transform = METHODS[name]()

    @jax.jit
    def losses(params, x, keys):
        def step(carry, key):
            params, state = carry
            value, gradient = jax.value_and_grad(AUTOENCODER.loss)(params, x, x)
            value_fn = lambda p: AUTOENCODER.loss(p, x, x)  # noqa: E731
            arguments = {"value": value, "value_fn": value_fn, "batch": (x, x), "key": key}
            change, state = transform.update(gradient, state, params, **arguments)
            return (optax.apply_updates(params, change), state), value

        return jax.lax.scan(step, (params, transform.init(params)), keys)[1]

    found = losses(AUTOENCODER.init(jax.random.key(2)), pictures, jax.random.split(jax.random.key(3), 40))
    assert np.asarray(found)[-1] < 6.0  # 11.1 nats at the start, 3.5 the entropy of the noise and the centre


def test_the_metric_is_a_linear_operator(pictures):
    params = AUTOENCODER.init(jax.random.key(2))
    operator = jax.eval_shape(lambda key: METRIC.at(params, (pictures, pictures), key=key), jax.random.key(3))
    assert isinstance(operator, lx.AbstractLinearOperator)
