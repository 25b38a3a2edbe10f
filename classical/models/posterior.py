"""A posterior: a joint density of parameters and data, as somebody wrote it, seen as an energy of one vector."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree


class Posterior(eqx.Module):
    """p(parameters | data) ∝ exp(log_joint(parameters, data)).

    Attributes:
        log_joint: (parameters, data) ↦ log p(data | parameters) + log p(parameters) in nats, a function of JAX.
        start: a pytree of parameters to start from. data: what log_joint is handed.
        names: of the entries of the parameters, in the order of `ravel_pytree`; by default their places in the tree.
        predict: (parameters, inputs) ↦ what is predicted, where the model says so.
    """

    log_joint: Callable[[Any, Any], Float[Array, ""]]
    start: PyTree[Array]
    data: Any
    names: tuple[str, ...] = eqx.field(static=True)
    predict: Callable[[Any, Any], Array] | None

    def __init__(
        self,
        log_joint: Callable[[Any, Any], Float[Array, ""]],
        start: PyTree[Array],
        data: Any = None,
        *,
        names: Sequence[str] | None = None,
        predict: Callable[[Any, Any], Array] | None = None,
    ) -> None:
        self.log_joint, self.data, self.predict = log_joint, data, predict
        self.start = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), start)
        known = names_of(self.start) if names is None else tuple(names)
        if len(known) != self.size:
            raise ValueError(f"{len(known)} names are given for {self.size} parameters; name each of them.")
        self.names = known

    @property
    def size(self) -> int:
        """How many parameters there are."""
        return sum(int(np.prod(np.shape(leaf))) for leaf in jax.tree.leaves(self.start))

    @property
    def mean(self) -> Float[Array, " d"]:
        """The start as a vector."""
        return ravel_pytree(self.start)[0]

    def tree(self, x: Float[Array, " d"]) -> PyTree[Array]:
        """A vector as parameters."""
        return ravel_pytree(self.start)[1](x)

    def energy(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        """−log p(parameters, data) of a vector."""
        return -self.log_joint(self.tree(x), self.data)

    def fault(self) -> str:
        """What is wrong with the start, as a sentence; "" if nothing is."""
        value = jax.eval_shape(self.energy, self.mean)
        if value.shape != ():
            return f"log_joint has the shape {value.shape}; it must be one number, so sum over the data."
        if bool(jnp.isfinite(self.energy(self.mean))):
            return ""
        guilty = self._guilty()
        place = "".join(f"; parameter {self.names[i]} is {float(self.mean[i]):g}" for i in guilty[:1])
        return f"log_joint is not finite at the start{place}; start where the model has a density."

    def _guilty(self) -> list[int]:
        """The parameters whose start has no density: those that may not go back there from a place that has one."""
        start = np.asarray(self.mean)
        if (wrong := np.flatnonzero(~np.isfinite(start))).size:
            return wrong.tolist()
        finite = jax.jit(lambda places: jnp.isfinite(jax.lax.map(self.energy, places)))
        shifts = np.array([0.1, 1.0, 10.0])
        moved = start + np.concatenate([shifts, -shifts])[:, None]
        known = np.array([0.5, 1.0, 2.0, -1.0])[:, None] + np.zeros_like(start)
        places = np.concatenate([moved, known])
        for place in places[np.asarray(finite(places))]:
            back = np.where(np.eye(len(start), dtype=bool), start, place)
            if (wrong := np.flatnonzero(~np.asarray(finite(back)))).size:
                return wrong.tolist()
        return []


def names_of(tree: PyTree[Any]) -> tuple[str, ...]:
    """The places of all numbers in a tree, as weights[0]."""
    found: list[str] = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        words = [str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path]
        name, shape = ".".join(words) or "x", np.shape(leaf)
        places = [f"{name}[{', '.join(map(str, index))}]" for index in np.ndindex(*shape)] if shape else [name]
        found.extend(places)
    return tuple(found)
