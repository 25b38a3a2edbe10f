"""The BKM metric of a thermal state from random vectors."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..operators.pauli import PauliSum
from .krylov import coupled, exp_action, lanczos, truncation, uncoupled
from .typicality import check_request, extremes, gaussian_state, jackknife, quadrature_nodes


class TypicalBKM(NamedTuple):
    """BKM (canonical) covariances from random vectors.

    Attributes:
        covariance: (P, P) ∫₀¹ Tr[ρ^{1−s} Gⱼ ρ^s Gₖ] ds − ηⱼηₖ. error: its standard errors, by the jackknife.
        gram: (P, P) the same before ηⱼηₖ is taken away: positive semidefinite, whatever the vectors are.
        means: (P,) the ηⱼ = Tr ρGⱼ.
        residual: largest last Krylov coefficient; raise `krylov` where it exceeds 1e-10.
    """

    covariance: Float[Array, "P P"]
    error: Float[Array, "P P"]
    gram: Float[Array, "P P"]
    means: Float[Array, " P"]
    residual: Float[Array, ""]


def typical_bkm(
    hamiltonian: PauliSum,
    beta: float,
    observables: Sequence[PauliSum],
    *,
    vectors: int,
    krylov: int = 30,
    key: PRNGKeyArray,
) -> TypicalBKM:
    """BKM covariances of observables in exp(−βH)/Z: the metric of an exponential family beyond diagonalisation.

    The integral over s is a Gauss–Legendre sum on [0, ½], twice: ten nodes are exact to 1e-11 for β(E_max − E_min) ≤
    25, colder states get two fifths of it. A vector costs nodes·P exponentials; memory is
    that of `krylov` real states (two real ones for a complex H) and of 2(nodes + 2P) more.

    Args:
        hamiltonian: H. beta: inverse temperature, a number: it decides the number of nodes.
        observables: the P observables Gⱼ.
        vectors, krylov, key: as in `typical_thermal`.
    """
    check_request(hamiltonian, observables, vectors)
    if not observables:
        raise ValueError("Covariances need at least one observable; got none.")
    lowest, highest = extremes(hamiltonian, krylov, key)
    nodes, weights = np.polynomial.legendre.leggauss(quadrature_nodes(beta * (float(highest) - float(lowest))))
    rule = jnp.asarray((nodes + 1) / 4), jnp.asarray(weights / 2)
    return _typical_bkm(
        hamiltonian, jnp.asarray(beta), lowest, tuple(observables), *rule, key, vectors=vectors, krylov=krylov
    )


@functools.partial(jax.jit, static_argnames=("vectors", "krylov"))
def _typical_bkm(
    hamiltonian: PauliSum,
    beta: Float[Array, ""],
    lowest: Float[Array, ""],
    observables: tuple[PauliSum, ...],
    nodes: Float[Array, " s"],
    weights: Float[Array, " s"],
    key: PRNGKeyArray,
    *,
    vectors: int,
    krylov: int,
) -> TypicalBKM:
    count = len(observables)

    def one(key: PRNGKeyArray) -> tuple[Array, Array]:
        times = beta / 2 * jnp.append(nodes, 1.0)

        def run(part: Float[Array, "d _"]) -> tuple[Array, Array]:
            space = lanczos(hamiltonian, part, krylov=krylov)
            coefficients = space.exponential(times, lowest)
            return jnp.tensordot(coefficients, space.basis, axes=1), truncation(coefficients)

        def node(inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            time, state = inputs
            images = jnp.concatenate([o.apply_planes(state[None]) for o in observables])
            moved = exp_action(hamiltonian, images, beta / 2 - time, krylov=krylov, shift=lowest)
            rows = moved.states.reshape(count, -1)
            return rows @ rows.T, moved.residual

        parts = uncoupled(hamiltonian, gaussian_state(key, hamiltonian.n)[None])
        states, first = jax.lax.map(run, parts)  # (parts, times, d, planes)
        states = jax.vmap(lambda at: coupled(at, 2)[0], in_axes=1)(states)
        grams, second = jax.lax.map(node, (times[:-1], states[:-1]))
        root = states[-1][None]
        means = jnp.concatenate([o.expectation_planes(root) for o in observables])
        gram = jnp.tensordot(weights, grams, axes=1).reshape(-1)
        return jnp.concatenate([jnp.sum(root**2)[None], means, gram]), jnp.maximum(first.max(), second.max())

    samples, residuals = jax.lax.map(one, jax.random.split(key, vectors))

    def statistic(sums: Float[Array, " k"]) -> tuple[Array, Array, Array]:
        means, gram = sums[1 : count + 1] / sums[0], sums[count + 1 :].reshape(count, count) / sums[0]
        return gram - jnp.outer(means, means), gram, means

    (covariance, gram, means), (error, _, _) = jackknife(statistic, samples)
    return TypicalBKM(covariance, error, gram, means, jnp.max(residuals))
