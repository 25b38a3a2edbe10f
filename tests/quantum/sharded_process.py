"""What `test_sharded` measures in processes of their own, where JAX has several devices; prints one JSON object."""

import collections
import functools
import json
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from qnat.quantum.backends import Statevector, statevector
from qnat.quantum.backends.laws import dense_unitary, random_circuit
from qnat.quantum.circuits.ansatz import ansatz
from qnat.quantum.circuits.circuit import Circuit
from qnat.quantum.engine.sharded import apply_sharded, evolve_sharded, expectation_sharded, state_sharded
from qnat.quantum.operators.pauli import PauliSum

N = 6
BITS = np.array([1, 0, 1, 1, 0, 0])
COLLECTIVE = re.compile(r" (all-gather|all-to-all|collective-permute|all-reduce|reduce-scatter)\(")


def mesh(devices: int) -> Mesh:
    return jax.make_mesh((devices,), ("amplitudes",), devices=jax.devices()[:devices])


def random_observable(n: int, seed: int) -> PauliSum:
    rng = np.random.default_rng(seed)
    return PauliSum.from_terms(("".join(rng.choice(list("IXYZ"), n)), rng.normal()) for _ in range(9))


def random_angles(circuit: Circuit, seed: int, dtype: jnp.dtype = jnp.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=circuit.num_angles).astype(dtype)


def energy(angles: jax.Array, observable: PauliSum, circuit: Circuit, on: Mesh) -> tuple[jax.Array, jax.Array]:
    states = state_sharded(circuit, angles, jnp.asarray(BITS), on)
    return expectation_sharded(observable, states, on)[0], states


def one_device(angles: jax.Array, observable: PauliSum, circuit: Circuit) -> jax.Array:
    return Statevector().expectation(circuit, angles, jnp.asarray(BITS), observable)


def column(circuit: Circuit, angles: np.ndarray) -> np.ndarray:
    """U|b⟩ by the dense oracle."""
    return dense_unitary(circuit, angles)[:, int("".join(map(str, BITS)), 2)]


def largest(*differences: jax.Array | np.ndarray) -> float:
    return max(float(np.abs(np.asarray(difference)).max()) for difference in differences)


def amplitudes(planes: jax.Array) -> np.ndarray:
    return np.asarray(planes) @ np.array([1, 1j])[: planes.shape[-1]]


def equality(devices: str, number: str) -> dict[str, float]:
    """Errors of amplitudes, of an energy and of its gradient by angles and by coefficients."""
    seed = int(number)
    circuit, observable = random_circuit(N, 9, 2, seed), random_observable(N, seed)
    angles = random_angles(circuit, seed)
    differentiate = functools.partial(jax.value_and_grad, argnums=(0, 1))
    (value, states), slopes = jax.jit(differentiate(energy, has_aux=True), static_argnums=(2, 3))(
        angles, observable, circuit, mesh(int(devices))
    )
    wanted, theirs = jax.jit(differentiate(one_device), static_argnums=2)(angles, observable, circuit)
    return {
        "state": largest(amplitudes(states)[0] - column(circuit, angles)),
        "energy": largest(value - wanted),
        "gradient": largest(*jax.tree.leaves(jax.tree.map(jnp.subtract, slopes, theirs))),
    }


