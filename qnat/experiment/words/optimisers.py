"""The optimisers of optax and `qnat.optim` as parts; a task gives them its own defaults in a subclass of a line.

They are built for a task; those with a geometry want its `metrics` or its `mirror`.
"""

from typing import Any, ClassVar, Literal

from .parts import Part
from .values import Rate


class Optimizer(Part):
    """What minimises; `steps`: how many suit it where the task does not say; `transform`: its name in optax."""

    steps: ClassVar[int] = 1000
    transform: ClassVar[str] = "identity"
    learning_rate: Rate

    def build(self, task: Any) -> Any:
        """The optimiser; its rate is an input of a compiled loop."""
        from qnat.optim import with_rate
        from qnat.optim.rate import once

        return with_rate(once(self.transform), self.learning_rate)


class Sgd(Optimizer):
    """Gradient descent."""

    name: Literal["sgd"] = "sgd"
    learning_rate: Rate = 0.01


class Adam(Optimizer):
    """Moments of first and second order."""

    cites = ("Kingma2015",)
    transform = "scale_by_adam"
    name: Literal["adam"] = "adam"
    learning_rate: Rate = 0.03


class Lars(Optimizer):
    """Momentum, its length that of the weights."""

    cites = ("You2017",)
    transform = "lars"
    name: Literal["lars"] = "lars"
    learning_rate: Rate = 20.0


class Lamb(Optimizer):
    """Adam, its length that of the weights."""

    cites = ("You2020",)
    transform = "lamb"
    name: Literal["lamb"] = "lamb"
    learning_rate: Rate = 0.02


class Natural(Optimizer):
    """Natural gradient of the first geometry of the task."""

    cites: ClassVar[tuple[str, ...]] = ("Amari1998",)
    steps = 100
    name: Literal["natural"] = "natural"
    learning_rate: Rate = 1.0

    def build(self, task: Any) -> Any:
        from qnat.optim import natural_gradient

        return natural_gradient(self.learning_rate, next(iter(task.metrics.values())))


class Mirror(Optimizer):
    """Mirror descent: a gradient step on the moments."""

    cites = ("Raskutti2013",)
    steps = 100
    name: Literal["mirror"] = "mirror"
    learning_rate: Rate = 0.5

    def build(self, task: Any) -> Any:
        from qnat.optim import mirror_descent

        return mirror_descent(self.learning_rate, task.mirror)
