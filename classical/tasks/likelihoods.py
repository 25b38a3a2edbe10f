"""Models of a response, and their priors, as parts of a spec."""

from typing import Any, Literal

from pydantic import Field

from qnat.experiment.words.parts import Part


class Logistic(Part):
    """Labels 0 and 1, of log-odds linear in the inputs."""

    name: Literal["logistic"] = "logistic"


class Probit(Part):
    """Labels 0 and 1, by the distribution function of a normal variable."""

    name: Literal["probit"] = "probit"


class Poisson(Part):
    """Counts, the logarithm of their mean linear in the inputs."""

    name: Literal["poisson"] = "poisson"


class Linear(Part):
    """Numbers, normal about what is linear in the inputs, their noise a parameter."""

    name: Literal["linear"] = "linear"


class Garch(Part):
    """Returns, whose variance follows those before, GARCH(1,1)."""

    cites = ("Bollerslev1986",)
    name: Literal["garch"] = "garch"


class Har(Part):
    """Daily log variances of a price, from its open, high, low and close, linear in those of day, week and month."""

    cites = ("Corsi2009", "Garman1980")
    name: Literal["har"] = "har"


class Normal(Part):
    """Independent and normal."""

    name: Literal["normal"] = "normal"
    prior_mean: float = Field(0.0, ge=-1e100, le=1e100, description="of every parameter")
    prior_deviation: float = Field(1.0, ge=1e-100, le=1e100, description="standard deviation of every parameter")

    def build(self) -> Any:
        from ..problems.regressions import Prior

        return Prior(self.prior_mean, self.prior_deviation)


class Flat(Part):
    """Every value as likely as any other."""

    name: Literal["flat"] = "flat"

    def build(self) -> Any:
        from ..problems.regressions import Prior

        return Prior(deviation=None)
