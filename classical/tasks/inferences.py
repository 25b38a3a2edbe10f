"""How a posterior is inferred, as parts of a spec."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from qnat.experiment.words.parts import Only, Part
from qnat.experiment.words.values import Rate

MANY = 10_000_000
Covariance = Annotated[
    Literal["full", "diagonal", "isotropic", "block"], Field(description="of the Gaussian: what may differ from zero")
]
BlockSize = Annotated[
    int | None,
    Only("covariance", ("block",)),
    Field(ge=1, le=MANY, description="parameters of a block, which follow each other (2)"),
]
Retraction = Annotated[
    Literal["second_order", "multiplicative", "additive"],
    Field(description="from a step of the precision to a precision"),
]
Samples = Annotated[int, Field(ge=1, le=MANY, description="draws of a step")]
Share = Annotated[float, Field(gt=0, le=1, description="b: the part of a whole natural-gradient step that is taken")]


class Inference(Part):
    """What infers; `steps`: how many suit it."""

    steps: ClassVar[int] = 300

    def approximation(self, posterior: Any) -> Any:
        """What will stand for the posterior: a Gaussian of any covariance, unless it says otherwise."""
        from qnat.geometry.families import Gaussian

        from ..models.approximations import GaussianApproximation

        return GaussianApproximation(Gaussian())


class Structured(Inference):
    """What infers a Gaussian of a chosen covariance."""

    covariance: Covariance = "full"
    block_size: BlockSize = None
    retraction: Retraction = "second_order"

    def approximation(self, posterior: Any) -> Any:
        from ..models.approximations import structured

        return structured(self.covariance, posterior.size, self.block_size or 2)


class Qbvi(Structured):
    """Natural gradients from values of the log density alone."""

    cites = ("Magris2022", "Khan2017", "Lin2020")
    name: Literal["qbvi"] = "qbvi"
    share: Share = 0.05
    samples: Samples = 2000
    draws: Literal["antithetic", "independent", "sobol"] = Field(
        "antithetic", description="in pairs about the mean, each for itself, or evenly spread (a power of two)"
    )
    baseline: Literal["leave_one_out", "none"] = Field(
        "leave_one_out", description="what is taken off a value: the mean of those independent of it, or nothing"
    )

    def build(self, task: Any) -> Any:
        from qnat.inference.expectation import Score

        from ..methods.variational import qbvi

        kinds = {"antithetic": self.draws == "antithetic", "sobol": self.draws == "sobol"}
        estimator = Score(self.samples, leave_one_out=self.baseline != "none", **kinds)
        family = task.approximation.family
        return qbvi(task.posterior.energy, family, self.share, estimator=estimator, retraction=self.retraction)


class Cvi(Structured):
    """Natural gradients from gradients and Hessians."""

    cites = ("Khan2017", "Lin2020")
    steps = 200
    name: Literal["cvi"] = "cvi"
    share: Share = 0.1
    samples: Samples = 50

    def build(self, task: Any) -> Any:
        from qnat.inference.expectation import Pathwise

        from ..methods.variational import cvi

        estimator = Pathwise(self.samples, antithetic=self.samples % 2 == 0)
        family = task.approximation.family
        return cvi(task.posterior.energy, family, self.share, estimator=estimator, retraction=self.retraction)


class Sngd(Inference):
    """Natural gradients of Gaussians that stand for skew, heavy-tailed or mixed densities."""

    cites = ("So2024", "Lin2019", "Lin2020", "Kingma2015")
    steps = 600
    name: Literal["sngd"] = "sngd"
    shape: Literal["normal", "skew_normal", "student_t"] = Field(
        "skew_normal", description="of the density, or of every component of a mixture"
    )
    components: int = Field(1, ge=1, le=MANY, description="densities of the mixture")
    share: Share = 0.1
    auxiliary_rate: Rate = Field(0.05, description="of Adam, for what bends a Gaussian")
    samples: Samples = 200

    def approximation(self, posterior: Any) -> Any:
        from ..models.shaped_approximation import ShapedApproximation
        from ..models.shapes import SHAPES

        return ShapedApproximation(SHAPES[self.shape](), self.components)

    def build(self, task: Any) -> Any:
        from ..methods.surrogate_vi import surrogate_vi

        return surrogate_vi(
            task.posterior.energy,
            task.approximation,
            self.share,
            auxiliary_rate=self.auxiliary_rate,
            samples=self.samples,
        )


class Advi(Inference):
    """Adam on the mean and the root of the covariance."""

    cites = ("Kucukelbir2017", "Kingma2015")
    steps = 5000
    name: Literal["advi"] = "advi"
    covariance: Literal["full", "diagonal"] = Field("full", description="of the Gaussian")
    learning_rate: Rate = 0.003
    samples: Samples = 50

    def approximation(self, posterior: Any) -> Any:
        from ..models.approximations import structured

        return structured(self.covariance, posterior.size, 1)

    def build(self, task: Any) -> Any:
        from ..methods.advi import advi

        return advi(task.posterior.energy, task.approximation.family, self.learning_rate, samples=self.samples)


class Laplace(Inference):
    """A Gaussian about the mode."""

    cites = ("Tierney1986", "Liu1989")
    steps = 100
    name: Literal["laplace"] = "laplace"

    def build(self, task: Any) -> Any:
        from ..methods.laplace import laplace

        return laplace(task.posterior.energy)


class Nuts(Inference):
    """Markov chains without U-turns, by blackjax."""

    cites = ("Hoffman2014",)
    steps = 1000
    name: Literal["nuts"] = "nuts"
    chains: int = Field(4, ge=2, le=1000, description="that run side by side in a seed")
    warm_up: int = Field(500, ge=20, le=MANY, description="transitions that find the length of steps, not kept")

    def approximation(self, posterior: Any) -> Any:
        from ..models.approximations import ChainApproximation

        return ChainApproximation(self.chains)

    def build(self, task: Any) -> Any:
        from qnat.inference.nuts import nuts

        return nuts(task.posterior.energy, warm_up=self.warm_up)
