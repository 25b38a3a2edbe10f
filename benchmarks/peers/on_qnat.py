"""qnat's engine, through its public names only. Every call that may change stands once."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from qnat.quantum.backends.statevector import Statevector, evolve
from qnat.quantum.circuits.circuit import Circuit, Gate, cnot, phase, rotation, unitary
from qnat.quantum.operators.hamiltonians import tfim

from . import neutral
from .job import Job
from .neutral import Spec

jax.config.update("jax_enable_x64", True)
jax.block_until_ready(jnp.zeros(1) + 1)  # what JAX does once a process is not our compile time


def _gate(gate: neutral.Gate) -> Gate:
    if gate.name == "CNOT":
        return cnot(*gate.wires)
    if gate.name == "CP":
        return phase(*gate.wires)
    if gate.name in neutral.FIXED:
        return unitary(neutral.matrix(gate, 0.0), *gate.wires)
    if gate.name.startswith("C"):
        return rotation(gate.name[2:], gate.wires[1], controls=gate.wires[:1])
    return rotation(gate.name[1:], *gate.wires)


def circuit(spec: Spec) -> Circuit:
    """The circuit of a spec; its layers stay layers."""
    unit, repeats = neutral.block(spec)
    return Circuit(spec["n"], tuple(_gate(gate) for gate in unit), repeats)


def _state(spec: Spec) -> Callable[[jax.Array], jax.Array]:
    ours, bits = circuit(spec), jnp.zeros(spec["n"], int)
    return lambda angles: Statevector().state(ours, angles, bits)


def _energy(spec: Spec) -> Callable[[jax.Array], jax.Array]:
    ours, bits, observable = circuit(spec), jnp.zeros(spec["n"], int), tfim(1, spec["n"])
    return lambda angles: Statevector().expectation(ours, angles, bits, observable)


def _gradient_numbers(result: Any) -> dict[str, float]:
    value, slopes = result
    return {"energy": float(value)} | neutral.array_numbers(slopes)


def evaluation(spec: Spec) -> Job:
    """The final state from |0…0⟩."""
    compiled, angles = jax.jit(_state(spec)), jnp.asarray(neutral.angles(spec))
    return Job(lambda: compiled(angles).block_until_ready(), neutral.state_numbers)


def gradient(spec: Spec) -> Job:
    """The energy and all its derivatives."""
    compiled, angles = jax.jit(jax.value_and_grad(_energy(spec))), jnp.asarray(neutral.angles(spec))

    def run() -> Any:
        value, slopes = compiled(angles)
        return value, slopes.block_until_ready()

    return Job(run, _gradient_numbers)


def batch(spec: Spec) -> Job:
    """Basis states as one batch of rows."""
    ours, angles, d = circuit(spec), jnp.asarray(neutral.angles(spec)), 2 ** spec["n"]
    compiled = jax.jit(lambda angles, starts: evolve(ours, angles, jax.nn.one_hot(starts, d)))
    starts = jnp.asarray(neutral.basis_states(spec))
    return Job(lambda: compiled(angles, starts).block_until_ready(), neutral.batch_numbers)


def _compiled(make: Callable[[], Any], spec: Spec, numbers: Callable) -> Job:
    """A job compiled ahead of time: what planning, tracing and compiling cost, and what XLA holds while it runs."""
    wall, cpu, angles = time.perf_counter(), time.process_time(), jnp.asarray(neutral.angles(spec))
    program = jax.jit(make()).lower(angles).compile()
    facts = {"compile_wall": time.perf_counter() - wall, "compile_cpu": time.process_time() - cpu}
    memory = program.memory_analysis()
    if memory is not None:
        facts["temp_states"] = memory.temp_size_in_bytes / (16 * 2 ** spec["n"])
    return Job(lambda: jax.block_until_ready(program(angles)), numbers, facts)


def compile_evaluation(spec: Spec) -> Job:
    """Compile time of the final state."""
    return _compiled(lambda: _state(spec), spec, neutral.state_numbers)


def compile_gradient(spec: Spec) -> Job:
    """Compile time and temporary memory of the energy's gradient."""
    return _compiled(lambda: jax.value_and_grad(_energy(spec)), spec, _gradient_numbers)


TASKS = {
    "evaluation": evaluation,
    "gradient": gradient,
    "batch": batch,
    "compile_evaluation": compile_evaluation,
    "compile_gradient": compile_gradient,
}
