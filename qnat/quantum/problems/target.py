"""A state to be learned."""

from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact

from qnat.geometry.hermitian import log_density


class Target(NamedTuple):
    """A density matrix σ and its spectrum.

    Attributes:
        matrix: (d, d). log_p: (d,) log-eigenvalues, −∞ where the rank is deficient. basis: (d, d) eigenvectors.
    """

    matrix: Inexact[Array, "d d"]
    log_p: Float[Array, " d"]
    basis: Inexact[Array, "d d"]

    @classmethod
    def of(cls, sigma: Inexact[Array, "d d"]) -> Self:
        """Checks σ and diagonalises it, on the host.

        Raises:
            ValueError: σ is not square, Hermitian, positive or of trace 1; one sentence each.
        """
        log_density(sigma, floor=float(np.finfo(float).tiny))  # refuses what is not a density matrix
        matrix = np.asarray(sigma)
        matrix = matrix.astype(jnp.result_type(matrix, float))
        p, basis = np.linalg.eigh((matrix + matrix.conj().T) / 2)
        p = np.where(p > p.size * np.finfo(p.dtype).eps, p, 0.0)  # what is smaller is rounding
        with np.errstate(divide="ignore"):
            log_p = np.log(p / p.sum())
        return cls(*(jnp.asarray(each, each.dtype) for each in (matrix, log_p, basis)))

    @property
    @jax.jit
    def entropy(self) -> Float[Array, ""]:
        """S(σ), in nats."""
        return jnp.sum(jax.scipy.special.entr(jnp.exp(self.log_p)))
