"""How far to go along a direction and the one before, by the exact Fisher matrix."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, PyTree
from optax.tree_utils import tree_vdot

from qnat.optim.rate import Scalar

_RIDGE = 1e-14  # directions nearer to parallel than this are one


class Rescaled(NamedTuple):
    """direction: αD + μδ₀. model: ½δᵀ(F + λ)δ + gᵀδ, the predicted change of the loss. alpha, mu."""

    direction: PyTree[Array]
    model: Scalar
    alpha: Scalar
    mu: Scalar


def rescale(
    fisher: lx.AbstractLinearOperator,
    gradient: PyTree[Array],
    proposal: PyTree[Array],
    previous: PyTree[Array],
    damping: Scalar,
) -> Rescaled:
    """The combination of a proposal D and the previous step δ₀ that minimises the quadratic model with F + λ.

    Where δ₀ is zero, or parallel to D, the proposal alone.

    Reference: J. Martens, R. Grosse, arXiv:1503.05671, sections 6.4 and 7.
    """
    products = [fisher.mv(v) for v in (proposal, previous)]
    pairs = (proposal, previous)
    gram = jnp.stack(
        [
            jnp.stack([tree_vdot(a, product) + damping * tree_vdot(a, b) for a in pairs])
            for b, product in zip(pairs, products, strict=True)
        ]
    )
    slopes = jnp.stack([tree_vdot(gradient, v) for v in pairs])
    determinant = gram[0, 0] * gram[1, 1] - gram[0, 1] ** 2
    single = determinant <= _RIDGE * gram[0, 0] * gram[1, 1]
    safe = jnp.where(single, jnp.diag(jnp.stack([gram[0, 0], jnp.ones_like(damping)])), gram)
    alpha, mu = jnp.linalg.solve(safe, -jnp.where(single, slopes.at[1].set(0.0), slopes))
    direction = jax.tree.map(lambda a, b: alpha.astype(a.dtype) * a + mu.astype(b.dtype) * b, *pairs)
    steps = jnp.stack([alpha, mu])
    return Rescaled(direction, steps @ gram @ steps / 2 + slopes @ steps, alpha, mu)
