"""States on many devices against the dense oracle and one device, with virtual devices and with two processes."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh

from qnat.quantum.engine.affine import Affine
from qnat.quantum.engine.exchange import exchange, groups, split
from qnat.quantum.engine.parity import echelon, rank
from qnat.quantum.engine.sharded import device_wires

pytestmark = pytest.mark.slow

SCRIPT = pathlib.Path(__file__).with_name("sharded_process.py")
TIMEOUT = 120  # seconds; a collective that waits for nobody fails the test


def start(devices: int, *arguments: str) -> subprocess.Popen:
    environment = {
        **os.environ,
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
        "JAX_COMPILATION_CACHE_DIR": str(jax.config.jax_compilation_cache_dir),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def results(*processes: subprocess.Popen) -> list[dict]:
    try:
        outputs = [process.communicate(timeout=TIMEOUT) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert all(process.returncode == 0 for process in processes), "\n".join(errors for _, errors in outputs)
    return [json.loads(output.splitlines()[-1]) for output, _ in outputs]


def random_affine(n: int, rng: np.random.Generator) -> Affine:
    while True:
        columns = tuple(int(column) for column in rng.integers(0, 2**n, n))
        if len(echelon(columns)) == n:
            return Affine(columns, int(rng.integers(2**n)))


@pytest.mark.parametrize("seed", range(100))
def test_a_gather_is_an_exchange_between_local_ones(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 9))
    m = int(rng.integers(max(1, n - 3), n + 1))
    gather = random_affine(n, rng)
    factors, numbering = split(gather, m)
    between = exchange(factors.basis, m, n)
    assert factors.first.after(between).after(factors.second) == gather.after(numbering.embedded(tuple(range(m, n)), n))
    for local in (factors.first, factors.second):
        assert [local(h << m) >> m for h in range(2 ** (n - m))] == list(range(2 ** (n - m)))
        assert all(column >> m == 0 for column in local.columns[:m])


def test_an_exchange_is_what_all_to_all_does():
    basis, m, n = echelon([0b011, 0b110]), 3, 6
    between = exchange(basis, m, n)
    for members in groups(basis, 2 ** (n - m)):
        assert [rank(h, basis) for h in members] == list(range(len(members)))
        for here, h in enumerate(members):
            for block, source in enumerate(members):
                assert between(h << m | block << m - 2) == source << m | here << m - 2


# the last two number devices anew up to the end; the last one knows groups of 1, 2, 4 and 8
@pytest.mark.parametrize(
    ("devices", "seed"),
    [(4, 8), *(pytest.param(*case) for case in ((1, 1), (2, 2), (8, 7)))],
)
def test_any_number_of_devices_equals_one(devices, seed):
    (errors,) = results(start(8, "equality", str(devices), str(seed)))
    assert max(errors.values()) < 1e-12, errors


def test_precisions_modes_and_batches_equal_one_device():
    (errors,) = results(start(8, "variants"))
    assert max(errors.values()) < 1e-12, errors


def test_no_device_holds_more_than_its_share():
    (found,) = results(start(8, "memory", "16"))
    for name, most in (("evolution", 5), ("gradient", 12)):
        assert found[name]["all-to-all"] > 0
        assert not {"all-gather", "reduce-scatter"} & set(found[name]), found
        assert found[name]["temporary"] < most, found
        assert found[name]["largest"] <= 2, found  # a shard of two planes


def test_two_processes_equal_one_device():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = str(probe.getsockname()[1])
    for errors in results(*(start(2, "process", port, str(number)) for number in range(2))):
        assert max(errors.values()) < 1e-12, errors


def test_meshes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="one axis"):
        device_wires(AbstractMesh((2, 2), ("a", "b")), 6)
    with pytest.raises(ValueError, match="power of two"):
        device_wires(AbstractMesh((3,), ("a",)), 6)
    with pytest.raises(ValueError, match="leave 1"):
        device_wires(AbstractMesh((8,), ("a",)), 4)
