"""Damping, blocks and Gram operators."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from qnat.geometry import BlockDiagonal, Gram, TruncatedCG, damped, laws

PSD = lx.positive_semidefinite_tag


def positive(seed, size, dtype=jnp.float64):
    a = jax.random.normal(jax.random.key(seed), (size, size), dtype)
    return lx.MatrixLinearOperator(a @ a.T, PSD)


@pytest.fixture
def blocks():
    return BlockDiagonal({"b": positive(0, 3), "a": positive(1, 2)})


def test_blocks_act_on_their_part_of_a_pytree(blocks):
    vector = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([0.5, 0.0, 3.0])}
    product = blocks.mv(vector)
    np.testing.assert_allclose(product["a"], blocks.blocks["a"].mv(vector["a"]))
    np.testing.assert_allclose(product["b"], blocks.blocks["b"].mv(vector["b"]))
    flat = jnp.concatenate([vector["a"], vector["b"]])  # the order of ravel_pytree
    np.testing.assert_allclose(blocks.as_matrix() @ flat, jnp.concatenate([product["a"], product["b"]]), rtol=1e-14)


def test_lineax_knows_blocks(blocks):
    matrix = blocks.as_matrix()
    assert lx.is_symmetric(blocks)
    assert lx.is_positive_semidefinite(blocks)
    assert not lx.is_negative_semidefinite(blocks)
    assert not lx.is_diagonal(blocks)
    assert not lx.is_lower_triangular(blocks)
    assert not lx.has_unit_diagonal(blocks)
    np.testing.assert_array_equal(lx.diagonal(blocks), jnp.diagonal(matrix))
    for same in (lx.linearise(blocks), lx.materialise(blocks), lx.conj(blocks), blocks.T):
        np.testing.assert_array_equal(same.as_matrix(), matrix)
    diagonal = BlockDiagonal((lx.DiagonalLinearOperator(jnp.ones(2)), lx.DiagonalLinearOperator(jnp.zeros(1))))
    assert lx.is_diagonal(diagonal)
    for band, offset in zip(lx.tridiagonal(diagonal), (0, -1, 1), strict=True):
        np.testing.assert_array_equal(band, jnp.diagonal(diagonal.as_matrix(), offset))


def test_rectangular_blocks():
    operator = BlockDiagonal([lx.MatrixLinearOperator(jnp.ones((2, 3))), lx.MatrixLinearOperator(jnp.ones((1, 1)))])
    assert (operator.out_size(), operator.in_size()) == (3, 4) == operator.as_matrix().shape
    assert operator.T.as_matrix().shape == (4, 3)
    assert not lx.is_symmetric(operator)


@pytest.mark.parametrize("length", [7, 3 * 1024])  # one product, and strip by strip
def test_gram_is_an_operator_to_lineax(length):
    rows = jax.random.normal(jax.random.key(0), (5, length))
    matrix = rows @ rows.T
    like = {"a": jnp.zeros(2), "b": jnp.zeros((3, 1))}
    _, unravel = jax.flatten_util.ravel_pytree(like)

    def product(x):
        return unravel(matrix @ jax.flatten_util.ravel_pytree(x)[0])

    gram = Gram(lx.FunctionLinearOperator(product, jax.eval_shape(lambda: like)), jax.tree_util.Partial(lambda: rows))
    laws.check_operator(gram, key=jax.random.key(1))
    assert lx.is_symmetric(gram)
    assert lx.is_positive_semidefinite(gram)
    for shape in (lx.is_diagonal, lx.is_tridiagonal, lx.is_lower_triangular, lx.is_upper_triangular):
        assert not shape(gram)
    assert not lx.is_negative_semidefinite(gram)
    assert not lx.has_unit_diagonal(gram)
    np.testing.assert_allclose(lx.diagonal(gram), jnp.diagonal(matrix), rtol=1e-12)
    for band, offset in zip(lx.tridiagonal(gram), (0, -1, 1), strict=True):
        np.testing.assert_allclose(band, jnp.diagonal(matrix, offset), rtol=1e-12)
    for same in (lx.linearise(gram), lx.materialise(gram), lx.conj(gram), gram.T):
        np.testing.assert_allclose(same.as_matrix(), matrix, rtol=1e-12)
    assert lx.is_positive_semidefinite(lx.materialise(gram))


@pytest.mark.parametrize(
    "solver", [lx.Cholesky(), lx.CG(1e-12, 1e-12), TruncatedCG(1e-12, 50)], ids=lambda s: type(s).__name__
)
def test_damped_blocks_are_solvable_with_a_traced_damping(blocks, solver):
    vector = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([0.5, 0.0, 3.0])}

    @jax.jit
    def solve(damping):
        return lx.linear_solve(damped(blocks, damping), vector, solver).value

    flat = jnp.concatenate([vector["a"], vector["b"]])
    wanted = jnp.linalg.solve(blocks.as_matrix() + 0.3 * jnp.eye(5), flat)
    found = solve(0.3)
    np.testing.assert_allclose(jnp.concatenate([found["a"], found["b"]]), wanted, rtol=1e-10)


def test_damped_blocks_stay_blocks(blocks):
    system = damped(blocks, 0.3)
    assert isinstance(system, BlockDiagonal)
    assert lx.is_positive_semidefinite(system)
    np.testing.assert_allclose(system.as_matrix(), blocks.as_matrix() + 0.3 * jnp.eye(5), rtol=1e-15)


def test_damping_keeps_single_precision():
    system = damped(positive(2, 3, jnp.float32), jnp.float64(0.1))
    assert system.mv(jnp.ones(3, jnp.float32)).dtype == jnp.float32
