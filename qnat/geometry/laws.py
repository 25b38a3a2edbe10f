"""The axioms of this room, as functions to run on a class of your own.

Each raises AssertionError with a sentence that says which axiom fails and by how much; none returns anything. What they
compute is one compiled program a call, in the precision of what they are given; they judge on the host. Random
directions come from `key`.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Inexact, PRNGKeyArray, PyTree

from .divergence import Divergence
from .metric import AbstractMetric
from .mirror import AbstractMirrorMap
from .monotone import Kernel, Kind, chentsov, kernel
from .operators import damped

Chart = Callable[[Float[Array, " P"]], PyTree[Array]]
Facts = Mapping[str, Array]


def _require(holds: Any, sentence: str) -> None:
    if not bool(holds):
        raise AssertionError(sentence)


def _eps(*trees: Any) -> float:
    """Machine epsilon of arrays or of their structures."""
    return float(jnp.finfo(jnp.result_type(*jax.tree.leaves(trees))).eps)


def _gap(a: Array, b: Array) -> Float[Array, ""]:
    """Largest difference, relative to the larger of the two; 0 for two zeros, infinite for NaN."""
    scale = jnp.maximum(jnp.maximum(jnp.max(jnp.abs(a)), jnp.max(jnp.abs(b))), 1e-30)
    gap = jnp.max(jnp.abs(a - b)) / scale
    return jnp.where(jnp.isnan(gap), jnp.inf, gap)


def _generator(key: PRNGKeyArray) -> np.random.Generator:
    """NumPy's random numbers, which need no compiling."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())


def _draw(key: PRNGKeyArray, like: PyTree[Any], *count: int) -> Float[np.ndarray, "*count P"]:
    """Normal vectors with as many elements as a pytree of arrays, in its precision."""
    leaves = jax.tree.leaves(like)
    size = sum(math.prod(leaf.shape) for leaf in leaves)
    return _generator(key).normal(size=(*count, size)).astype(jnp.result_type(*leaves))


@eqx.filter_jit
def _kernel_facts(k: Kernel, r: Float[Array | np.ndarray, " n"]) -> Facts:
    zero, log_k = jnp.zeros((), r.dtype), k.log(r)
    return {
        "one": k(zero),
        "slope": jax.grad(k.log)(zero),
        "log": log_k,
        "unevenness": _gap(log_k, k.log(-r)),
        "values": k(r[:-1]),
        "slopes": jax.vmap(jax.grad(k.log))(r),
    }


def check_kernel(kind: Kind, *, key: PRNGKeyArray, dtype: Any = float) -> None:
    """k(−r) = k(r) > 0, k(0) = 1, k′(0) = 0, and log k with its derivative finite up to |r| = 1400.

    What it does not check is monotonicity: `check_monotone`.
    """
    k = kernel(kind)
    r = np.append(_generator(key).uniform(-40, 40, 64), [1e-8, 1.0, 1400.0]).astype(dtype)
    found = _kernel_facts(k, r)
    eps, one, slope = _eps(found["log"]), float(found["one"]), float(found["slope"])
    _require(abs(one - 1) <= 8 * eps, f"{k.name}: k(0) must be 1, the Fisher normalisation; it is {one}.")
    _require(abs(slope) <= 8 * eps, f"{k.name}: k′(0) must be 0, not {slope} (if NaN: jnp.where twice).")
    _require(np.isfinite(found["log"]).all(), f"{k.name}: log k must be finite for |r| ≤ 1400; work with logarithms.")
    _require(found["unevenness"] <= 64 * eps, f"{k.name}: k must be even, or the metric is not symmetric.")
    _require((np.asarray(found["values"]) > 0).all(), f"{k.name}: k must be positive.")
    _require(np.isfinite(found["slopes"]).all(), f"{k.name}: the derivative of log k must be finite for |r| ≤ 1400.")