def variants() -> dict[str, float]:
    """Errors of single precision, forward mode, second derivatives, real circuits and batches, on 8 or 4 devices."""
    circuit, observable = random_circuit(N, 6, 1, 3), random_observable(N, 3)
    angles, found = random_angles(circuit, 3), {}
    single = state_sharded(circuit, angles.astype(np.float32), jnp.asarray(BITS), mesh(8))
    assert single.dtype == jnp.float32
    found["single"] = largest(amplitudes(single)[0] - column(circuit, angles)) * float(
        jnp.finfo(jnp.float64).eps / jnp.finfo(jnp.float32).eps
    )

    def planes(angles: jax.Array) -> jax.Array:
        return state_sharded(circuit, angles, jnp.asarray(BITS), mesh(4), mode="forward")

    jacobian = jax.jit(jax.jacfwd(planes))(angles)
    theirs = jax.jit(jax.jacfwd(lambda t: Statevector("forward").state(circuit, t, jnp.asarray(BITS))))(angles)
    found["jacobian"] = largest(jacobian[0, :, 0] - theirs.real, jacobian[0, :, 1] - theirs.imag)

    hessian = jax.jit(jax.hessian(lambda t: energy(t, observable, circuit, mesh(4))[0]))(angles)
    found["hessian"] = largest(
        hessian - jax.jit(jax.hessian(one_device), static_argnums=2)(angles, observable, circuit)
    )

    real = ansatz("real", N, 2)
    angles, pair = random_angles(real, 4), np.random.default_rng(4).normal(size=(2, 2**N, 2))
    images = evolve_sharded(real, angles, pair, mesh(8))
    found["batch"] = largest(amplitudes(images) - amplitudes(pair) @ dense_unitary(real, angles).T)
    turned = PauliSum.from_terms([("YYIIII", 0.7), ("YIIIIY", -1.1), ("IYXXYZ", 0.4), ("XIYIZY", 0.6), ("ZZZIIX", 1.0)])
    found["real product"] = largest(
        apply_sharded(turned, pair[..., :1], mesh(8))[..., 0] - pair[..., 0] @ np.asarray(turned.matrix()).T
    )
    fixed = Circuit(N, tuple(gate for gate in circuit.block if not gate.parametrised), 2)
    still = state_sharded(fixed, np.zeros(0), jnp.asarray(BITS), mesh(8))
    found["fixed"] = largest(amplitudes(still)[0] - column(fixed, np.zeros(0)))
    return found


def memory(n: str) -> dict[str, dict[str, float]]:
    """Temporary memory of a device and its largest array in shards, and collectives, of an evolution and a gradient."""
    circuit, bits, pairs = ansatz("hea_ring", int(n), 3), jnp.zeros(int(n), int), int(n) // 2
    observable = PauliSum.from_terms([("XX" * pairs, 1.0), ("ZZ" * pairs, 0.5), ("IY" * pairs, 2.0)])
    on, found = mesh(8), {}

    def value(angles: jax.Array) -> jax.Array:
        return expectation_sharded(observable, state_sharded(circuit, angles, bits, on), on)[0]

    angles = random_angles(circuit, 0)
    programs = {"evolution": lambda t: state_sharded(circuit, t, bits, on), "gradient": jax.grad(value)}
    for name, program in programs.items():
        compiled = jax.jit(program).lower(angles).compile()
        text = compiled.as_text()
        shapes = re.findall(r"(?:f64|s32|s64)\[([\d,]+)\]", text)
        found[name] = {
            "temporary": compiled.memory_analysis().temp_size_in_bytes / (2 ** int(n) / 8 * 16),
            "largest": max(np.prod([int(size) for size in shape.split(",")]) for shape in shapes) / (2 ** int(n) / 8),
            **collections.Counter(COLLECTIVE.findall(text)),
        }
    return found


def process(port: str, number: str) -> dict[str, float]:
    """Errors of one of two processes of two devices each."""
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=int(number), initialization_timeout=60)
    assert jax.device_count() == 4
    circuit, observable = random_circuit(N, 8, 2, 7), random_observable(N, 7)
    angles = random_angles(circuit, 7)
    (value, states), slope = jax.jit(jax.value_and_grad(energy, has_aux=True), static_argnums=(2, 3))(
        angles, observable, circuit, mesh(4)
    )
    wanted, theirs = jax.jit(jax.value_and_grad(one_device), static_argnums=2)(angles, observable, circuit)
    whole = statevector.evolve(circuit, jnp.asarray(angles), jnp.eye(2**N)[None, int("".join(map(str, BITS)), 2)])
    parts = [amplitudes(part.data)[0] - np.asarray(whole[part.index[:2]])[0] for part in states.addressable_shards]
    assert len(parts) == 2
    return {
        "state": largest(*parts),
        "energy": largest(value - wanted),
        "gradient": largest(np.asarray(slope) - theirs),
    }


if __name__ == "__main__":
    measure = {"equality": equality, "variants": variants, "memory": memory, "process": process}[sys.argv[1]]
    sys.stdout.write(json.dumps(measure(*sys.argv[2:]), default=float))
