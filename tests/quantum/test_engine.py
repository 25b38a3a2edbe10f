"""The statevector engine against dense matrices: random circuits of every gate, in every way they can be run."""

import functools
import itertools

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from qnat.quantum import testing
from qnat.quantum.backends import statevector
from qnat.quantum.backends.laws import dense_unitary, random_circuit
from qnat.quantum.circuits.circuit import Circuit, cnot, cz, hadamard, pauli, phase, rotation, swap, unitary
from qnat.quantum.engine import evolve_planes, frames, make_plan, plan, window_matrices
from qnat.quantum.engine.affine import Affine, recognise
from qnat.quantum.engine.lowering import lower
from qnat.quantum.engine.memory import check_memory
from qnat.quantum.engine.windows import merge_runs, pick_windows

SHAPES = [  # k, m, flat: windows of k wires, phases of m
    (2, None, False),
    (3, None, False),
    (4, None, False),
    (2, None, True),
    (3, None, True),
    (2, 3, False),
    (3, 4, False),
]


@functools.partial(jax.jit, static_argnums=(0, 3))
def run(found, angles, planes, mode="reverse"):
    return evolve_planes(found, window_matrices(found, angles), planes, mode)


def to_planes(states, found):
    return np.stack([states.real, states.imag], -1) if found.planes == 2 else states.real[..., None]


class Hashable:
    """A plan as a static argument: one object is equal to itself."""

    def __init__(self, found):
        self.found = found

    def __getattr__(self, name):
        return getattr(self.found, name)


def angles_of(circuit, seed):
    return np.random.default_rng(seed).normal(size=circuit.num_angles)


def check_plan(circuit, shape):
    angles = angles_of(circuit, 0)
    k, m, flat = shape
    found = Hashable(make_plan(circuit, k, m, flat=flat, together=2))
    states = np.random.default_rng(0).normal(size=(3, 2**circuit.n))
    after = np.asarray(run(found, angles, to_planes(states + 0j, found)))
    after = after[..., 0] + 1j * after[..., 1] if found.planes == 2 else after[..., 0]
    np.testing.assert_allclose(after, states @ dense_unitary(circuit, angles).T, atol=1e-12)


planned = given(
    circuit=testing.circuits(wires=st.integers(1, 6), max_gates=14, max_layers=3), shape=st.sampled_from(SHAPES)
)


@settings(max_examples=10, deadline=None, derandomize=True)
@planned
def test_every_circuit_equals_its_dense_unitary(circuit, shape):
    check_plan(circuit, shape)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@planned
def test_many_circuits_equal_their_dense_unitaries(circuit, shape):
    check_plan(circuit, shape)


@pytest.mark.parametrize(
    ("shape", "seed"),
    [
        pytest.param((3, None, False), 0, marks=pytest.mark.slow),
        ((2, None, True), 1),
        pytest.param((3, 4, False), 2, marks=pytest.mark.slow),
    ],
)
def test_derivatives_of_every_kind_agree(shape, seed):
    """Adjoint gradient, forward mode, Hessian-vector product and vmap, against each other and finite differences."""
    circuit = random_circuit(5, 12, 2, seed)
    angles, direction = angles_of(circuit, seed), angles_of(circuit, seed + 100)
    k, m, flat = shape
    found = Hashable(make_plan(circuit, k, m, flat=flat))
    start = np.random.default_rng(seed).normal(size=(2, 32, found.planes))
    weight = np.random.default_rng(seed + 1).normal(size=start.shape)

    def value(angles, start, mode="reverse"):
        return jnp.sum(jnp.sin(weight * run(found, angles, start, mode)))

    value_and_gradient = jax.jit(jax.value_and_grad(value, (0, 1)))
    slope, slope_start = map(np.asarray, value_and_gradient(angles, start)[1])
    push = jax.jit(lambda a, s, da, ds: jax.jvp(lambda a, s: value(a, s, "forward"), (a, s), (da, ds))[1])
    forward = push(angles, start, direction, 0 * start)
    forward_start = push(angles, start, 0 * angles, weight)
    assert slope @ direction == pytest.approx(float(forward), rel=1e-11, abs=1e-11)
    assert np.vdot(slope_start, weight) == pytest.approx(float(forward_start), rel=1e-11, abs=1e-11)

    step = 1e-5
    there, back = (jax.device_get(value_and_gradient(angles + sign * step * direction, start)) for sign in (1, -1))
    assert (there[0] - back[0]) / (2 * step) == pytest.approx(float(forward), rel=1e-6, abs=1e-7)

    curvature = jax.jit(lambda a, da: jax.jvp(lambda a: jax.grad(value)(a, start), (a,), (da,))[1])(angles, direction)
    np.testing.assert_allclose(curvature, (there[1][0] - back[1][0]) / (2 * step), atol=1e-6)

    batch = np.stack([angles, direction])
    together = np.asarray(jax.jit(jax.vmap(jax.grad(value), (0, None)))(batch, start))
    np.testing.assert_allclose(together[0], slope, atol=1e-12)


def test_real_circuits_run_in_real_arithmetic():
    gates = (
        rotation("Y", 0),
        cnot(0, 1),
        rotation("ZY", 2, 0),
        rotation("YYY", 0, 1, 2),
        hadamard(2),
        cz(0, 2),
        swap(1, 2),
    )
    circuit = Circuit(3, gates, 2)
    angles = angles_of(circuit, 0)
    assert plan(circuit).planes == 1
    found = statevector.unitary(circuit, angles)
    assert found.dtype == jnp.float64
    np.testing.assert_allclose(found, dense_unitary(circuit, angles), atol=1e-14)
    assert frames(circuit, angles)[0].dtype == jnp.float64


