"""A PennyLane user's circuit as data."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
from jaxtyping import Array, Float

from ..circuits.circuit import Circuit, Gate, pauli, phase, rotation, unitary
from .pennylane_gates import operations

_WIDEST = 8  # wires of a controlled, diagonal or phase gate of the statevector engine

_LETTERS = {"RX": "X", "RY": "Y", "RZ": "Z", "IsingXX": "XX", "IsingYY": "YY", "IsingZZ": "ZZ"}
_PRODUCTS: dict[str, Callable[..., list[Any]]] = {
    "Rot": lambda a, b, c, wires: [qml.RZ(a, wires), qml.RY(b, wires), qml.RZ(c, wires)],
    "U2": lambda a, b, wires: [qml.PhaseShift(b, wires), qml.RY(np.pi / 2, wires), qml.PhaseShift(a, wires)],
    "U3": lambda a, b, c, wires: [qml.PhaseShift(c, wires), qml.RY(a, wires), qml.PhaseShift(b, wires)],
    "IsingXY": lambda a, wires: [qml.IsingXX(-a / 2, wires), qml.IsingYY(-a / 2, wires)],
}
_MATRICES = ("QubitUnitary", "DiagonalQubitUnitary", "ControlledQubitUnitary")  # gates given by numbers of the user's
_NOTHING = ("Identity", "Barrier", "Snapshot")


class _Step(NamedTuple):
    """A gate and its angle, None for a fixed gate. A phase on no wire is a global one."""

    gate: Gate
    angle: Any


def order_of(found: Iterable[Any], wires: Sequence[Any] | None) -> tuple[Any, ...]:
    """Labels in the order of our wires: the given ones; or else labels 0..n−1, ascending.

    Raises:
        ValueError: a wire that is used is not among the given ones, or the labels have no natural order.
    """
    used = list(found)
    if wires is None:
        if not all(isinstance(label, int | np.integer) and label >= 0 for label in used):
            raise ValueError(f"The wires {used} have no natural order; pass wires= with the leftmost first.")
        return tuple(range(max(used, default=0) + 1))
    missing = [label for label in used if label not in wires]
    if missing:
        raise ValueError(f"The wires {missing} are used but are not among wires={list(wires)}; name all of them.")
    return tuple(wires)


def _refuse(op: Any) -> None:
    """Raises for what is not a unitary gate."""
    kinds = {
        "a mid-circuit measurement": qml.ops.MidMeasure,
        "conditioned on a measurement": qml.ops.Conditional,
        "a state preparation; the basis states a circuit starts from belong to the model": qml.operation.StatePrepBase,
        "a noise channel": qml.operation.Channel,
    }
    for what, kind in kinds.items():
        if isinstance(op, kind):
            raise ValueError(f"'{op.name}' on wires {op.wires.tolist()} is {what}; a circuit takes unitary gates only.")
    if op.batch_size is not None:
        raise ValueError(f"'{op.name}' on wires {op.wires.tolist()} has a batch of parameters; give one of each.")


def _parts(op: Any) -> list[Any]:
    """PennyLane's own decomposition."""
    if not op.has_decomposition:
        raise ValueError(
            f"The gate '{op.name}' on wires {op.wires.tolist()} has no counterpart and no decomposition in PennyLane; "
            "write it as a product of Pauli rotations, phase shifts and fixed gates on one or two wires."
        )
    with qml.QueuingManager.stop_recording():
        return list(op.decomposition())


def _fixed(op: Any, place: dict[Any, int]) -> list[Gate]:
    """A gate of known numbers as matrices on one or two wires, or diagonal ones."""
    if op.name in (*_NOTHING, "GlobalPhase"):
        return []
    wires = [place[label] for label in op.wires]
    if len(wires) <= _WIDEST and op.has_matrix:
        matrix = np.asarray(qml.matrix(op, wire_order=op.wires), complex)
        if len(wires) <= 2 or np.count_nonzero(matrix - np.diag(np.diag(matrix))) == 0:
            return [unitary(matrix, *wires)]
    return [gate for part in _parts(op) for gate in _fixed(part, place)]