def _random_states_and_channels(
    rng: np.random.Generator, count: int, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Qubit states (count, 2, 2), traceless Hermitian tangents, and Kraus pairs (count, 2, 2, 2).

    In NumPy: batched factorisations of one compiled program may wait for each other for ever (jaxlib 0.10).
    """

    def gaussian(*shape: int) -> np.ndarray:
        real, imaginary = rng.normal(size=(2, count, *shape)).astype(dtype)
        return np.asarray(real + np.asarray(1j, np.result_type(dtype, np.complex64)) * imaginary)

    p = np.exp(1.5 * rng.normal(size=(count, 2))).astype(dtype)
    frame = np.linalg.qr(gaussian(2, 2))[0]
    rho = (frame * (p / p.sum(axis=1, keepdims=True))[:, None, :]) @ _adjoint(frame)
    tangent = gaussian(2, 2)
    tangent = tangent + _adjoint(tangent)
    tangent -= np.trace(tangent, axis1=1, axis2=2)[:, None, None] / 2 * np.eye(2, dtype=dtype)
    isometry = np.linalg.qr(gaussian(4, 2))[0]  # Stinespring: columns orthonormal, Σ K†K = 1
    return rho, tangent, isometry.reshape(count, 2, 2, 2)


def _adjoint(matrices: Inexact[np.ndarray, "*n d d"]) -> Inexact[np.ndarray, "*n d d"]:
    return matrices.conj().swapaxes(-1, -2)


def _length(
    kind: Kind, rho: Inexact[np.ndarray, "*n d d"], tangent: Inexact[np.ndarray, "*n d d"]
) -> Float[np.ndarray, "*n"]:
    p, V = np.linalg.eigh(rho)
    log_p = np.log(p)
    weights = np.asarray(chentsov(kind, log_p[..., :, None], log_p[..., None, :]))
    return np.asarray((weights * np.abs(_adjoint(V) @ tangent @ V) ** 2).sum(axis=(-2, -1)))


def check_monotone(kind: Kind, *, key: PRNGKeyArray, channels: int = 4000, dtype: Any = float) -> None:
    """No channel increases the metric: g(Φρ)(ΦA, ΦA) ≤ g(ρ)(A, A), on random qubit states, tangents and channels.

    Passing is evidence; failing is proof.
    """
    rho, tangent, kraus = _random_states_and_channels(_generator(key), channels, np.dtype(dtype))

    def act(matrix: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("nkab,nbc,nkdc->nad", kraus, matrix, kraus.conj()))

    before, after = _length(kind, np.stack([rho, act(rho)]), np.stack([tangent, act(tangent)]))
    ratio = float(np.max(after / before))
    _require(
        ratio <= 1 + 1e4 * _eps(rho),
        f"{kernel(kind).name}: not monotone, a channel multiplied the metric by {ratio:.4g}; it must not exceed 1.",
    )


@eqx.filter_jit
def _mirror_facts(mirror: AbstractMirrorMap, theta: PyTree[Array], direction: Float[Array | np.ndarray, " P"]) -> Facts:
    flat, unravel = ravel_pytree(theta)
    eps = _eps(flat)

    def dual(x: Array) -> Array:
        return ravel_pytree(mirror.to_dual(unravel(x)))[0]

    h, t, step = eps ** (1 / 3), eps**0.25, unravel(jnp.asarray(direction))
    above, below = mirror.potential(unravel(flat + h * direction)), mirror.potential(unravel(flat - h * direction))
    return {
        "above": above,
        "error": jnp.abs((above - below) / (2 * h) - dual(flat) @ direction),
        "rise": (dual(flat + t * direction) - dual(flat)) @ direction / t,
        "return": _gap(ravel_pytree(mirror.to_primal(mirror.to_dual(theta)))[0], flat),
        "bend": jnp.maximum(
            _bend(mirror.to_dual, mirror.retract, theta, step),
            _bend(mirror.to_primal, mirror.retract_dual, mirror.to_dual(theta), step),
        ),
    }


def _bend(
    other: Callable[[PyTree[Array]], PyTree[Array]],
    retract: Callable[[PyTree[Array], PyTree[Array]], PyTree[Array]],
    point: PyTree[Array],
    step: PyTree[Array],
) -> Float[Array, ""]:
    """How far a retraction starts from the direction of its step, seen in the other chart.

    There the same point has one pair of coordinates, also where a chart has redundant ones, as a symmetric matrix has.
    """
    zero = jnp.zeros((), jnp.result_type(*jax.tree.leaves(point)))
    curved = jax.jvp(lambda t: other(retract(point, jax.tree.map(lambda s: t * s, step))), (zero,), (zero + 1,))[1]
    straight = jax.jvp(other, (point,), (step,))[1]
    return _gap(ravel_pytree(curved)[0], ravel_pytree(straight)[0])


def check_mirror_map(mirror: AbstractMirrorMap, theta: PyTree[Array], *, key: PRNGKeyArray) -> None:
    """∇ψ is the derivative of ψ, strictly increasing, and `to_primal` inverts it, at and around the point `theta`.

    Retractions, in either chart, start in the direction of their step.
    """
    direction = _draw(key, theta)
    facts = _mirror_facts(mirror, theta, direction / np.linalg.norm(direction))
    found, eps = {name: float(fact) for name, fact in facts.items()}, _eps(theta)
    _require(
        found["error"] <= 100 * eps ** (2 / 3) * (1 + abs(found["above"])),
        f"to_dual must be the gradient of the potential; along a random direction it is off by {found['error']:.3g}.",
    )
    _require(
        found["rise"] > 0,
        f"The potential must be strictly convex; its slope rises at the rate {found['rise']:.3g}.",
    )
    _require(
        found["return"] <= eps**0.5,
        f"to_primal must invert to_dual; at the given point it is off by {found['return']:.3g}.",
    )
    _require(
        found["bend"] <= eps**0.5,
        f"A retraction must be the sum to first order; its derivative is off by {found['bend']:.3g}, relatively.",
    )


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
    eps = _eps(x, y)
    small = 1e3 * eps * (1 + abs(apart))
    _require(abs(together) <= small, f"D(x, x) must be 0; it is {together:.3g}.")
    _require(apart > small, f"D(x, y) must be positive for x ≠ y; it is {apart:.3g}.")
    scale = max(abs(bends[0]), abs(bends[1]), small)
    _require(max(map(abs, slopes)) <= eps**0.5 * scale, f"D must be flat where the points agree; its slopes: {slopes}.")
    _require(min(bends) > 0, f"The curvature of D must be positive where the points agree; it is {bends}.")
    _require(
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
    _require(operator.in_structure() == structure, f"The metric must act on vectors like the parameters, {structure}.")
    _require(lx.is_positive_semidefinite(operator), "The operator must carry lineax's positive_semidefinite_tag.")
    facts = _operator_facts(operator, draws[:2])
    if in_chart is None:
        return facts
    flat, unravel = ravel_pytree(params)
    jacobian = jnp.eye(flat.size, dtype=flat.dtype) + 0.3 * draws[2:]
    curved = in_chart(lambda x: unravel(flat + jacobian @ x + x**2 / 2))
    found = curved.at(jnp.zeros_like(flat), batch, key=key).as_matrix()
    return {**facts, "chart": _gap(found, jacobian.T @ operator.as_matrix() @ jacobian)}


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
    facts = _metric_facts(metric, params, batch, key, _draw(key, params, size + 2), in_chart)
    found, eps = {name: np.asarray(fact) for name, fact in facts.items()}, _eps(params)
    _judge_operator(found, eps)
    if "chart" in found:
        _require(
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
        _LINEAR: _gap(products[2], 2 * products[0] - 3 * products[1]),
        _COLUMNS: _gap(matrix, products[3:].T),
        _TRANSPOSE: _gap(operator.transpose().as_matrix(), matrix.T),
    }
    if lx.is_symmetric(operator):
        facts["asymmetry"] = _gap(matrix, matrix.T)
    if lx.is_positive_semidefinite(operator):
        spectrum = jnp.linalg.eigvalsh(matrix)
        norm = jnp.maximum(spectrum[-1], 1e-30)
        shifted, wanted = damped(operator, norm), matrix + norm * unit_vectors
        _require(lx.is_positive_semidefinite(shifted), "Damped, it must still be tagged positive semidefinite.")
        product = ravel_pytree(shifted.mv(unravel(x)))[0]
        damping = jnp.maximum(_gap(shifted.as_matrix(), wanted), _gap(product, wanted @ x))
        facts |= {"least": spectrum[0], "norm": norm, "damping": damping}
    return facts


def check_operator(operator: lx.AbstractLinearOperator, *, key: PRNGKeyArray) -> None:
    """`mv` is linear, `as_matrix` and `transpose` agree with it, tags are true, and it can be damped."""
    structure = operator.in_structure()
    facts = eqx.filter_jit(_operator_facts)(operator, _draw(key, structure, 2))
    _judge_operator({name: np.asarray(fact) for name, fact in facts.items()}, _eps(structure))


def _judge_operator(found: Mapping[str, np.ndarray], eps: float) -> None:
    for law in (_LINEAR, _COLUMNS, _TRANSPOSE):
        _require(found[law] <= 1e3 * eps, f"{law}; they differ by {found[law]:.3g}, relatively.")
    if "asymmetry" in found:
        _require(found["asymmetry"] <= 1e3 * eps, f"Said to be symmetric, asymmetric by {found['asymmetry']:.3g}.")
    if "norm" in found:
        _require(
            found["least"] >= -1e3 * eps * found["norm"],
            f"Said to be positive semidefinite, but its eigenvalues reach from {found['least']:.3g} to "
            f"{found['norm']:.3g}.",
        )
        _require(
            found["damping"] <= 1e3 * eps, f"Damped by λ, it must be A + λ·1; it differs by {found['damping']:.3g}."
        )
