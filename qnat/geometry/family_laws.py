"""The axioms of mirror maps and of exponential families, which `laws` passes on."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .families import AbstractExponentialFamily
from .judging import Facts, epsilon, normal_vectors, relative_gap, require
from .mirror import AbstractMirrorMap


@eqx.filter_jit
def _mirror_facts(mirror: AbstractMirrorMap, theta: PyTree[Array], direction: Float[Array | np.ndarray, " P"]) -> Facts:
    flat, unravel = ravel_pytree(theta)
    eps = epsilon(flat)

    def dual(x: Array) -> Array:
        return ravel_pytree(mirror.to_dual(unravel(x)))[0]

    h, t, step = eps ** (1 / 3), eps**0.25, unravel(jnp.asarray(direction))
    above, below = mirror.potential(unravel(flat + h * direction)), mirror.potential(unravel(flat - h * direction))
    return {
        "above": above,
        "error": jnp.abs((above - below) / (2 * h) - dual(flat) @ direction),
        "rise": (dual(flat + t * direction) - dual(flat)) @ direction / t,
        "return": relative_gap(ravel_pytree(mirror.to_primal(mirror.to_dual(theta)))[0], flat),
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
    return relative_gap(ravel_pytree(curved)[0], ravel_pytree(straight)[0])


def check_mirror_map(mirror: AbstractMirrorMap, theta: PyTree[Array], *, key: PRNGKeyArray) -> None:
    """∇ψ is the derivative of ψ, strictly increasing, and `to_primal` inverts it, at and around the point `theta`.

    Retractions, in either chart, start in the direction of their step.
    """
    direction = normal_vectors(key, theta)
    facts = _mirror_facts(mirror, theta, direction / np.linalg.norm(direction))
    found, eps = {name: float(fact) for name, fact in facts.items()}, epsilon(theta)
    require(
        found["error"] <= 100 * eps ** (2 / 3) * (1 + abs(found["above"])),
        f"to_dual must be the gradient of the potential; along a random direction it is off by {found['error']:.3g}.",
    )
    require(
        found["rise"] > 0,
        f"The potential must be strictly convex; its slope rises at the rate {found['rise']:.3g}.",
    )
    require(
        found["return"] <= eps**0.5,
        f"to_primal must invert to_dual; at the given point it is off by {found['return']:.3g}.",
    )
    require(
        found["bend"] <= eps**0.5,
        f"A retraction must be the sum to first order; its derivative is off by {found['bend']:.3g}, relatively.",
    )


_MANY = 5.0
"""Standard errors that a mean may lie off."""


def _standard_errors(values: Float[Array, "N ..."], mean: Float[Array, "..."]) -> Float[Array, ""]:
    """How far the means of draws are from what they should be; infinite for NaN."""
    found = jnp.mean(values, axis=0)
    rounding = 100 * jnp.finfo(found.dtype).eps * (1 + jnp.abs(found))
    off = jnp.max(jnp.abs(found - mean) / (jnp.std(values, axis=0) / len(values) ** 0.5 + rounding))
    return jnp.where(jnp.isnan(off), jnp.inf, off)


@eqx.filter_jit
def _family_facts(
    family: AbstractExponentialFamily,
    theta: PyTree[Array],
    keys: PRNGKeyArray,
    direction: Float[Array, " P"],
) -> Facts:
    step = ravel_pytree(theta)[1](direction)
    eta, as_dual = ravel_pytree(family.to_dual(theta))

    def drawn(theta: PyTree[Array], key: PRNGKeyArray) -> Float[Array, " P"]:
        return ravel_pytree(family.statistic(family.sample(theta, key=key)))[0]

    def log_probs(theta: PyTree[Array]) -> Float[Array, " N"]:
        return jax.vmap(lambda x: family.log_prob(theta, x))(xs)

    xs = jax.vmap(lambda key: family.sample(theta, key=key))(keys)
    statistics = jax.vmap(lambda key: drawn(theta, key))(keys)
    here, there = log_probs(theta), log_probs(family.retract(theta, step))
    moments = jnp.mean(statistics, axis=0)
    best = family.to_primal(as_dual(moments))
    turned = ravel_pytree(family.hessian(theta).mv(step))[0]
    facts = {
        "means": _standard_errors(statistics, eta),
        "spread": _standard_errors(((statistics - eta) @ direction) ** 2, direction @ turned),
        "weights": _standard_errors(jnp.exp(there - here), jnp.ones(())),
        "moments": relative_gap(ravel_pytree(family.to_dual(best))[0], moments),
        "gain": jnp.mean(log_probs(best)) - jnp.mean(here),
    }
    if family.reparametrised:
        slopes = jax.vmap(lambda key: jax.jvp(lambda at: drawn(at, key), (theta,), (step,))[1])(keys)
        facts["slopes"] = _standard_errors(slopes, turned)
    try:
        entropy = family.entropy(theta)
    except ValueError:  # it says that it has none
        return facts
    return facts | {"entropy": _standard_errors(-here, entropy)}


def check_family(
    family: AbstractExponentialFamily, theta: PyTree[Array], *, key: PRNGKeyArray, draws: int = 4000
) -> None:
    """`sample`, `statistic`, `log_prob`, the charts and the entropy are those of one family of distributions.

    Draws have the mean parameters, and the Hessian of the potential for covariance; the probabilities of a point near
    by, relative to them, average to one; θ of their moments is the maximum of their likelihood; `entropy`, where there
    is one, is the mean of −log p; and if the family is `reparametrised`, derivatives of draws average to the Fisher
    matrix. What depends on draws may be off by five standard errors. `check_mirror_map` is for the potential; a
    constant in it, or in log h, no law can see.

    Args:
        family: the family. theta: one point of it.
        key: for the draws and the point near by. draws: how many; too few have moments at the edge of the domain.
    """
    direction = normal_vectors(key, theta)
    keys = jax.random.split(key, draws)
    facts = _family_facts(family, theta, keys, jnp.asarray(0.3 * direction / np.linalg.norm(direction)))
    found = {name: float(fact) for name, fact in facts.items()}
    sentences = {
        "means": "Draws must have the mean parameters; their statistics are off",
        "spread": "The Hessian of the potential must be the covariance of the statistics; it is off",
        "weights": "p_θ′/p_θ must average to 1 over draws of p_θ; it is off",
        "slopes": "Said to be reparametrised, but the derivatives of draws do not average to the Fisher matrix; off",
        "entropy": "The entropy must be the mean of −log p; it is off",
    }
    for name, sentence in sentences.items():
        off = found.get(name, 0.0)
        require(off <= _MANY, f"{sentence} by {off:.3g} standard errors.")
    require(
        found["moments"] <= epsilon(theta) ** 0.5,
        f"to_primal must find the point with the moments of data; it is off by {found['moments']:.3g}, relatively.",
    )
    require(
        found["gain"] >= 0,
        f"The point with the moments of data must have their largest likelihood; it loses {-found['gain']:.3g}.",
    )