def _native(op: Any, place: dict[Any, int]) -> list[_Step] | None:
    """The steps of a parametrised gate that has a counterpart; None for any other gate."""
    if op.name in _PRODUCTS:
        with qml.QueuingManager.stop_recording():
            return _all(_PRODUCTS[op.name](*op.parameters, op.wires), place)
    if op.name == "GlobalPhase":
        return [_Step(phase(), -op.parameters[0])]
    wires = [place[label] for label in op.wires]
    if op.name in ("PhaseShift", "U1"):
        return [_Step(phase(*wires), op.parameters[0])]
    letters = {"PauliRot": op.hyperparameters.get("pauli_word", ""), "MultiRZ": "Z" * len(wires)} | _LETTERS
    if op.name not in letters:
        return None
    acts = [(letter, wire) for letter, wire in zip(letters[op.name], wires, strict=True) if letter != "I"]
    if not acts:
        return [_Step(phase(), -op.parameters[0] / 2)]
    return [_Step(rotation("".join(letter for letter, _ in acts), *(wire for _, wire in acts)), op.parameters[0])]


def _controlled(op: Any, place: dict[Any, int]) -> list[_Step] | None:
    """A parametrised gate under controls, each 0 or 1; None if the gate has no counterpart."""
    base = _native(op.base, place)
    if base is None:
        return None
    controls = tuple(place[label] for label in op.control_wires)
    flips = [_Step(pauli("X", c), None) for c, on in zip(controls, op.control_values, strict=True) if not on]
    steps = []
    for gate, angle in base:
        if gate.kind == "phase":
            steps.append(_Step(phase(*controls, *gate.wires), angle))
        else:
            steps.append(_Step(gate._replace(controls=controls + gate.controls), angle))
    return [*flips, *steps, *flips]


def _steps(op: Any, place: dict[Any, int]) -> list[_Step]:
    """A PennyLane operation as gates; the same ones whether its parameters are numbers or traced."""
    _refuse(op)
    if op.name in _NOTHING:
        return []
    if (found := _native(op, place)) is not None:
        return found
    if isinstance(op, qml.ops.Adjoint):
        return [
            _Step(unitary(np.conj(gate.matrix).T, *gate.wires), None) if angle is None else _Step(gate, -angle)
            for gate, angle in reversed(_steps(op.base, place))
        ]
    if isinstance(op, qml.ops.Controlled) and op.num_params and (found := _controlled(op, place)) is not None:
        return found
    if op.name in _MATRICES and _traced(op.parameters):
        raise ValueError(
            f"The matrix of '{op.name}' on wires {op.wires.tolist()} depends on parameters; use rotations."
        )
    if op.name in _MATRICES or (op.num_params == 0 and op.has_matrix):
        return [_Step(gate, None) for gate in _fixed(op, place)]
    return _all(_parts(op), place)


def _all(ops: Iterable[Any], place: dict[Any, int]) -> list[_Step]:
    return [step for op in ops for step in _steps(op, place)]


def _traced(parameters: Iterable[Any]) -> bool:
    return any(isinstance(parameter, jax.core.Tracer) for parameter in parameters)


def _record(source: Any, args: Sequence[Any]) -> Any:
    """The tape of a QNode, a quantum function or a tape with new trainable parameters."""
    if isinstance(source, qml.tape.QuantumScript):
        return source.bind_new_parameters(args, source.trainable_params)
    if isinstance(source, qml.QNode):
        if len(source.compile_pipeline):
            transforms = " ".join(str(source.compile_pipeline).split())
            raise ValueError(
                f"The QNode has transforms, {transforms}, which may change its gates; convert a tape that they have "
                "made, or the function under it, qnode.func."
            )
        source = source.func
    try:
        return qml.tape.make_qscript(source)(*args)
    except jax.errors.TracerArrayConversionError as error:
        raise ValueError(
            "The circuit passes its parameters through a NumPy function, which cannot be followed; use jax.numpy or "
            "pennylane.math inside the circuit, or pass the angles themselves."
        ) from error


