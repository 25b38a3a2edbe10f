"""Helmholtz machines: two sigmoid belief networks, one that generates data and one that recognises their causes."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from qnat.geometry.spins import all_bits

Weights = list[Float[Array, "out in"]]
Params = dict[str, Weights]
States = list[Float[Array, "*s n"]]
"""The bits of every layer, the visible one first."""

_ENUMERABLE = 24
"""Bits of two neighbouring layers that `log_likelihood` still sums over."""


class HelmholtzMachine(eqx.Module):
    """p(x, h) = p(h_L) Π p(h_{l−1}|h_l) and q(h|x) = Π q(h_l|h_{l−1}); units are 1 with probability σ(w · φ(parents)).

    Parameters are {"generator": [W₀, …, W_L], "recogniser": [V₁, …, V_L]}, matrices (units, parents + 1), biases last;
    W_L, of the units at the top, has the biases only. States are lists of bits, the visible layer first.

    Attributes:
        sizes: (n₀, n₁, …, n_L) units, the visible ones first.
        signed: φ(v) = [2v − 1; 1], or [v; 1] where False. With ±1 the features are nearly uncorrelated, and the Fisher
            matrix better conditioned.

    Reference: P. Dayan et al., Neural Comput. 7, 889 (1995); C. Várady et al., arXiv:2008.06687.
    """

    sizes: tuple[int, ...] = eqx.field(static=True)
    signed: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        if len(self.sizes) < 2 or min(self.sizes) < 1:
            raise ValueError(f"A Helmholtz machine has a visible and a hidden layer of units; got {self.sizes}.")

    @eqx.filter_jit
    def init(self, key: PRNGKeyArray) -> Params:
        """Normal weights of variance 2/(units + parents), biases −1 for the hidden units and 0 for the visible ones."""
        shapes = self._shapes()
        keys = iter(jax.random.split(key, sum(map(len, shapes.values()))))

        def one(out: int, parents: int, bias: float) -> Array:
            weights = jnp.sqrt(2 / (out + parents)) * jax.random.normal(next(keys), (out, parents + 1))
            return weights.at[:, -1].set(bias)

        return {
            "generator": [one(*shape, -1.0 if layer else 0.0) for layer, shape in enumerate(shapes["generator"])],
            "recogniser": [one(*shape, -1.0) for shape in shapes["recogniser"]],
        }

    def _shapes(self) -> dict[str, list[tuple[int, int]]]:
        """(units, parents) of every matrix."""
        pairs = list(zip(self.sizes, self.sizes[1:], strict=False))
        return {
            "generator": [*pairs, (self.sizes[-1], 0)],
            "recogniser": [(above, below) for below, above in pairs],
        }

    def features(self, bits: Float[Array, "*s n"]) -> Float[Array, "*s in"]:
        """φ of the bits of one layer."""
        values = 2 * bits - 1 if self.signed else bits
        return jnp.concatenate([values, jnp.ones_like(bits[..., :1])], axis=-1)

    def parents(self, states: States, part: str) -> list[Float[Array, "*s in"]]:
        """The features that every matrix of "generator" or "recogniser" is multiplied with."""
        if part == "recogniser":
            return [self.features(bits) for bits in states[:-1]]
        return [*(self.features(bits) for bits in states[1:]), jnp.ones_like(states[-1][..., :1])]

    def units(self, states: States, part: str) -> States:
        """The bits that every matrix of "generator" or "recogniser" predicts."""
        return states if part == "generator" else states[1:]

    def log_prob(self, weights: Weights, states: States, part: str) -> Float[Array, "*s"]:
        """log p(x, h) of the "generator", log q(h|x) of the "recogniser"."""
        layers = zip(weights, self.units(states, part), self.parents(states, part), strict=True)
        terms = [jnp.sum(_log_bernoulli(phi @ w.T, bits), axis=-1) for w, bits, phi in layers]
        return jnp.sum(jnp.stack(terms), axis=0)

    def dream(self, weights: Weights, count: int, *, key: PRNGKeyArray) -> States:
        """(count,) states from the generator, from the top down."""
        *below, top = _uniform(self.sizes, (count,), weights[-1].dtype, key)
        states = [_bits(weights[-1][:, 0], top)]
        for w, uniform in zip(weights[-2::-1], below[::-1], strict=True):
            states.append(_bits(self.features(states[-1]) @ w.T, uniform))
        return states[::-1]

    def recognise(self, weights: Weights, x: Float[Array, "*s n"], *, key: PRNGKeyArray) -> States:
        """States with the visible layer x and the rest from the recogniser, from the bottom up."""
        states = [x]
        for w, uniform in zip(weights, _uniform(self.sizes[1:], x.shape[:-1], x.dtype, key), strict=True):
            states.append(_bits(self.features(states[-1]) @ w.T, uniform))
        return states

    def means(self, weights: Weights, states: States) -> Float[Array, "*s n"]:
        """Probabilities of the visible bits, given the layer above them: smoother pictures than the bits."""
        return jax.nn.sigmoid(self.features(states[1]) @ weights[0].T)

    @property
    def is_enumerable(self) -> bool:
        """Whether `log_likelihood` can sum over all hidden states."""
        pairs = zip(self.sizes[1:], (*self.sizes[2:], 0), strict=True)
        return all(below + above <= _ENUMERABLE for below, above in pairs)

    @eqx.filter_jit
    def log_likelihood(self, weights: Weights, x: Float[Array, "N n"]) -> Float[Array, " N"]:
        """log p(x), exactly, layer by layer over all states of the hidden units; only if `is_enumerable`."""
        if not self.is_enumerable:
            raise ValueError(f"Layers {self.sizes} have too many hidden states to sum over; use importance sampling.")
        tables = [jnp.asarray(all_bits(n), x.dtype) for n in self.sizes[1:]]
        log_p = jnp.sum(_log_bernoulli(weights[-1][:, 0], tables[-1]), axis=-1)
        for w, bits, above in zip(weights[-2:0:-1], tables[-2::-1], tables[:0:-1], strict=True):
            log_p = _marginal(self.features(above) @ w.T, bits, log_p)
        return _marginal(self.features(tables[0]) @ weights[0].T, x, log_p)

    def importance_log_likelihood(
        self, params: Params, x: Float[Array, "N n"], samples: int, *, key: PRNGKeyArray
    ) -> Float[Array, " N"]:
        """log of the mean of p(x, h)/q(h|x) over `samples` draws of h, item by item: biased low, less so with more."""

        def draw(key: PRNGKeyArray) -> Float[Array, " N"]:
            states = self.recognise(params["recogniser"], x, key=key)
            return self.log_ratio(params, states)

        ratios = jax.lax.map(draw, jax.random.split(key, samples))
        return jax.nn.logsumexp(ratios, axis=0) - jnp.log(samples)

    def log_ratio(self, params: Params, states: States) -> Float[Array, "*s"]:
        """log p(x, h) − log q(h|x)."""
        parts = ("generator", "recogniser")
        p, q = (self.log_prob(params[part], states, part) for part in parts)
        return p - q


def _log_bernoulli(logits: Float[Array, "*s n"], bits: Float[Array, "*s n"]) -> Float[Array, "*s n"]:
    return bits * logits - jax.nn.softplus(logits)


def _uniform(sizes: tuple[int, ...], shape: tuple[int, ...], dtype: Any, key: PRNGKeyArray) -> States:
    """Numbers in [0, 1) for the units of some layers, from one draw: draws are most of what there is to compile."""
    numbers = jax.random.uniform(key, (*shape, sum(sizes)), dtype)
    return jnp.split(numbers, list(itertools.accumulate(sizes))[:-1], axis=-1)


def _bits(logits: Float[Array, "*s n"], uniform: Float[Array, "*s n"]) -> Float[Array, "*s n"]:
    """1 with the probability of the logits."""
    return (uniform < jax.nn.sigmoid(logits)).astype(logits.dtype)


def _marginal(
    logits: Float[Array, "above n"], bits: Float[Array, "N n"], log_above: Float[Array, " above"]
) -> Float[Array, " N"]:
    """log Σ_h p(h) Π σ(±logits(h)) for every row of bits."""
    constant = log_above - jnp.sum(jax.nn.softplus(logits), axis=-1)
    return jax.nn.logsumexp(bits @ logits.T + constant, axis=-1)
