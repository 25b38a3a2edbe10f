"""The spec of densities."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from qnat.experiment.console import note
from qnat.experiment.errors import RefusedError
from qnat.experiment.words.flat import choices, fold
from qnat.experiment.words.spec import RunSpec
from qnat.experiment.words.values import COUNTS, Precision

from ..data.headers import digest_of, table_source
from . import densities, processes

_SEQUENTIAL = ("hmm", "lds")
_LATENT = ("fa", "ppca", *_SEQUENTIAL)


def _processes(density: str) -> tuple[str, ...]:
    """What fits a density, the default first."""
    if density == "gmm":
        return "em", "natural", "adam", "bfgs", "vgi"
    if density in _SEQUENTIAL:
        return ("em",)
    return ("em", "vgi") if density in _LATENT else ("sngd", "adam", "bfgs")


def _completed(values: Any) -> Any:
    """The words with the process that goes with the density, if none is given."""
    if not isinstance(values, Mapping) or values.get("process") is not None:
        return values
    density = values.get("density")
    name = density.get("name") if isinstance(density, Mapping) else getattr(density, "name", density)
    surrogate = (
        isinstance(name, str) and name in choices(DensitySpec)["density"] and name != "gmm" and name not in _LATENT
    )
    return {**values, "process": "sngd"} if surrogate else values


class DensitySpec(RunSpec):
    """Fit a density to rows of numbers, some of which may be missing, by maximum likelihood.

    Log-likelihoods are in nats, means over rows. Entries are missing at random where they are empty, NA, NaN or ?.
    """

    task_name: ClassVar[str] = "density"
    titled = ("data", "density", "components", "states", "dimension", "covariance", "emission", "process")
    trains = "classical.problems.density:DensityTask"
    added = ("precision",)

    data: str = Field(
        "iris",
        description="iris, wine, diabetes, breast_cancer, or the path of a text of one row an item, values apart by "
        "commas, semicolons, tabs or blanks, below a line of names or not, or of a .npy file",
    )
    columns: str | None = Field(None, description="names or numbers of the columns to fit, with commas (default all)")
    weight: str | None = Field(None, description="the column of weights of the rows, or of their sequences")
    sequence: str | None = Field(
        None, description="the column that says to which sequence a row belongs, for hmm and lds (default one sequence)"
    )
    density: (
        densities.GaussianMixture
        | densities.FactorAnalysis
        | densities.Ppca
        | densities.HiddenMarkov
        | densities.LinearDynamical
        | densities.NegativeBinomial
        | densities.NegativeBinomialMixture
        | densities.SkewNormal
        | densities.SkewNormalMixture
        | densities.SkewT
        | densities.TCopula
    ) = densities.GaussianMixture()
    process: processes.Em | processes.Natural | processes.Sngd | processes.Adam | processes.Bfgs | processes.Vgi = (
        processes.Em()
    )
    precision: Precision = "double"
    steps: int = Field(200, ge=0, description="steps of the process")
    every: int = Field(10, ge=1, lt=COUNTS, description="steps between evaluations")

    @model_validator(mode="before")
    @classmethod
    def _fold(cls, values: Any) -> Any:
        return fold(cls, _completed(values))

    @classmethod
    def unused(cls, values: Mapping[str, Any]) -> dict[str, str]:
        return super().unused(_completed(values))

    @model_validator(mode="after")
    def _density(self) -> Self:
        table_source(self.data)
        sequential = self.density.name in _SEQUENTIAL
        self._check_process()
        if self.sequence is not None and not sequential:
            raise ValueError(
                f"sequence is not used with density {self.density.name}; leave it out, or choose hmm or lds."
            )
        if self.batch is not None and sequential:
            raise ValueError(f"batch is of rows that are independent; leave it out with density {self.density.name}.")
        if self.process.name == "em":
            if self.decay is None:
                self._set(decay=0.6 if self.batch else 0.0)
            if self.batch is None and (self.rate != 1 or self.decay):
                raise ValueError("rate and decay average over batches; give batch, or leave them out.")
        return self

    def _check_process(self) -> None:
        """Refuses a process that the density does not have, and a chart."""
        density, process = self.density.name, self.process.name
        if process not in (wanted := _processes(density)):
            raise ValueError(f"process {process} is not one of density {density}; choose {' or '.join(wanted)}.")
        if density != "gmm" and self.chart not in (None, "standard"):
            raise ValueError(f"chart {self.chart} is one of the means of gmm; leave it out with density {density}.")

    def cited(self) -> tuple[str, ...]:
        return (*super().cited(), *(("Esser2022",) if self.chart not in (None, "standard") else ()))

    def record(self) -> dict[str, Any]:
        """As of every spec, and a digest of data in a file, by which a folder knows them."""
        return super().record() | digest_of(table_source(self.data))

    def _density_of_data(self) -> Any:
        from ..problems.densities import centred

        found = self.density.build(centred(self._table(), chunk=self._chunk))
        if self.process.name == "vgi":
            self._check_holes(found)
        return found

    @property
    def _chunk(self) -> int | None:
        """Rows of a batch that the problem feeds: those of `vgi` are drawn by itself, as it keeps what it imputes."""
        return self.batch if self.process.name == "em" else None

    def _check_holes(self, density: Any) -> None:
        if not density.data.missing.any():
            raise RefusedError("No entry of the data is missing, and vgi imputes such entries; choose process em.")
        if self.batch is not None and self.batch > (count := len(density.data.place)):
            raise RefusedError(f"batch is {self.batch}, and the data have {count} rows; choose fewer.")

    def _table(self) -> Any:
        from ..data.tables import table

        given = {"columns": self.columns, "weight": self.weight, "sequence": self.sequence}
        return table(self.data, **given, ordered=self.density.name in _SEQUENTIAL)

    def check_data(self) -> None:
        self._density_of_data()
        if dropped := self._table().dropped:
            note(f"Rows left out because all their values are missing or their weight is 0: {dropped}.")

    def task(self, previous: Any = None) -> Any:
        """The log-likelihood of the density on the data."""
        from ..problems.density import DensityTask

        return DensityTask(self._density_of_data(), batched=self._chunk is not None)

    def transform(self, task: Any) -> Any:
        return self.process.build(task)
