"""Bitstrings from p(b) ∝ exp(−E(b)), where there are too many to enumerate and where there are not.

An energy is any function of spins s = 1 − 2b, (batch, n) ↦ (batch,), dimensionless.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from .correlation import autocorrelation_time
from .estimate import Estimate

Energy = Callable[[Float[Array, "batch n"]], Float[Array, " batch"]]
Method = Literal["exact", "gibbs", "tempering"]

_LARGEST = 20  # bits whose 2^n energies are enumerated
_HOTTEST = 10.0
_TEMPERATURES = 8


class Samples(NamedTuple):
    """Bitstrings of independent chains.

    Attributes:
        bits: (chains, draws, n) of 0 and 1, wire 0 first. energies: (chains, draws).
        effective_sample_size: how many independent bitstrings they are worth, for the worst of the energy and the
            spins.
    """

    bits: Int[Array, "chains draws n"]
    energies: Float[Array, "chains draws"]
    effective_sample_size: Float[Array, ""]


def to_spins(bits: Int[Array, "... n"]) -> Float[Array, "... n"]:
    """s = 1 − 2b."""
    return 1.0 - 2.0 * bits


def mean(series: Float[Array, "chains draws"]) -> Estimate:
    """The mean of a function of the samples, its standard error widened by the series' own autocorrelation time."""
    error = jnp.std(series) * jnp.sqrt(autocorrelation_time(series) / series.size)
    return Estimate(jnp.mean(series), error)


def sample_latent(
    energy: Energy,
    n: int,
    *,
    samples: int,
    key: PRNGKeyArray,
    method: Method = "exact",
    chains: int = 8,
    burn_in: int = 200,
    temperatures: tuple[float, ...] | None = None,
) -> Samples:
    """Draws bitstrings with p(b) ∝ exp(−E(b)).

    Args:
        energy: E of spins, (batch, n) ↦ (batch,).
        n: number of bits.
        samples: how many bitstrings; of the Markov chains together, rounded up to a multiple of `chains`.
        key: of the draws.
        method: "exact" enumerates 2^n energies (n ≤ 20) and draws independently; "gibbs" sweeps over the bits, each
            drawn given the others; "tempering" runs sweeps at a ladder of temperatures whose neighbours exchange their
            bitstrings, which crosses barriers that sweeps do not.
        chains: independent Markov chains, from random bits. burn_in: sweeps of each before its first draw.
        temperatures: of the ladder, ascending from 1; None for eight from 1 to 10, geometric.

    Raises:
        ValueError: fewer than one sample or chain, n out of reach of enumeration, or a ladder that does not begin at 1.
    """
    if samples < 1 or chains < 1:
        raise ValueError(f"Sampling needs at least one sample and one chain; got {samples} and {chains}.")
    if method == "exact":
        return _exact(energy, n, samples, key)
    ladder = np.array([1.0])
    if method == "tempering":
        ladder = np.geomspace(1.0, _HOTTEST, _TEMPERATURES) if temperatures is None else np.array(temperatures, float)
        if ladder[0] != 1 or (np.diff(ladder) <= 0).any():
            raise ValueError(f"A ladder of temperatures ascends from 1, the distribution itself; got {temperatures}.")
    bits = _chains(energy, n, chains, burn_in, -(-samples // chains), jnp.asarray(1 / ladder), key)
    return _described(bits, jax.vmap(energy)(to_spins(bits)))


def _exact(energy: Energy, n: int, samples: int, key: PRNGKeyArray) -> Samples:
    if n > _LARGEST:
        raise ValueError(f"{n} bits are too many to enumerate (at most {_LARGEST}); use method gibbs or tempering.")
    table = jnp.arange(2**n)[:, None] >> jnp.arange(n)[::-1] & 1
    energies = energy(to_spins(table))
    index = jax.random.categorical(key, -energies, shape=(1, samples))
    return Samples(table[index], energies[index], jnp.asarray(float(samples)))


def _described(bits: Int[Array, "chains draws n"], energies: Float[Array, "chains draws"]) -> Samples:
    series = jnp.concatenate([energies[None], jnp.moveaxis(to_spins(bits), -1, 0)])
    slowest = jnp.max(jax.lax.map(autocorrelation_time, series))
    return Samples(bits, energies, energies.size / slowest)


def sweep(
    energy: Energy, state: Float[Array, "batch n"], inverse: Float[Array, " batch"], *, key: PRNGKeyArray
) -> Float[Array, "batch n"]:
    """Draws every spin once, in order, given the others, from exp(−E·inverse)."""
    batch, n = state.shape

    def one(site: Int[Array, ""], carry: tuple[Float[Array, "batch n"], Float[Array, " batch"]]) -> tuple:
        state, now = carry
        turned = state.at[:, site].multiply(-1)
        there = energy(turned)
        moves = uniform[site] < jax.nn.sigmoid(inverse * (now - there))
        return jnp.where(moves[:, None], turned, state), jnp.where(moves, there, now)

    uniform = jax.random.uniform(key, (n, batch))
    return jax.lax.fori_loop(0, n, one, (state, energy(state)))[0]


def exchange(
    energy: Energy,
    state: Float[Array, "levels n"],
    inverse: Float[Array, " levels"],
    odd: Bool[Array, ""],
    *,
    key: PRNGKeyArray,
) -> Float[Array, "levels n"]:
    """Exchanges the bitstrings of neighbouring temperatures with the Metropolis probability: even pairs, or odd ones.

    Reference: R. Swendsen, J. Wang, Phys. Rev. Lett. 57, 2607 (1986).
    """
    levels = len(inverse)
    index = jnp.arange(levels)
    partner = jnp.where((index + odd) % 2 == 0, index + 1, index - 1)
    partner = jnp.where((partner < 0) | (partner >= levels), index, partner)
    energies = energy(state)
    gain = (inverse - inverse[partner]) * (energies - energies[partner])
    uniform = jax.random.uniform(key, (levels,))[jnp.minimum(index, partner)]  # one for both of a pair
    return state[jnp.where(jnp.log(uniform) < gain, partner, index)]


def _chains(
    energy: Energy, n: int, chains: int, burn_in: int, draws: int, inverse: Float[Array, " levels"], key: PRNGKeyArray
) -> Int[Array, "chains draws n"]:
    """The bitstrings at the first temperature after each sweep, and each round of exchanges if there are others."""

    def chain(key: PRNGKeyArray) -> Int[Array, "draws n"]:
        start, run = jax.random.split(key)

        def step(state: Float[Array, "levels n"], at: tuple) -> tuple[Array, Array]:
            round_, key = at
            first, second = jax.random.split(key)
            state = sweep(energy, state, inverse, key=first)
            if len(inverse) > 1:
                state = exchange(energy, state, inverse, round_ % 2 == 1, key=second)
            return state, state[0]

        state = jax.random.rademacher(start, (len(inverse), n), dtype=inverse.dtype)
        rounds = (jnp.arange(burn_in + draws), jax.random.split(run, burn_in + draws))
        found: Float[Array, "rounds n"] = jax.lax.scan(step, state, rounds)[1]
        return (found[burn_in:] < 0).astype(int)

    return jax.vmap(chain)(jax.random.split(key, chains))
