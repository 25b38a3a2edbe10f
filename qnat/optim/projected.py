"""Steps that end inside a domain."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

Projection = Callable[[PyTree[Array]], PyTree[Array]]


class _Projected(eqx.Module):
    transform: optax.GradientTransformation
    project: Projection

    def init(self, params: PyTree[Array]) -> Any:
        return self.transform.init(params)

    def update(
        self, updates: PyTree[Array], state: Any, params: PyTree[Array] | None = None, **extra: Any
    ) -> tuple[PyTree[Array], Any]:
        if params is None:
            raise ValueError("projected looks where a step ends; pass params= to update.")
        if (value_fn := extra.get("value_fn")) is not None:
            # a trial is judged where it would end; optax's line searches ask a signature what else it takes
            judged = functools.wraps(value_fn)(lambda trial, **known: value_fn(self.project(trial), **known))
            extra["value_fn"] = judged
        updates, state = optax.with_extra_args_support(self.transform).update(updates, state, params, **extra)
        return jax.tree.map(jnp.subtract, self.project(optax.apply_updates(params, updates)), params), state


def projected(optimizer: optax.GradientTransformation, project: Projection) -> optax.GradientTransformationExtraArgs:
    """Steps of an optimiser, each moved to where `project` takes its end: that of a chart, or a clip to a box.

    Args:
        optimizer: any optax transform, its learning rate included. project: parameters ↦ parameters inside the domain.
    """
    method = _Projected(optimizer, project)
    return optax.GradientTransformationExtraArgs(method.init, method.update)
