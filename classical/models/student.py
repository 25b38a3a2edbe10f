"""Student's t distribution, differentiable in its degrees of freedom ν: density, distribution function, quantile.

JAX differentiates the incomplete beta function in its last argument only, so the distribution function is a quadrature.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

_NODES = 128
_REACH = 3.9
"""Nodes y in ±3.9: exp(½π sinh y) then spans ±38.6 powers of e, beyond what doubles add up."""


def log_pdf(t: Float[Array, "*s"], nu: Float[Array, ""]) -> Float[Array, "*s"]:
    """log f_ν(t)."""
    norm = gammaln((nu + 1) / 2) - gammaln(nu / 2) - jnp.log(nu * jnp.pi) / 2
    return norm - (nu + 1) / 2 * jnp.log1p(t**2 / nu)


def log_cdf(t: Float[Array, "*s"], nu: Float[Array, ""]) -> Float[Array, "*s"]:
    """log ∫₋∞ᵗ f_ν, stable in both tails and differentiable in t and ν.

    The tail from −t is summed by the trapezoidal rule in y, s = −t + σ exp(½π sinh y), which converges for tails that
    are powers and for those that are Gaussian; σ is the length over which the density falls at −t. Where t ≥ 0 the
    other tail is taken off 1.

    Reference: H. Takahasi, M. Mori, Publ. RIMS 9, 721 (1974).
    """
    left = t < 0
    start = jnp.where(left, -t, t)
    width = (nu + start**2) / ((nu + 1) * start + jnp.sqrt(nu * (nu + start**2)))
    y = jnp.linspace(-_REACH, _REACH, _NODES, dtype=start.dtype)
    log_step = jnp.pi / 2 * jnp.sinh(y)
    log_weight = log_step + jnp.log(jnp.pi / 2 * jnp.cosh(y) * (y[1] - y[0]))
    points = start[..., None] + width[..., None] * jnp.exp(log_step)
    tail = jax.nn.logsumexp(log_pdf(points, nu) + log_weight, axis=-1) + jnp.log(width)
    return jnp.where(left, tail, jnp.log1p(-jnp.exp(tail)))


@jax.custom_jvp
def quantile(u: Float[Array, "*s"], nu: Float[Array, ""]) -> Float[Array, "*s"]:
    """t with ∫₋∞ᵗ f_ν = u for u in (0, 1), differentiable in u and ν.

    Newton's method for the logits of both sides in x = asinh t, in which they become straight lines.
    """
    lower = jnp.minimum(u, 1 - u)
    logit = jnp.log(lower) - jnp.log1p(-lower)

    def unfinished(loop: tuple[Array, Array, Array]) -> Array:
        _, change, step = loop
        return (jnp.max(change) > 8 * jnp.finfo(u.dtype).eps) & (step < 50)

    def newton(loop: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        x, _, step = loop
        t = jnp.sinh(x)
        below, above = log_cdf(t, nu), log_cdf(-t, nu)
        slope = jnp.exp(log_pdf(t, nu) - below - above) * jnp.cosh(x)
        change = (below - above - logit) / slope
        return x - change, jnp.abs(change) / (1 + jnp.abs(x)), step + 1

    x = logit / (4 * jnp.exp(log_pdf(jnp.zeros_like(nu), nu)))
    x, _, _ = jax.lax.while_loop(unfinished, newton, (x, jnp.full_like(x, jnp.inf), jnp.asarray(0)))
    return jnp.where(u < 1 - u, 1, -1) * jnp.sinh(x)


@quantile.defjvp
def _quantile_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    # of F_ν(t) = u: f dt = du − ∂F/∂ν dν
    (u, nu), (du, dnu) = primals, tangents
    t = quantile(u, nu)
    _, slope = jax.jvp(lambda nu: log_cdf(t, nu), (nu,), (dnu,))
    return t, (du - u * slope) / jnp.exp(log_pdf(t, nu))
