"""The strategies draw what they promise, and files of counts come back as they were written."""

import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qnat.geometry import gibbs_state
from qnat.geometry import testing as geometry
from qnat.quantum import testing
from qnat.quantum.backends.laws import KINDS, dense_pauli, dense_unitary
from qnat.quantum.measure.counts import exact_moments
from qnat.quantum.measure.counts_file import read_counts, write_counts

few = settings(max_examples=30, deadline=None, derandomize=True)


@few
@given(circuit=testing.circuits(wires=st.integers(1, 4), max_gates=5), data=st.data())
def test_circuits_are_unitary_and_take_their_angles(circuit, data):
    assert len(circuit.block) <= 5
    assert circuit.layers <= 2
    angles = data.draw(geometry.vectors(circuit.num_angles))
    U = dense_unitary(circuit, angles)
    np.testing.assert_allclose(U @ U.conj().T, np.eye(2**circuit.n), atol=1e-12)


def test_gates_of_every_kind_are_drawn():
    seen = set()

    @settings(max_examples=200, derandomize=True, database=None)
    @given(gate=testing.gates(3))
    def look(gate):
        seen.add((gate.kind, len(gate.wires), bool(gate.controls)))

    look()
    assert {kind for kind, _, _ in seen} == {"rotation", "phase", "fixed"}
    assert {width for _, width, _ in seen} == {1, 2, 3}
    assert ("rotation", 1, True) in seen
    assert len(KINDS) == 7


@few
@given(total=testing.pauli_sums(2, 3), K=geometry.states(4))
def test_a_sum_is_the_sum_of_its_strings(total, K):
    coefficients = np.asarray(total.coefficients)
    wanted = sum(c * dense_pauli(s) for c, s in zip(coefficients, total.strings, strict=True))
    matrix = np.asarray(total.matrix())
    np.testing.assert_allclose(matrix, wanted, atol=1e-15)
    rho = np.asarray(gibbs_state(K))
    values = exact_moments(rho, total.strings).values
    np.testing.assert_allclose(coefficients @ values, np.trace(rho @ matrix).real, atol=1e-13)


@few
@given(found=testing.counts(3, 2))
def test_counts_come_back_from_their_file(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("counts") / "counts.json"
    write_counts(path, found)
    assert read_counts(path) == found


def test_hypothesis_is_loaded_with_the_strategies_only():
    code = "import sys, qnat.quantum as q; q.tfim, q.Statevector; import qnat.quantum.backends.laws; "
    code += "print('hypothesis' in sys.modules); import qnat.quantum.testing; print('hypothesis' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "True"]
