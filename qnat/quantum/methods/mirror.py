"""Exact mirror descent over all states: the oracle that a parametrised model is compared with."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact


def matrix_multiplicative_weights(
    log_density: Inexact[Array, "d d"],
    hamiltonian: Inexact[Array, "d d"],
    beta: float | Float[Array, ""],
    *,
    rate: float | Float[Array, ""],
    steps: int,
) -> Inexact[Array, "steps+1 d d"]:
    """K = log ρ under mirror descent of F[ρ] = β Tr ρH − S with the relative entropy, from K₀ on.

    ρ₊ ∝ exp(log ρ − h ∇F), ∇F = βH + log ρ, that is K₊ = (1 − h)K − hβH. D(ρ‖ρ_β) never rises for 0 ≤ h ≤ 1, and h = 1
    arrives in one step. In a `GibbsFamily` that contains K₀ and H this is natural gradient descent in the BKM metric.

    Args:
        log_density: (d, d) K₀, of any normalisation. hamiltonian: (d, d) H. beta: β ≥ 0.
        rate: h. steps: how many.

    Reference: K. Tsuda, G. Rätsch, M. K. Warmuth, J. Mach. Learn. Res. 6, 995 (2005).
    """

    def step(K: Array, _: None) -> tuple[Array, Array]:
        return (1 - rate) * K - rate * beta * hamiltonian, K

    start = log_density.astype(jnp.result_type(log_density, hamiltonian))
    return jax.lax.scan(step, start, None, length=steps + 1)[1]
