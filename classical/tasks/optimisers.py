"""The optimisers of networks as parts: their own, of Kronecker-factored Fisher matrices, and others' with defaults."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from qnat.experiment.words import optimisers
from qnat.experiment.words.optimisers import Optimizer
from qnat.experiment.words.parts import Only, Part
from qnat.experiment.words.values import COUNTS, Rate

Damping = Annotated[float, Field(gt=0, description="added to the Fisher matrix; where it adapts, at the start")]
Memory = Annotated[float, Field(ge=0, lt=1, description="what the average of the Fisher matrices keeps at a step")]
Momentum = Annotated[float, Field(ge=0, lt=1, description="momentum")]
Refresh = Annotated[int, Field(ge=1, lt=COUNTS, description="steps from one inverse of the Fisher matrix to the next")]
Items = Annotated[int | None, Field(ge=1, description="items of a batch that the Fisher matrix is of (default all)")]
Metric = Annotated[
    Literal["sampled", "exact", "empirical"],
    Field(description="targets of the Fisher matrix: drawn from the model, all in their proportion, those of the data"),
]
_FACTORED = "damp the two factors, balanced by their sizes, or else their product"
_TARGETS: dict[str, Any] = {"sampled": "sampled", "exact": "exact", "empirical": "data"}


class Sgd(optimisers.Sgd):
    """Gradient descent with momentum."""

    learning_rate: Rate = 0.03
    momentum: Momentum = 0.9

    def build(self, task: Any) -> Any:

        from qnat.optim import with_rate
        from qnat.optim.rate import once

        return with_rate(once("trace", self.momentum), self.learning_rate)


class Adam(optimisers.Adam):
    """Moments of first and second order."""

    learning_rate: Rate = 0.01


class EntropySgd(Optimizer):
    """Descent on the local entropy."""

    cites = ("Chaudhari2017",)
    name: Literal["entropy_sgd"] = "entropy_sgd"
    learning_rate: Rate = 1.0
    inner_steps: int = Field(20, ge=0, lt=COUNTS, description="steps of the random walk, one gradient each")
    scope: float = Field(1e-4, ge=0, description="gamma: how strongly the walk is held")
    noise: float = Field(1e-4, ge=0, description="noise of the walk")

    def build(self, task: Any) -> Any:
        from ..methods.entropy_sgd import entropy_sgd

        gradient, rate = task.value_and_grad, self.learning_rate
        return entropy_sgd(gradient, rate, inner_steps=self.inner_steps, gamma=self.scope, noise=self.noise)


class Natural(optimisers.Natural):
    """Natural gradient of the subsampled Fisher matrix of the batch."""

    learning_rate: Rate = 0.3
    damping: Damping = 10.0
    metric: Literal["sampled", "empirical"] = "sampled"

    def build(self, task: Any) -> Any:
        from qnat.optim import natural_gradient

        from ..methods.fisher import OuterProductFisher

        fisher = OuterProductFisher(task.network, _TARGETS[self.metric])
        rate, damping = self.learning_rate, self.damping
        return natural_gradient(rate, fisher, damping=damping, trust=None, box=None, accept=None)


class Kronecker(Part):
    """A Fisher matrix of Kronecker products."""

    cites: ClassVar[tuple[str, ...]] = ("Martens2015",)
    damping: Damping = 0.01
    metric: Metric = "sampled"
    metric_items: Items = None

    def fisher(self, task: Any) -> Any:
        """The metric."""
        from ..methods.fisher import KroneckerFisher

        return KroneckerFisher(task.network, _TARGETS[self.metric], items=self.metric_items)


class KfacFull(Kronecker):
    """K-FAC, rescaled by the exact Fisher matrix, with dampings that adapt."""

    name: Literal["kfac_full"] = "kfac_full"
    refresh: Refresh = 20

    def build(self, task: Any) -> Any:
        from ..methods.kfac import kfac

        return kfac(self.fisher(task), damping=self.damping, refresh=self.refresh)


def _averaged(part: Any, metric: Any, **more: Any) -> Any:
    from ..methods.averaged import averaged_descent

    numbers = {name: getattr(part, name) for name in ("damping", "memory", "refresh", "momentum")}
    return averaged_descent(part.learning_rate, metric, **numbers, **more)


class Kfac(Kronecker):
    """K-FAC's direction, with momentum."""

    added = ("inverse",)
    name: Literal["kfac"] = "kfac"
    learning_rate: Rate = 0.03
    memory: Memory = 0.95
    refresh: Refresh = 20
    momentum: Momentum = 0.9
    inverse: Literal["diagonal", "tridiagonal"] = Field("diagonal", description="tridiagonal: with neighbouring layers")
    factored: Annotated[bool | None, Only("inverse", ("diagonal",)), Field(description=_FACTORED)] = True
    metric_items: Annotated[Items, Only("inverse", ("diagonal",))] = None

    @model_validator(mode="after")
    def _single_scores(self) -> Self:
        if self.inverse == "tridiagonal" and self.metric == "exact":
            raise ValueError("metric exact is not used with inverse tridiagonal; choose sampled or empirical.")
        return self

    def build(self, task: Any) -> Any:
        from ..methods.tridiagonal import TridiagonalFisher

        if self.inverse == "diagonal":
            return _averaged(self, self.fisher(task), factored=self.factored)
        return _averaged(self, TridiagonalFisher(task.network, _TARGETS[self.metric]))


