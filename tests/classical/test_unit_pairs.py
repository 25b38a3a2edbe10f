"""Hidden units in pairs: the law, one function in both charts, and what vanishes where two units are one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classical.methods.fisher import FisherMetric
from classical.models.network import Layer, Network
from classical.models.unit_pairs import PairedUnits
from qnat.geometry import laws, pulled
from qnat.geometry.families import Bernoulli

X = np.random.default_rng(0).normal(size=(20, 3))


def network():
    return Network(3, (Layer(4), Layer(1, "linear")), Bernoulli())


def weights(key=0):
    """With output weights that do not cancel in a pair."""
    hidden = np.asarray(network().init(jax.random.key(key))[0])
    return [hidden, np.append(np.array([0.5, 1.2, -0.7, -0.4]), 0.3)[None]]


def test_pairs_of_units_are_a_chart_of_networks():
    chart = PairedUnits()
    coordinates = eqx.filter_jit(chart.from_point)(weights())
    laws.check_chart(chart, coordinates)
    np.testing.assert_allclose(coordinates.sums, [1.7, -1.1], rtol=1e-14)
    np.testing.assert_allclose(coordinates.balances, [0.7 / 1.7, -0.3 / 1.1], rtol=1e-14)
    np.testing.assert_allclose(coordinates.gaps, weights()[0][1::2] - weights()[0][::2], rtol=1e-14)


def test_the_function_is_that_of_the_pairs_and_the_fisher_metric_pulled_back():
    net, chart = network(), PairedUnits()
    coordinates = eqx.filter_jit(chart.from_point)(weights())
    share = (1 + coordinates.balances) / 2
    features = np.append(X, np.ones((len(X), 1)), axis=1)
    pairs = [
        coordinates.sums[i]
        * (
            (1 - share[i]) * np.tanh(features @ (coordinates.centres[i] - share[i] * coordinates.gaps[i]))
            + share[i] * np.tanh(features @ (coordinates.centres[i] + (1 - share[i]) * coordinates.gaps[i]))
        )
        for i in range(2)
    ]
    np.testing.assert_allclose(jax.jit(net)(weights(), X)[:, 0], sum(pairs) + coordinates.bias, atol=1e-14)

    @jax.jit
    def matrices(c):
        outputs = jax.vmap(lambda x: net(chart.to_point(c), x[None])[0, 0])
        slopes = jax.jacrev(lambda c: net(chart.to_point(c), X)[:, 0])(c)
        rows = jnp.concatenate([leaf.reshape(len(X), -1) for leaf in jax.tree.leaves(slopes)], axis=1)
        p = jax.nn.sigmoid(outputs(jnp.asarray(X)))
        direct = rows.T @ (rows * (p * (1 - p))[:, None]) / len(X)
        return pulled(FisherMetric(net), chart).at(c, (jnp.asarray(X), None)).as_matrix(), direct

    found, direct = matrices(coordinates)
    np.testing.assert_allclose(found, direct, atol=1e-14)


@pytest.mark.parametrize("size", [0.0, 1e-3])
def test_rows_of_the_fisher_matrix_vanish_where_two_units_are_one(size):
    net, chart = network(), PairedUnits()
    here = eqx.filter_jit(chart.from_point)(weights())
    gaps = np.asarray(here.gaps).copy()
    gaps[0] *= size
    here = here._replace(gaps=gaps)

    @jax.jit
    def diagonal(c):
        matrix = pulled(FisherMetric(net), chart).at(c, (jnp.asarray(X), None)).as_matrix()
        lengths = jax.tree.unflatten(
            jax.tree.structure(c), jnp.split(jnp.diagonal(matrix), np.cumsum([leaf.size for leaf in c])[:-1])
        )
        return lengths, jnp.linalg.matrix_rank(matrix, rtol=1e-12)

    found, rank = diagonal(here)
    gap, balance = found.gaps.reshape(2, -1), found.balances
    assert np.all(np.abs(gap[0]) <= size**2 + 1e-30)
    assert abs(balance[0]) <= size**2 + 1e-30
    assert gap[1].min() > 1e-5
    assert balance[1] > 1e-5
    # δ and z of that pair, 4 + 1 of 21 coordinates
    assert size > 0 or rank == 16


def test_what_is_no_network_of_pairs_is_refused():
    hidden, out = weights()
    for wrong in ([hidden[:3], out[:, :4]], [hidden, np.concatenate([out, out])], [hidden, hidden, out]):
        with pytest.raises(
            ValueError, match="one hidden layer of an even number of units and one output; these weights"
        ):
            PairedUnits().from_point(wrong)
