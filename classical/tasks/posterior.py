"""The spec of posteriors."""

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from qnat.experiment.words.spec import RunSpec
from qnat.experiment.words.values import COUNTS

from ..data.headers import digest_of, table_source
from . import inferences, likelihoods

_SERIES = {"garch": "the column of returns", "har": "those of open, high, low, close"}
"""Models of a series, and its columns."""


class PosteriorSpec(RunSpec):
    """Infer the parameters of a regression or a volatility from data: a density, or draws of chains.

    Inputs have mean 0 and variance 1, and so have responses of models linear and har and returns of model garch;
    parameters are in these units. ELBO and loss are in nats.
    """

    task_name: ClassVar[str] = "posterior"
    titled = ("data", "model", "prior", "process", "covariance", "shape")
    trains = "classical.problems.posterior:PosteriorTask"

    data: str = Field(
        "breast_cancer",
        description="breast_cancer, diabetes, iris, wine, or the path of a text of one row an item, values apart by "
        "commas, tabs or blanks, below a line of names or not, or of a .npy file",
    )
    target: str | None = Field(None, description="name or number of the column of the response (default the last one)")
    columns: str | None = Field(
        None,
        description="names or numbers of the inputs, or of the returns of garch, with commas (default all others); of "
        "har those of open, high, low, close (default what is called so)",
    )
    model: (
        likelihoods.Logistic
        | likelihoods.Probit
        | likelihoods.Poisson
        | likelihoods.Linear
        | likelihoods.Garch
        | likelihoods.Har
    ) = likelihoods.Logistic()
    prior: likelihoods.Normal | likelihoods.Flat = likelihoods.Normal()
    process: (
        inferences.Qbvi | inferences.Cvi | inferences.Sngd | inferences.Advi | inferences.Laplace | inferences.Nuts
    ) = inferences.Qbvi()
    steps: int = Field(300, ge=0, description="steps of the process (300 of qbvi, others have their own)")
    every: int = Field(10, ge=1, lt=COUNTS, description="steps between evaluations")

    @model_validator(mode="after")
    def _posterior(self) -> Self:
        table_source(self.data)
        if self.target is not None and self.model.name in _SERIES:
            raise ValueError(
                f"target is not used with model {self.model.name}; give {_SERIES[self.model.name]} with columns."
            )
        if self.shape == "student_t" and self.model.name not in ("logistic", "probit"):
            raise ValueError(
                f"shape student_t has an infinite loss with model {self.model.name}, whose likelihood falls faster "
                "than the tails of Student's t; choose another shape."
            )
        if self.covariance == "block" and self.block_size is None:
            self._set(block_size=2)
        if self.process.name == "qbvi":
            self._check_draws()
        if "steps" not in self.model_fields_set:
            self._set(steps=self.process.steps)
        return self

    def _check_draws(self) -> None:
        count = self.samples
        least = 4 if self.draws != "independent" else 2
        if self.baseline != "none" and count < least:
            raise ValueError(
                f"samples is {count}, and a leave-one-out baseline needs {least} {self.draws} draws or more; give more."
            )
        if self.draws == "antithetic" and count % 2:
            raise ValueError(f"samples is {count}, and antithetic draws come in pairs; give an even number.")
        if self.draws == "sobol" and (count & (count - 1) or count < 4):
            raise ValueError(f"samples is {count}, and Sobol points are a power of two, at least 4; give one.")

    def record(self) -> dict[str, Any]:
        """As of every spec, and a digest of data in a file, by which a folder knows them."""
        return super().record() | digest_of(table_source(self.data))

    def _made(self) -> tuple[Any, Any]:
        """The posterior, and what makes inputs of it of a user's."""
        from ..data.responses import responses, series
        from ..data.volatility import har
        from ..problems.regressions import garch_posterior, regression_posterior

        prior = self.prior.build()
        if self.model.name == "garch":
            return garch_posterior(*series(self.data, self.columns), prior), None
        if self.model.name == "har":
            return regression_posterior("linear", har(self.data, self.columns), prior)
        data = responses(self.data, target=self.target, columns=self.columns)
        return regression_posterior(self.model.name, data, prior)

    def check_data(self) -> None:
        self.transform(self.task())

    def task(self, previous: Any = None) -> Any:
        """The model with its data, and what will stand for its posterior."""
        from ..problems.posterior import PosteriorTask

        posterior, prepared = self._made()
        return PosteriorTask(posterior, self.process.approximation(posterior), prepared)

    def transform(self, task: Any) -> Any:
        return self.process.build(task)
