"""Units of columns: data are fitted less their means, over their standard deviations."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Unit(NamedTuple):
    """x = centre + scale z. centre: (d,). scale: (d,), positive."""

    centre: Float[Array, " d"]
    scale: Float[Array, " d"]

    def back(self, z: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """x of z."""
        return self.centre + self.scale * z

    @property
    def volume(self) -> Float[Array, ""]:
        """log of the volume of a unit: log p(z) less it is log p(x)."""
        return jnp.sum(jnp.log(self.scale))
