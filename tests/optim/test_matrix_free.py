"""Natural gradients without a metric matrix, and linear solvers that fail."""

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from qnat.geometry import (
    BlockDiagonal,
    Blockwise,
    DivergenceMetric,
    HessianMetric,
    LogPartition,
    MonotoneMetric,
    TruncatedCG,
    damped,
    jacobi,
)
from qnat.optim import natural_gradient, scale_by_metric
from qnat.quantum import GibbsFamily, LatentGibbs, LatentMetric, ThermalTask, hea, real, tfim

pytestmark = pytest.mark.slow

MODEL = LatentGibbs(real(2, layers=3), order=2)


@pytest.fixture(scope="module")
def params():
    return MODEL.init(jax.random.key(0), scale=0.5)


@eqx.filter_jit
def columns(metric, params):
    operator = metric.at(params)
    flat, unravel = ravel_pytree(params)
    return jax.lax.map(lambda e: ravel_pytree(operator.mv(unravel(e)))[0], jnp.eye(flat.size)).T


@eqx.filter_jit
def matrix(metric, params):
    return metric.at(params).as_matrix()


@pytest.mark.parametrize(("circuit", "kind"), [(real(2, 3), "bkm"), (hea(2, 1), "sld")], ids=["real", "complex"])
def test_products_are_columns_of_the_dense_latent_metric(circuit, kind):
    """Frames on one side; on the other push, weigh, pull of a log-density."""
    model = LatentGibbs(circuit, order=2)
    params = model.init(jax.random.key(1), scale=0.5)
    dense = matrix(LatentMetric(model, kind), params)
    for metric in (LatentMetric(model, kind), MonotoneMetric(model.log_density, kind)):
        np.testing.assert_allclose(columns(metric, params), dense, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["bkm", "wigner_yanase"])
def test_products_are_columns_of_the_dense_family_metric(kind):
    family = GibbsFamily(tfim(1, 3))
    theta = family.init(jax.random.key(2), scale=0.7)
    metric = family.metric(kind)
    np.testing.assert_allclose(columns(metric, theta), matrix(metric, theta), rtol=0, atol=1e-12)


def swapped(new, old):
    return MODEL.relative_entropy(old, new)


@pytest.mark.parametrize(
    "divergence", [MODEL.relative_entropy, swapped, jax.checkpoint(MODEL.relative_entropy)], ids=["to", "from", "again"]
)
def test_hessian_products_of_relative_entropy_are_bkm_where_its_arguments_agree(divergence, params):
    wanted = matrix(LatentMetric(MODEL), params)
    np.testing.assert_allclose(columns(DivergenceMetric(divergence), params), wanted, rtol=0, atol=1e-12)


def test_hessian_products_elsewhere_are_another_operator(params):
    away = jax.tree.map(lambda x: np.asarray(x) + 0.3, params)
    elsewhere = HessianMetric(lambda new: MODEL.relative_entropy(new, params))
    difference = np.asarray(columns(elsewhere, away)) - np.asarray(matrix(LatentMetric(MODEL), away))
    assert np.abs(difference).max() > 0.1


def test_recomputing_products_need_no_memory_for_every_parameter():
    """Frames take P·d² numbers, stored intermediates nearly as many; a checkpointed divergence recomputes them."""
    model = LatentGibbs(real(6, layers=8), order=2)
    params = model.init(jax.random.key(0))
    rows = sum(x.size for x in jax.tree.leaves(params)) * 64**2 * 8

    def bytes_of(metric):
        compiled = jax.jit(lambda p, v: metric.at(p).mv(v)).lower(params, params).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert bytes_of(LatentMetric(model)) > rows
    assert bytes_of(DivergenceMetric(jax.checkpoint(model.relative_entropy))) < rows / 5


def test_conjugate_gradients_agree_with_cholesky(params):
    @jax.jit
    def solutions(params):
        flat, unravel = ravel_pytree(params)
        vector = unravel(jnp.sin(jnp.arange(flat.size)))
        dense = damped(LatentMetric(MODEL).at(params), 1e-3)
        free = damped(DivergenceMetric(MODEL.relative_entropy).at(params), 1e-3)
        solver = Blockwise(TruncatedCG(1e-9, 300))
        solved = (
            lx.linear_solve(dense, vector, lx.Cholesky()),
            lx.linear_solve(free, vector, solver),
            lx.linear_solve(dense, vector, solver, options={"preconditioner": jacobi(dense)}),
        )
        return [ravel_pytree(solution.value)[0] for solution in solved]

    exact, *found = map(np.asarray, solutions(params))
    for direction in found:
        assert np.linalg.norm(direction - exact) < 1e-6 * np.linalg.norm(exact)


