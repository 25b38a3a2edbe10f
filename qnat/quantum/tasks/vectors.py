"""What a spec needs to train with vectors in place of density matrices: defaults, memory, log Z, the optimiser."""

import math
import warnings
from typing import Any, Literal

from qnat.experiment.bounds import check_memory, gigabytes
from qnat.experiment.reading import present_memory

from ..operators.sizes import DENSE, dense_bits

_TYPICAL = 16
"""Qubits up to which log Z is estimated by typicality where it is not known."""
_VECTORS, _STRINGS = 16, 64
_METRICS = ("bkm", "wigner_yanase")
_REFERENCE_VECTORS, _KRYLOV = 16, 40
_TOGETHER, _COPIES = 8, 8  # states that pass a circuit at a time, and what is held of each with its derivatives


def chosen(spec: Any) -> Literal["dense", "vectors"]:
    """How states are held: as it is said, else as vectors above so many qubits, where the method has them.

    Raises:
        ValueError: vectors are asked for where they are of no use.
    """
    optimizers = ("natural", "adam", "sgd")
    useless = {
        f"model {spec.model.name}; choose model qhbm": spec.model.name != "qhbm",
        f"optimizer {spec.optimizer.name}; choose {', '.join(optimizers)}": spec.optimizer.name not in optimizers,
        "shots; leave them out": spec.shots is not None,
        "one qubit; choose states dense": spec.n < 2,
    }
    reasons = [reason for reason, holds in useless.items() if holds]
    if "states" in spec.model_fields_set:
        if spec.states == "vectors" and reasons:
            raise ValueError(f"States as vectors do not go with {reasons[0]}.")
        return spec.states
    return "vectors" if spec.n > DENSE and not reasons else "dense"


def defaults(spec: Any) -> dict[str, Any]:
    """Of the options that vectors have; refuses values that they have not.

    Raises:
        ValueError: too many strings, another metric, or blocks of it.
    """
    found: dict[str, Any] = {"vectors": spec.vectors or _VECTORS}
    most = 2 ** min(spec.n, 60)
    found["strings"] = min(_STRINGS, most) if spec.strings is None else spec.strings
    if found["strings"] > most:
        raise ValueError(f"strings is {spec.strings}; {spec.n} qubits have {most} bit strings, so give at most those.")
    if spec.optimizer.name != "natural":
        return found
    if spec.blocks != "full":
        raise ValueError("Vectors estimate the whole metric; leave blocks out, or choose states dense.")
    if spec.metric not in _METRICS:
        raise ValueError(
            f"Vectors estimate the metrics {' and '.join(_METRICS)}; metric {spec.metric} is no mean of Gram matrices, "
            "so choose one of them, or states dense."
        )
    return found


def _held_bits(spec: Any, angles: int, *, rows: bool) -> float:
    """Logarithm to base 2 of the bytes of a step: states with their derivatives, signs, rows of a metric.

    A row an angle, in single precision, is held about three times as XLA lays a step out, unless products are made.
    """
    planes = 1 if spec.ansatz in ("real", "matchgate") else 2
    each = 8 * planes * _TOGETHER * _COPIES + 40 * (spec.vectors or _VECTORS)
    if rows and spec.optimizer.name == "natural":
        each += 12 * planes * angles
    return math.log2(each) + dense_bits(spec.n) / 2 - 2


def rows_fit(spec: Any, angles: int) -> bool:
    """Whether the rows of a metric take at most a quarter of this machine's memory."""
    return _held_bits(spec, angles, rows=True) <= math.log2(present_memory()) - 2


def check_vectors(spec: Any, angles: int) -> None:
    """Refuses what does not fit into this machine, and says what either way of holding states takes."""
    bits = _held_bits(spec, angles, rows=False)
    instead = f"density matrices need {gigabytes(dense_bits(spec.n) + 4)}; choose a smaller n"
    check_memory(bits, f"A step with vectors of n = {spec.n} qubits", instead)


def described(spec: Any, angles: int) -> str:
    """What refused density matrices would take as vectors; nothing where vectors are of no use."""
    if spec.model.name != "qhbm" or spec.shots is not None:
        return ""
    return f", or states vectors, which needs {gigabytes(_held_bits(spec, angles, rows=False))}"


def log_z(spec: Any, operator: Any) -> Any:
    """log Tr exp(−βH) as a `Reference`: by free fermions for chains, by typicality for few enough qubits, else None."""
    from qnat.experiment.task import Reference

    from ..exact.free_fermions import free_fermion_tfim
    from ..exact.typicality import typical_thermal

    n, beta, system = spec.n, spec.beta, spec.hamiltonian
    if beta == 0:
        return Reference(n * math.log(2), "counting", 0.0)
    if system.name == "tfim" and 1 in (system.rows, system.columns) and not (system.periodic and n < 3):
        couplings = {"coupling": system.coupling, "field": system.field, "periodic": system.periodic}
        exact = free_fermion_tfim(n, beta, **couplings).log_z
        return Reference(exact, "free fermions", 1e-12 * abs(exact))
    if n > _TYPICAL:
        warnings.warn(
            f"There is no exact reference for {n} qubits of this Hamiltonian: the run goes on without relative "
            "entropies, and its free energies have errors.",
            stacklevel=2,
        )
        return None
    import jax

    found = typical_thermal(operator, beta, vectors=_REFERENCE_VECTORS, krylov=_KRYLOV, key=jax.random.key(spec.seed))
    return Reference(found.mean.log_z, "typicality", max(float(found.error.log_z), float(found.log_z_error)))


def vector_task(spec: Any, family: Any, operator: Any) -> Any:
    """The task of `qnat run gibbs --states vectors`."""
    from ..problems import VectorThermalTask

    return VectorThermalTask(
        family,
        operator,
        spec.beta,
        strings=spec.strings,
        vectors=spec.vectors,
        metric=spec.metric or "bkm",
        products=not rows_fit(spec, family.circuit.num_angles),
        log_z=log_z(spec, operator),
        observables=spec.observables,
    )


def vector_descent(part: Any, task: Any) -> Any:
    """The natural gradient of that task; where its metric makes products, with conjugate gradients."""
    from qnat.geometry import Blockwise, TruncatedCG
    from qnat.inference import descend
    from qnat.optim import natural_gradient

    products = task.geometry.products
    transform = natural_gradient(
        part.learning_rate,
        damping=part.damping,
        trust=part.trust,
        accept="fresh",
        solver=Blockwise(TruncatedCG(1e-2, 60)) if products else None,
        warm_start=products,
    )
    return descend(task.value_and_grad, transform, linearise=task.linearise)
