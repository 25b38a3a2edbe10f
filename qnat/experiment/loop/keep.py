"""Which parameters of a run are kept as draws."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Int

Count = int | Int[Array, ""]


class Keep(NamedTuple):
    """Which parameters of a run are kept as draws: those after `burn_in` + `every`, `burn_in` + 2 `every`, ... steps.

    Attributes:
        every: steps from one draw to the next, ≥ 1. burn_in: steps before the first of them, ≥ 0.
    """

    every: int = 1
    burn_in: int = 0

    def before(self, step: Count) -> Any:
        """How many draws there are after `step` steps."""
        past = step - self.burn_in
        return (max(past, 0) if isinstance(past, int) else jnp.maximum(past, 0)) // self.every

    def due(self, step: Count) -> Any:
        """Whether the parameters after `step` steps are one."""
        past = step - self.burn_in
        return (past > 0) & (past % self.every == 0)