def trajectory(value_and_grad, optimizer, params, steps):
    """Losses and diagnostics of every step."""

    def step(carry, _):
        params, state = carry
        value, grads = value_and_grad(params)
        updates, state = optimizer.update(grads, state, params, value=value, value_fn=lambda p: value_and_grad(p)[0])
        return (optax.apply_updates(params, updates), state), (value, state.diagnostics)

    found = jax.jit(lambda p: jax.lax.scan(step, (p, optimizer.init(p)), None, length=steps)[1])(params)
    return jax.tree.map(np.asarray, found)


def test_a_warm_start_saves_products():
    """Steps of a third of the way: the next direction is much like the last, and solves end at the same residual."""
    rng = np.random.default_rng(0)
    mirror = LogPartition(rng.normal(size=(30, 200)) * np.geomspace(0.1, 1.0, 30)[:, None])
    target = eqx.filter_jit(mirror.to_dual)(rng.normal(size=30))
    likelihood = jax.value_and_grad(lambda theta: mirror.potential(theta) - target @ theta)
    products = []
    for warm in (False, True):
        solver = TruncatedCG(1e-2, 100)
        optimizer = natural_gradient(0.3, HessianMetric(mirror), damping=1e-3, solver=solver, warm_start=warm)
        values, diagnostics = trajectory(likelihood, optimizer, np.zeros(30), 25)
        assert diagnostics.residual.max() <= 1e-2 * (1 + 1e-9)
        assert values[-1] < values[0] - 0.1
        products.append(diagnostics.model_gradients.sum() / 2)
    assert products[1] < 0.7 * products[0], products


@pytest.mark.parametrize("solver", [lx.CG(1e-8, 1e-8, max_steps=1), lx.Cholesky()], ids=["too few steps", "indefinite"])
def test_a_failed_solve_makes_no_step(solver):
    """Unless the gradient itself is broken, which must show."""
    sign = -1.0 if isinstance(solver, lx.Cholesky) else 1.0
    curvature = sign * np.diag([1.0, 2.0, 5.0])
    metric, chained = HessianMetric(lambda x: x @ curvature @ x / 2), scale_by_metric(solver=solver)
    optimizers = [
        natural_gradient(1.0, metric, damping=1e-3, solver=solver, accept=accept, warm_start=True)
        for accept in ("trust", None)
    ]

    @jax.jit
    def described(grads):
        """Radius before the first step of either, that step, and the one of a broken gradient; then the chained one."""
        firsts = [optimizer.init(grads) for optimizer in optimizers]
        arguments = {"value": jnp.array(1.0), "value_fn": lambda x: x @ x}
        steps = [o.update(grads, first, grads, **arguments) for o, first in zip(optimizers, firsts, strict=True)]
        broken, _ = optimizers[-1].update(grads * jnp.nan, firsts[-1], grads)
        operator = metric.at(grads)
        return firsts, steps, broken, chained.update(grads, chained.init(grads), operator=operator)

    firsts, steps, broken, (chained_updates, chained_state) = jax.tree.map(
        np.asarray, described(np.array([1.0, -1.0, 0.5]))
    )
    for first, (updates, state) in zip(firsts, steps, strict=True):
        np.testing.assert_array_equal(updates, 0)
        assert state.diagnostics.accepted == 0
        assert (state.rejected, state.radius) == (1, first.radius)
        np.testing.assert_array_equal(state.direction, 0)
    assert np.isnan(broken).any() or isinstance(solver, lx.CG)  # lineax's CG answers NaN with its start
    np.testing.assert_array_equal(chained_updates, 0)
    assert chained_state.diagnostics.accepted == 0


def test_blockwise_natural_gradient_with_everything(params):
    """Blocks, preconditioner and warm start: the same steps as Cholesky's, and the diagonal in the bill."""
    task = ThermalTask(MODEL, tfim(1, 2), beta=1.0)
    options = {"preconditioner": jacobi, "warm_start": True, "solver": Blockwise(TruncatedCG(1e-9, 200))}
    metric = task.metric("bkm")
    plain = natural_gradient(1.0, metric, damping=1e-3)
    iterative = natural_gradient(1.0, metric, damping=1e-3, **options)
    values, diagnostics = trajectory(task.value_and_grad, iterative, params, 4)
    wanted, dense = trajectory(task.value_and_grad, plain, params, 4)
    np.testing.assert_allclose(values, wanted, rtol=1e-6)
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    np.testing.assert_array_equal(dense.model_gradients, size)
    assert np.all(diagnostics.model_gradients > size)
    assert isinstance(jax.eval_shape(metric.at, params), BlockDiagonal)
