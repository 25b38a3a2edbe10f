"""The task and the optimiser that a GibbsSpec describes."""

from typing import TYPE_CHECKING, Literal

import optax

from qnat.experiment.task import Task
from qnat.optim import mirror_descent, natural_gradient, proximal_newton, with_rate

from ..ansatz import ansatz
from ..hamiltonians import local_strings, tfim
from ..methods import ThermalTask
from ..models import GibbsFamily, LatentGibbs
from ..pauli import PauliSum

if TYPE_CHECKING:
    from .gibbs import GibbsSpec

# made once, extra arguments included: a jitted loop knows a transform by its identity, and compiles anew for another
_ADAM = optax.with_extra_args_support(optax.scale_by_adam())
_PLAIN = optax.with_extra_args_support(optax.identity())


def hamiltonian(spec: "GibbsSpec") -> PauliSum:
    """The TFIM, or the terms of the file."""
    if spec.terms is not None:
        return PauliSum.from_terms(spec.terms)
    assert spec.rows is not None
    assert spec.columns is not None
    assert spec.coupling is not None
    assert spec.field is not None
    return tfim(spec.rows, spec.columns, coupling=spec.coupling, field=spec.field, periodic=bool(spec.periodic))


def family(spec: "GibbsSpec", operator: PauliSum) -> GibbsFamily:
    """The exponential family of one-qubit and nearest-neighbour two-qubit Paulis and the Hamiltonian's own terms."""
    strings = dict.fromkeys((*local_strings(spec.n, periodic=bool(spec.periodic)), *operator.strings))
    strings.pop("I" * spec.n, None)
    return GibbsFamily(PauliSum.from_strings(tuple(strings)))


def task(spec: "GibbsSpec") -> ThermalTask:
    """The free energy of the model."""
    operator = hamiltonian(spec)
    if spec.model == "gibbs":
        return ThermalTask(family(spec, operator), operator, spec.beta)
    circuit = ansatz(str(spec.ansatz), spec.n, spec.layers or 0)
    return ThermalTask(LatentGibbs(circuit, spec.order or 1), operator, spec.beta)


def transform(spec: "GibbsSpec", problem: Task) -> optax.GradientTransformation:
    """The optimiser, its numbers traced, so that a ladder in β or the rate compiles once."""
    assert isinstance(problem, ThermalTask)
    assert spec.learning_rate is not None
    rate = spec.learning_rate
    if spec.optimizer == "mirror":
        assert isinstance(problem.model, GibbsFamily)
        return mirror_descent(rate, problem.model.mirror)
    if spec.optimizer in ("adam", "sgd"):
        return with_rate(_ADAM if spec.optimizer == "adam" else _PLAIN, rate)
    damping: float | Literal["adaptive"] = spec.damping if isinstance(spec.damping, float) else "adaptive"
    if spec.optimizer == "natural":
        return natural_gradient(rate, problem.metric(spec.metric), damping=damping, trust=spec.trust)
    # BKM is the Hessian of the relative entropy where its arguments coincide
    return proximal_newton(rate, problem.metric("bkm"), damping=damping, trust=spec.trust)
