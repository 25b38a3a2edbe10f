"""Every optimiser through the laws, in both precisions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import optax
import pytest

from qnat.geometry import (
    DivergenceMetric,
    Dual,
    Euclidean,
    EuclideanMetric,
    HessianMetric,
    LogPartition,
    bregman,
    families,
)
from qnat.optim import (
    laws,
    mirror_descent,
    natural_gradient,
    proximal_descent,
    proximal_newton,
    qbang,
    qn_spsa,
    scale_by_metric,
    with_rate,
)

rng = np.random.default_rng(0)
BASIS = np.linalg.qr(rng.normal(size=(5, 5)))[0]
CURVATURE = BASIS @ np.diag([0.1, 0.5, 1.0, 2.0, 5.0]) @ BASIS.T
STATISTICS = rng.normal(size=(4, 9))


def quadratic(params):
    x = jnp.concatenate([params["a"], params["b"]])
    return x @ jnp.asarray(CURVATURE, x.dtype) @ x / 2


def distance(new, old):
    return quadratic(jax.tree.map(jnp.subtract, new, old))


def with_operator(params):
    return {"operator": HessianMetric(quadratic).at(params)}


HESSIAN = HessianMetric(quadratic)
ON_PYTREES = {
    "natural": lambda: (natural_gradient(1.0, HESSIAN), {}),
    "natural, plain": lambda: (natural_gradient(0.3, HESSIAN, damping=1e-4, trust=None, box=None, accept=None), {}),
    "natural, scheduled": lambda: (
        natural_gradient(optax.constant_schedule(0.5), HESSIAN, damping=optax.exponential_decay(1e-2, 1, 0.9)),
        {},
    ),
    "natural, conjugate gradients": lambda: (natural_gradient(1.0, HESSIAN, solver=lx.CG(rtol=1e-4, atol=1e-4)), {}),
    "natural, wrong metric": lambda: (natural_gradient(0.3, EuclideanMetric()), {"tolerance": 3e-2}),
    "proximal newton": lambda: (proximal_newton(1.0, DivergenceMetric(distance)), {}),
    "proximal": lambda: (proximal_descent(1.0, distance, inner=optax.adam(0.05)), {"steps": 300}),
    "proximal, plain": lambda: (
        proximal_descent(0.5, distance, inner=optax.sgd(0.1), euclidean=0.0, budget=np.inf, accept=None),
        {"steps": 200},
    ),
    "metric, chained": lambda: (
        optax.chain(scale_by_metric(damping=1e-3), optax.scale_by_learning_rate(0.5)),
        {"extra": with_operator},
    ),
    "qbang": lambda: (qbang(0.2, HESSIAN, decay=0.1), {"steps": 300}),
    "qn-spsa": lambda: (qn_spsa(0.1, distance), {"steps": 300, "extra": lambda _: {"key": jax.random.key(0)}}),
    "adam": lambda: (with_rate(optax.scale_by_adam(), 0.05), {"steps": 300}),
    "sgd": lambda: (with_rate(optax.identity(), optax.constant_schedule(0.3)), {"tolerance": 2e-2}),
}


@pytest.mark.parametrize("dtype", [jnp.float64, pytest.param(jnp.float32, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ON_PYTREES)
def test_laws_on_pytrees(name, dtype):
    optimizer, options = ON_PYTREES[name]()
    params = {"a": np.array([1.0, -2.0], dtype), "b": np.array([0.5, 1.5, -1.0], dtype)}
    laws.check_optimizer(optimizer, quadratic, params, minimum=0.0, **options)


LOWER = np.array([[1.3, 0.2], [-0.4, 0.8]])
MIRRORS = {
    "Euclidean": (Euclidean(), {"a": np.array([0.4, -0.3]), "b": np.array(1.2)}, {"a": np.zeros(2), "b": np.zeros(())}),
    "LogPartition": (LogPartition(STATISTICS), np.array([0.3, -0.2, 0.5, 0.1]), np.zeros(4)),
    "Bernoulli": (families.Bernoulli(), np.array([0.3, -1.2]), np.zeros(2)),
    "Gamma": (families.Gamma(), np.array([1.3, -0.7]), np.array([0.2, -1.1])),
    "Gaussian": (
        families.Gaussian(),
        (np.array([0.3, -1.2]), -LOWER @ LOWER.T / 2),
        (np.array([0.5, 0.0]), -np.eye(2) / 2),
    ),
}
STEPS = {"Dual of Gaussian": 8}
"""Where a step is not additive; elsewhere one step is enough."""


def cast(tree, dtype):
    return jax.tree.map(lambda x: np.asarray(x, dtype), tree)


def product(x, y):
    return sum(jax.tree.leaves(jax.tree.map(lambda a, b: jnp.sum(a * b), x, y)))


@pytest.mark.parametrize("dtype", [jnp.float64, pytest.param(jnp.float32, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("name", "accept"),
    [(chart + name, "halve") for name in MIRRORS for chart in ("", "Dual of ")]
    # a step that is always taken goes to the other chart and back also where nothing is to be gained, and rounds
    + [
        ("Gaussian", None),
        *(pytest.param(name, None, marks=pytest.mark.slow) for name in ("LogPartition", "Dual of Gaussian")),
    ],
)
def test_laws_of_mirror_descent(name, accept, dtype):
    """ψ(x) − ⟨x, ∇ψ(x*)⟩ is convex, and mirror descent of unit rate solves it in one step.

    In the natural chart of a family it is maximum likelihood, in the mean chart a free energy: −S − ⟨θ*, η⟩.
    """
    family, truth, start = cast(MIRRORS[name.removeprefix("Dual of ")], dtype)
    mirror = family if name in MIRRORS else Dual(family)

    @eqx.filter_jit
    def problem(mirror, truth, start):
        if name not in MIRRORS:
            truth, start = map(family.to_dual, (truth, start))
        target = mirror.to_dual(truth)
        return truth, start, target, mirror.potential(truth) - product(truth, target)

    truth, start, target, minimum = jax.tree.map(np.asarray, problem(mirror, truth, start))
    laws.check_optimizer(
        mirror_descent(1.0, mirror, accept=accept),
        lambda x: mirror.potential(x) - product(x, target),
        start,
        minimum=float(minimum),
        steps=STEPS.get(name, 3),
    )


def test_laws_notice_bad_citizens():
    start = {"a": np.ones(2), "b": np.ones(3)}
    with pytest.raises(AssertionError, match="excess"):
        laws.check_optimizer(with_rate(optax.identity(), 1e-6), quadratic, start, minimum=0.0)
    weak = optax.stateless(lambda updates, params: jax.tree.map(lambda g: -0.1 * g.astype(jnp.float32), updates))
    with pytest.raises(AssertionError, match="look like"):
        laws.check_optimizer(optax.with_extra_args_support(weak), quadratic, start, minimum=0.0)


def test_bregman_of_the_mirror_gives_the_metric():
    mirror = LogPartition(STATISTICS)
    metrics = (DivergenceMetric(bregman(mirror)), HessianMetric(mirror))
    ours, wanted = jax.jit(lambda theta: [m.at(theta).as_matrix() for m in metrics])(np.array([0.3, -0.2, 0.5, 0.1]))
    np.testing.assert_allclose(ours, wanted, atol=1e-13)


def test_optimisers_are_pytrees_so_that_rates_do_not_recompile():
    traces = 0

    @eqx.filter_jit
    def first_update(optimizer, params):
        nonlocal traces
        traces += 1
        value, grads = jax.value_and_grad(quadratic)(params)
        return optimizer.update(grads, optimizer.init(params), params, value=value, value_fn=quadratic)[0]

    params = {"a": np.ones(2), "b": np.ones(3)}
    adam = optax.scale_by_adam()
    for rate in (0.1, 0.2):
        first_update(natural_gradient(rate, HESSIAN, damping=rate, trust=rate), params)
        first_update(with_rate(adam, rate), params)
    assert traces == 2


def test_null_directions_of_a_metric_are_harmless():
    """A singular metric, and a gradient along its null space: the box and the damping bound the step."""
    singular = HessianMetric(lambda x: (x @ jnp.array([1.0, 1.0])) ** 2 / 2)
    optimizers = [
        natural_gradient(1.0, singular, **options) for options in ({}, {"accept": None, "trust": None, "damping": 1e-3})
    ]

    @jax.jit
    def updates(x):
        return [o.update(x, o.init(x), x, value=x @ x, value_fn=lambda x: x @ x)[0] for o in optimizers]

    for update in updates(np.array([1.0, -1.0]) / np.sqrt(2.0)):
        assert np.abs(update).max() <= 0.8 + 1e-12
        assert np.isfinite(update).all()


def test_missing_arguments_are_named():
    params = {"a": np.ones(2), "b": np.ones(3)}
    optimizer = natural_gradient(1.0, HESSIAN)
    state = jax.eval_shape(optimizer.init, params)
    with pytest.raises(ValueError, match="value_fn="):
        jax.eval_shape(optimizer.update, params, state, params)
    with pytest.raises(ValueError, match="params="):
        optimizer.update(params, state)
    with pytest.raises(ValueError, match="adaptive"):
        natural_gradient(1.0, HESSIAN, damping="none")
