"""Wigner–Yanase and BKM metrics of a rotated mixture from a few vectors.

With A = U†∂U, Q = √p and random signs s the two are means of Gram matrices,

    WY:  Gₖₗ = 4 E Re⟨[Aₖ, Q] s, [Aₗ, Q] s⟩,
    BKM: Gₖₗ = ∫₀¹ dα E Re⟨Xₖ, Xₗ⟩,  Xₖ = p^{α/2} [Aₖ, log p] p^{(1−α)/2} s,

positive semidefinite for any number of vectors. The integral is a Gauss–Legendre sum. The columns of the K most
probable strings are taken exactly. SLD has no such form: its weight (pₓ − p_y)²/(pₓ + p_y) is no sum of products.
"""

import typing
from collections.abc import Callable, Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qnat.experiment.bounds import check_whole
from qnat.geometry.metric import AbstractMetric
from qnat.geometry.operators import BlockDiagonal, gram, psd_operator
from qnat.geometry.weights import rotation_weight

from ..engine import frame_rows
from ..models import LatentGibbs
from ..models.latent import Params
from .vectors import Draw, as_planes, check_strings, draw, planes_of, run

METRIC = 1  # the stream of a step's key that the metric draws from; the loss and its gradient take stream 0

Kind = Literal["wigner_yanase", "bkm"]

_NODES = (10, 22, 64, 204)
_SPREADS = (20.0, 100.0, 1000.0)  # of log p, up to which so many nodes have a relative error of 1e-6


