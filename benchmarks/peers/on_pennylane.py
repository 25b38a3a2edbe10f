"""PennyLane: lightning as users write it and with a prebuilt tape, and default.qubit under jax.jit."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pennylane as qml
import scipy.special
from pennylane import numpy as pnp
from pennylane.devices import ExecutionConfig

from . import neutral
from .job import Job
from .neutral import Spec

jax.config.update("jax_enable_x64", True)

_OPERATION = {
    "RX": qml.RX,
    "RY": qml.RY,
    "RZ": qml.RZ,
    "RZZ": qml.IsingZZ,
    "RXX": qml.IsingXX,
    "CRX": qml.CRX,
    "CRZ": qml.CRZ,
    "CP": qml.ControlledPhaseShift,
}
_FIXED = {"H": qml.Hadamard, "T": qml.T, "CNOT": qml.CNOT, "CZ": qml.CZ, "SWAP": qml.SWAP}


def _apply(gates: list[neutral.Gate], angles: Any) -> None:
    for gate in gates:
        if gate.angle is None:
            _FIXED[gate.name](wires=gate.wires)
        else:
            _OPERATION[gate.name](angles[gate.angle], wires=gate.wires)


def _tfim(n: int) -> qml.operation.Operator:
    bonds = [qml.Z(i) @ qml.Z(i + 1) for i in range(n - 1)]
    return qml.Hamiltonian([-1.0] * (2 * n - 1), bonds + [qml.X(i) for i in range(n)])


def _tape(spec: Spec, measurement: Any) -> qml.tape.QuantumScript:
    with qml.queuing.AnnotatedQueue() as queue:
        _apply(neutral.gates(spec), neutral.angles(spec))
    return qml.tape.QuantumScript(qml.tape.QuantumScript.from_queue(queue).operations, [measurement])


def evaluation(spec: Spec) -> Job:
    """A QNode on lightning that returns the state."""
    gates, angles = neutral.gates(spec), neutral.angles(spec)

    def circuit(angles: np.ndarray) -> Any:
        _apply(gates, angles)
        return qml.state()

    node = qml.QNode(circuit, qml.device("lightning.qubit", wires=spec["n"]), interface=None, diff_method=None)
    return Job(lambda: node(angles), neutral.state_numbers)


def evaluation_tape(spec: Spec) -> Job:
    """The device alone, on a tape made once: lightning without the Python of a QNode."""
    device, tape = qml.device("lightning.qubit", wires=spec["n"]), _tape(spec, qml.state())
    return Job(lambda: device.execute(tape), neutral.state_numbers)


def gradient(spec: Spec) -> Job:
    """`qml.grad` of a QNode with lightning's adjoint differentiation."""
    gates, energy = neutral.gates(spec), _tfim(spec["n"])
    angles = pnp.array(neutral.angles(spec), requires_grad=True)

    def circuit(angles: Any) -> Any:
        _apply(gates, angles)
        return qml.expval(energy)

    node = qml.QNode(circuit, qml.device("lightning.qubit", wires=spec["n"]), diff_method="adjoint")
    slope = qml.grad(node)
    return Job(lambda: slope(angles), neutral.array_numbers)


def gradient_tape(spec: Spec) -> Job:
    """The device's adjoint differentiation alone, on a tape made once."""
    device, tape = qml.device("lightning.qubit", wires=spec["n"]), _tape(spec, qml.expval(_tfim(spec["n"])))
    tape.trainable_params = list(range(neutral.num_angles(spec)))
    config = ExecutionConfig(gradient_method="adjoint", use_device_gradient=True)
    return Job(lambda: device.compute_derivatives(tape, config), neutral.array_numbers)


