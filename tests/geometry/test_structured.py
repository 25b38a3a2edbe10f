"""Structured operators against their dense matrices."""

import re

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from qnat.geometry import laws
from qnat.geometry.kronecker import Kronecker, RepeatedBlock, factored_inverse
from qnat.geometry.operators import damped
from qnat.geometry.solvers import Direct
from qnat.geometry.structured import OuterProducts, Rows, UnitBlocks


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def gram(seed, n, count):
    rows = normal(seed, count, n)
    return rows.T @ rows / count


OPERATORS = {
    "kronecker": Kronecker(gram(0, 3, 7), gram(1, 4, 9)),
    "kronecker, singular": Kronecker(gram(0, 3, 2), gram(1, 4, 2)),
    "repeated": RepeatedBlock(gram(1, 4, 9), 3),
    "outer products": OuterProducts(Rows([normal(2, 5, 2), normal(3, 5, 3)], [normal(4, 5, 4), normal(5, 5, 2)])),
    "convolution": OuterProducts(Rows([normal(2, 5, 6, 2), normal(3, 5, 3)], [normal(4, 5, 6, 4), normal(5, 5, 2)])),
    "units, dense": UnitBlocks(normal(6, 9, 4), jax.random.uniform(jax.random.key(7), (3, 9))),
    "units, Woodbury": UnitBlocks(normal(6, 3, 4), jax.random.uniform(jax.random.key(7), (2, 3)).at[0, 1].set(0.0)),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_structured_operators_obey_the_laws(name):
    laws.check_operator(OPERATORS[name], key=jax.random.key(8))


@pytest.mark.parametrize("name", OPERATORS)
def test_the_inverse_is_that_of_the_dense_matrix(name):
    operator = OPERATORS[name]
    shifted = damped(operator, 0.03)
    vector = jax.tree.map(lambda s: normal(9, *s.shape), operator.in_structure())
    found = lx.linear_solve(shifted, vector, Direct()).value
    wanted = jnp.linalg.solve(shifted.as_matrix(), ravel_pytree(vector)[0])
    np.testing.assert_allclose(ravel_pytree(found)[0], wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", OPERATORS)
def test_nothing_is_factorised_in_batches(name):
    """On a CPU two batched factorisations at a time use up JAX's threads and wait for each other for ever."""
    operator = OPERATORS[name]
    vector = jax.tree.map(lambda s: normal(9, *s.shape), operator.in_structure())
    text = str(jax.make_jaxpr(lambda o: o.inverse(jnp.asarray(0.1))(vector))(operator))
    calls = re.findall(r":\w+\[([\d,]*)\] = (?:cholesky|eigh|triangular_solve|lu)\b", text)
    calls += re.findall(r":\w+\[([\d,]*)\] \w+:\w+\[[\d,]*\] = eigh\b", text)
    assert calls
    assert all(shape.count(",") <= 1 for shape in calls)


def test_rows_are_sums_of_outer_products_over_positions():
    rows = OPERATORS["convolution"].rows
    dense = [
        jnp.einsum("mto,mti->moi", rows.back[0], rows.inputs[0]),
        rows.back[1][:, :, None] * rows.inputs[1][:, None],
    ]
    flat = jnp.concatenate([d.reshape(5, -1) for d in dense], axis=1)
    np.testing.assert_allclose(OPERATORS["convolution"].as_matrix(), flat.T @ flat / 5, atol=1e-13)
    np.testing.assert_allclose(rows.gram(), flat @ flat.T, atol=1e-12)


def test_factored_damping_balances_the_factors():
    operator, shift = OPERATORS["kronecker"], jnp.asarray(0.1)
    pi = jnp.sqrt((jnp.trace(operator.A) / 4) / (jnp.trace(operator.G) / 3))
    G = operator.G + jnp.sqrt(shift) / pi * jnp.eye(3)
    A = operator.A + jnp.sqrt(shift) * pi * jnp.eye(4)
    vector = normal(9, 3, 4)
    wanted = jnp.linalg.solve(jnp.kron(G, A), vector.ravel()).reshape(3, 4)
    np.testing.assert_allclose(factored_inverse(operator, shift)(vector), wanted, rtol=1e-12)
    with pytest.raises(ValueError, match="got UnitBlocks"):
        factored_inverse(OPERATORS["units, dense"], shift)


@pytest.mark.parametrize("name", OPERATORS)
def test_inverses_in_single_precision(name):
    single, double = (jax.tree.map(lambda leaf, t=t: leaf.astype(t), OPERATORS[name]) for t in (jnp.float32, float))
    vector = jax.tree.map(lambda s: normal(9, *s.shape), double.in_structure())
    found = single.inverse(jnp.asarray(0.1))(jax.tree.map(lambda leaf: leaf.astype(jnp.float32), vector))
    wanted = double.inverse(jnp.asarray(0.1))(vector)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert one.dtype == jnp.float32
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