class Foof(Optimizer):
    """The second moments of the inputs of the layers, without those of the scores, with momentum."""

    cites = ("Benzing2022",)
    name: Literal["foof"] = "foof"
    learning_rate: Rate = 0.03
    damping: Damping = 0.03
    memory: Memory = 0.95
    refresh: Refresh = 20
    momentum: Momentum = 0.9
    metric_items: Items = None

    def build(self, task: Any) -> Any:
        from ..methods.fisher import KroneckerFisher

        metric = KroneckerFisher(task.network, outputs=False, items=self.metric_items)
        return _averaged(self, metric, factored=False)


class KldWrmSo(Kronecker):
    """KLD-WRM with a linear model of the loss."""

    cites = ("Puiu2022", "Martens2015")
    name: Literal["kld_wrm_so"] = "kld_wrm_so"
    learning_rate: Rate = 0.03
    memory: Memory = 0.33
    refresh: Refresh = 1

    def build(self, task: Any) -> Any:
        from ..methods.kld_wrm_linear import kld_wrm_so

        rate, fisher = self.learning_rate, self.fisher(task)
        return kld_wrm_so(rate, fisher, rho=self.memory, damping=self.damping, refresh=self.refresh)


class KldWrmQ(Kronecker):
    """KLD-WRM with a quadratic model of the loss, or with the divergences themselves."""

    cites = ("Puiu2022", "Martens2015")
    name: Literal["kld_wrm_q", "kld_wrm_qe"] = "kld_wrm_q"
    learning_rate: Rate = 0.2
    damping: Damping = 3e-3
    memory: Memory = 0.33
    clip: float = Field(0.03, gt=0, description="longest step: the square of its length in the metric")

    def build(self, task: Any) -> Any:
        from ..methods.kld_wrm import kld_wrm_q

        network = task.network if self.name == "kld_wrm_qe" else None
        rate, fisher = self.learning_rate, self.fisher(task)
        return kld_wrm_q(rate, fisher, network=network, rho=self.memory, damping=self.damping, clip=self.clip)


class KldWrmQe(KldWrmQ):
    """KLD-WRM with the divergences themselves."""

    name: Literal["kld_wrm_qe"] = "kld_wrm_qe"
    learning_rate: Rate = 0.1
    damping: Damping = 0.01
    memory: Memory = 0.5
