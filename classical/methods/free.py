"""Descent on a density in coordinates that may have any real values: what optimisers without a geometry do."""

from typing import Any

import equinox as eqx
import jax
import optax
from jaxtyping import Array, PRNGKeyArray, PyTree

from classical.models.surrogate import AbstractSurrogateDensity, Parameters
from qnat.inference.process import Info, Process, descend
from qnat.optim.rate import Scalar


class _Free(eqx.Module):
    density: AbstractSurrogateDensity
    data: Any
    optimizer: optax.GradientTransformation

    def value_and_grad(self, free: PyTree[Array], batch: Any, key: PRNGKeyArray | None) -> tuple[Scalar, PyTree[Array]]:
        data = self.data if batch is None else batch
        return jax.value_and_grad(lambda free: self.density.loss(self.density.from_free(free), data))(free)

    def descent(self) -> Process:
        inner = optax.with_extra_args_support(self.optimizer)

        def update(
            updates: PyTree[Array], state: Any, params: PyTree[Array], **extra: Any
        ) -> tuple[PyTree[Array], Any]:
            # optax's line searches hand what they do not know to value_fn, which has no use for a batch and a key
            known = {name: extra[name] for name in ("value", "grad", "value_fn")}
            return inner.update(updates, state, params, **known)

        return descend(self.value_and_grad, optax.GradientTransformationExtraArgs(inner.init, update))

    def init(self, params: Parameters, *, key: PRNGKeyArray | None = None) -> PyTree[Array]:
        return self.descent().init(self.density.to_free(params), key=key)

    def step(
        self, state: PyTree[Array], batch: Any = None, *, key: PRNGKeyArray | None = None
    ) -> tuple[PyTree[Array], Info]:
        return self.descent().step(state, batch, key=key)

    def params(self, state: PyTree[Array]) -> Parameters:
        return self.density.from_free(self.descent().params(state))


def free_descent(
    density: AbstractSurrogateDensity, optimizer: optax.GradientTransformation, *, data: Any = None
) -> Process:
    """Maximum likelihood by an optax transform in the free coordinates of a density; the loss as that of `sngd`.

    Args:
        density: whose `to_free` makes the coordinates.
        optimizer: such as `optax.adam(0.03)` or `optax.lbfgs()`.
        data: what every step sees, where the problem feeds no batches.
    """
    method = _Free(density, data, optimizer)
    return Process(method.init, method.step, method.params)
