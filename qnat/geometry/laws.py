"""The axioms of this room, as functions to run on a class of your own.

Each raises AssertionError with a sentence that says which axiom fails and by how much; none returns anything. What they
compute is one compiled program a call, in the precision of what they are given; they judge on the host. Random
directions come from `key`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .chart_laws import check_chart
from .divergence import Divergence
from .family_laws import check_family, check_mirror_map
from .judging import Facts, epsilon, normal_vectors, relative_gap, require
from .kernel_laws import check_kernel, check_monotone
from .metric import AbstractMetric
from .operators import damped

__all__ = [
    "check_chart",
    "check_divergence",
    "check_family",
    "check_kernel",
    "check_metric",
    "check_mirror_map",
    "check_monotone",
    "check_operator",
]

Chart = Callable[[Float[Array, " P"]], PyTree[Array]]


@eqx.filter_jit
def _divergence_facts(divergence: Divergence, x: PyTree[Array], y: PyTree[Array]) -> Facts:
    def moved(t: Array) -> PyTree[Array]:
        return jax.tree.map(lambda a, b: a + t.astype(a.real.dtype) * (b - a), x, y)

    zero = jnp.zeros((), jnp.finfo(jnp.result_type(*jax.tree.leaves(x))).dtype)
    curves = (lambda t: divergence(moved(t), x), lambda t: divergence(x, moved(t)))
    slopes, bends = zip(*(jax.jvp(jax.grad(curve), (zero,), (zero + 1,)) for curve in curves), strict=True)
    return {
        "apart": divergence(x, y),
        "together": divergence(x, x),
        "slopes": jnp.stack(slopes),
        "bends": jnp.stack(bends),
    }


def check_divergence(
    divergence: Divergence, sample: Callable[[PRNGKeyArray], PyTree[Array]], *, key: PRNGKeyArray
) -> None:
    """D ≥ 0, zero exactly where the points agree, flat there, and with the same curvature ≥ 0 in either argument.

    Args:
        divergence: a smooth divergence; a distance fails, its square does not.
        sample: key -> a random point; two of them must differ as states, their difference is the direction used.
        key: for `sample`.
    """
    x, y = (sample(k) for k in jax.random.split(key))
    found = _divergence_facts(divergence, x, y)
    apart, together = float(found["apart"]), float(found["together"])
    slopes, bends = np.asarray(found["slopes"]).tolist(), np.asarray(found["bends"]).tolist()
    eps = epsilon(x, y)
    small = 1e3 * eps * (1 + abs(apart))
    require(abs(together) <= small, f"D(x, x) must be 0; it is {together:.3g}.")
    require(apart > small, f"D(x, y) must be positive for x ≠ y; it is {apart:.3g}.")
    scale = max(abs(bends[0]), abs(bends[1]), small)
    require(max(map(abs, slopes)) <= eps**0.5 * scale, f"D must be flat where the points agree; its slopes: {slopes}.")
    require(min(bends) > 0, f"The curvature of D must be positive where the points agree; it is {bends}.")
    require(
        abs(bends[0] - bends[1]) <= eps**0.5 * scale,
        f"D must have one Hessian at coincidence, in either argument; along a random direction it is {bends}.",
    )


@eqx.filter_jit
def _metric_facts(
    metric: AbstractMetric,
    params: PyTree[Array],
    batch: Any,
    key: PRNGKeyArray,
    draws: Float[Array | np.ndarray, "P+2 P"],
    in_chart: Callable[[Chart], AbstractMetric] | None,
) -> Facts:
    operator = metric.at(params, batch, key=key)
    structure = jax.eval_shape(lambda: params)
    require(operator.in_structure() == structure, f"The metric must act on vectors like the parameters, {structure}.")
    require(lx.is_positive_semidefinite(operator), "The operator must carry lineax's positive_semidefinite_tag.")
    facts = _operator_facts(operator, draws[:2])
    if in_chart is None:
        return facts
    flat, unravel = ravel_pytree(params)
    jacobian = jnp.eye(flat.size, dtype=flat.dtype) + 0.3 * draws[2:]
    curved = in_chart(lambda x: unravel(flat + jacobian @ x + x**2 / 2))
    found = curved.at(jnp.zeros_like(flat), batch, key=key).as_matrix()
    return {**facts, "chart": relative_gap(found, jacobian.T @ operator.as_matrix() @ jacobian)}


def check_metric(
    metric: AbstractMetric,
    params: PyTree[Array],
    *,
    key: PRNGKeyArray,
    batch: Any = None,
    in_chart: Callable[[Chart], AbstractMetric] | None = None,
) -> None:
    """Symmetric, positive semidefinite and tagged so, shaped like the parameters, and a tensor.

    Args:
        metric: the metric. params, batch: where it is evaluated.
        key: for random vectors and the chart.
        in_chart: chart -> the same metric in the coordinates x with params = chart(x), for instance
            `lambda chart: MonotoneMetric(lambda x: fn(chart(x)))`. With it, G′ = JᵀGJ is checked in a curved chart,
            which pullbacks pass; the Hessian of a potential is a tensor under affine charts only.
    """
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    facts = _metric_facts(metric, params, batch, key, normal_vectors(key, params, size + 2), in_chart)
    found, eps = {name: np.asarray(fact) for name, fact in facts.items()}, epsilon(params)
    _judge_operator(found, eps)
    if "chart" in found:
        require(
            found["chart"] <= 1e3 * eps,
            f"In other coordinates the metric must be JᵀGJ; it differs by {found['chart']:.3g}.",
        )


_LINEAR = "mv must be linear"
_COLUMNS = "the columns of as_matrix must be mv of unit vectors"
_TRANSPOSE = "as_matrix of the transpose must be the transpose"


def _operator_facts(operator: lx.AbstractLinearOperator, vectors: Float[Array | np.ndarray, "2 P"]) -> Facts:
    """What `_judge_operator` judges; of a tagged operator also what its tags promise."""
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), operator.in_structure())
    unravel, (x, y) = ravel_pytree(zero)[1], vectors
    unit_vectors = jnp.eye(len(x), dtype=x.dtype)
    # every product at once: what is mapped over is compiled once
    many = jnp.concatenate([jnp.stack([x, y, 2 * x - 3 * y]), unit_vectors])
    products = jax.vmap(lambda v: ravel_pytree(operator.mv(unravel(v)))[0])(many)
    matrix = operator.as_matrix()
    facts = {
        _LINEAR: relative_gap(products[2], 2 * products[0] - 3 * products[1]),
        _COLUMNS: relative_gap(matrix, products[3:].T),
        _TRANSPOSE: relative_gap(operator.transpose().as_matrix(), matrix.T),
    }
    if lx.is_symmetric(operator):
        facts["asymmetry"] = relative_gap(matrix, matrix.T)
    if lx.is_positive_semidefinite(operator):
        spectrum = jnp.linalg.eigvalsh(matrix)
        norm = jnp.maximum(spectrum[-1], 1e-30)
        shifted, wanted = damped(operator, norm), matrix + norm * unit_vectors
        require(lx.is_positive_semidefinite(shifted), "Damped, it must still be tagged positive semidefinite.")
        product = ravel_pytree(shifted.mv(unravel(x)))[0]
        damping = jnp.maximum(relative_gap(shifted.as_matrix(), wanted), relative_gap(product, wanted @ x))
        facts |= {"least": spectrum[0], "norm": norm, "damping": damping}
    return facts


def check_operator(operator: lx.AbstractLinearOperator, *, key: PRNGKeyArray) -> None:
    """`mv` is linear, `as_matrix` and `transpose` agree with it, tags are true, and it can be damped."""
    structure = operator.in_structure()
    facts = eqx.filter_jit(_operator_facts)(operator, normal_vectors(key, structure, 2))
    _judge_operator({name: np.asarray(fact) for name, fact in facts.items()}, epsilon(structure))


def _judge_operator(found: Mapping[str, np.ndarray], eps: float) -> None:
    for law in (_LINEAR, _COLUMNS, _TRANSPOSE):
        require(found[law] <= 1e3 * eps, f"{law}; they differ by {found[law]:.3g}, relatively.")
    if "asymmetry" in found:
        require(found["asymmetry"] <= 1e3 * eps, f"Said to be symmetric, asymmetric by {found['asymmetry']:.3g}.")
    if "norm" in found:
        require(
            found["least"] >= -1e3 * eps * found["norm"],
            f"Said to be positive semidefinite, but its eigenvalues reach from {found['least']:.3g} to "
            f"{found['norm']:.3g}.",
        )
        require(
            found["damping"] <= 1e3 * eps, f"Damped by λ, it must be A + λ·1; it differs by {found['damping']:.3g}."
        )
