"""The optimisers of optax and `qnat.optim` as parts; a task gives them its own defaults in a subclass of a line.

They are built for a task; those with a geometry want its `metrics`, its `mirror`, its `metric(kind)` or its `model`.
"""

import functools
import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from .parts import Part


@functools.cache
def made(name: str, *numbers: float) -> Any:
    """A transform of optax, made once: a jitted loop knows it by its identity, and compiles anew for another."""
    import optax

    # optax.lars and optax.lamb without decay; biases are the last columns of matrices, so that no vector needs a mask
    if name == "lars":
        return optax.chain(optax.scale_by_trust_ratio(trust_coefficient=1e-3), optax.trace(0.9))
    if name == "lamb":
        return optax.chain(optax.scale_by_adam(eps=1e-6), optax.scale_by_trust_ratio())
    return optax.with_extra_args_support(getattr(optax, name)(*numbers))


Rate = Annotated[float, Field(gt=0, description="learning rate")]


class Optimizer(Part):
    """What minimises; `steps`: how many suit it where the task does not say; `transform`: its name in optax."""

    steps: ClassVar[int] = 1000
    transform: ClassVar[str] = "identity"
    learning_rate: Rate

    def build(self, task: Any) -> Any:
        """The optimiser; its rate is an input of a compiled loop."""
        from qnat.optim import with_rate

        return with_rate(made(self.transform), self.learning_rate)


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


METRICS = ("bkm", "sld", "wigner_yanase", "geometric", "harmonic")


def _metric(word: str | None) -> str | None:
    family, _, number = (word or "bkm").partition(":")
    order = _number(number)
    if word in (None, *METRICS) or (family == "wyd" and -1 <= order <= 2) or (family == "sandwiched" and order > 0):
        return word
    names = ", ".join(METRICS)
    raise ValueError(f"'{word}' is not a metric; use {names}, wyd:p (-1 <= p <= 2) or sandwiched:a (a > 0).")


def _damping(word: Any) -> Any:
    if word != "adaptive" and not _number(word) >= 0:
        raise ValueError(f"{word!r} is not a damping; use adaptive, or a finite number of at least 0.")
    return word if word == "adaptive" else float(word)


def _number(word: Any) -> float:
    """The number that a word spells, NaN if none that is finite."""
    try:
        return number if math.isfinite(number := float(word)) else math.nan
    except (TypeError, ValueError):
        return math.nan


Metric = Annotated[str | None, AfterValidator(_metric), Field(description=f"{', '.join(METRICS)}, wyd:p, sandwiched:a")]
Adaptive = float | Literal["adaptive"]
Damping = Annotated[Adaptive, BeforeValidator(_damping), Field(description="added to the metric: adaptive or a number")]
Trust = Annotated[float | None, Field(gt=0, description="first trust radius, in the metric's length")]


class Qpmd(Optimizer):
    """Mirror descent with the relative entropy, whose Hessian BKM is where its arguments coincide."""

    cites = ("Sbahi2022",)
    steps = 100
    name: Literal["qpmd"] = "qpmd"
    learning_rate: Rate = 1.0
    damping: Damping = "adaptive"
    trust: Trust = 0.3

    def build(self, task: Any) -> Any:
        from qnat.optim import proximal_newton

        return proximal_newton(self.learning_rate, task.metric("bkm"), damping=self.damping, trust=self.trust)


class Qbang(Optimizer):
    """Momentum of gradients and of metrics."""

    cites = ("Fitzek2024", "Petz1996")
    name: Literal["qbang"] = "qbang"
    learning_rate: Rate = 0.05
    metric: Metric = "bkm"

    def build(self, task: Any) -> Any:
        from qnat.optim import qbang

        return qbang(self.learning_rate, task.metric(self.metric))


class QnSpsa(Optimizer):
    """Natural gradient of a metric that differences of the divergence estimate."""

    cites = ("Gacon2021",)
    name: Literal["qn_spsa"] = "qn_spsa"
    learning_rate: Rate = 0.05

    def build(self, task: Any) -> Any:
        from qnat.optim import qn_spsa

        return qn_spsa(self.learning_rate, task.model.relative_entropy)
