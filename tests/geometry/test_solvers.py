"""Truncated conjugate gradients: where they stop, warm starts, preconditioners, block by block."""

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from qnat.geometry import BlockDiagonal, Blockwise, Gram, TruncatedCG, damped, jacobi
from qnat.geometry.solvers import Direct

PSD = lx.positive_semidefinite_tag
solve, inverse_diagonal = eqx.filter_jit(lx.linear_solve), eqx.filter_jit(jacobi)


def positive(seed, size):
    a = np.random.default_rng(seed).normal(size=(size, size))
    return lx.MatrixLinearOperator(a @ a.T, PSD)


def system(seed, size, damping):
    """A damped operator and its matrix."""
    operator = positive(seed, size)
    return damped(operator, damping), operator.matrix + damping * np.eye(size)


class TestTruncatedCG:
    @pytest.mark.slow
    def test_stops_at_the_first_residual_below_rtol(self):
        (operator, matrix), b = system(0, 6, 1.0), np.arange(6.0)
        found = (solve(operator, b, TruncatedCG(0.0, steps)).value for steps in range(1, 6))
        norms = [np.linalg.norm(b - matrix @ np.asarray(x)) / np.linalg.norm(b) for x in found]
        solution = solve(operator, b, TruncatedCG(rtol=0.3))
        first = next(i for i, norm in enumerate(norms, 1) if norm <= 0.3)
        assert solution.stats["num_steps"] == first
        assert all(norm > 0.3 for norm in norms[: first - 1])

    def test_running_out_of_steps_is_no_failure(self):
        operator, b = positive(3, 20), np.random.default_rng(4).normal(size=20)
        solution = solve(operator, b, TruncatedCG(rtol=1e-12, max_steps=2))
        assert solution.stats["num_steps"] == 2
        matrix, x = operator.matrix, np.asarray(solution.value)
        assert b @ x > 0  # a direction of ascent for the gradient b
        gradient = b - matrix @ x
        krylov = np.stack([b, matrix @ b])
        np.testing.assert_allclose(krylov @ gradient, 0, atol=1e-10 * np.linalg.norm(krylov) * np.linalg.norm(b))

    def test_under_vmap_every_system_takes_its_own_steps(self):
        operator, b = positive(0, 6), np.stack([np.zeros(6), np.ones(6), np.arange(6.0)])

        def solved(b):
            solution = lx.linear_solve(operator, b, TruncatedCG(1e-3, 30))
            return solution.value, solution.stats["num_steps"]

        values, steps = map(np.asarray, jax.jit(jax.vmap(solved))(b))
        assert steps[0] == 0
        assert np.all(values[0] == 0)
        for i in (1, 2):
            alone = solve(operator, b[i], TruncatedCG(1e-3, 30))
            assert steps[i] == alone.stats["num_steps"]
            np.testing.assert_allclose(values[i], alone.value, rtol=1e-12)

    def test_inside_a_compiled_loop(self):
        operator = positive(0, 6)

        def newton(_, x):  # solves A x = 1 by residual correction
            return x + lx.linear_solve(operator, np.ones(6) - operator.mv(x), TruncatedCG()).value

        x = jax.jit(lambda: jax.lax.fori_loop(0, 40, newton, jnp.zeros(6)))()
        np.testing.assert_allclose(operator.matrix @ np.asarray(x), np.ones(6), atol=1e-10)

    def test_singular_and_broken_systems(self):
        flat = lx.MatrixLinearOperator(np.diag([1.0, 0.0]), PSD)
        assert np.all(np.isfinite(solve(flat, np.array([0.0, 1.0]), TruncatedCG()).value))
        bad = solve(flat, np.array([np.nan, 1.0]), TruncatedCG(), throw=False)
        assert np.any(np.isnan(bad.value))
        with pytest.raises(ValueError, match="damped"):
            lx.linear_solve(lx.MatrixLinearOperator(np.eye(2)), np.ones(2), TruncatedCG())


