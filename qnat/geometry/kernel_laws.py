"""The axioms of monotone metrics, which `laws` passes on."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact, PRNGKeyArray

from .judging import Facts, epsilon, generator, relative_gap, require
from .monotone import Kernel, Kind, kernel
from .weights import chentsov


@eqx.filter_jit
def _kernel_facts(k: Kernel, r: Float[Array | np.ndarray, " n"]) -> Facts:
    zero, log_k = jnp.zeros((), r.dtype), k.log(r)
    return {
        "one": k(zero),
        "slope": jax.grad(k.log)(zero),
        "log": log_k,
        "unevenness": relative_gap(log_k, k.log(-r)),
        "values": k(r[:-1]),
        "slopes": jax.vmap(jax.grad(k.log))(r),
    }


def check_kernel(kind: Kind, *, key: PRNGKeyArray, dtype: Any = float) -> None:
    """k(−r) = k(r) > 0, k(0) = 1, k′(0) = 0, and log k with its derivative finite up to |r| = 1400.

    What it does not check is monotonicity: `check_monotone`.
    """
    k = kernel(kind)
    r = np.append(generator(key).uniform(-40, 40, 64), [1e-8, 1.0, 1400.0]).astype(dtype)
    found = _kernel_facts(k, r)
    eps, one, slope = epsilon(found["log"]), float(found["one"]), float(found["slope"])
    require(abs(one - 1) <= 8 * eps, f"{k.name}: k(0) must be 1, the Fisher normalisation; it is {one}.")
    require(abs(slope) <= 8 * eps, f"{k.name}: k′(0) must be 0, not {slope} (if NaN: jnp.where twice).")
    require(np.isfinite(found["log"]).all(), f"{k.name}: log k must be finite for |r| ≤ 1400; work with logarithms.")
    require(found["unevenness"] <= 64 * eps, f"{k.name}: k must be even, or the metric is not symmetric.")
    require((np.asarray(found["values"]) > 0).all(), f"{k.name}: k must be positive.")
    require(np.isfinite(found["slopes"]).all(), f"{k.name}: the derivative of log k must be finite for |r| ≤ 1400.")


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
    rho, tangent, kraus = _random_states_and_channels(generator(key), channels, np.dtype(dtype))

    def act(matrix: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("nkab,nbc,nkdc->nad", kraus, matrix, kraus.conj()))

    before, after = _length(kind, np.stack([rho, act(rho)]), np.stack([tangent, act(tangent)]))
    ratio = float(np.max(after / before))
    require(
        ratio <= 1 + 1e4 * epsilon(rho),
        f"{kernel(kind).name}: not monotone, a channel multiplied the metric by {ratio:.4g}; it must not exceed 1.",
    )
