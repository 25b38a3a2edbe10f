"""A random number with its error."""

from typing import NamedTuple

from jaxtyping import Array, Float


class Estimate(NamedTuple):
    """A random number and how far it may be off.

    Attributes:
        value: the estimate. standard_error: its standard deviation as the same samples estimate it, of the same shape.
    """

    value: Float[Array, "..."]
    standard_error: Float[Array, "..."]
