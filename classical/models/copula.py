"""The t copula, whose surrogate is a Gaussian of mean zero."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtri
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, PyTree

from qnat.geometry.families import Gaussian

from . import gaussian, student
from .gaussian import Pair
from .skew import log_t
from .surrogate import AbstractSurrogateDensity, Parameters, finite, points


class TCopula(AbstractSurrogateDensity):
    """p(u) = t_ν(z; 0, R)/Πⱼ t_ν(zⱼ) of u in (0, 1)ᵈ, zⱼ the quantiles of t_ν at uⱼ.

    The surrogate is Gaussian(0, Σ) with R the correlations of Σ, whose diagonal does not matter; the auxiliary
    parameter is log(ν − ν₀). Ranks of N items, divided by N + 1, are in (0, 1).

    Attributes:
        least_nu: ν₀, where the degrees of freedom begin.

    Reference: S. Demarta, A. J. McNeil, Int. Stat. Rev. 73, 111 (2005).
    """

    surrogate: Gaussian
    least_nu: float = eqx.field(static=True)

    def __init__(self, least_nu: float = 2.0) -> None:
        if not least_nu >= 0:
            raise ValueError(f"Degrees of freedom begin at 0 or above; got {least_nu}.")
        self.surrogate = Gaussian()
        self.least_nu = least_nu

    def nu(self, params: Parameters) -> Float[Array, ""]:
        """The degrees of freedom."""
        return self.least_nu + jnp.exp(params.auxiliary)

    def log_prob(self, params: Parameters, x: Float[Array, "N d"]) -> Float[Array, " N"]:
        nu, (_, root) = self.nu(params), gaussian.mean_and_root(params.surrogate)
        z = student.quantile(x, nu)
        widths = deviations(root)
        square = gaussian.squares(root, z * widths)  # zᵀR⁻¹z
        log_joint = gaussian.half_log_det(root) + jnp.sum(jnp.log(widths)) + log_t(square, nu, widths.size)
        return log_joint - jnp.sum(student.log_pdf(z, nu), axis=1)

    def correlations(self, params: Parameters) -> Float[Array, "d d"]:
        """R."""
        _, root = gaussian.mean_and_root(params.surrogate)
        scaled = gaussian.inverse(root) / deviations(root)
        return scaled.T @ scaled

    def inside(self, theta: Pair) -> Bool[Array, ""]:
        return finite(theta)

    def start(self, x: ArrayLike, *, key: PRNGKeyArray) -> Parameters:
        """From the correlations of the quantiles of a normal distribution, and ν = ν₀ + 8."""
        u = points(x, "t copula")
        if u.shape[1] < 2:
            raise ValueError("A copula joins at least two columns; there is one.")
        if not np.all((u > 0) & (u < 1)):
            raise ValueError(
                "A t copula takes numbers in (0, 1); divide the ranks of each column by one more than the rows."
            )
        correlations = np.corrcoef(np.asarray(ndtri(u)).T)
        return Parameters(
            gaussian.from_covariance(np.zeros(len(correlations)), correlations), jnp.log(jnp.asarray(8.0))
        )

    def to_free(self, params: Parameters) -> PyTree[Array]:
        return gaussian.to_free(params.surrogate)[1], params.auxiliary

    def from_free(self, free: PyTree[Array]) -> Parameters:
        mean = jnp.zeros(len(free[0]), free[0].dtype)
        return Parameters(gaussian.from_free((mean, free[0])), free[1])


def deviations(root: Float[Array, "d d"]) -> Float[Array, " d"]:
    """√ of the diagonal of the covariance Λ⁻¹ = L⁻ᵀL⁻¹."""
    return jnp.linalg.norm(gaussian.inverse(root), axis=0)
