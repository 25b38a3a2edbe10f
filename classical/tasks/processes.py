"""What fits a density, as parts of a spec."""

from typing import Annotated, Any, Literal

from pydantic import Field

from qnat.experiment.words import optimisers
from qnat.experiment.words.parts import Part
from qnat.experiment.words.values import Rate

MOST = 10_000_000
"""Rows of a step at most."""
Chart = Annotated[
    Literal["standard", "relative", "centred", "ordered", "squared"],
    Field(description="coordinates of the means of gmm"),
]


class Em(Part):
    """Expectation maximisation; with batches its online form."""

    cites = ("Dempster1977", "Cappe2009")
    name: Literal["em"] = "em"
    batch: int | None = Field(None, ge=1, le=MOST, description="rows that a step sees, about; all, unless given")
    rate: float = Field(1.0, gt=0, le=1, description="of the statistics of a step in their average")
    decay: float | None = Field(
        None, ge=0, le=1, description="power of the number of steps by which the rate falls (0; 0.6 with batches)"
    )

    def build(self, task: Any) -> Any:
        """The process; with a rate of 1 that stays, plain expectation maximisation."""
        from qnat.inference import em

        from ..problems.density import falling

        rate = falling(self.rate, self.decay) if self.decay else self.rate
        return em(task.density.model, rate, data=None if task.batched else task.density.data)


class Natural(Part):
    """Natural gradient of gmm by the Fisher metric of whole rows: of draws, or by quadrature for one column."""

    cites = ("Amari1998",)
    name: Literal["natural"] = "natural"
    learning_rate: Rate = 1.0
    chart: Chart = "standard"
    draws: int = Field(1000, ge=1, le=MOST, description="of the model, for a metric of more than one column")

    def build(self, task: Any) -> Any:
        from qnat.optim import natural_gradient

        from ..methods.charted import charted_descent

        chart = task.density.chart(self.chart)
        metric = task.density.fisher(chart, self.draws)
        return charted_descent(task.loss, chart, natural_gradient(self.learning_rate, metric))


class Sngd(Part):
    """Natural gradient of a surrogate, and Adam for what has none."""

    cites = ("So2024", "Kingma2015")
    name: Literal["sngd"] = "sngd"
    learning_rate: Rate | None = Field(
        None, description="of the surrogate (0.3; of counts the best of a thousand up to 1, unless given)"
    )
    auxiliary_rate: Rate = Field(0.05, description="of Adam, for parameters without a surrogate")

    def build(self, task: Any) -> Any:
        from qnat.inference import descend

        from ..methods.sngd import surrogate_descent

        rate = 0.3 if self.learning_rate is None and task.density.data.ndim > 1 else self.learning_rate
        optimizer = surrogate_descent(task.density.target, rate, self.auxiliary_rate)
        return descend(task.value_and_grad, optimizer)


class Adam(optimisers.Adam):
    """Moments of first and second order."""

    chart: Chart = "standard"

    def build(self, task: Any) -> Any:
        from ..methods.charted import charted_descent

        return charted_descent(task.loss, task.density.chart(self.chart), super().build(task))


class Bfgs(Part):
    """Quasi-Newton steps with a line search, in limited memory."""

    cites = ("Liu1989",)
    name: Literal["bfgs"] = "bfgs"
    chart: Chart = "standard"

    def build(self, task: Any) -> Any:
        from qnat.optim.rate import once

        from ..methods.charted import charted_descent

        return charted_descent(task.loss, task.density.chart(self.chart), once("lbfgs"))


class Vgi(Part):
    """Variational Gibbs inference of rows with missing entries."""

    cites = ("Simkus2023", "Kingma2015")
    name: Literal["vgi"] = "vgi"
    learning_rate: Rate = 0.01
    conditional_rate: Rate = Field(0.01, description="of Adam, for the conditionals")
    conditionals: Literal["linear", "network"] = Field(
        "linear", description="normal distributions of an entry given the others; a network has a body of 100-100"
    )
    updates: int = Field(3, ge=1, le=MOST, description="imputations of a row that a step draws anew")
    warmup: int = Field(100, ge=0, le=MOST, description="first steps, for the conditionals alone, on what is seen")
    batch: int | None = Field(None, ge=1, le=MOST, description="rows of a step")

    def build(self, task: Any) -> Any:
        from qnat.optim import with_rate
        from qnat.optim.rate import once

        from ..methods.gibbs_vi import gibbs_vi

        density, adam = task.density, once("scale_by_adam")
        return gibbs_vi(
            density.complete,
            density.chart("standard"),
            density.data,
            with_rate(adam, self.learning_rate),
            with_rate(adam, self.conditional_rate),
            hidden=(100, 100) if self.conditionals == "network" else (),
            updates=self.updates,
            warmup=self.warmup,
            batch=self.batch,
            quadratic=density.quadratic,
        )
