"""The axioms of this room, as functions to run on a class of your own.

Each raises AssertionError with a sentence that says which axiom fails and by how much; none returns anything. They work
on the host, outside jit, in the precision of what they are given. Random directions come from `key`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import lineax as lx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Inexact, PRNGKeyArray, PyTree

from .divergence import Divergence
from .metric import AbstractMetric
from .mirror import AbstractMirrorMap
from .monotone import Kind, chentsov, kernel
from .operators import damped

Chart = Callable[[Float[Array, " P"]], PyTree[Array]]


def _require(holds: Any, sentence: str) -> None:
    if not bool(holds):
        raise AssertionError(sentence)


def _eps(*trees: Any) -> float:
    """Machine epsilon of arrays or of their structures."""
    return float(jnp.finfo(jnp.result_type(*jax.tree.leaves(trees))).eps)


def _gap(a: Array, b: Array) -> float:
    """Largest difference, relative to the larger of the two; 0 for two zeros, infinite for NaN."""
    scale = max(float(jnp.max(jnp.abs(a))), float(jnp.max(jnp.abs(b))), 1e-30)
    gap = float(jnp.max(jnp.abs(a - b))) / scale
    return gap if gap == gap else float("inf")


def check_kernel(kind: Kind, *, key: PRNGKeyArray, dtype: Any = float) -> None:
    """k(−r) = k(r) > 0, k(0) = 1, k′(0) = 0, and log k with its derivative finite up to |r| = 1400.

    What it does not check is monotonicity: `check_monotone`.
    """
    k = kernel(kind)
    r = jnp.concatenate([jax.random.uniform(key, (64,), dtype, -40, 40), jnp.asarray([1e-8, 1.0, 1400.0], dtype)])
    eps = _eps(r)
    one, slope = float(k(jnp.zeros((), dtype))), float(jax.grad(k.log)(jnp.zeros((), dtype)))
    _require(abs(one - 1) <= 8 * eps, f"{k.name}: k(0) must be 1, the Fisher normalisation; it is {one}.")
    _require(abs(slope) <= 8 * eps, f"{k.name}: k′(0) must be 0, not {slope} (if NaN: jnp.where twice).")
    log_k = k.log(r)
    _require(jnp.all(jnp.isfinite(log_k)), f"{k.name}: log k must be finite for |r| ≤ 1400; work with logarithms.")
    _require(_gap(log_k, k.log(-r)) <= 64 * eps, f"{k.name}: k must be even, or the metric is not symmetric.")
    _require(jnp.all(k(r[:-1]) > 0), f"{k.name}: k must be positive.")
    slopes = jax.vmap(jax.grad(k.log))(r)
    _require(jnp.all(jnp.isfinite(slopes)), f"{k.name}: the derivative of log k must be finite for |r| ≤ 1400.")


def _random_states_and_channels(key: PRNGKeyArray, count: int, dtype: Any) -> tuple[Array, Array, Array]:
    """Qubit states (count, 2, 2), traceless Hermitian tangents, and Kraus pairs (count, 2, 2, 2)."""
    names = ("spectrum", "frame", "tangent", "channel")
    keys = dict(zip(names, jax.random.split(key, len(names)), strict=True))

    def gaussian(name: str, *shape: int) -> Array:
        real, imaginary = jax.random.normal(keys[name], (2, count, *shape), dtype)
        return real + 1j * imaginary

    p = jax.nn.softmax(1.5 * jax.random.normal(keys["spectrum"], (count, 2), dtype))
    frame, _ = jnp.linalg.qr(gaussian("frame", 2, 2))
    rho = (frame * p[:, None, :].astype(frame.dtype)) @ frame.conj().mT
    tangent = gaussian("tangent", 2, 2)
    tangent = tangent + tangent.conj().mT
    tangent = tangent - jnp.trace(tangent, axis1=1, axis2=2)[:, None, None] / 2 * jnp.eye(2, dtype=p.dtype)
    isometry, _ = jnp.linalg.qr(gaussian("channel", 4, 2))  # Stinespring: columns orthonormal, Σ K†K = 1
    return rho, tangent, isometry.reshape(count, 2, 2, 2)


def _length(kind: Kind, rho: Inexact[Array, "n d d"], tangent: Inexact[Array, "n d d"]) -> Float[Array, " n"]:
    p, V = jnp.linalg.eigh(rho)
    log_p = jnp.log(p)
    weights = chentsov(kind, log_p[:, :, None], log_p[:, None, :])
    return jnp.sum(weights * jnp.abs(V.conj().mT @ tangent @ V) ** 2, axis=(1, 2))


def check_monotone(kind: Kind, *, key: PRNGKeyArray, channels: int = 4000, dtype: Any = float) -> None:
    """No channel increases the metric: g(Φρ)(ΦA, ΦA) ≤ g(ρ)(A, A), on random qubit states, tangents and channels.

    Passing is evidence; failing is proof.
    """
    rho, tangent, kraus = _random_states_and_channels(key, channels, dtype)

    def act(matrix: Array) -> Array:
        return jnp.einsum("nkab,nbc,nkdc->nad", kraus, matrix, kraus.conj())

    ratio = float(jnp.max(_length(kind, act(rho), act(tangent)) / _length(kind, rho, tangent)))
    _require(
        ratio <= 1 + 1e4 * _eps(rho),
        f"{kernel(kind).name}: not monotone, a channel multiplied the metric by {ratio:.4g}; it must not exceed 1.",
    )


def check_mirror_map(mirror: AbstractMirrorMap, theta: PyTree[Array], *, key: PRNGKeyArray) -> None:
    """∇ψ is the derivative of ψ, strictly increasing, and `to_primal` inverts it, at and around the point `theta`."""
    flat, unravel = ravel_pytree(theta)
    direction = jax.random.normal(key, flat.shape, flat.dtype)
    direction = direction / jnp.linalg.norm(direction)
    eps = _eps(flat)

    def dual(x: Array) -> Array:
        return ravel_pytree(mirror.to_dual(unravel(x)))[0]

    h = eps ** (1 / 3)
    above, below = mirror.potential(unravel(flat + h * direction)), mirror.potential(unravel(flat - h * direction))
    error = abs(float((above - below) / (2 * h) - dual(flat) @ direction))
    _require(
        error <= 100 * eps ** (2 / 3) * (1 + abs(float(above))),
        f"to_dual must be the gradient of the potential; along a random direction it is off by {error:.3g}.",
    )
    t = eps**0.25
    rise = float((dual(flat + t * direction) - dual(flat)) @ direction) / t
    _require(rise > 0, f"The potential must be strictly convex; its slope rises at the rate {rise:.3g}.")
    eta = mirror.to_dual(theta)
    back = mirror.to_primal(eta)
    gap = _gap(ravel_pytree(back)[0], flat)
    _require(gap <= eps**0.5, f"to_primal must invert to_dual; at the given point it is off by {gap:.3g}.")


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
    apart, together = float(divergence(x, y)), float(divergence(x, x))
    eps = _eps(x, y)
    small = 1e3 * eps * (1 + abs(apart))
    _require(abs(together) <= small, f"D(x, x) must be 0; it is {together:.3g}.")
    _require(apart > small, f"D(x, y) must be positive for x ≠ y; it is {apart:.3g}.")

    def moved(t: Array) -> PyTree[Array]:
        return jax.tree.map(lambda a, b: a + t.astype(a.real.dtype) * (b - a), x, y)

    zero = jnp.zeros((), jnp.finfo(jnp.result_type(*jax.tree.leaves(x))).dtype)
    curves = (lambda t: divergence(moved(t), x), lambda t: divergence(x, moved(t)))
    slopes = [float(jax.grad(curve)(zero)) for curve in curves]
    bends = [float(jax.grad(jax.grad(curve))(zero)) for curve in curves]
    scale = max(abs(bends[0]), abs(bends[1]), small)
    _require(max(map(abs, slopes)) <= eps**0.5 * scale, f"D must be flat where the points agree; its slopes: {slopes}.")
    _require(min(bends) > 0, f"The curvature of D must be positive where the points agree; it is {bends}.")
    _require(
        abs(bends[0] - bends[1]) <= eps**0.5 * scale,
        f"D must have one Hessian at coincidence, in either argument; along a random direction it is {bends}.",
    )


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
    operator = metric.at(params, batch, key=key)
    structure = jax.eval_shape(lambda: params)
    _require(operator.in_structure() == structure, f"The metric must act on vectors like the parameters, {structure}.")
    _require(lx.is_positive_semidefinite(operator), "The operator must carry lineax's positive_semidefinite_tag.")
    check_operator(operator, key=key)
    if in_chart is None:
        return
    flat, unravel = ravel_pytree(params)
    jacobian = jnp.eye(flat.size, dtype=flat.dtype) + 0.3 * jax.random.normal(key, (flat.size,) * 2, flat.dtype)
    curved = in_chart(lambda x: unravel(flat + jacobian @ x + x**2 / 2))
    found = curved.at(jnp.zeros_like(flat), batch, key=key).as_matrix()
    gap = _gap(found, jacobian.T @ operator.as_matrix() @ jacobian)
    _require(gap <= 1e3 * _eps(flat), f"In other coordinates the metric must be JᵀGJ; it differs by {gap:.3g}.")


def check_operator(operator: lx.AbstractLinearOperator, *, key: PRNGKeyArray) -> None:
    """`mv` is linear, `as_matrix` and `transpose` agree with it, tags are true, and it can be damped."""
    eps = _eps(operator.in_structure())
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), operator.in_structure())
    flat, unravel = ravel_pytree(zero)

    def mv(x: Array) -> Array:
        return ravel_pytree(operator.mv(unravel(x)))[0]

    x, y = jax.random.normal(key, (2, *flat.shape), flat.dtype)
    matrix, unit_vectors = operator.as_matrix(), jnp.eye(flat.size, dtype=flat.dtype)
    gaps = {
        "mv must be linear": (mv(2 * x - 3 * y), 2 * mv(x) - 3 * mv(y)),
        "the columns of as_matrix must be mv of unit vectors": (matrix, jax.vmap(mv)(unit_vectors).T),
        "as_matrix of the transpose must be the transpose": (operator.transpose().as_matrix(), matrix.T),
    }
    for law, (found, wanted) in gaps.items():
        _require((gap := _gap(found, wanted)) <= 1e3 * eps, f"{law}; they differ by {gap:.3g}, relatively.")
    if lx.is_symmetric(operator):
        _require((gap := _gap(matrix, matrix.T)) <= 1e3 * eps, f"Said to be symmetric, asymmetric by {gap:.3g}.")
    if lx.is_positive_semidefinite(operator):
        _check_positive(operator, matrix, unravel(x), eps)


def _check_positive(operator: lx.AbstractLinearOperator, matrix: Array, vector: PyTree[Array], eps: float) -> None:
    spectrum = jnp.linalg.eigvalsh(matrix)
    norm = max(float(spectrum[-1]), 1e-30)
    _require(
        spectrum[0] >= -1e3 * eps * norm,
        f"Said to be positive semidefinite, but its eigenvalues reach from {float(spectrum[0]):.3g} to {norm:.3g}.",
    )
    shifted, wanted = damped(operator, norm), matrix + norm * jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    _require(lx.is_positive_semidefinite(shifted), "Damped, it must still be tagged positive semidefinite.")
    product, flat = ravel_pytree(shifted.mv(vector))[0], ravel_pytree(vector)[0]
    gap = max(_gap(shifted.as_matrix(), wanted), _gap(product, wanted @ flat))
    _require(gap <= 1e3 * eps, f"Damped by λ, it must be A + λ·1; it differs by {gap:.3g}.")
