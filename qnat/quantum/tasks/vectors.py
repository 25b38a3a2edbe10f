"""What a spec needs to train with vectors in place of density matrices: defaults, memory, log Z, the optimiser."""

import math
from typing import Any, Literal

from qnat.experiment.bounds import check_memory, gigabytes
from qnat.experiment.console import note
from qnat.experiment.reading import present_memory

from ..operators.sizes import DENSE, dense_bits

_TYPICAL = 16
"""Qubits up to which log Z is estimated by typicality where it is not known."""
_VECTORS, _STRINGS = 16, 64
_METRICS = ("bkm", "wigner_yanase")
_REFERENCE_VECTORS, _KRYLOV = 16, 40
_TOGETHER, _COPIES = 8, 8  # states that pass a circuit at a time, and what is held of each with its derivatives
_PROGRAM = 2**30  # bytes that JAX and compiled programs take, whatever the size


def _reasons(spec: Any) -> list[str]:
    """What vectors do not go with, and what to do."""
    optimizers = ("natural", "adam", "sgd")
    useless = {
        f"model {spec.model.name}; choose model qhbm": spec.model.name != "qhbm",
        f"optimizer {spec.optimizer.name}; choose {', '.join(optimizers)}": spec.optimizer.name not in optimizers,
        "shots; leave them out": spec.shots is not None,
        "one qubit; choose states dense": spec.n < 2,
    }
    return [reason for reason, holds in useless.items() if holds]


def chosen(spec: Any) -> Literal["dense", "vectors"]:
    """How states are held: as it is said, else as vectors above so many qubits, where the method has them.

    Raises:
        ValueError: vectors are asked for where they are of no use.
    """
    reasons = _reasons(spec)
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
        near = ", though WY/2 <= SLD <= WY" if spec.metric == "sld" else ""
        raise ValueError(
            f"Vectors estimate the metrics {' and '.join(_METRICS)}; metric {spec.metric} is no mean of Gram "
            f"matrices{near}: choose one of them, or states dense."
        )
    return found


def _planes(spec: Any) -> int:
    return 1 if spec.ansatz in ("real", "matchgate") else 2


def _held_bits(spec: Any) -> float:
    """Logarithm to base 2 of the bytes of a step: states with their derivatives, signs, and the program."""
    each = 8 * _planes(spec) * _TOGETHER * _COPIES + 40 * (spec.vectors or _VECTORS)
    bits = math.log2(each) + dense_bits(spec.n) / 2 - 2
    return max(bits, math.log2(_PROGRAM)) + math.log2(1 + 2 ** -abs(bits - math.log2(_PROGRAM)))


def _metric_bytes(spec: Any, angles: int) -> int:
    """Of rows and matrices of a metric: a row an angle, in single precision, is held about three times as XLA lays a
    step out. Couplings of the latent energy have a matrix of their own unless there are all of them, whose Fisher
    metric has an inverse in closed form.
    """
    couplings = 0
    if spec.latent == "kobe" and spec.order < spec.n:
        couplings = sum(math.comb(spec.n, k) for k in range(1, spec.order + 1))
    return 12 * _planes(spec) * angles * 2**spec.n + 32 * (angles**2 + couplings**2)


def rows_fit(spec: Any, angles: int) -> bool:
    """Whether rows and matrices of a metric take at most half of this machine's memory; else products are made."""
    return _metric_bytes(spec, angles) <= present_memory() / 2


def check_vectors(spec: Any) -> None:
    """Refuses what does not fit into this machine, and says what either way of holding states takes."""
    instead = f"density matrices need {gigabytes(dense_bits(spec.n) + 4)}; choose a smaller n"
    check_memory(_held_bits(spec), f"A step with vectors of n = {spec.n} qubits", instead)


def described(spec: Any) -> str:
    """What refused density matrices would take as vectors; nothing where vectors are of no use."""
    return "" if _reasons(spec) else f", or states vectors, which needs {gigabytes(_held_bits(spec))}"


def log_z(spec: Any, operator: Any) -> Any:
    """log Tr exp(−βH) as a `Reference`; None, which is said, where there are too many qubits.

    By free fermions for Ising chains, by diagonalisation where a density matrix fits, else by typicality.
    """
    from qnat.experiment.task import Reference

    from ..exact.dense import thermal
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
        note(
            f"There is no exact reference for {n} qubits of this Hamiltonian: the run goes on without relative "
            "entropies, and its free energies have errors."
        )
        return None
    import jax

    if n <= DENSE:
        exact = float(thermal(jax.numpy.linalg.eigvalsh(operator.matrix()), beta).log_z)
        return Reference(exact, "exact diagonalisation", 1e-12 * abs(exact))

    found = typical_thermal(operator, beta, vectors=_REFERENCE_VECTORS, krylov=_KRYLOV, key=jax.random.key(spec.seed))
    return Reference(found.mean.log_z, "typicality", max(float(found.error.log_z), float(found.log_z_error)))


def vector_task(spec: Any, family: Any, operator: Any) -> Any:
    """The task of `qnat run gibbs --states vectors`."""
    from ..problems import VectorThermalTask

    angles = family.circuit.num_angles
    rows = spec.optimizer.name == "natural" and rows_fit(spec, angles)
    if spec.n > DENSE:
        held = 2 ** _held_bits(spec) + rows * _metric_bytes(spec, angles)
        note(f"A step with vectors of n = {spec.n} qubits and {angles} angles takes {gigabytes(math.log2(held))}.")
    return VectorThermalTask(
        family,
        operator,
        spec.beta,
        strings=spec.strings,
        vectors=spec.vectors,
        metric=spec.metric or "bkm",
        products=not rows,
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