def _rules(counts: Sequence[int]) -> tuple[Float[np.ndarray, "rules half"], Float[np.ndarray, "rules half"]]:
    """Gauss–Legendre rules on [0, 1], one a row, padded: their nodes below ½, and twice their weights.

    The integrand has the same mean at α and 1 − α, so that half of the nodes will do.
    """
    nodes, weights = np.zeros((2, len(counts), max(counts) // 2))
    for row, count in enumerate(counts):
        x, w = np.polynomial.legendre.leggauss(count)
        nodes[row, : count // 2], weights[row, : count // 2] = (x[: count // 2] + 1) / 2, w[: count // 2]
    return nodes, weights


class _Half(eqx.Module):
    """A factor of a metric: the rows Xₖ = scale ∘ (Aₖ(before ∘ s) − level ∘ Aₖ(after ∘ s))."""

    scale: Float[Array, " d"]
    level: Float[Array, " d"]
    before: Float[Array, " d"]
    after: Float[Array, " d"]


def _half(kind: Kind, log_p: Float[Array, " d"], node: Float[Array, ""], weight: Float[Array, ""]) -> _Half:
    """Of a node of the BKM integral; Wigner–Yanase has one, and no use for it."""
    if kind == "wigner_yanase":
        root = jnp.exp(log_p / 2)
        return _Half(jnp.full_like(root, 2.0), root, root, jnp.ones_like(root))
    after, level = jnp.exp((1 - node) / 2 * log_p), log_p - jnp.max(log_p)
    return _Half(jnp.sqrt(weight) * jnp.exp(node / 2 * log_p), level, level * after, after)


class VectorMetric(AbstractMetric):
    """A monotone metric of a `LatentGibbs` as strings and vectors estimate it, Fisher-normalised.

    The latent block is the Fisher matrix, exactly. Of the angles' block rows are made vector by vector and summed up
    to a matrix, or, with `products`, only products with it are made, which take one derivative of the circuit forwards
    and one backwards for every string and vector, and no memory that grows with the number of angles.

    Attributes:
        model: a LatentGibbs on two or more wires. kind: "wigner_yanase" or "bkm".
        strings, vectors: how many bit strings are summed over exactly, how many vectors stand for the others.
        nodes: of the BKM integral over those others, an even number; None takes as many as give it to 1e-6. Four will
            do for a natural gradient: weights of probabilities that differ by less than e^15 are right within a tenth.
        products: whether the angles' block is a product.
        single: whether rows are single-precision numbers, half as large and made in half of the time.
    """

    model: LatentGibbs
    kind: Kind = eqx.field(static=True, default="bkm")
    strings: int = eqx.field(static=True, default=16)
    vectors: int = eqx.field(static=True, default=2)
    nodes: int | None = eqx.field(static=True, default=None)
    products: bool = eqx.field(static=True, default=False)
    single: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        check_strings(self.model, self.strings)
        check_whole(vectors=(self.vectors, 0))
        if self.nodes is not None and (self.nodes < 2 or self.nodes % 2):
            raise ValueError(f"The integral of the BKM metric takes an even number of nodes; got {self.nodes}.")
        if self.kind not in typing.get_args(Kind):
            near = ", though WY/2 <= SLD <= WY" if str(self.kind) == "sld" else ""
            raise ValueError(
                f"Vectors estimate the metrics wigner_yanase and bkm; {self.kind} is no mean of Gram matrices{near}."
            )

    def at(self, params: Params, batch: None = None, *, key: PRNGKeyArray | None = None) -> BlockDiagonal:
        if key is None:
            raise ValueError("A metric of random vectors draws them at every evaluation; pass key=.")
        log_p = self.model.log_probabilities(params["latent"])
        return self.drawn(params, draw(log_p, self.strings, self.vectors, key=jax.random.fold_in(key, METRIC)))

    def drawn(self, params: Params, drawn: Draw) -> BlockDiagonal:
        """The metric that these strings and vectors give."""
        log_p = self.model.log_probabilities(params["latent"])
        fisher = self.model.latent.covariance(-params["latent"], jnp.exp(log_p))
        if self.products:
            angles = psd_operator(lambda v: self._product(params["angles"], log_p, drawn, v), params["angles"])
        else:
            matrix = self._gram(params["angles"], log_p, drawn)
            angles = lx.MatrixLinearOperator(matrix, lx.positive_semidefinite_tag)
        return BlockDiagonal({"latent": fisher, "angles": angles})

    def _gram(self, angles: Float[Array, " P"], log_p: Float[Array, " d"], drawn: Draw) -> Float[Array, "P P"]:
        circuit, planes = self.model.circuit, planes_of(self.model.circuit)
        dtype = jnp.float32 if self.single else angles.dtype

        def add(total: Float[Array, "P P"], states: list[Array], weights: list[Array]) -> Float[Array, "P P"]:
            """The Gram matrix of Σ w∘Aₖ|ψ⟩."""
            starts = as_planes(jnp.stack(states).astype(dtype), planes)
            rows = frame_rows(circuit, angles.astype(dtype), starts, jnp.stack(weights).astype(dtype))
            return total + gram(rows.reshape(len(rows), starts[0].size)).astype(total.dtype)

        def string(total: Float[Array, "P P"], string: Int[Array, ""]) -> tuple[Float[Array, "P P"], None]:
            root = jnp.sqrt(self._column(log_p, drawn.strings, string))
            return add(total, [jax.nn.one_hot(string, log_p.size, dtype=log_p.dtype)], [root]), None

        def half(total: Float[Array, "P P"], signs: Float[Array, " d"], half: _Half) -> Float[Array, "P P"]:
            states = [half.before * signs, half.after * signs]
            return add(total, states, [half.scale, -half.scale * half.level])

        total = jax.lax.scan(string, jnp.zeros((angles.size, angles.size), log_p.dtype), drawn.strings)[0]
        return self._over_halves(half, total, log_p, drawn)

    def _product(
        self, angles: Float[Array, " P"], log_p: Float[Array, " d"], drawn: Draw, vector: Float[Array, " P"]
    ) -> Float[Array, " P"]:
        circuit, planes = self.model.circuit, planes_of(self.model.circuit)

        def moved(states: Float[Array, "batch d"]) -> tuple[Array, Callable[..., Float[Array, " P"]]]:
            """Σ vₖAₖ on every state; and states z ↦ Σ ⟨Aₖ state, z⟩."""
            start = as_planes(states, planes)
            tangent = jax.jvp(lambda t: run(circuit, t, start, "forward"), (angles,), (vector,))[1]
            pull = jax.vjp(lambda t, start: run(circuit, t, start), angles, start)[1]
            return pull(tangent)[1], lambda z: pull(run(circuit, angles, z))[0]

        def string(total: Float[Array, " P"], string: Int[Array, ""]) -> tuple[Float[Array, " P"], None]:
            there, back = moved(jax.nn.one_hot(string, log_p.size, dtype=log_p.dtype)[None])
            return total + back(there * self._column(log_p, drawn.strings, string)[:, None]), None

        def half(total: Float[Array, " P"], signs: Float[Array, " d"], half: _Half) -> Float[Array, " P"]:
            there, back = moved(jnp.stack([half.before * signs, half.after * signs]))
            factor = (there[0] - half.level[:, None] * there[1]) * half.scale[:, None] ** 2
            return total + back(jnp.stack([factor, -half.level[:, None] * factor]))

        total = jax.lax.scan(string, jnp.zeros_like(vector), drawn.strings)[0]
        return self._over_halves(half, total, log_p, drawn)

    def _column(
        self, log_p: Float[Array, " d"], strings: Int[Array, " K"], string: Int[Array, ""]
    ) -> Float[Array, " d"]:
        """The weights of a string with all others: once with one of the strings, whose column comes too, else twice."""
        return rotation_weight(self.kind, log_p, log_p[string]) * jnp.full(log_p.size, 2.0).at[strings].set(1)

    def _over_halves(self, add: Callable[..., Array], total: Array, log_p: Float[Array, " d"], drawn: Draw) -> Array:
        """The sum over vectors and nodes of what `add` adds, on the strings that are not summed over exactly."""
        outside = jnp.ones(log_p.size).at[drawn.strings].set(0)
        counts = _NODES if self.nodes is None else (self.nodes,)
        nodes, weights = map(jnp.asarray, _rules(counts))
        rule = jnp.searchsorted(jnp.asarray(_SPREADS[: len(counts) - 1]), jnp.max(log_p) - jnp.min(log_p))
        count = jnp.asarray(counts)[rule] // 2 if self.kind == "bkm" else 1

        def vector(total: Array, signs: Float[Array, " d"]) -> tuple[Array, None]:
            def node(i: Int[Array, ""], total: Array) -> Array:
                half = _half(self.kind, log_p, nodes[rule, i], weights[rule, i])
                scale = half.scale * outside / jnp.sqrt(jnp.asarray(len(drawn.signs), log_p.dtype))
                return add(total, signs, eqx.tree_at(lambda h: h.scale, half, scale))

            return jax.lax.fori_loop(0, count, node, total), None

        return jax.lax.scan(vector, total, drawn.signs)[0]