def to_circuit(
    source: Any, *args: Any, wires: Sequence[Any] | None = None
) -> tuple[Circuit, Callable[..., Float[Array, " P"]]]:
    """A PennyLane circuit as a `Circuit`, with the map from its arguments to our angles.

    Every parametrised gate whose angle depends on a floating-point argument becomes one gate with an angle; gates of
    constant angle become fixed ones. Gates without counterpart are decomposed by PennyLane as far as needed. Global
    phases and the measurements at the end are dropped.

    A model trains the angles. Where each argument feeds one gate, that is the user's own circuit; where one feeds
    several, the angles are more than the arguments, and `angles` is the map to differentiate through.

    Args:
        source: a QNode, a quantum function or a tape; of a tape, the trainable parameters are the arguments.
        args: example arguments; shapes and integers are fixed by them. A tape brings its own.
        wires: labels in the order of our wires; those of the QNode's device by default, else 0, 1, …

    Returns:
        (circuit, angles): one block, and `angles(*args)` → (P,) radians, which JAX can trace.

    Raises:
        ValueError: mid-circuit measurements, state preparations, channels and gates without counterpart, by name.
    """
    is_tape = isinstance(source, qml.tape.QuantumScript)
    floats, static = eqx.partition(
        jax.tree.map(_plain, tuple(source.get_parameters()) if is_tape else args), eqx.is_inexact_array
    )
    if wires is None and isinstance(source, qml.QNode):
        wires = source.device.wires

    def read(args: Sequence[Any]) -> tuple[int, list[_Step]]:
        tape = _record(source, args)
        labels = order_of(tape.wires, wires)
        steps = _all(tape.operations, {label: k for k, label in enumerate(labels)})
        return len(labels), [step for step in steps if step.gate.wires]

    found: list[tuple[int, list[_Step]]] = []
    trained: list[bool] = []

    def follow(floats: Any) -> Array:
        found.append(read(eqx.combine(floats, static)))
        trained.extend(_traced([angle]) for _, angle in found[0][1])
        return jnp.zeros(())

    jax.jvp(follow, (floats,), (jax.tree.map(jnp.zeros_like, floats),))
    n, steps = found[0]

    def angles(*args: Any) -> Float[Array, " P"]:
        again = read(args)[1]
        if not _same(steps, again, trained):
            raise ValueError(
                "These arguments give other gates, or other constants in them, than the example arguments do; a gate "
                "may depend on parameters through its angle only, and not through branches or matrices."
            )
        kept = [jnp.asarray(step.angle, float) for step, moves in zip(again, trained, strict=True) if moves]
        return jnp.stack(kept) if kept else jnp.zeros(0)

    elsewhere = jax.tree.map(lambda leaf: leaf + 0.123, floats)
    angles(*eqx.combine(elsewhere, static))
    block: list[Gate] = []
    for (gate, angle), moves in zip(steps, trained, strict=True):
        block += [gate] if angle is None or moves else _constant(gate, angle)
    return Circuit(n, tuple(block)), angles


def _same(steps: list[_Step], again: list[_Step], trained: list[bool]) -> bool:
    """Whether two readings have the same gates, and the same numbers where an angle is one."""
    if [step.gate for step in steps] != [step.gate for step in again]:
        return False
    pairs = [(s.angle, a.angle) for s, a, moves in zip(steps, again, trained, strict=True) if not moves]
    numbers = [pair for pair in pairs if pair[0] is not None and not _traced(pair)]
    return all(np.isclose(*pair) for pair in numbers)


def _plain(leaf: Any) -> Any:
    """Arrays and floats as JAX arrays; integers, which may be sizes, as they are."""
    array = np.asarray(leaf)
    return jnp.asarray(array) if array.dtype.kind in "fc" else leaf


def _constant(gate: Gate, angle: float) -> list[Gate]:
    """A gate at a known angle as fixed ones."""
    place = {wire: wire for wire in gate.controls + gate.wires}
    with qml.QueuingManager.stop_recording():
        return [fixed for op in operations(gate, float(angle), place) for fixed in _fixed(op, place)]