class TestWarmStart:
    def test_the_solution_costs_the_one_product_that_checks_it(self):
        (operator, matrix), b = system(0, 6, 1.0), np.arange(6.0)
        exact = np.linalg.solve(matrix, b)
        # any multiple of it does: the best one is taken
        solution = solve(operator, b, TruncatedCG(1e-8), options={"y0": -0.01 * exact})
        assert solution.stats["num_steps"] == 1
        np.testing.assert_allclose(solution.value, exact, rtol=1e-12)

    @pytest.mark.parametrize("solver", [TruncatedCG(1e-10, 60), Blockwise(TruncatedCG(1e-10, 60))])
    def test_a_bad_one_does_not_change_the_solution(self, solver):
        (operator, matrix), b = system(0, 6, 1.0), np.arange(6.0)
        exact = np.linalg.solve(matrix, b)
        for start in (np.random.default_rng(0).normal(size=6), np.zeros(6), np.full(6, np.nan)):
            found = solve(operator, b, solver, options={"y0": start}).value
            np.testing.assert_allclose(found, exact, rtol=1e-8)

    def test_every_truncation_is_a_direction_of_ascent(self):
        (operator, matrix), b = system(3, 20, 1e-3), np.random.default_rng(4).normal(size=20)

        @jax.jit
        def truncated(start):
            solvers = [TruncatedCG(0.0, steps) for steps in (1, 2, 3, 4)]
            return [lx.linear_solve(operator, b, solver, options={"y0": start}).value for solver in solvers]

        for seed in range(20):
            for found in map(np.asarray, truncated(np.random.default_rng(seed).normal(size=20))):
                assert b @ found > 0
                assert found @ matrix @ found / 2 - b @ found < 0


class TestJacobi:
    def test_solves_a_diagonal_at_once(self):
        diagonal, b = np.array([1e-4, 1.0, 50.0]), np.array([1.0, -2.0, 3.0])
        operator = lx.TaggedLinearOperator(lx.DiagonalLinearOperator(diagonal), PSD)
        solution = solve(operator, b, TruncatedCG(1e-12), options={"preconditioner": inverse_diagonal(operator)})
        assert solution.stats["num_steps"] == 1
        np.testing.assert_allclose(solution.value, b / diagonal, rtol=1e-12)

    @pytest.mark.slow
    def test_saves_products_where_parameters_have_different_units(self):
        units = 10.0 ** np.linspace(-2, 2, 12)
        matrix = units[:, None] * (positive(5, 12).matrix / 12 + np.eye(12)) * units
        operator, b, counts = lx.MatrixLinearOperator(matrix, PSD), units * np.ones(12), []
        for options in ({}, {"preconditioner": inverse_diagonal(operator)}):
            solution = solve(operator, b, TruncatedCG(1e-8, 400), options=options)
            counts.append(int(solution.stats["num_steps"]))
            np.testing.assert_allclose(matrix @ np.asarray(solution.value), b, rtol=0, atol=1e-7 * np.linalg.norm(b))
        assert counts[1] < counts[0] / 2
        lineax = solve(operator, b, lx.CG(1e-10, 1e-10), options={"preconditioner": inverse_diagonal(operator)})
        np.testing.assert_allclose(lineax.value, solution.value, rtol=1e-4)

    def test_is_the_inverse_diagonal_of_every_kind_of_operator(self):
        matrix = positive(0, 4).matrix
        function = lx.FunctionLinearOperator(lambda x: matrix @ x, jax.ShapeDtypeStruct((4,), matrix.dtype), PSD)
        gram = Gram(function, jax.tree_util.Partial(lambda rows: rows, np.linalg.cholesky(matrix)))
        damp = eqx.filter_jit(lambda operators: [damped(each, 0.5) for each in operators])
        for found in map(inverse_diagonal, damp([positive(0, 4), function, gram])):
            assert lx.is_positive_semidefinite(found)
            np.testing.assert_allclose(lx.diagonal(found), 1 / (np.diagonal(matrix) + 0.5), rtol=1e-12)
        flat = lx.MatrixLinearOperator(np.diag([2.0, 0.0]), PSD)
        np.testing.assert_array_equal(lx.diagonal(inverse_diagonal(flat)), [0.5, 1.0])