def test_complex_states_pass_real_circuits():
    circuit = Circuit(2, (rotation("Y", 0), cnot(0, 1)), 1)
    states = np.random.default_rng(0).normal(size=(2, 4, 2)) @ [1, 1j]
    after = statevector.evolve(circuit, np.ones(1), states)
    np.testing.assert_allclose(after, states @ dense_unitary(circuit, np.ones(1)).T, atol=1e-14)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_precision_is_that_of_the_angles(dtype):
    circuit = random_circuit(4, 10, 2, 3)
    angles = angles_of(circuit, 0).astype(dtype)
    found = statevector.unitary(circuit, angles)
    assert found.dtype == jnp.result_type(dtype, jnp.complex64)
    np.testing.assert_allclose(found, dense_unitary(circuit, angles), atol=100 * jnp.finfo(dtype).eps)
    gradient = jax.eval_shape(jax.grad(lambda a: statevector.unitary(circuit, a).real.sum()), angles)
    assert gradient.dtype == dtype


def test_affine_maps_are_a_group():
    maps = [
        recognise(np.eye(8)[list(order)]) for order in itertools.islice(itertools.permutations(range(8)), 0, 5000, 7)
    ]
    maps = [found for found in maps if found is not None]
    assert len(maps) > 10
    for first, second in itertools.pairwise(maps):
        assert [second.after(first)(x) for x in range(8)] == [second(first(x)) for x in range(8)]
        assert first.inverse().after(first) == Affine.identity(3)
        high, low = first.tables(1)
        assert [high[x >> 1] ^ low[x & 1] for x in range(8)] == [first(x) for x in range(8)]


def test_permutations_cost_no_window():
    free = (cnot(0, 3), swap(1, 2), pauli("X", 3), unitary(np.eye(8)[[0, 1, 2, 3, 6, 7, 4, 5]], 0, 1, 2))
    found = plan(Circuit(4, free, 5))
    assert found.windows == 0
    angles = np.zeros(0)
    np.testing.assert_array_equal(
        statevector.unitary(Circuit(4, free, 5), angles), dense_unitary(Circuit(4, free, 5), angles).real
    )


def test_what_commutes_shares_a_window():
    """Diagonal gates pass controls: RZ, CZ and a control on one wire need no order."""
    gates = (rotation("Z", 0), cz(0, 2), rotation("X", 1, controls=(0,)), phase(0, 2))
    windows, _ = pick_windows(3, merge_runs(lower(Circuit(3, gates))), 2)
    assert len(windows) == 2


def test_windows_hold_every_operation_once_and_in_order():
    circuit = random_circuit(7, 60, 1, 5)
    items = merge_runs(lower(circuit))
    windows, rest = pick_windows(7, items, 3)
    placed = [item for window in windows for item in (*window.before, *window.items)] + list(rest)
    assert sorted(map(id, placed)) == sorted(map(id, items))


def test_wide_gates_that_cannot_be_planned_are_refused():
    toffoli = unitary(np.eye(8)[[0, 1, 2, 3, 4, 5, 7, 6]], 0, 1, 2)
    with pytest.raises(ValueError, match="neither diagonal nor an affine permutation"):
        plan(Circuit(3, (toffoli,)))
    with pytest.raises(ValueError, match="at most 8 wires"):
        plan(Circuit(10, (phase(*range(10)),)))
    composed = (hadamard(2), unitary(np.diag([1, 1, 1, 1, 1, 1, 1, -1]), 0, 1, 2), hadamard(2))
    np.testing.assert_allclose(
        statevector.unitary(Circuit(3, composed), np.zeros(0)), np.array(toffoli.matrix), atol=1e-15
    )


def test_states_that_do_not_fit_are_refused_before_they_are_made(monkeypatch):
    circuit = Circuit(4, (rotation("X", 0),))
    monkeypatch.setattr("qnat.quantum.engine.memory.available_bytes", lambda: 2**30)
    check_memory(circuit, 2**10, jnp.float64)
    with pytest.raises(ValueError, match=r"4 wires in float64 need 24\.0 GiB and 1\.0 GiB are free"):
        check_memory(circuit, 2**25, jnp.float64)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="GiB are free"):
        statevector.Statevector().state(Circuit(40, (rotation("X", 0),)), np.ones(1), np.zeros(40, int))


@pytest.mark.parametrize("n", [3, 7])
def test_planning_is_deterministic(n):
    circuit = random_circuit(n, 30, 1, 1)
    first, second = make_plan(circuit, 3), make_plan(circuit, 3)
    np.testing.assert_array_equal(first.inner.high, second.inner.high)
    np.testing.assert_array_equal(first.program.steps, second.program.steps)


@pytest.mark.slow
def test_memory_of_a_gradient_does_not_grow_with_depth():
    """The adjoint method keeps a few states; plain reverse mode keeps one for every window."""
    sizes = {}
    for mode in ("reverse", "forward"):
        for layers in (4, 16):
            block = (
                *(rotation(letter, wire) for wire in range(12) for letter in "XY"),
                *(cnot(i, i + 1) for i in range(11)),
            )
            circuit = Circuit(12, block, layers)

            def energy(angles, circuit=circuit, mode=mode):
                return jnp.sum(jnp.abs(statevector.evolve(circuit, angles, jnp.eye(1, 2**12), mode=mode)) ** 4)

            compiled = jax.jit(jax.grad(energy)).lower(jnp.ones(circuit.num_angles)).compile()
            sizes[mode, layers] = compiled.memory_analysis().temp_size_in_bytes
    state = 2**12 * 16
    assert sizes["reverse", 16] - sizes["reverse", 4] < 20 * state  # matrices and tables, not states
    assert sizes["reverse", 16] < sizes["forward", 16]
