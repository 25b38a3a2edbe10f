"""Densities as parts of a spec."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from qnat.experiment.words.parts import Part

MANY = 10_000
"""Components, states or hidden numbers at most: each has matrices of its own."""
Prior = Field(
    0.0,
    ge=0,
    le=1e6,
    description="rows of the mean and the variances of the data that a component, a state or the noise counts beside "
    "its own: keeps them from zero",
)


class GaussianMixture(Part):
    """Normal distributions of which a row has one."""

    cites = ("Dempster1977", "Ghahramani1993")
    name: Literal["gmm"] = "gmm"
    components: int = Field(3, ge=1, le=MANY, description="distributions of the mixture")
    covariance: Literal["full", "diagonal", "spherical", "tied"] = Field(
        "full", description="of a component, or of all"
    )
    prior: float = Prior

    def build(self, data: Any) -> Any:
        from ..problems.mixtures import gaussian_mixture

        return gaussian_mixture(data, self.components, self.covariance, self.prior)


class FactorAnalysis(Part):
    """Linear in a hidden vector, a noise for every column."""

    cites = ("Rubin1982",)
    name: Literal["fa"] = "fa"
    dimension: int = Field(2, ge=1, le=MANY, description="numbers of the hidden vector")
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
    states: int = Field(3, ge=1, le=MANY, description="hidden states")
    emission: Literal["full", "diagonal", "spherical", "tied", "categorical"] = Field(
        "full", description="of a row given its state: a normal distribution of that covariance, or symbols 0, 1, …"
    )
    prior: float = Prior

    def build(self, data: Any) -> Any:
        from ..problems.markov import hidden_markov

        return hidden_markov(data, self.states, self.emission, self.prior)


class LinearDynamical(Part):
    """A hidden vector that moves linearly from row to row."""

    cites = ("Shumway1982",)
    name: Literal["lds"] = "lds"
    dimension: int = Field(2, ge=1, le=MANY, description="numbers of the hidden vector")
    prior: float = Prior

    def build(self, data: Any) -> Any:
        from ..problems.factors import linear_dynamical

        return linear_dynamical(data, self.dimension, self.prior)


class NegativeBinomial(Part):
    """Counts of a variance above their mean."""

    cites = ("So2024",)
    name: Literal["negative_binomial"] = "negative_binomial"

    def build(self, data: Any) -> Any:
        from ..models.counts import NegativeBinomial
        from ..problems.surrogates import surrogate_density

        return surrogate_density(data, NegativeBinomial(), kind="counts")


class NegativeBinomialMixture(Part):
    """Negative binomials of which a count has one."""

    cites = ("So2024",)
    name: Literal["negative_binomial_mixture"] = "negative_binomial_mixture"
    components: int = Field(2, ge=1, le=MANY, description="distributions of the mixture")

    def build(self, data: Any) -> Any:
        from ..models.counts import NegativeBinomialMixture
        from ..problems.surrogates import surrogate_density

        return surrogate_density(data, NegativeBinomialMixture(self.components), kind="counts")


class SkewNormal(Part):
    """A normal density times the distribution function of a normal one."""

    cites = ("So2024",)
    name: Literal["skew_normal"] = "skew_normal"

    def build(self, data: Any) -> Any:
        from ..models.skew import SkewNormal
        from ..problems.surrogates import surrogate_density

        return surrogate_density(data, SkewNormal())


class SkewNormalMixture(Part):
    """Skew-normal densities of which a row has one."""

    cites = ("So2024",)
    name: Literal["skew_normal_mixture"] = "skew_normal_mixture"
    components: int = Field(2, ge=1, le=MANY, description="distributions of the mixture")

    def build(self, data: Any) -> Any:
        from ..models.skew import SkewNormalMixture
        from ..problems.surrogates import surrogate_density

        return surrogate_density(data, SkewNormalMixture(self.components))


class SkewT(Part):
    """As skew_normal, with the tails of Student's t."""

    cites = ("So2024",)
    name: Literal["skew_t"] = "skew_t"

    def build(self, data: Any) -> Any:
        from ..models.skew import SkewT
        from ..problems.surrogates import surrogate_density

        return surrogate_density(data, SkewT())


class TCopula(Part):
    """How the ranks of columns depend on each other."""

    cites = ("So2024",)
    name: Literal["t_copula"] = "t_copula"

    def build(self, data: Any) -> Any:
        from ..models.copula import TCopula
        from ..problems.surrogates import surrogate_density

        return surrogate_density(data, TCopula(), kind="ranks")
