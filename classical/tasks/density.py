"""The spec of densities."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from qnat.experiment.console import note
from qnat.experiment.words.parts import Part
from qnat.experiment.words.spec import RunSpec
from qnat.experiment.words.values import COUNTS

from ..data.headers import digest_of
from ..data.tables import table_source

Prior = Field(
    0.0, ge=0, description="rows of the variance of the data that a covariance counts beside its own: keeps it from zero"
)


class GaussianMixture(Part):
    """Normal distributions of which a row has one."""

    cites = ("Dempster1977", "Ghahramani1993")
    name: Literal["gmm"] = "gmm"
    components: int = Field(3, ge=1, lt=COUNTS, description="distributions of the mixture")
    covariance: Literal["full", "diagonal", "spherical", "tied"] = Field("full", description="of a component, or of all")
    prior: float = Prior

    def build(self, data: Any) -> Any:
        from ..problems.components import gaussian_mixture

        return gaussian_mixture(data, self.components, self.covariance, self.prior)


class FactorAnalysis(Part):
    """Linear in a hidden vector, a noise for every column."""

    cites = ("Rubin1982",)
    name: Literal["fa"] = "fa"
    dimension: int = Field(2, ge=1, lt=COUNTS, description="numbers of the hidden vector")
    prior: float = Prior
    isotropic: ClassVar[bool] = False

    def build(self, data: Any) -> Any:
        from ..problems.factors import factor_analysis

        return factor_analysis(data, self.dimension, self.prior, isotropic=self.isotropic)


class Ppca(FactorAnalysis):
    """Probabilistic principal components: one noise for all columns."""

    cites = ("Tipping1999",)
    name: Literal["ppca"] = "ppca"  # type: ignore[assignment]
    isotropic: ClassVar[bool] = True


class HiddenMarkov(Part):
    """A hidden state a row, which depends on that of the row before."""

    cites = ("Baum1970",)
    name: Literal["hmm"] = "hmm"
    states: int = Field(3, ge=1, lt=COUNTS, description="hidden states")
    emission: Literal["full", "diagonal", "spherical", "tied", "categorical"] = Field(
        "full", description="of a row given its state: a normal distribution of that covariance, or symbols 0, 1, …"
    )
    prior: float = Prior

    def build(self, data: Any) -> Any:
        from ..problems.components import hidden_markov

        return hidden_markov(data, self.states, self.emission, self.prior)


class LinearDynamical(Part):
    """A hidden vector that moves linearly from row to row."""

    cites = ("Shumway1982",)
    name: Literal["lds"] = "lds"
    dimension: int = Field(2, ge=1, lt=COUNTS, description="numbers of the hidden vector")
    prior: float = Prior

    def build(self, data: Any) -> Any:
        from ..problems.factors import linear_dynamical

        return linear_dynamical(data, self.dimension, self.prior)


class Em(Part):
    """Expectation maximisation; with batches its online form."""

    cites = ("Dempster1977", "Cappe2009")
    name: Literal["em"] = "em"
    batch: int | None = Field(None, ge=1, lt=COUNTS, description="rows that a step sees, about; all, unless given")
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


_SEQUENTIAL = ("hmm", "lds")


class DensitySpec(RunSpec):
    """Fit a density to rows of numbers, some of which may be missing, by maximum likelihood.

    Log-likelihoods are in nats, means over rows. Entries are missing at random where they are empty, NA or NaN.
    """

    task_name: ClassVar[str] = "density"
    titled = ("data", "density", "components", "states", "dimension", "covariance", "emission", "process")
    trains = "classical.problems.density:DensityTask"

    data: str = Field(
        "iris",
        description="iris, wine, diabetes, or the path of a text of one row an item, values apart by commas, tabs or "
        "blanks, below a line of names or not, or of a .npy file",
    )
    columns: str | None = Field(None, description="names or numbers of the columns to fit, with commas (default all)")
    weight: str | None = Field(None, description="the column of weights of the rows")
    sequence: str | None = Field(
        None, description="the column that says to which sequence a row belongs, for hmm and lds (default one sequence)"
    )
    density: GaussianMixture | FactorAnalysis | Ppca | HiddenMarkov | LinearDynamical = GaussianMixture()
    process: Em = Em()
    steps: int = Field(200, ge=0, description="steps of the process")
    every: int = Field(10, ge=1, lt=COUNTS, description="steps between evaluations")

    @model_validator(mode="after")
    def _density(self) -> Self:
        table_source(self.data)
        sequential = self.density.name in _SEQUENTIAL
        if self.sequence is not None and not sequential:
            raise ValueError(f"sequence is not used with density {self.density.name}; leave it out, or choose hmm or lds.")
        if self.weight is not None and sequential:
            raise ValueError(f"weight is of rows that are independent; leave it out with density {self.density.name}.")
        if self.batch is not None and sequential:
            raise ValueError(f"batch is of rows that are independent; leave it out with density {self.density.name}.")
        if self.decay is None:
            self._set(decay=0.6 if self.batch else 0.0)
        if self.batch is None and (self.rate != 1 or self.decay):
            raise ValueError("rate and decay average over batches; give batch, or leave them out.")
        return self

    def record(self) -> dict[str, Any]:
        """As of every spec, and a digest of data in a file, by which a folder knows them."""
        return super().record() | digest_of(table_source(self.data))

    def _density_of_data(self) -> Any:
        from ..problems.latent import centred

        return self.density.build(centred(self._table(), chunk=self.batch))

    def _table(self) -> Any:
        from ..data.tables import table

        return table(self.data, columns=self.columns, weight=self.weight, sequence=self.sequence)

    def check_data(self) -> None:
        self._density_of_data()
        if dropped := self._table().dropped:
            note(f"{dropped} rows of which all values are missing are left out.")

    def task(self, previous: Any = None) -> Any:
        """The log-likelihood of the density on the data."""
        from ..problems.density import DensityTask

        return DensityTask(self._density_of_data(), batched=self.batch is not None)

    def transform(self, task: Any) -> Any:
        return self.process.build(task)
