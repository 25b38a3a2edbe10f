"""Pauli sums against Kronecker products, files, lattices, and the two packages whose conventions they share."""

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest
import qutip

from qnat.quantum import PauliSum, tfim
from qnat.quantum.backends.laws import dense_pauli
from qnat.quantum.hamiltonian_file import read_terms
from qnat.quantum.hamiltonians import bonds, local_strings

TERMS = [("XYZ", 0.7), ("ZIY", -0.3), ("IZX", 1.1), ("YYI", 0.2), ("III", 0.5)]


def dense(operator: PauliSum) -> np.ndarray:
    return sum(float(c) * dense_pauli(s) for c, s in zip(operator.coefficients, operator.strings, strict=True))


def test_matrix_is_the_kronecker_product():
    operator = PauliSum.from_terms(TERMS)
    np.testing.assert_allclose(operator.matrix(), dense(operator), atol=1e-15)
    stacked = jnp.tensordot(operator.coefficients, operator.matrices(), axes=1)
    np.testing.assert_allclose(stacked, dense(operator), atol=1e-15)


def test_apply_is_linear_in_batched_states():
    operator = PauliSum.from_terms(TERMS)
    states = np.random.default_rng(0).normal(size=(8, 5)) * (1 + 2j)
    np.testing.assert_allclose(operator.apply(jnp.asarray(states)), dense(operator) @ states, atol=1e-14)
    np.testing.assert_allclose(operator.apply(jnp.asarray(states[:, 0])), dense(operator) @ states[:, 0], atol=1e-14)


def test_real_sums_stay_real():
    assert tfim(1, 3).matrix().dtype == jnp.float64
    assert PauliSum.from_strings(["YY"]).is_real
    assert not PauliSum.from_strings(["YZ"]).is_real


def test_equal_strings_add_up_and_sums_add():
    total = PauliSum.from_terms([("ZZ", 1.0), ("XI", 2.0), ("ZZ", 0.5)])
    assert total.strings == ("ZZ", "XI")
    np.testing.assert_allclose(total.coefficients, [1.5, 2.0])
    np.testing.assert_allclose((total + PauliSum.from_strings(["XI", "IY"])).coefficients, [1.5, 3.0, 1.0])


def test_couplings_are_traced():
    def ground(field: jax.Array) -> jax.Array:
        return jnp.linalg.eigvalsh(tfim(1, 3, field=field).matrix())[0]

    slope = jax.jit(jax.grad(ground))(0.7)
    assert slope == pytest.approx(float(ground(0.7 + 1e-6) - ground(0.7 - 1e-6)) / 2e-6, rel=1e-7)


def test_tfim_equals_pennylane_and_qutip():
    for periodic in (False, True):
        ours = tfim(1, 4, coupling=0.8, field=1.3, periodic=periodic).matrix()
        theirs = qml.spin.transverse_ising("chain", [4], coupling=0.8, h=1.3, boundary_condition=periodic)
        np.testing.assert_allclose(ours, qml.matrix(theirs, wire_order=range(4)).real, atol=1e-14)
    z, x, one = qutip.sigmaz(), qutip.sigmax(), qutip.qeye(2)
    by_hand = -0.8 * qutip.tensor(z, z, one) - 0.8 * qutip.tensor(one, z, z)
    by_hand -= 1.3 * (qutip.tensor(x, one, one) + qutip.tensor(one, x, one) + qutip.tensor(one, one, x))
    np.testing.assert_allclose(tfim(1, 3, coupling=0.8, field=1.3).matrix(), by_hand.full().real, atol=1e-14)


def test_lattices_count_each_bond_once():
    assert len(bonds(1, 4)) == 3
    assert len(bonds(1, 4, periodic=True)) == 4
    assert len(bonds(2, 2)) == len(bonds(2, 2, periodic=True)) == 4
    assert len(bonds(3, 4)) == 3 * 3 + 2 * 4
    assert len(bonds(3, 4, periodic=True)) == 2 * 12
    assert bonds(1, 1, periodic=True) == ()
    assert len(bonds(1, 2, periodic=True)) == 1


def test_two_dimensional_tfim_by_its_square_ring():
    """A 2 x 2 lattice is a ring of four sites with another numbering."""
    square = jnp.linalg.eigvalsh(tfim(2, 2, field=0.6).matrix())
    ring = jnp.linalg.eigvalsh(tfim(1, 4, field=0.6, periodic=True).matrix())
    np.testing.assert_allclose(square, ring, atol=1e-13)


def test_local_strings_are_distinct():
    strings = local_strings(4, periodic=True)
    assert len(strings) == len(set(strings)) == 12 + 4 * 9


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ZZ -1.0\n\n# a comment\nXI 0.5 # field\nZZ 0.25\n", [("ZZ", -0.75), ("XI", 0.5)]),
        ('{"terms": [["ZZ", -1], ["XI", 0.5]]}', [("ZZ", -1.0), ("XI", 0.5)]),
    ],
)
def test_files_are_read(tmp_path, text, wanted):
    path = tmp_path / "hamiltonian.txt"
    path.write_text(text)
    assert read_terms(path) == wanted
    np.testing.assert_allclose(PauliSum.from_file(path).matrix(), dense(PauliSum.from_terms(wanted)).real, atol=1e-15)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no term"),
        ("# only a comment\n", "holds no term"),
        ("ZZ -1\nZZZ 1\n", "line 2: 'ZZZ' acts on 3 qubits"),
        ("ZZ -1\nZA 1\n", "line 2: 'ZA' is not a Pauli string"),
        ("ZZ 1 2\n", "line 1: 'ZZ 1 2' is not a term"),
        ("ZZ 1j\n", "not Hermitian"),
        ("ZZ nan\n", "not a finite real number"),
        ("ZZ one\n", "not a finite real number"),
        ('{"terms": [["ZZ", -1.0], ["XI", "a"]]}', "term 2"),
        ('{"terms": [["ZZ"]]}', "term 1"),
        ('{"terms": 3}', 'needs a list "terms"'),
        ('{"terms": [', "not valid JSON"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(tmp_path, text, message):
    path = tmp_path / "bad.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message.replace("[", r"\[")) as refusal:
        read_terms(path)
    assert "\n" not in str(refusal.value)


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Cannot read"):
        read_terms(tmp_path / "absent.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not text"):
        read_terms(tmp_path / "binary")


def test_wrong_sums_are_refused():
    for strings in ((), ("ZZ", "Z"), ("ZQ",), ("ZZ", "ZZ")):
        with pytest.raises(ValueError, match="Pauli"):
            PauliSum(jnp.ones(len(strings)), strings)
    with pytest.raises(ValueError, match="complex"):
        PauliSum.from_terms([("ZZ", 1j)])
