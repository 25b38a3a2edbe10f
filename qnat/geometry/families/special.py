"""What charts need of the gamma function and its derivatives, without cancelling.

The inverse owns its derivative, so that no iteration is differentiated.
"""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_SHIFT = 8
_BERNOULLI = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160, 43867 / 14364)
"""B₂ₖ/2k; with as many of them the series of ψ is exact up to rounding beyond 8."""


def with_slope(
    fn: Callable[[Float[Array, "*s"]], Float[Array, "*s"]], x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """The values of an elementwise function and of its derivative."""
    return jax.jvp(fn, (x,), (jnp.ones_like(x),))


def horner(coefficients: Sequence[float], x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """A polynomial, that of the highest power first; `jnp.polyval` is a loop, which compiles to more."""
    return functools.reduce(lambda value, coefficient: value * x + coefficient, coefficients, jnp.zeros_like(x))


def digamma_gap(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """log x − ψ(x) for x > 0, to some units of the last digit; where x is large it is about 1/(2x), and ψ is not.

    By ψ(x) = ψ(x + 1) − 1/x, eight times, and the asymptotic series; derivatives of it are as good.
    """
    far = x + _SHIFT
    series = horner((*_BERNOULLI[::-1], 0.0), 1 / far**2) + 1 / (2 * far)
    return series + jnp.sum(1 / (x[..., None] + jnp.arange(_SHIFT, dtype=x.dtype)), axis=-1) - jnp.log1p(_SHIFT / x)


def digamma(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """ψ(x) for x > 0, up to rounding of 1 + |ψ|; its derivative compiles to less than JAX's."""
    return jnp.log(x) - digamma_gap(x)


def digamma_rise(x: Float[Array, "*s"], step: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """ψ(x + step) − ψ(x) for x > 0 and step ≥ 0, without subtracting, as `digamma_gap`."""
    after = x + step
    shifts = jnp.arange(_SHIFT, dtype=x.dtype)
    near, far = x + _SHIFT, after + _SHIFT
    # the divided difference of the polynomial between u = near⁻² and v = far⁻²
    u, v = 1 / near**2, 1 / far**2
    value, slope = jnp.full_like(u, _BERNOULLI[-1]), jnp.zeros_like(u)
    for coefficient in (*_BERNOULLI[-2::-1], 0.0):
        value, slope = value * u + coefficient, slope * v + value
    recurrence = jnp.sum(1 / ((x[..., None] + shifts) * (after[..., None] + shifts)), axis=-1)
    smooth = 1 / (2 * near * far) + slope * u * v * (near + far)
    return jnp.log1p(step / near) + step * (recurrence + smooth)


def wishart_gap(excess: Float[Array, "*s"], d: int = 1) -> Float[Array, "*s"]:
    """log det E[X] − E[log det X] of a Wishart distribution of d − 1 + 2 excess degrees of freedom, in d dimensions.

    In one dimension that of a gamma distribution of shape `excess`. It falls from ∞ to 0, about as 1/excess.
    """
    halves = jnp.arange(d, dtype=excess.dtype) / 2
    shapes = excess[..., None] + halves
    return jnp.sum(jnp.log1p(halves[::-1] / shapes) + digamma_gap(shapes), axis=-1)


_STEPS = 10
"""Newton steps in logarithms, in which the gap is not far from a line; after nine nothing moves up to d = 1000."""


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
@functools.partial(jax.jit, static_argnums=1)
def wishart_excess(gap: Float[Array, "*s"], d: int = 1) -> Float[Array, "*s"]:
    """The inverse of `wishart_gap`; NaN where the gap is not positive."""

    def newton(_: Array, excess: Float[Array, "*s"]) -> Float[Array, "*s"]:
        value, slope = with_slope(lambda e: wishart_gap(e, d), excess)
        return excess * jnp.exp(-jnp.log(value / gap) * value / (excess * slope))

    # the gap is 1/e where e is small, and d log(1 + d/4e) elsewhere
    start = 1 / gap + d / 4 * jnp.maximum(1 / jnp.expm1(gap / d) - 1 / math.expm1(1), 0)
    return jax.lax.fori_loop(0, _STEPS, newton, start)


@wishart_excess.defjvp
def _wishart_excess_jvp(d: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    excess = wishart_excess(primals[0], d)
    return excess, tangents[0] / with_slope(lambda e: wishart_gap(e, d), excess)[1]
