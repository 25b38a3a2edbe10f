"""TensorCircuit-NG on its JAX backend: the circuit as a tensor network, contracted inside one jitted program."""

import jax
import jax.numpy as jnp
import tensorcircuit

from . import neutral
from .job import Job
from .neutral import Spec

jax.config.update("jax_enable_x64", True)
tensorcircuit.set_backend("jax")
tensorcircuit.set_dtype("complex128")

_NAME = {"CP": "cphase"}


def evaluation(spec: Spec) -> Job:
    """The final state from |0…0⟩."""
    gates, angles = neutral.gates(spec), jnp.asarray(neutral.angles(spec))

    def state(angles: jax.Array) -> jax.Array:
        circuit = tensorcircuit.Circuit(spec["n"])
        for gate in gates:
            keywords = {} if gate.angle is None else {"theta": angles[gate.angle]}
            getattr(circuit, _NAME.get(gate.name, gate.name.lower()))(*gate.wires, **keywords)
        return circuit.state()

    compiled = jax.jit(state)
    return Job(lambda: compiled(angles).block_until_ready(), neutral.state_numbers)


TASKS = {"evaluation": evaluation}
