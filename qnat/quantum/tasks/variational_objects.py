"""The model and the optimiser that a VariationalSpec describes."""

from typing import Literal, Protocol

import optax

from qnat.geometry.metric import AbstractMetric
from qnat.optim import mirror_descent, natural_gradient, proximal_newton, qbang, qn_spsa, with_rate

from ..circuits.ansatz import ansatz, hva
from ..models import ApproximateMetric, GibbsFamily, LatentGibbs, LatentMetric, NetworkEnergy
from ..operators.hamiltonians import local_strings
from ..operators.pauli import PauliSum
from .variational import VariationalSpec

# made once, extra arguments included: a jitted loop knows a transform by its identity, and compiles anew for another
_ADAM = optax.with_extra_args_support(optax.scale_by_adam())
_PLAIN = optax.with_extra_args_support(optax.identity())


class Variational(Protocol):
    """A task over the states of a model."""

    model: LatentGibbs | GibbsFamily

    def metric(self, kind: str) -> AbstractMetric:
        """The monotone metric of that kind."""


def family(spec: VariationalSpec, operator: PauliSum) -> GibbsFamily:
    """The exponential family of one-qubit and nearest-neighbour two-qubit Paulis and the Hamiltonian's own terms."""
    strings = dict.fromkeys((*local_strings(spec.n, periodic=bool(spec.periodic)), *operator.strings))
    strings.pop("I" * spec.n, None)
    return GibbsFamily(PauliSum.from_strings(tuple(strings)))


def model(spec: VariationalSpec, operator: PauliSum) -> LatentGibbs | GibbsFamily:
    """The family of states."""
    if spec.model == "gibbs":
        return family(spec, operator)
    layers = spec.layers or 0
    circuit = hva(operator, layers) if spec.ansatz == "hva" else ansatz(str(spec.ansatz), spec.n, layers)
    if spec.latent == "mlp":
        return LatentGibbs(circuit, NetworkEnergy(spec.n, spec.hidden or 1))
    return LatentGibbs(circuit, order=spec.order or 1)


def transform(spec: VariationalSpec, problem: Variational) -> optax.GradientTransformation:
    """The optimiser, its numbers traced, so that a ladder in β or the rate compiles once."""
    assert spec.learning_rate is not None
    rate = spec.learning_rate
    if spec.optimizer == "mirror":
        assert isinstance(problem.model, GibbsFamily)
        return mirror_descent(rate, problem.model.mirror)
    if spec.optimizer in ("adam", "sgd"):
        return with_rate(_ADAM if spec.optimizer == "adam" else _PLAIN, rate)
    if spec.optimizer == "qbang":
        return qbang(rate, problem.metric(str(spec.metric)))
    if spec.optimizer == "qn_spsa":
        return qn_spsa(rate, problem.model.relative_entropy)
    damping = damping_of(spec)
    if spec.optimizer == "natural":
        return natural_gradient(rate, _metric(spec, problem), damping=damping, trust=spec.trust)
    # BKM is the Hessian of the relative entropy where its arguments coincide
    return proximal_newton(rate, problem.metric("bkm"), damping=damping, trust=spec.trust)


def damping_of(spec: VariationalSpec) -> float | Literal["adaptive"]:
    """The damping that was asked for."""
    return spec.damping if isinstance(spec.damping, float) else "adaptive"


def _metric(spec: VariationalSpec, problem: Variational) -> AbstractMetric:
    """The metric, or what is left of it in blocks; a block of the latent alone is Fisher's for every kind."""
    full = problem.metric(spec.metric or "sld")
    if spec.blocks is None or spec.blocks == "full":
        return full
    assert isinstance(full, LatentMetric)
    return ApproximateMetric(full, spec.blocks)