def test_blocks_have_their_own_options():
    blocks, b = {"b": positive(0, 5), "a": positive(1, 4)}, {"a": np.arange(1.0, 5.0), "b": np.ones(5)}
    exact = {name: np.linalg.solve(blocks[name].matrix + 0.1 * np.eye(len(b[name])), b[name]) for name in b}
    operator = damped(BlockDiagonal(blocks), 0.1)
    solver = Blockwise(TruncatedCG(1e-9, 100))
    options = {"preconditioner": inverse_diagonal(operator), "y0": {"a": exact["a"], "b": np.zeros(5)}}
    found = solve(operator, b, solver, options=options)
    for name in b:
        np.testing.assert_allclose(found.value[name], exact[name], rtol=1e-7)
    with pytest.raises(ValueError, match="same blocks"):
        solve(operator, b, solver, options={"preconditioner": inverse_diagonal(positive(0, 9))})


def test_derivatives_pass_through_a_warm_start():
    matrix, b, start = positive(3, 5).matrix + np.eye(5), np.arange(5.0), np.ones(5)

    def value(b):
        operator = lx.MatrixLinearOperator(matrix, PSD)
        options = {"y0": start, "preconditioner": jacobi(operator)}
        return jnp.sum(lx.linear_solve(operator, b, TruncatedCG(1e-12, 50), options=options).value ** 2)

    inverse = np.linalg.inv(matrix)
    np.testing.assert_allclose(jax.jit(jax.grad(value))(b), 2 * inverse @ inverse @ b, rtol=1e-8)


def test_blockwise_truncation_looks_at_each_block():
    (first, _), (second, matrix) = system(0, 3, 0.1), system(1, 3, 0.1)
    blocks = BlockDiagonal((first, second))
    b = (np.ones(3), 1e-6 * np.ones(3))  # the second is below the tolerance of the whole
    together = solve(blocks, b, TruncatedCG(rtol=1e-3)).value
    alone = solve(blocks, b, Blockwise(TruncatedCG(rtol=1e-3)))

    def residual(x):
        return np.linalg.norm(matrix @ np.asarray(x) - b[1]) / np.linalg.norm(b[1])

    assert residual(alone.value[1]) < 1e-3 < residual(together[1])
    assert 1 <= alone.stats["num_steps"] <= 3 + 1


@pytest.mark.parametrize("rank", [6, 4, 0])
@pytest.mark.parametrize("diagonal", [False, True])
def test_a_singular_operator_is_solved_in_the_sense_of_least_squares(rank, diagonal):
    """Against NumPy's pseudo-inverse, on a pytree, with null spaces that rounding has filled."""
    rng = np.random.default_rng(rank)
    rows = rng.normal(size=(6, rank))
    matrix = np.diag(np.arange(6.0) * (np.arange(6) >= 6 - rank)) if diagonal else rows @ rows.T
    vector = {"a": rng.normal(size=4), "b": rng.normal(size=(2, 1))}

    @jax.jit
    def solved(matrix, vector):
        structure = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), vector)
        if diagonal:
            parts = jnp.split(jnp.diagonal(matrix), [4])
            operator = lx.DiagonalLinearOperator({"a": parts[0], "b": parts[1].reshape(2, 1)})
        else:
            _, unravel = ravel_pytree(vector)
            operator = lx.FunctionLinearOperator(
                lambda v: unravel(matrix @ ravel_pytree(v)[0]), structure, lx.positive_semidefinite_tag
            )
        return lx.linear_solve(damped(operator, 0.0), vector, Blockwise(Direct(singular=True))).value

    found = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(solved(matrix, vector))])
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(vector)])
    np.testing.assert_allclose(found, np.linalg.pinv(matrix, rcond=1e-12, hermitian=True) @ flat, atol=1e-11)
