"""Maximum likelihood in a quantum exponential family: from expectations to couplings, with error bars."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from qnat.geometry.hermitian import log_trace_exp

from ..models import GibbsFamily
from ..operators.pauli import PauliSum


class MaximumLikelihood(NamedTuple):
    """Where log Z(θ) − θ·η̂ is least, and how well the data fix that point.

    Attributes:
        theta: (P,) θ̂, with ⟨F⟩ = η̂. value: log Z(θ̂) − θ̂·η̂ (+ μ|θ̂|²/2): the entropy of ρ(θ̂) if μ = 0.
        fisher: (P, P) F = ∂η/∂θ at θ̂, the BKM metric. covariance: (P, P) of θ̂, see `sandwich`; 0 for exact data.
        steps: Newton steps.
    """

    theta: Float[Array, " P"]
    value: Float[Array, ""]
    fisher: Float[Array, "P P"]
    covariance: Float[Array, "P P"]
    steps: int

    @property
    def errors(self) -> Float[Array, " P"]:
        """Standard errors of θ̂."""
        return jnp.sqrt(jnp.diagonal(self.covariance))

    @property
    def fisher_min(self) -> Float[Array, ""]:
        """λ_min(F), the constant of strong convexity at θ̂: moments that are off by δ put θ̂ off by at most δ/λ_min."""
        return jnp.linalg.eigvalsh(self.fisher)[0]


@jax.jit
def sandwich(
    fisher: Float[Array, "P P"], covariance: Float[Array, "P P"], ridge: float | Float[Array, ""] = 0.0
) -> Float[Array, "P P"]:
    """Cov(θ̂) = (F + μ)⁻¹ Cov(η̂) (F + μ)⁻¹, to first order in the error of the moments η̂.

    It equals F⁻¹/N where commuting generators are measured jointly, Cov(η̂) = F/N. In general its trace, the mean square
    error of θ̂, lies below Tr Cov(η̂)/λ_min(F)². With Cov(η̂) = C/N for N copies, N = Tr C/(λ_min² ε²) copies are
    therefore enough for a root mean square error ε: the sample size grows with the square of 1/λ_min.
    """
    inverse = jnp.linalg.inv(fisher + ridge * jnp.eye(len(fisher)))
    return inverse @ covariance @ inverse.T


def maximum_likelihood(
    family: GibbsFamily,
    moments: Float[ArrayLike, " P"],
    covariance: Float[ArrayLike, "P P"] | None = None,
    *,
    ridge: float = 0.0,
) -> MaximumLikelihood:
    """θ̂ = argmin log Z(θ) − θ·η̂ + μ|θ|²/2 by Newton's method with backtracking, from θ = 0.

    Up to the entropy of the data the objective is D(σ‖ρ_θ), strictly convex; Newton's step is the natural gradient
    step of rate 1 in the BKM metric. It ends where ⟨F⟩ + μθ agrees with η̂ to about 1e-13.

    Args:
        family: generators linearly independent together with the identity.
        moments: η̂, expectations of the generators.
        covariance: of η̂; None for exact moments.
        ridge: μ ≥ 0, which biases θ̂ towards 0 and makes it exist for all moments.

    Raises:
        ValueError: no state of the family has these moments, and μ = 0. They then lie on the boundary of the moments of
            all states, or outside: there is a u with u·η̂ ≥ λ_max(Σ uₐFₐ), which is how they are found out.

    Reference: E. T. Jaynes, Phys. Rev. 108, 171 (1957); A. Anshu et al., Nature Phys. 17, 931 (2021).
    """
    eta = jnp.asarray(moments, float)
    mu = jnp.asarray(ridge, eta.dtype)
    tolerance = 64 * float(jnp.finfo(eta.dtype).eps) * (1 + float(np.abs(eta).max()))
    theta = np.zeros(eta.shape, eta.dtype)
    for step in range(_MAX_STEPS):
        point = _newton(family, eta, mu, jnp.asarray(theta, eta.dtype))
        found = jax.device_get(point)
        if not ridge:
            _check_interior(family, np.asarray(eta), found)
        size = float(found.residual)
        if size <= tolerance or (found.length == 0 and size <= tolerance**0.5):
            data = np.zeros(found.fisher.shape) if covariance is None else covariance
            spread = sandwich(point.fisher, jnp.asarray(data, eta.dtype), mu)
            return MaximumLikelihood(point.theta, point.value, point.fisher, spread, step)
        theta = found.theta + found.length * found.direction
    raise ValueError(_no_state("Newton's method does not end", family, theta / np.linalg.norm(theta)))


def pretrain(
    family: GibbsFamily, moments: Float[ArrayLike, " P"], subset: Sequence[int], *, ridge: float = 0.0
) -> Float[Array, " P"]:
    """The maximum-likelihood θ with θₐ = 0 outside `subset`: a start that the whole family can only improve.

    Families that contain each other have relative entropies in that order, so D(σ‖ρ) falls as the subset grows.

    Args:
        subset: indices of generators, such as those of one-qubit strings (mean field).

    Reference: L. Coopmans, M. Benedetti, Commun. Phys. 7, 274 (2024).
    """
    rows = np.asarray(subset, dtype=int)
    if isinstance(family.generators, PauliSum):
        terms = family.generators
        part = GibbsFamily(PauliSum(terms.coefficients[rows], tuple(terms.strings[row] for row in rows)))
    else:
        part = GibbsFamily(family.generators[rows])
    eta = np.asarray(moments, jnp.result_type(float))
    theta = np.zeros_like(eta)
    theta[rows] = maximum_likelihood(part, eta[rows], ridge=ridge).theta
    return jnp.asarray(theta)


_MAX_STEPS = 200
_MARGIN = 1e-9
"""Moments this close to the boundary, relative to |u|, count as on it: their θ̂ would be beyond 20/gap or so."""


class _Point(NamedTuple):
    """One Newton step: residual is the largest entry of the gradient, length the step that was accepted, 0 for none.

    margins: λ_max(u·F) − u·η̂ over |u| for u along θ, and along the step.
    """

    value: Float[Array, ""]
    residual: Float[Array, ""]
    fisher: Float[Array, "P P"]
    theta: Float[Array, " P"]
    direction: Float[Array, " P"]
    length: Float[Array, ""]
    margins: Float[Array, "2"]


@eqx.filter_jit
def _newton(family: GibbsFamily, eta: Float[Array, " P"], ridge: Float[Array, ""], theta: Float[Array, " P"]) -> _Point:
    def objective(at: Float[Array, " P"]) -> Float[Array, ""]:
        return log_trace_exp(family.log_density(at)) - at @ eta + ridge / 2 * at @ at

    value, gradient = jax.value_and_grad(objective)(theta)
    fisher = family.metric("bkm").at(theta).as_matrix()
    eps = jnp.finfo(eta.dtype).eps
    # below the rounding of F; it keeps the solve finite where the state has become pure
    hessian = fisher + (ridge + eps * (1 + jnp.trace(fisher))) * jnp.eye(eta.size)
    direction = -jnp.linalg.solve(hessian, gradient)
    slack = 8 * eps * (1 + jnp.abs(value))

    def too_long(length: Float[Array, ""]) -> Array:
        good = objective(theta + length * direction) <= value + 1e-4 * length * (gradient @ direction) + slack
        return ~good & (length > 0.5**40)

    length = jax.lax.while_loop(too_long, lambda length: length / 2, jnp.ones_like(value))
    along = jnp.stack([theta, direction])
    along = along / jnp.maximum(jnp.linalg.norm(along, axis=1, keepdims=True), eps)
    top = jnp.stack([jnp.linalg.eigvalsh(family.log_density(u))[-1] for u in along])
    margins = jnp.where(jnp.any(along != 0, axis=1), top - along @ eta, jnp.inf)
    length = jnp.where(length > 0.5**40, length, 0.0)
    return _Point(value, jnp.abs(gradient).max(), fisher, theta, direction, length, margins)


def _check_interior(family: GibbsFamily, eta: Float[np.ndarray, " P"], point: _Point) -> None:
    """Refuses moments that lie outside the set of moments of states, or on its boundary."""
    for margin, along in zip(point.margins, (point.theta, point.direction), strict=True):
        if margin <= _MARGIN:
            u = np.asarray(along) / np.linalg.norm(along)
            largest = float(u @ eta + margin)
            where = "on the boundary of" if margin > -_MARGIN else "outside"
            said = (
                f"The moments lie {where} what states can have: along u they give {float(u @ eta):.6g}, "
                f"and the largest eigenvalue there is {largest:.6g}"
            )
            raise ValueError(_no_state(said, family, u))


def _no_state(said: str, family: GibbsFamily, u: Float[np.ndarray, " P"]) -> str:
    sizes = np.abs(u)
    parts = [int(a) for a in np.argsort(-sizes) if sizes[a] > 1e-6]
    terms = family.generators
    names = [terms.strings[a] if isinstance(terms, PauliSum) else f"F[{a}]" for a in parts[:3]]
    direction = " ".join(f"{float(u[a]):+.3g} {name}" for a, name in zip(parts[:3], names, strict=True))
    more = " + ..." if len(parts) > 3 else ""
    return (
        f"{said} (u = {direction}{more}), so there is no maximum-likelihood state; take more copies, or a ridge, "
        "say 0.01, which adds ridge |θ|²/2."
    )
