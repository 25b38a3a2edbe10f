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

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "kfac_tridiag.json").read_text())
G, A = ([[np.array(block) for block in row] for row in GOLDEN[name]] for name in ("G", "A"))
CHAIN = Tridiagonal(
    [Kronecker(G[i][i], A[i][i]) for i in range(3)], [G[i][i + 1] for i in range(2)], [A[i][i + 1] for i in range(2)]
)
ENDS = np.cumsum([0, 6, 4, 6])
V = [
    np.array(GOLDEN["v"])[a:b].reshape(structure.shape)
    for (a, b), structure in zip(itertools.pairwise(ENDS), CHAIN.in_structure(), strict=True)
]
NETWORK = Network(4, (Layer(3), Layer(2), Layer(4, "linear")), Bernoulli())


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@jax.jit
def described(chain, vector, shift):
    """F̂; its inverse with damping in the factors, as a matrix and on a vector; and F̂ + λ inverted densely."""
    inverse, unravel = tridiagonal_inverse(chain, shift), ravel_pytree(vector)[1]
    return {
        "matrix": chain.as_matrix(),
        "inverse": jax.vmap(lambda v: ravel_pytree(inverse(unravel(v)))[0])(jnp.eye(16)),
        "solved": inverse(vector),
        "densely": chain.inverse(shift)(vector),
    }


def test_tridiag_blocks():
    found = described(CHAIN, V, np.zeros(()))
    np.testing.assert_allclose(flat(found["solved"]), GOLDEN["Finv_v"], rtol=1e-10)
    matrix = np.asarray(found["inverse"])
    blocks = [[matrix[a:b, c:d] for c, d in itertools.pairwise(ENDS)] for a, b in itertools.pairwise(ENDS)]
    np.testing.assert_allclose(blocks[0][2], 0, atol=1e-12)  # tridiagonal
    chain = np.linalg.inv(matrix)
    for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2)):
        wanted = np.kron(G[i][j], A[i][j])
        np.testing.assert_allclose(chain[ENDS[i] : ENDS[i + 1], ENDS[j] : ENDS[j + 1]], wanted, atol=1e-13)
    np.testing.assert_allclose(found["matrix"], chain, atol=1e-12)


def test_the_operator_obeys_the_laws_and_is_inverted_densely():
    laws.check_operator(CHAIN, key=jax.random.key(0))
    found = described(CHAIN, V, np.asarray(0.1))
    np.testing.assert_allclose((found["matrix"] + 0.1 * np.eye(16)) @ flat(found["densely"]), flat(V), atol=1e-12)


def test_single_precision_stays_single():
    single, vector = jax.tree.map(lambda leaf: leaf.astype(np.float32), (CHAIN, V))
    found, wanted = described(single, vector, np.asarray(0.1)), described(CHAIN, V, np.asarray(0.1))
    for name in ("densely", "solved"):
        assert flat(found[name]).dtype == np.float32
        np.testing.assert_allclose(flat(found[name]), flat(wanted[name]), rtol=1e-3, atol=1e-3)


def test_damping_goes_into_the_diagonal_factors():
    shift = np.asarray(0.1)
    blocks = jax.jit(lambda blocks, shift: [balanced(block, shift) for block in blocks])(CHAIN.blocks, shift)
    wanted = described(Tridiagonal(blocks, CHAIN.G, CHAIN.A), V, np.zeros(()))["solved"]
    np.testing.assert_allclose(flat(described(CHAIN, V, shift)["solved"]), flat(wanted), rtol=1e-11)


def test_the_metric_has_the_blocks_of_kfac_and_obeys_the_laws():
    rng = np.random.default_rng(2)
    params, x, y = NETWORK.init(jax.random.key(1)), rng.normal(size=(9, 4)), rng.integers(0, 2, (9, 4)).astype(float)
    metric = TridiagonalFisher(NETWORK, "data")
    laws.check_metric(metric, params, batch=(x, y), key=jax.random.key(8))

    @jax.jit
    def both(params, x, y):
        found, kfac = metric.at(params, (x, y)), KroneckerFisher(NETWORK, "data").at(params, (x, y))
        matrices = [[block.as_matrix() for block in blocks] for blocks in (found.blocks, kfac.leaves())]
        return found, matrices, NETWORK.taps(params, x).features

    found, (ours, theirs), features = both(params, x, y)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-14)
    np.testing.assert_allclose(found.A[0], np.einsum("na,nb->ab", *features[:2]) / 9, atol=1e-14)
    assert [g.shape for g in found.G] == [(3, 2), (2, 4)]


@pytest.mark.parametrize("memory", [pytest.param(None, marks=pytest.mark.slow), 0.95])
def test_it_drives_a_running_metric(memory):
    metric = TridiagonalFisher(NETWORK)
    running = scale_by_running_metric(metric, damping=0.03, memory=memory, refresh=5, inverter=tridiagonal_inverse)
    transform = optax.chain(running, optax.scale(-0.3))

    @jax.jit
    def trained(start, x, keys):
        def step(carry, key):
            params, state = carry
            value, gradient = jax.value_and_grad(NETWORK.loss)(params, x, x)
            change, state = transform.update(gradient, state, params, batch=(x, x), key=key)
            return (optax.apply_updates(params, change), state), value

        (params, _), values = jax.lax.scan(step, (start, transform.init(start)), keys)
        return params, values

    @jax.jit
    def first(start, x, gradient, key):
        """What the first update makes of a gradient, and what the inverse makes of it."""
        ours, _ = running.update(gradient, running.init(start), start, batch=(x, x), key=key)
        return ours, tridiagonal_inverse(metric.at(start, (x, x), key=key), jnp.asarray(0.03))(gradient)

    x, start = np.random.default_rng(4).integers(0, 2, (32, 4)).astype(float), NETWORK.init(jax.random.key(5))
    params, values = trained(start, x, jax.random.split(jax.random.key(6), 30))
    first_value, *_, last_value = np.asarray(values)
    assert last_value < 0.6 * first_value
    found, wanted = first(start, x, jax.jit(jax.grad(NETWORK.loss))(params, x, x), jax.random.key(7))
    np.testing.assert_allclose(flat(found), flat(wanted), rtol=1e-10)


def test_what_it_cannot_do_is_refused():
    convolution = Network((1, 3, 3), (Layer(2, kernel=2), Layer(2, "linear")), Categorical())
    with pytest.raises(ValueError, match="one of dense layers; use KroneckerFisher"):
        TridiagonalFisher(convolution)
    with pytest.raises(ValueError, match="of a TridiagonalFisher; got Kronecker"):
        tridiagonal_inverse(CHAIN.blocks[0], np.asarray(0.1))
