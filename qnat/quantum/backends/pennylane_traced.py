"""A circuit from a quantum function, by recording what it does."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
from jaxtyping import Array, Float

from ..circuits.circuit import Circuit, Gate
from .pennylane_circuits import Step, all_of, fixed_gate, is_traced, order_of
from .pennylane_gates import operations


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

    def read(args: Sequence[Any]) -> tuple[int, list[Step]]:
        tape = _record(source, args)
        labels = order_of(tape.wires, wires)
        steps = all_of(tape.operations, {label: k for k, label in enumerate(labels)})
        return len(labels), [step for step in steps if step.gate.wires]

    found: list[tuple[int, list[Step]]] = []
    trained: list[bool] = []

    def follow(floats: Any) -> Array:
        found.append(read(eqx.combine(floats, static)))
        trained.extend(is_traced([angle]) for _, angle in found[0][1])
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


def _same(steps: list[Step], again: list[Step], trained: list[bool]) -> bool:
    """Whether two readings have the same gates, and the same numbers where an angle is one."""
    if [step.gate for step in steps] != [step.gate for step in again]:
        return False
    pairs = [(s.angle, a.angle) for s, a, moves in zip(steps, again, trained, strict=True) if not moves]
    numbers = [pair for pair in pairs if pair[0] is not None and not is_traced(pair)]
    return all(np.isclose(*pair) for pair in numbers)


def _plain(leaf: Any) -> Any:
    """Arrays and floats as JAX arrays; integers, which may be sizes, as they are."""
    array = np.asarray(leaf)
    return jnp.asarray(array) if array.dtype.kind in "fc" else leaf


def _constant(gate: Gate, angle: float) -> list[Gate]:
    """A gate at a known angle as fixed ones."""
    place = {wire: wire for wire in gate.controls + gate.wires}
    with qml.QueuingManager.stop_recording():
        return [fixed for op in operations(gate, float(angle), place) for fixed in fixed_gate(op, place)]
