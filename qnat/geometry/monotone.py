"""The Petz family of monotone metrics, as even kernels in logarithmic coordinates.

Every monotone metric reads g(dρ, dρ) = Σ c_f(pₓ, p_y) |⟨x|dρ|y⟩|² in the eigenbasis of ρ. Its Morozova–Chentsov
function is c_f(x, y) = k_f(log x − log y)/√(xy), with k_f even and k_f(0) = 1: on commuting states every metric is the
classical Fisher metric. SLD here is therefore the quantum Fisher information, four times Fubini–Study.

Eigenvalues enter by their logarithms, and only sums of logarithms are exponentiated: no overflow, no cancellation.
The metrics are ordered, SLD ≤ Wigner–Yanase ≤ BKM ≤ geometric ≤ harmonic.

Reference: Petz, Monotone metrics on matrix spaces, Linear Algebra Appl. 244 (1996) 81.
"""

import functools
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from .hermitian import log_sinhc


class Kernel(eqx.Module):
    """An even function r ↦ k(r) with k(0) = 1, r a difference of log-eigenvalues.

    Calling it gives k(r). `log` gives log k(r), which is what is stored: it is finite where k itself is 0 or infinite.

    Attributes:
        log_kernel: r ↦ log k(r), elementwise. name: what `kernel` calls it.
    """

    log_kernel: Callable[[Array], Array] = eqx.field(static=True)
    name: str = eqx.field(static=True)

    def __call__(self, r: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
        return jnp.exp(self.log(r))

    def log(self, r: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
        return self.log_kernel(jnp.asarray(r))

    def __repr__(self) -> str:
        return f"Kernel({self.name!r})"


Kind = str | Kernel | Callable[[Array], Array]


def _log_cosh(u: Array) -> Array:
    return jnp.logaddexp(u, -u) - float(np.log(2.0))


def _log_sld(r: Array) -> Array:
    return -_log_cosh(r / 2)


def _log_wigner_yanase(r: Array) -> Array:
    return -2 * _log_cosh(r / 4)


def _log_bkm(r: Array) -> Array:
    return -log_sinhc(r / 2)


def _log_harmonic(r: Array) -> Array:
    return _log_cosh(r / 2)


def _log_wyd(r: Array, p: float) -> Array:
    # sinh(pr/2) sinh((1−p)r/2) / (p(1−p) sinh²(r/2)); written with sinh(u)/u, p = 0 and p = 1 are no exceptions
    return log_sinhc(p * r / 2) + log_sinhc((1 - p) * r / 2) - 2 * log_sinhc(r / 2)


def _log_sandwiched(r: Array, a: float) -> Array:
    # sinh((a−1)r/2a) / ((a−1) sinh(r/2a)); the same holds for a = 1
    return log_sinhc((a - 1) / a * r / 2) - log_sinhc(r / (2 * a))


def _log_of(r: Array, fn: Callable[[Array], Array]) -> Array:
    return jnp.log(fn(r))


sld = Kernel(_log_sld, "sld")  # f(t) = (1+t)/2: Bures, Helstrom, quantum Fisher information
wigner_yanase = Kernel(_log_wigner_yanase, "wigner_yanase")  # f(t) = (1+√t)²/4
bkm = Kernel(_log_bkm, "bkm")  # f(t) = (t−1)/log t: Bogoliubov, Kubo, Mori; Hessian of relative entropy
geometric = Kernel(jnp.zeros_like, "geometric")  # f(t) = √t
harmonic = Kernel(_log_harmonic, "harmonic")  # f(t) = 2t/(1+t): real part of the right logarithmic derivative metric


@functools.cache  # the same p is the same object, so that a metric made of it does not recompile
def wyd(p: float) -> Kernel:
    """Wigner–Yanase–Dyson kernel, −1 ≤ p ≤ 2: Wigner–Yanase at ½, BKM at 0 and 1, harmonic at −1 and 2.

    Reference: Hasegawa, α-divergence of the non-commutative information geometry, Rep. Math. Phys. 33 (1993) 87.
    """
    if not -1 <= p <= 2:
        raise ValueError(f"The Wigner-Yanase-Dyson metric is monotone for -1 <= p <= 2; p is {p}.")
    return Kernel(functools.partial(_log_wyd, p=float(p)), f"wyd:{p:g}")


@functools.cache
def sandwiched(a: float) -> Kernel:
    """Kernel of the sandwiched Rényi divergence of order a > 0, divided by a: SLD at ½, BKM at 1, geometric at 2.

    Monotone for a ≥ ½. For a < ½ it is not: its metric lies below SLD, and some channels increase it.

    Reference: Müller-Lennert et al., On quantum Rényi entropies, J. Math. Phys. 54 (2013) 122203.
    """
    if not 0 < a < np.inf:
        raise ValueError(f"The sandwiched Renyi metric has an order a > 0; a is {a}.")
    return Kernel(functools.partial(_log_sandwiched, a=float(a)), f"sandwiched:{a:g}")


_NAMED = {k.name: k for k in (bkm, sld, wigner_yanase, geometric, harmonic)}
_FAMILIES = {"wyd": wyd, "sandwiched": sandwiched}


def kernel(kind: Kind) -> Kernel:
    """Resolve "bkm", "sld", "wigner_yanase", "geometric", "harmonic", "wyd:p", "sandwiched:a", a Kernel or r ↦ k(r).

    A function of your own must be even with k(0) = 1; `laws.check_kernel` tells.

    Raises:
        ValueError: an unknown name, or a parameter out of range.
        TypeError: neither a name nor a function.
    """
    if isinstance(kind, Kernel):
        return kind
    if isinstance(kind, str):
        return _named(kind)
    if callable(kind):
        return Kernel(functools.partial(_log_of, fn=kind), getattr(kind, "__name__", repr(kind)))
    raise TypeError(f"A metric kind is a name, a Kernel or a function r -> k(r), not {kind!r}.")


def _named(kind: str) -> Kernel:
    if kind in _NAMED:
        return _NAMED[kind]
    family, _, parameter = kind.partition(":")
    if family in _FAMILIES:
        try:
            value = float(parameter)
        except ValueError:
            raise ValueError(f"{kind!r} wants a number after the colon, such as '{family}:0.75'.") from None
        return _FAMILIES[family](value)
    valid = ", ".join([*_NAMED, "wyd:p", "sandwiched:a"])
    raise ValueError(f"Unknown metric kind {kind!r}. Valid kinds: {valid}.")
