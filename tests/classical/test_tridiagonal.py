"""The block tridiagonal inverse of K-FAC against its golden numbers and its defining blocks."""

import itertools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from classical.methods.fisher import KroneckerFisher
from classical.methods.tridiagonal import Tridiagonal, TridiagonalFisher, tridiagonal_inverse
from classical.models.network import Layer, Network
from qnat.geometry import laws
from qnat.geometry.families import Bernoulli, Categorical
from qnat.geometry.kronecker import Kronecker, balanced
from qnat.optim.running import scale_by_running_metric

pytestmark = pytest.mark.slow

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "kfac_tridiag.json").read_text())
G, A = ([[jnp.array(block) for block in row] for row in GOLDEN[name]] for name in ("G", "A"))
CHAIN = Tridiagonal(
    [Kronecker(G[i][i], A[i][i]) for i in range(3)], [G[i][i + 1] for i in range(2)], [A[i][i + 1] for i in range(2)]
)
V = ravel_pytree([jnp.zeros(s.shape) for s in CHAIN.in_structure()])[1](jnp.array(GOLDEN["v"]))
NETWORK = Network(4, (Layer(3), Layer(2), Layer(4, "linear")), Bernoulli())


def flat(tree):
    return ravel_pytree(tree)[0]


def dense(inverse):
    unravel = ravel_pytree(V)[1]
    return jax.vmap(lambda v: flat(inverse(unravel(v))))(jnp.eye(16))


def test_tridiag_blocks():
    inverse = tridiagonal_inverse(CHAIN, jnp.zeros(()))
    np.testing.assert_allclose(flat(inverse(V)), GOLDEN["Finv_v"], rtol=1e-10)
    matrix = dense(inverse)
    ends = np.cumsum([0, 6, 4, 6])
    blocks = [[matrix[a:b, c:d] for c, d in itertools.pairwise(ends)] for a, b in itertools.pairwise(ends)]
    np.testing.assert_allclose(blocks[0][2], 0, atol=1e-12)  # tridiagonal
    chain = jnp.linalg.inv(matrix)
    for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2)):
        wanted = jnp.kron(G[i][j], A[i][j])
        np.testing.assert_allclose(chain[ends[i] : ends[i + 1], ends[j] : ends[j + 1]], wanted, atol=1e-13)
    np.testing.assert_allclose(CHAIN.as_matrix(), chain, atol=1e-12)


def test_the_operator_obeys_the_laws_and_is_inverted_densely():
    laws.check_operator(CHAIN, key=jax.random.key(0))
    found = flat(CHAIN.inverse(jnp.asarray(0.1))(V))
    np.testing.assert_allclose((CHAIN.as_matrix() + 0.1 * jnp.eye(16)) @ found, flat(V), atol=1e-12)


def test_single_precision_stays_single():
    single, vector = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (CHAIN, V))
    for invert in (Tridiagonal.inverse, tridiagonal_inverse):
        found, wanted = invert(single, jnp.asarray(0.1))(vector), invert(CHAIN, jnp.asarray(0.1))(V)
        assert flat(found).dtype == jnp.float32
        np.testing.assert_allclose(flat(found), flat(wanted), rtol=1e-3, atol=1e-3)


def test_damping_goes_into_the_diagonal_factors():
    shift = jnp.asarray(0.1)
    damped = Tridiagonal([balanced(block, shift) for block in CHAIN.blocks], CHAIN.G, CHAIN.A)
    wanted = flat(tridiagonal_inverse(damped, jnp.zeros(()))(V))
    np.testing.assert_allclose(flat(tridiagonal_inverse(CHAIN, shift)(V)), wanted, rtol=1e-11)


def test_the_metric_has_the_blocks_of_kfac_and_obeys_the_laws():
    params, x = NETWORK.init(jax.random.key(1)), jax.random.normal(jax.random.key(2), (9, 4))
    y = jax.random.bernoulli(jax.random.key(3), 0.5, (9, 4)).astype(float)
    metric = TridiagonalFisher(NETWORK, "data")
    laws.check_metric(metric, params, batch=(x, y), key=jax.random.key(8))
    found = metric.at(params, (x, y))
    for ours, theirs in zip(found.blocks, KroneckerFisher(NETWORK, "data").at(params, (x, y)).leaves(), strict=True):
        np.testing.assert_allclose(ours.as_matrix(), theirs.as_matrix(), atol=1e-14)
    taps = NETWORK.taps(params, x)
    np.testing.assert_allclose(found.A[0], jnp.einsum("na,nb->ab", *taps.features[:2]) / 9, atol=1e-14)
    assert [g.shape for g in found.G] == [(3, 2), (2, 4)]


@pytest.mark.parametrize("memory", [None, 0.95])
def test_it_drives_a_running_metric(memory):
    x = jax.random.bernoulli(jax.random.key(4), 0.5, (32, 4)).astype(float)
    metric = TridiagonalFisher(NETWORK)
    running = scale_by_running_metric(metric, damping=0.03, memory=memory, refresh=5, inverter=tridiagonal_inverse)
    transform = optax.chain(running, optax.scale(-0.3))

    @jax.jit
    def step(params, state, key):
        value, gradient = jax.value_and_grad(NETWORK.loss)(params, x, x)
        change, state = transform.update(gradient, state, params, batch=(x, x), key=key)
        return optax.apply_updates(params, change), state, value

    params = NETWORK.init(jax.random.key(5))
    state, values = transform.init(params), []
    for key in jax.random.split(jax.random.key(6), 30):
        params, state, value = step(params, state, key)
        values.append(float(value))
    assert values[-1] < 0.6 * values[0]
    first = metric.at(NETWORK.init(jax.random.key(5)), (x, x), key=jax.random.key(7))
    gradient = jax.grad(NETWORK.loss)(params, x, x)
    found, _ = running.update(
        gradient, running.init(params), NETWORK.init(jax.random.key(5)), batch=(x, x), key=jax.random.key(7)
    )
    np.testing.assert_allclose(flat(found), flat(tridiagonal_inverse(first, jnp.asarray(0.03))(gradient)), rtol=1e-10)


def test_what_it_cannot_do_is_refused():
    convolution = Network((1, 3, 3), (Layer(2, kernel=2), Layer(2, "linear")), Categorical())
    with pytest.raises(ValueError, match="one of dense layers; use KroneckerFisher"):
        TridiagonalFisher(convolution)
    with pytest.raises(ValueError, match="of a TridiagonalFisher; got Kronecker"):
        tridiagonal_inverse(CHAIN.blocks[0], jnp.asarray(0.1))
