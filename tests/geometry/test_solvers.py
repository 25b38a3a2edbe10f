"""Truncated conjugate gradients: where they stop, warm starts, preconditioners, block by block."""

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from qnat.geometry import BlockDiagonal, Blockwise, Gram, TruncatedCG, damped, jacobi

PSD = lx.positive_semidefinite_tag


def positive(seed, size):
    a = jax.random.normal(jax.random.key(seed), (size, size))
    return lx.MatrixLinearOperator(a @ a.T, PSD)


class TestTruncatedCG:
    @pytest.mark.slow
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


class TestWarmStart:
    def test_the_solution_costs_the_one_product_that_checks_it(self):
        operator, b = damped(positive(3, 6), 1.0), jnp.arange(6.0)
        exact = jnp.linalg.solve(operator.as_matrix(), b)
        # any multiple of it does: the best one is taken
        solution = lx.linear_solve(operator, b, TruncatedCG(1e-8), options={"y0": -0.01 * exact})
        assert solution.stats["num_steps"] == 1
        np.testing.assert_allclose(solution.value, exact, rtol=1e-12)

    @pytest.mark.parametrize("solver", [TruncatedCG(1e-10, 60), Blockwise(TruncatedCG(1e-10, 60))])
    def test_a_bad_one_does_not_change_the_solution(self, solver):
        operator, b = damped(positive(3, 6), 1.0), jnp.arange(6.0)
        exact = jnp.linalg.solve(operator.as_matrix(), b)
        for start in (jax.random.normal(jax.random.key(0), (6,)), jnp.zeros(6), jnp.full(6, jnp.nan)):
            found = lx.linear_solve(operator, b, solver, options={"y0": start}).value
            np.testing.assert_allclose(found, exact, rtol=1e-8)

    def test_every_truncation_is_a_direction_of_ascent(self):
        operator, b = damped(positive(3, 20), 1e-3), jax.random.normal(jax.random.key(4), (20,))
        for seed in range(20):
            start = jax.random.normal(jax.random.key(seed), (20,))
            found = lx.linear_solve(operator, b, TruncatedCG(0.0, 1 + seed % 4), options={"y0": start}).value
            assert b @ found > 0
            assert found @ operator.mv(found) / 2 - b @ found < 0


class TestJacobi:
    def test_solves_a_diagonal_at_once(self):
        operator = lx.TaggedLinearOperator(lx.DiagonalLinearOperator(jnp.array([1e-4, 1.0, 50.0])), PSD)
        b = jnp.array([1.0, -2.0, 3.0])
        solution = lx.linear_solve(operator, b, TruncatedCG(1e-12), options={"preconditioner": jacobi(operator)})
        assert solution.stats["num_steps"] == 1
        np.testing.assert_allclose(solution.value, b / jnp.array([1e-4, 1.0, 50.0]), rtol=1e-12)

    @pytest.mark.slow
    def test_saves_products_where_parameters_have_different_units(self):
        units = 10.0 ** jnp.linspace(-2, 2, 12)
        inner = positive(5, 12).as_matrix() / 12 + jnp.eye(12)
        operator, b = lx.MatrixLinearOperator(units[:, None] * inner * units, PSD), units * jnp.ones(12)
        counts = []
        for options in ({}, {"preconditioner": jacobi(operator)}):
            solution = lx.linear_solve(operator, b, TruncatedCG(1e-8, 400), options=options)
            counts.append(int(solution.stats["num_steps"]))
            np.testing.assert_allclose(operator.mv(solution.value), b, rtol=0, atol=1e-7 * jnp.linalg.norm(b))
        assert counts[1] < counts[0] / 2
        lineax = lx.linear_solve(operator, b, lx.CG(1e-10, 1e-10), options={"preconditioner": jacobi(operator)})
        np.testing.assert_allclose(lineax.value, solution.value, rtol=1e-4)

    def test_is_the_inverse_diagonal_of_every_kind_of_operator(self):
        matrix = positive(0, 4).as_matrix()
        rows = jnp.linalg.cholesky(matrix)
        function = lx.FunctionLinearOperator(lambda x: matrix @ x, jax.eval_shape(lambda: jnp.zeros(4)), PSD)
        for operator in (positive(0, 4), function, Gram(function, jax.tree_util.Partial(lambda: rows))):
            found = jacobi(damped(operator, 0.5))
            assert lx.is_positive_semidefinite(found)
            np.testing.assert_allclose(lx.diagonal(found), 1 / (jnp.diagonal(matrix) + 0.5), rtol=1e-12)
        flat = lx.MatrixLinearOperator(jnp.diag(jnp.array([2.0, 0.0])), PSD)
        np.testing.assert_array_equal(lx.diagonal(jacobi(flat)), [0.5, 1.0])


def test_blocks_have_their_own_options():
    system = damped(BlockDiagonal({"b": positive(0, 5), "a": positive(1, 4)}), 0.1)
    b = {"a": jnp.arange(1.0, 5.0), "b": jnp.ones(5)}
    exact = lx.linear_solve(system, b, lx.Cholesky()).value
    solver = Blockwise(TruncatedCG(1e-9, 100))
    options = {"preconditioner": jacobi(system), "y0": {"a": exact["a"], "b": jnp.zeros(5)}}
    found = lx.linear_solve(system, b, solver, options=options)
    for name in b:
        np.testing.assert_allclose(found.value[name], exact[name], rtol=1e-7)
    with pytest.raises(ValueError, match="same blocks"):
        lx.linear_solve(system, b, solver, options={"preconditioner": jacobi(positive(0, 9))})


def test_derivatives_pass_through_a_warm_start():
    matrix, b, start = positive(3, 5).as_matrix() + jnp.eye(5), jnp.arange(5.0), jnp.ones(5)

    def value(b):
        operator = lx.MatrixLinearOperator(matrix, PSD)
        options = {"y0": start, "preconditioner": jacobi(operator)}
        return jnp.sum(lx.linear_solve(operator, b, TruncatedCG(1e-12, 50), options=options).value ** 2)

    inverse = jnp.linalg.inv(matrix)
    np.testing.assert_allclose(jax.grad(value)(b), 2 * inverse @ inverse @ b, rtol=1e-8)


def test_blockwise_truncation_looks_at_each_block():
    system = BlockDiagonal((damped(positive(0, 3), 0.1), damped(positive(1, 3), 0.1)))
    b = (jnp.ones(3), 1e-6 * jnp.ones(3))  # the second is below the tolerance of the whole
    together = lx.linear_solve(system, b, TruncatedCG(rtol=1e-3)).value
    alone = lx.linear_solve(system, b, Blockwise(TruncatedCG(rtol=1e-3)))
    residual = jnp.linalg.norm(system.mv(alone.value)[1] - b[1]) / jnp.linalg.norm(b[1])
    assert residual < 1e-3 < jnp.linalg.norm(system.mv(together)[1] - b[1]) / jnp.linalg.norm(b[1])
    assert 1 <= alone.stats["num_steps"] <= 3 + 1
