"""Structured operators against their dense matrices."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from qnat.geometry import laws
from qnat.geometry.kronecker import Kronecker, RepeatedBlock, factored_inverse
from qnat.geometry.operators import damped
from qnat.geometry.solvers import Direct
from qnat.geometry.structured import OuterProducts, Rows, UnitBlocks


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def gram(seed, n, count):
    rows = normal(seed, count, n)
    return rows.T @ rows / count


OPERATORS = {
    "kronecker": Kronecker(gram(0, 3, 7), gram(1, 4, 9)),
    "kronecker, singular": Kronecker(gram(0, 3, 2), gram(1, 4, 2)),
    "repeated": RepeatedBlock(gram(1, 4, 9), 3),
    "outer products": OuterProducts(Rows([normal(2, 5, 2), normal(3, 5, 3)], [normal(4, 5, 4), normal(5, 5, 2)])),
    "convolution": OuterProducts(Rows([normal(2, 5, 6, 2), normal(3, 5, 3)], [normal(4, 5, 6, 4), normal(5, 5, 2)])),
    "units, dense": UnitBlocks(normal(6, 9, 4), np.random.default_rng(7).uniform(size=(3, 9))),
    "units, Woodbury": UnitBlocks(normal(6, 3, 4), np.array([[0.7, 0.0, 0.2], [0.4, 0.9, 0.6]])),
}


def vector_for(operator):
    return jax.tree.map(lambda s: normal(9, *s.shape), operator.in_structure())


def flattened(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@eqx.filter_jit
def described(operator, vector):
    """Damped, its matrix and a solution; and its inverse in both precisions."""
    shifted = damped(operator, 0.03)

    def inverted(dtype):
        cast, right = jax.tree.map(lambda leaf: leaf.astype(dtype), (operator, vector))
        return cast.inverse(jnp.asarray(0.1))(right)

    return {
        "matrix": shifted.as_matrix(),
        "solution": lx.linear_solve(shifted, vector, Direct()).value,
        "single": inverted(jnp.float32),
        "double": inverted(jnp.float64),
    }


@pytest.mark.parametrize("name", OPERATORS)
def test_structured_operators_obey_the_laws(name):
    laws.check_operator(OPERATORS[name], key=jax.random.key(8))


@pytest.mark.parametrize("name", OPERATORS)
def test_the_inverse_is_that_of_the_dense_matrix(name):
    vector = vector_for(OPERATORS[name])
    found = described(OPERATORS[name], vector)
    wanted = np.linalg.solve(found["matrix"], flattened(vector))
    np.testing.assert_allclose(flattened(found["solution"]), wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", OPERATORS)
def test_nothing_is_factorised_in_batches(name):
    """On a CPU two batched factorisations at a time use up JAX's threads and wait for each other for ever."""
    operator = OPERATORS[name]
    vector = vector_for(operator)
    text = str(jax.make_jaxpr(lambda o: o.inverse(jnp.asarray(0.1))(vector))(operator))
    calls = re.findall(r":\w+\[([\d,]*)\] = (?:cholesky|eigh|triangular_solve|lu)\b", text)
    calls += re.findall(r":\w+\[([\d,]*)\] \w+:\w+\[[\d,]*\] = eigh\b", text)
    assert calls
    assert all(shape.count(",") <= 1 for shape in calls)


def test_rows_are_sums_of_outer_products_over_positions():
    operator = OPERATORS["convolution"]
    rows = operator.rows
    dense = [
        np.einsum("mto,mti->moi", rows.back[0], rows.inputs[0]),
        rows.back[1][:, :, None] * rows.inputs[1][:, None],
    ]
    flat = np.concatenate([d.reshape(5, -1) for d in dense], axis=1)
    matrix, gram = eqx.filter_jit(lambda o: (o.as_matrix(), o.rows.gram()))(operator)
    np.testing.assert_allclose(matrix, flat.T @ flat / 5, atol=1e-13)
    np.testing.assert_allclose(gram, flat @ flat.T, atol=1e-12)


def test_factored_damping_balances_the_factors():
    operator, shift = OPERATORS["kronecker"], jnp.asarray(0.1)
    pi = np.sqrt((np.trace(operator.A) / 4) / (np.trace(operator.G) / 3))
    G = operator.G + np.sqrt(0.1) / pi * np.eye(3)
    A = operator.A + np.sqrt(0.1) * pi * np.eye(4)
    vector = normal(9, 3, 4)
    wanted = np.linalg.solve(np.kron(G, A), vector.ravel()).reshape(3, 4)
    found = eqx.filter_jit(lambda o, s, v: factored_inverse(o, s)(v))(operator, shift, vector)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    with pytest.raises(ValueError, match="got UnitBlocks"):
        factored_inverse(OPERATORS["units, dense"], shift)


@pytest.mark.parametrize("name", OPERATORS)
def test_inverses_in_single_precision(name):
    found = described(OPERATORS[name], vector_for(OPERATORS[name]))
    for one, other in zip(jax.tree.leaves(found["single"]), jax.tree.leaves(found["double"]), strict=True):
        assert one.dtype == jnp.float32
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
