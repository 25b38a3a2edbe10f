"""Damping, blocks, Gram operators and truncated conjugate gradients."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from qnat.geometry import BlockDiagonal, Blockwise, Gram, TruncatedCG, damped, laws

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


def test_blockwise_truncation_looks_at_each_block():
    system = BlockDiagonal((damped(positive(0, 3), 0.1), damped(positive(1, 3), 0.1)))
    b = (jnp.ones(3), 1e-6 * jnp.ones(3))  # the second is below the tolerance of the whole
    together = lx.linear_solve(system, b, TruncatedCG(rtol=1e-3)).value
    alone = lx.linear_solve(system, b, Blockwise(TruncatedCG(rtol=1e-3)))
    residual = jnp.linalg.norm(system.mv(alone.value)[1] - b[1]) / jnp.linalg.norm(b[1])
    assert residual < 1e-3 < jnp.linalg.norm(system.mv(together)[1] - b[1]) / jnp.linalg.norm(b[1])
    assert 1 <= alone.stats["num_steps"] <= 3 + 1


def test_damping_keeps_single_precision():
    system = damped(positive(2, 3, jnp.float32), jnp.float64(0.1))
    assert system.mv(jnp.ones(3, jnp.float32)).dtype == jnp.float32


class TestTruncatedCG:
    def test_stops_at_the_first_residual_below_rtol(self):
        operator, b = damped(positive(3, 6), 1.0), jnp.arange(6.0)
        norms = []
        for steps in range(1, 6):
            x = lx.linear_solve(operator, b, TruncatedCG(0.0, steps)).value
            norms.append(float(jnp.linalg.norm(b - operator.mv(x)) / jnp.linalg.norm(b)))
        solution = lx.linear_solve(operator, b, TruncatedCG(rtol=0.3))
        first = next(i for i, norm in enumerate(norms, 1) if norm <= 0.3)
        assert solution.stats["num_steps"] == first
        assert all(norm > 0.3 for norm in norms[: first - 1])

    def test_running_out_of_steps_is_no_failure(self):
        operator, b = positive(3, 20), jax.random.normal(jax.random.key(4), (20,))
        solution = lx.linear_solve(operator, b, TruncatedCG(rtol=1e-12, max_steps=2))
        assert solution.stats["num_steps"] == 2
        assert b @ solution.value > 0  # a direction of ascent for the gradient b
        gradient = b - operator.mv(solution.value)
        krylov = jnp.stack([b, operator.mv(b)])
        np.testing.assert_allclose(krylov @ gradient, 0, atol=1e-10 * jnp.linalg.norm(krylov) * jnp.linalg.norm(b))

    def test_under_vmap_every_system_takes_its_own_steps(self):
        operator, b = positive(3, 6), jnp.stack([jnp.zeros(6), jnp.ones(6), jnp.arange(6.0)])

        @jax.jit
        @jax.vmap
        def solve(b):
            solution = lx.linear_solve(operator, b, TruncatedCG(1e-3, 30))
            return solution.value, solution.stats["num_steps"]

        values, steps = solve(b)
        assert steps[0] == 0
        assert jnp.all(values[0] == 0)
        for i in (1, 2):
            alone = lx.linear_solve(operator, b[i], TruncatedCG(1e-3, 30))
            assert steps[i] == alone.stats["num_steps"]
            np.testing.assert_allclose(values[i], alone.value, rtol=1e-12)

    def test_inside_a_compiled_loop(self):
        operator = positive(3, 6)

        def newton(_, x):  # solves A x = 1 by residual correction
            return x + lx.linear_solve(operator, jnp.ones(6) - operator.mv(x), TruncatedCG()).value

        x = jax.jit(lambda: jax.lax.fori_loop(0, 40, newton, jnp.zeros(6)))()
        np.testing.assert_allclose(operator.mv(x), jnp.ones(6), atol=1e-10)

    def test_singular_and_broken_systems(self):
        flat = lx.MatrixLinearOperator(jnp.diag(jnp.array([1.0, 0.0])), PSD)
        assert jnp.all(jnp.isfinite(lx.linear_solve(flat, jnp.array([0.0, 1.0]), TruncatedCG()).value))
        bad = lx.linear_solve(flat, jnp.array([jnp.nan, 1.0]), TruncatedCG(), throw=False)
        assert jnp.any(jnp.isnan(bad.value))
        with pytest.raises(ValueError, match="damped"):
            lx.linear_solve(lx.MatrixLinearOperator(jnp.eye(2)), jnp.ones(2), TruncatedCG())
