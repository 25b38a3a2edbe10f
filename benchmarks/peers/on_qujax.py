"""qujax: tensor contractions unrolled into one jitted program. Its angles are in units of π."""

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)  # first: qujax makes its fixed gates when it is imported
import qujax

from . import neutral
from .job import Job
from .neutral import Spec

_NAME = {"CNOT": "CX", "CP": "CU1", "RZZ": "ZZPhase", "RXX": "XXPhase"}


def _name(gate: neutral.Gate) -> str:
    """RX is Rx, CRX is CRx, …"""
    return _NAME.get(gate.name, gate.name.replace("RX", "Rx").replace("RY", "Ry").replace("RZ", "Rz"))


def evaluation(spec: Spec) -> Job:
    """The final state from |0…0⟩."""
    gates = neutral.gates(spec)
    state = jax.jit(
        qujax.get_params_to_statetensor_func(
            [_name(gate) for gate in gates],
            [list(gate.wires) for gate in gates],
            [[] if gate.angle is None else [gate.angle] for gate in gates],
            n_qubits=spec["n"],
        )
    )
    angles = jnp.asarray(neutral.angles(spec) / np.pi)
    return Job(lambda: state(angles).block_until_ready(), neutral.state_numbers)


TASKS = {"evaluation": evaluation}
