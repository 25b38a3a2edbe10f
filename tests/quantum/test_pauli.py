"""Pauli sums against Kronecker products, files, lattices, and the two packages whose conventions they share."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest
import qutip

from qnat.quantum import PauliSum, tfim
from qnat.quantum.backends.laws import dense_pauli
from qnat.quantum.operators.hamiltonian_file import read_terms
from qnat.quantum.operators.hamiltonians import bonds, local_strings

TERMS = [("XYZ", 0.7), ("ZIY", -0.3), ("IZX", 1.1), ("YYI", 0.2), ("III", 0.5)]


def dense(operator: PauliSum) -> np.ndarray:
    coefficients = np.asarray(operator.coefficients)
    return sum(c * dense_pauli(s) for c, s in zip(coefficients, operator.strings, strict=True))


def test_matrix_is_the_kronecker_product():
    operator = PauliSum.from_terms(TERMS)
    np.testing.assert_allclose(operator.matrix(), dense(operator), atol=1e-15)
    stacked = np.tensordot(operator.coefficients, operator.matrices(), axes=1)
    np.testing.assert_allclose(stacked, dense(operator), atol=1e-15)


def test_apply_is_linear_in_batched_states():
    operator = PauliSum.from_terms(TERMS)
    states = np.random.default_rng(0).normal(size=(8, 5)) * (1 + 2j)
    together, alone = jax.jit(lambda states: (operator.apply(states), operator.apply(states[:, 0])))(states)
    np.testing.assert_allclose(together, dense(operator) @ states, atol=1e-14)
    np.testing.assert_allclose(alone, dense(operator) @ states[:, 0], atol=1e-14)


def test_real_sums_stay_real():
    assert tfim(1, 3).matrix().dtype == jnp.float64
    assert PauliSum.from_strings(["YY"]).is_real
    assert not PauliSum.from_strings(["YZ"]).is_real


def test_equal_strings_add_up_and_sums_add():
    total = PauliSum.from_terms([("ZZ", 1.0), ("XI", 2.0), ("ZZ", 0.5)])
    assert total.strings == ("ZZ", "XI")
    np.testing.assert_allclose(total.coefficients, [1.5, 2.0])
    longer = jax.jit(PauliSum.__add__)(total, PauliSum.from_strings(["XI", "IY"]))
    np.testing.assert_allclose(longer.coefficients, [1.5, 3.0, 1.0])


def test_couplings_are_traced():
    @jax.jit
    def ground(field: jax.Array) -> jax.Array:
        return jnp.linalg.eigvalsh(tfim(1, 3, field=field).matrix())[0]

    slope = jax.jit(jax.grad(ground))(0.7)
    difference = float(ground(0.7 + 1e-6)) - float(ground(0.7 - 1e-6))
    assert slope == pytest.approx(difference / 2e-6, rel=1e-7)


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
    square = np.linalg.eigvalsh(tfim(2, 2, field=0.6).matrix())
    ring = np.linalg.eigvalsh(tfim(1, 4, field=0.6, periodic=True).matrix())
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
            PauliSum(np.ones(len(strings)), strings)
    with pytest.raises(ValueError, match="complex"):
        PauliSum.from_terms([("ZZ", 1j)])


def test_coefficients_are_judged_when_the_sum_is_made():
    for wrong in (np.ones(3), np.ones((2, 1)), np.ones((2, 2)), np.array(1.0), []):
        with pytest.raises(ValueError, match=r"2 Pauli strings need coefficients of shape \(2,\)"):
            PauliSum(wrong, ("ZZ", "XI"))
    for wrong in (np.array([1.0, 1j]), jnp.array([1.0, 0j]), [1.0, 2j]):
        with pytest.raises(ValueError, match="complex"):
            PauliSum(wrong, ("ZZ", "XI"))
        with pytest.raises(ValueError, match="complex"):
            jax.jit(lambda c: PauliSum(c, ("ZZ", "XI")).matrix())(jnp.asarray(wrong))


@pytest.mark.parametrize("coefficients", [[1, 2], (1.0, 2), np.array([1, 2]), np.array([1, 2], np.int32), "traced"])
def test_whole_numbers_are_floating_ones_in_the_default_precision(coefficients):
    given = jnp.array([1, 2]) if isinstance(coefficients, str) else coefficients
    operator = PauliSum(given, ("Y", "X"))
    assert operator.matrix().dtype == np.complex128
    assert PauliSum(given, ("Z", "X")).matrix().dtype == np.float64
    np.testing.assert_allclose(operator.matrix(), [[0, 2 - 1j], [2 + 1j, 0]], atol=1e-16)
    assert PauliSum(np.array([1, 2], np.float32), ("Y", "X")).matrix().dtype == np.complex64


def test_sums_pass_through_transformations():
    """Tracers, batches of whole sums and what JAX puts in their place are no coefficients of a wrong shape."""
    strings, couplings = ("ZZ", "XI"), np.array([[1.0, 2.0], [0.5, -1.0], [0.0, 3.0]])

    def total(operator):
        return jnp.sum(operator.matrix() ** 2)

    @jax.jit
    def facts(couplings):
        many = jax.vmap(lambda c: PauliSum(c, strings))(couplings)
        return jax.vmap(total)(many), jax.vmap(jax.grad(lambda c: total(PauliSum(c, strings))))(couplings)

    values, slopes = facts(couplings)
    np.testing.assert_allclose(values, 4 * np.sum(couplings**2, axis=1), atol=1e-13)
    np.testing.assert_allclose(slopes, 8 * couplings, atol=1e-13)
    operator = PauliSum(couplings[0], strings)
    for leaf in (None, object(), jax.ShapeDtypeStruct((2,), float)):
        assert jax.tree.map(lambda _, leaf=leaf: leaf, operator).coefficients is leaf
    assert PauliSum(None, strings).coefficients is None
    np.testing.assert_allclose(jax.grad(total)(operator).coefficients, 8 * couplings[0])


def letter_by_letter(operator: PauliSum, states: np.ndarray) -> np.ndarray:
    """H on complex states (batch, d), one wire after another."""
    total = np.zeros(states.shape, complex)
    for c, string in zip(np.asarray(operator.coefficients), operator.strings, strict=True):
        part = states.reshape(-1, *(2,) * operator.n).astype(complex)
        for wire, letter in enumerate(string):
            part = np.moveaxis(np.tensordot(dense_pauli(letter), part, (1, 1 + wire)), 0, 1 + wire)
        total += c * part.reshape(total.shape)
    return total


def complex_states(planes: jax.Array) -> np.ndarray:
    planes = np.asarray(planes)
    return planes[..., 0] + 1j * planes[..., 1] if planes.shape[-1] == 2 else planes[..., 0] + 0j


def random_sum(n: int, count: int, seed: int, *, real: bool = False) -> PauliSum:
    """Random strings, sparse and dense ones, some of equal flips; with an even number of Y each where `real`."""
    rng = np.random.default_rng(seed)
    strings = []
    while len(strings) < count:
        letters = rng.choice(list("IXYZ"), n, p=rng.dirichlet([4, 1, 1, 1]))
        string = "".join(letters)
        twin = string.replace("I", "Z", 1)  # the same flip
        strings += [s for s in dict.fromkeys((string, twin)) if not (real and s.count("Y") % 2)]
    strings = list(dict.fromkeys(strings))
    return PauliSum(jnp.asarray(rng.normal(size=len(strings)), float), tuple(strings))


# by the flips of the whole state, by the scan over many flips, by rows of the state
SIZES = {"flips": (4, 12), "scan": (7, 120), "rows": (12, 14)}


@pytest.fixture(params=SIZES)
def size(request):
    return SIZES[request.param]


@pytest.mark.slow
@hypothesis.given(
    n=st.integers(1, 6),
    count=st.integers(1, 20),
    batch=st.integers(1, 3),
    planes=st.integers(1, 2),
    seed=st.integers(0),
)
@hypothesis.settings(max_examples=8, deadline=None, derandomize=True)
def test_random_sums_on_planes(n, count, batch, planes, seed):
    operator = random_sum(n, count, seed % 2**32, real=planes == 1)
    states = np.random.default_rng(seed % 2**32).normal(size=(batch, 2**n, planes))
    wanted = complex_states(states) @ dense(operator).T
    np.testing.assert_allclose(complex_states(operator.apply_planes(states)), wanted, atol=1e-12)
    np.testing.assert_allclose(operator.apply(jnp.asarray(complex_states(states).T)), wanted.T, atol=1e-12)
    np.testing.assert_allclose(operator.matrix(), dense(operator), atol=1e-13)


@pytest.mark.parametrize("planes", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_every_size_on_planes(size, planes):
    operator = random_sum(*size, seed=3, real=planes == 1)
    states = np.random.default_rng(4).normal(size=(2, 2**operator.n, planes))
    wanted = letter_by_letter(operator, complex_states(states))
    np.testing.assert_allclose(complex_states(operator.apply_planes(states)), wanted, atol=1e-11)
    energies = np.sum(complex_states(states).conj() * wanted, axis=1).real
    np.testing.assert_allclose(operator.expectation_planes(states), energies, rtol=1e-11)
    each = np.asarray(operator.string_expectations_planes(states))
    np.testing.assert_allclose(each @ np.asarray(operator.coefficients), energies, rtol=1e-11)
    for j in (0, len(operator.strings) - 1):
        alone = letter_by_letter(PauliSum.from_strings([operator.strings[j]]), complex_states(states))
        np.testing.assert_allclose(each[:, j], np.sum(complex_states(states).conj() * alone, 1).real, atol=1e-10)


def test_chain_by_rows():
    """The TFIM has parts on low wires, on middle wires and across the rows; and so has a rotated copy."""
    for string_map in ({}, str.maketrans("XZ", "YX"), str.maketrans("XZ", "ZY")):
        chain = tfim(1, 13, field=0.7, periodic=True)
        operator = PauliSum(chain.coefficients, tuple(s.translate(string_map) for s in chain.strings))
        states = np.random.default_rng(5).normal(size=(1, 2**13, 2))
        wanted = letter_by_letter(operator, complex_states(states))
        np.testing.assert_allclose(complex_states(operator.apply_planes(states)), wanted, atol=1e-12)


def test_odd_strings_vanish_in_real_states():
    operator = PauliSum.from_terms([("YI", 0.7), ("ZX", 0.4), ("XY", -0.2)])
    states = np.random.default_rng(0).normal(size=(3, 4, 1))
    with pytest.raises(ValueError, match="second plane"):
        operator.apply_planes(states)
    padded = np.concatenate([states, np.zeros_like(states)], axis=-1)
    np.testing.assert_allclose(operator.expectation_planes(states), operator.expectation_planes(padded), atol=1e-15)
    each = np.asarray(operator.string_expectations_planes(states))
    np.testing.assert_allclose(each, operator.string_expectations_planes(padded), atol=1e-15)
    np.testing.assert_array_equal(each[:, [0, 2]], 0)


def test_derivatives_of_expectations(size):
    operator = random_sum(*size, seed=7)
    rng = np.random.default_rng(8)
    states, moved = (rng.normal(size=(2, 2**operator.n, 2)) / 2**operator.n for _ in range(2))
    shift = rng.normal(size=operator.coefficients.shape)
    weights = np.array([1.0, -0.3])

    @jax.jit
    def value(c, v):
        return weights @ PauliSum(c, operator.strings).expectation_planes(v)

    @jax.jit
    def derivatives(c, v, dc, dv):
        gradient = jax.grad(value, (0, 1))
        return {
            "first": gradient(c, v),
            "forward": jax.jvp(value, (c, v), (dc, dv))[1],
            "second": jax.jvp(gradient, (c, v), (dc, dv))[1],
            "mixed": jax.jvp(lambda v: jax.grad(value)(c, v), (v,), (dv,))[1],
            "twice": jax.grad(lambda v: jnp.vdot(jax.grad(value, 1)(c, v), dv))(v),
        }

    def applied(c, v):
        return 2 * weights[:, None, None] * np.asarray(PauliSum(c, operator.strings).apply_planes(v))

    c = np.asarray(operator.coefficients)
    found = jax.device_get(derivatives(c, states, shift, moved))
    each = np.asarray(operator.string_expectations_planes(states))
    np.testing.assert_allclose(found["first"][0], weights @ each, atol=1e-12)
    np.testing.assert_allclose(found["first"][1], applied(c, states), atol=1e-12)
    # bilinear in c and quadratic in v, so that differences are exact
    slope = (float(value(c + shift, states + moved)) - float(value(c - shift, states - moved))) / 2
    slope -= (float(value(shift, moved)) - float(value(-shift, moved))) / 2
    assert found["forward"] == pytest.approx(slope, rel=1e-9)
    along = np.vdot(found["first"][0], shift) + np.vdot(found["first"][1], moved)
    assert along == pytest.approx(found["forward"], rel=1e-9)
    np.testing.assert_allclose(found["second"][1], applied(c, moved) + applied(shift, states), atol=1e-12)
    np.testing.assert_allclose(found["second"][0], found["mixed"], atol=1e-12)
    np.testing.assert_allclose(found["twice"], applied(c, moved), atol=1e-12)


def test_one_product_gives_value_and_gradient():
    operator = random_sum(8, 20, seed=1)
    states = np.ones((1, 2**8, 2))

    def flips(fn):
        return str(jax.make_jaxpr(fn)(states)).count("rev[")

    assert flips(jax.value_and_grad(lambda v: operator.expectation_planes(v)[0])) == flips(operator.apply_planes) > 5


def test_planes_keep_single_precision(size):
    operator = random_sum(*size, seed=2)
    states = np.random.default_rng(0).normal(size=(1, 2**operator.n, 2))
    single = operator.apply_planes(states.astype(np.float32))
    assert single.dtype == operator.expectation_planes(states.astype(np.float32)).dtype == jnp.float32
    assert operator.string_expectations_planes(states.astype(np.float32)).dtype == jnp.float32
    np.testing.assert_allclose(single, operator.apply_planes(states), atol=1e-4)


def test_terms_apply_alone():
    operator = random_sum(3, 9, seed=1)
    columns = np.random.default_rng(0).normal(size=(2, 8, 5))
    apply = jax.jit(PauliSum.apply_term)
    for j, (c, string) in enumerate(zip(np.asarray(operator.coefficients), operator.strings, strict=True)):
        wanted = c * dense_pauli(string) @ (columns[0] + 1j * columns[1])
        found = np.asarray(apply(operator, j, columns))
        np.testing.assert_allclose(found[0] + 1j * found[1], wanted, atol=1e-14)
    real = random_sum(3, 5, seed=1, real=True)
    found, scale = np.asarray(apply(real, 2, columns[:1]))[0], np.asarray(real.coefficients)[2]
    np.testing.assert_allclose(found, scale * dense_pauli(real.strings[2]).real @ columns[0], atol=1e-14)