def evaluation_jit(spec: Spec) -> Job:
    """default.qubit under jax.jit."""
    gates, angles = neutral.gates(spec), jnp.asarray(neutral.angles(spec))

    def circuit(angles: jax.Array) -> Any:
        _apply(gates, angles)
        return qml.state()

    device = qml.device("default.qubit", wires=spec["n"])
    node = jax.jit(qml.QNode(circuit, device, interface="jax", diff_method="backprop"))
    return Job(lambda: node(angles).block_until_ready(), neutral.state_numbers)


def _first_adam(parameters: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Adam's first step, where the corrected moments are the gradient and its square."""
    return parameters - 0.05 * slopes / (np.sqrt(slopes**2) + 1e-8)


def gibbs_numbers(result: Any) -> dict[str, float]:
    """What two steps must agree in: value and gradients before the step."""
    value, slopes, *_ = result
    flat = np.concatenate([np.asarray(part, float).reshape(-1) for part in slopes])
    return {"value": float(value)} | neutral.array_numbers(flat)


def gibbs_step_jit(spec: Spec) -> Job:
    """The free energy β⟨H⟩ − S with all basis states as one broadcast, one jitted Adam step: PennyLane at its best."""
    n, beta, gates = spec["n"], spec["beta"], neutral.gates(spec)
    energy, spins, starts = _tfim(n), jnp.asarray(neutral.spins(n)), jnp.eye(2**n)

    def circuit(angles: jax.Array) -> Any:
        qml.StatePrep(starts, wires=range(n), validate_norm=False)
        _apply(gates, angles)
        return qml.expval(energy)

    node = qml.QNode(circuit, qml.device("default.qubit", wires=n), interface="jax", diff_method="backprop")

    def value(latent: jax.Array, angles: jax.Array) -> jax.Array:
        log_p = jax.nn.log_softmax(-(spins @ latent))
        return jnp.exp(log_p) @ (beta * node(angles) + log_p)

    start = tuple(jnp.asarray(part) for part in neutral.gibbs_start(spec))
    optimizer = optax.adam(0.05)
    first = optimizer.init(start)

    @jax.jit
    def step(parameters: Any, state: Any) -> Any:
        found, slopes = jax.value_and_grad(value, argnums=(0, 1))(*parameters)
        updates, state = optimizer.update(slopes, state)
        return found, slopes, optax.apply_updates(parameters, updates), state

    return Job(lambda: jax.block_until_ready(step(start, first)), gibbs_numbers)


def gibbs_step_loop(spec: Spec) -> Job:
    """The same step as users write it: a loop over basis states, lightning's adjoint gradient for each."""
    n, beta, gates = spec["n"], spec["beta"], neutral.gates(spec)
    energy, spins = _tfim(n), neutral.spins(n)
    bits = (1 - spins.astype(int)) // 2

    def circuit(angles: Any, bits: np.ndarray) -> Any:
        qml.BasisState(bits, wires=range(n))
        _apply(gates, angles)
        return qml.expval(energy)

    slope = qml.grad(qml.QNode(circuit, qml.device("lightning.qubit", wires=n), diff_method="adjoint"), argnums=0)
    latent, angles = neutral.gibbs_start(spec)
    trainable = pnp.array(angles, requires_grad=True)

    def run() -> Any:
        slopes, values = [], []
        for row in bits:
            slopes.append(slope(trainable, row))
            values.append(slope.forward)
        log_p = scipy.special.log_softmax(-(spins @ latent))
        p, local = np.exp(log_p), beta * np.array(values, float) + log_p
        gradients = -(p * (local - p @ local)) @ spins, beta * p @ np.array(slopes, float)
        return p @ local, gradients, [_first_adam(*pair) for pair in zip((latent, angles), gradients)]

    return Job(run, gibbs_numbers)


TASKS = {
    "evaluation": evaluation,
    "evaluation_tape": evaluation_tape,
    "evaluation_jit": evaluation_jit,
    "gradient": gradient,
    "gradient_tape": gradient_tape,
    "gibbs_step_jit": gibbs_step_jit,
    "gibbs_step_loop": gibbs_step_loop,
}
