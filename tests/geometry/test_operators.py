"""Damping, blocks and Gram operators."""

import equinox as eqx
import jax
import lineax as lx
import numpy as np
import pytest
import scipy.linalg
from jax.flatten_util import ravel_pytree

from qnat.geometry import BlockDiagonal, Gram, TruncatedCG, damped, laws
from qnat.geometry.operators import gram

PSD = lx.positive_semidefinite_tag


VECTOR = {"a": np.array([1.0, -2.0]), "b": np.array([0.5, 0.0, 3.0])}
FLAT = np.concatenate([VECTOR["a"], VECTOR["b"]])  # the order of ravel_pytree


def positive(seed, size, dtype=np.float64):
    a = np.random.default_rng(seed).normal(size=(size, size)).astype(dtype)
    return lx.MatrixLinearOperator(a @ a.T, PSD)


@pytest.fixture
def blocks():
    return BlockDiagonal({"b": positive(0, 3), "a": positive(1, 2)})


@pytest.fixture
def matrix(blocks):
    """The blocks, written out."""
    return scipy.linalg.block_diag(*(blocks.blocks[name].matrix for name in ("a", "b")))


@eqx.filter_jit
def described(operator):
    """Its matrix, what lineax says of the diagonals, and the matrices of what must be the same operator."""
    same = lx.linearise(operator), lx.materialise(operator), lx.conj(operator), operator.T
    return {
        "matrix": operator.as_matrix(),
        "diagonal": lx.diagonal(operator),
        "bands": lx.tridiagonal(operator),
        "same": [each.as_matrix() for each in same],
    }


def test_blocks_act_on_their_part_of_a_pytree(blocks, matrix):
    np.testing.assert_array_equal(described(blocks)["matrix"], matrix)
    product = blocks.mv(VECTOR)
    np.testing.assert_allclose(product["a"], blocks.blocks["a"].matrix @ VECTOR["a"])
    np.testing.assert_allclose(product["b"], blocks.blocks["b"].matrix @ VECTOR["b"])
    np.testing.assert_allclose(matrix @ FLAT, np.concatenate([product["a"], product["b"]]), rtol=1e-14)


def test_lineax_knows_blocks(blocks, matrix):
    assert lx.is_symmetric(blocks)
    assert lx.is_positive_semidefinite(blocks)
    assert not lx.is_negative_semidefinite(blocks)
    assert not lx.is_diagonal(blocks)
    assert not lx.is_lower_triangular(blocks)
    assert not lx.has_unit_diagonal(blocks)
    found = described(blocks)
    np.testing.assert_array_equal(found["diagonal"], np.diagonal(matrix))
    for same in found["same"]:
        np.testing.assert_array_equal(same, matrix)
    diagonal = BlockDiagonal((lx.DiagonalLinearOperator(np.ones(2)), lx.DiagonalLinearOperator(np.zeros(1))))
    assert lx.is_diagonal(diagonal)
    found = described(diagonal)
    for band, offset in zip(found["bands"], (0, -1, 1), strict=True):
        np.testing.assert_array_equal(band, np.diagonal(found["matrix"], offset))


def test_rectangular_blocks():
    operator = BlockDiagonal([lx.MatrixLinearOperator(np.ones((2, 3))), lx.MatrixLinearOperator(np.ones((1, 1)))])
    matrix, transposed = eqx.filter_jit(lambda o: (o.as_matrix(), o.T.as_matrix()))(operator)
    assert (operator.out_size(), operator.in_size()) == (3, 4) == matrix.shape
    assert transposed.shape == (4, 3)
    assert not lx.is_symmetric(operator)


def test_gram_is_an_operator_to_lineax():
    rows = np.random.default_rng(0).normal(size=(5, 7))
    matrix = rows @ rows.T
    like = {"a": np.zeros(2), "b": np.zeros((3, 1))}

    def product(x):
        image = matrix @ ravel_pytree(x)[0]
        return {"a": image[:2], "b": image[2:, None]}

    times = lx.FunctionLinearOperator(product, jax.eval_shape(lambda: like))
    gram = Gram(times, jax.tree_util.Partial(lambda rows: rows, rows))
    laws.check_operator(gram, key=jax.random.key(1))
    assert lx.is_symmetric(gram)
    assert lx.is_positive_semidefinite(gram)
    for shape in (lx.is_diagonal, lx.is_tridiagonal, lx.is_lower_triangular, lx.is_upper_triangular):
        assert not shape(gram)
    assert not lx.is_negative_semidefinite(gram)
    assert not lx.has_unit_diagonal(gram)
    found = described(gram)
    np.testing.assert_allclose(found["diagonal"], np.diagonal(matrix), rtol=1e-12)
    for band, offset in zip(found["bands"], (0, -1, 1), strict=True):
        np.testing.assert_allclose(band, np.diagonal(matrix, offset), rtol=1e-12)
    for same in found["same"]:
        np.testing.assert_allclose(same, matrix, rtol=1e-12)
    assert lx.is_positive_semidefinite(lx.materialise(gram))


@pytest.mark.parametrize(
    "solver", [lx.Cholesky(), lx.CG(1e-12, 1e-12), TruncatedCG(1e-12, 50)], ids=lambda s: type(s).__name__
)
def test_damped_blocks_are_solvable_with_a_traced_damping(blocks, matrix, solver):
    @jax.jit
    def solve(damping):
        return lx.linear_solve(damped(blocks, damping), VECTOR, solver).value

    found = solve(0.3)
    wanted = np.linalg.solve(matrix + 0.3 * np.eye(5), FLAT)
    np.testing.assert_allclose(np.concatenate([found["a"], found["b"]]), wanted, rtol=1e-10)


def test_damped_blocks_stay_blocks(blocks, matrix):
    system = damped(blocks, 0.3)
    assert isinstance(system, BlockDiagonal)
    assert lx.is_positive_semidefinite(system)
    found = eqx.filter_jit(lambda operator: operator.as_matrix())(system)
    np.testing.assert_allclose(found, matrix + 0.3 * np.eye(5), rtol=1e-15)


def test_damping_keeps_single_precision():
    system = damped(positive(2, 3, np.float32), np.float64(0.1))
    assert eqx.filter_jit(lambda operator, v: operator.mv(v))(system, np.ones(3, np.float32)).dtype == np.float32


@pytest.mark.parametrize("count", [1, 256, 257, 1025])
def test_a_triangle_of_blocks_is_the_whole_product(count):
    rows = np.random.default_rng(count).normal(size=(count, 3))
    np.testing.assert_allclose(jax.jit(gram)(rows), rows @ rows.T, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("length", [4096, 2 * 4096 + 5])
def test_strips_of_columns_are_the_whole_product(length):
    rng = np.random.default_rng(length)
    rows, scale = rng.normal(size=(3, length)), rng.normal(size=length)
    scaled = rows * scale
    np.testing.assert_allclose(jax.jit(gram)(rows, scale), scaled @ scaled.T, rtol=1e-12, atol=1e-12)
