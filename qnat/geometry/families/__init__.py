"""Exponential families p(x) = h(x) exp(⟨θ, t(x)⟩ − A(θ)): mirror maps whose points are distributions.

The natural parameters θ are the primal, the mean parameters E[t] the dual coordinates; the Hessian of A is the Fisher
metric, its Bregman divergence Kullback–Leibler. Where θ is an array of any shape, its entries are independent
variables. A finite family with any statistics is `LogPartition`.

At the border of their means families have a point at infinity where there is a distribution: a bit that is always 0
has θ = −∞. `log_prob`, `kl` and `entropy` are finite there as far as they should be. Means of no distribution are NaN
in natural parameters; outside jit they are refused. An x that is not in the domain, such as a count of −1, is not
checked.

Charts are exact up to the rounding of the numbers that they are given, and say where these hold few digits. `kl` and
`entropy` are differences, and exact up to the rounding of 1 + ∣⟨θ, E[t]⟩∣ + ∣A(θ)∣.

Reference: S. Amari, H. Nagaoka, Methods of Information Geometry (2000), ch. 3.
"""

from .base import AbstractExponentialFamily
from .circular import VonMises
from .discrete import Bernoulli, Categorical, Poisson
from .gaussian import Gaussian, Normal
from .positive import Exponential, Gamma, InverseGamma
from .simplex import Beta, Dirichlet
from .structured_gaussians import BlockGaussian, DiagonalGaussian, IsotropicGaussian
from .wishart import Wishart

__all__ = [
    "AbstractExponentialFamily",
    "Bernoulli",
    "Beta",
    "BlockGaussian",
    "Categorical",
    "DiagonalGaussian",
    "Dirichlet",
    "Exponential",
    "Gamma",
    "Gaussian",
    "InverseGamma",
    "IsotropicGaussian",
    "Normal",
    "Poisson",
    "VonMises",
    "Wishart",
]
