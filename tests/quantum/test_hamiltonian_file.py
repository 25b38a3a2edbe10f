"""Hamiltonians as others write them: what is unambiguous is read, the rest is refused by name."""

import gzip
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.experiment import RefusedError
from qnat.experiment.words.wording import build
from qnat.quantum.operators.hamiltonian_file import read_terms
from qnat.quantum.operators.pauli import PauliSum
from qnat.quantum.tasks.gibbs import GibbsSpec

HALF = [("ZZ", -0.5)]
FAR = [("XIIZ", -0.5)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ZZ -0.5", HALF),
        ("ZZ, -0.5", HALF),
        ("ZZ\t-.5e0", HALF),
        ("-0.5 ZZ", HALF),
        ("-0.5 * ZZ", HALF),
        ("zz -0.5", HALF),
        ("ZZ \N{MINUS SIGN}0.5", HALF),
        ("ZZ (-0.5+0j)", HALF),
        ("ZZ -0.5+0j", HALF),
        ("ZZ (-0.5+1e-16j)", HALF),
        ("\ufeffZZ -0.5", HALF),
        ("ZZ -0.25\r\nZZ -0.25\r\n", HALF),
        ("# a\n\n// b\n% c\n  % d\nZZ -0.5 # e\n", HALF),
        ("ZZ -0.5 // e", HALF),
        ("ZZ -0.5 % e", HALF),
        ("ZZ -0.5#e", HALF),
        ('{"ZZ": -0.5}', HALF),
        ('[["ZZ", -0.5]]', HALF),
        ('{"terms": [["ZZ", -0.5]]}', HALF),
        ('{"terms": {"zz": -0.5}}', HALF),
        ("X0 Z3 -0.5", FAR),
        ("Z3 X0 -0.5", FAR),
        ("-0.5 x0 z3", FAR),
        ("-0.5 [X0 Z3]", FAR),
        ("(-0.5+0j) [X0 Z3]", FAR),
        ('{"X0 Z3": -0.5}', FAR),
        ('[["X0 Z3", -0.5]]', FAR),
        ("(0.1+0j) [] +\n(-0.5+0j) [X0 Z3] +\n0.25 [Z3 X0]", [("IIII", 0.1), ("XIIZ", -0.25)]),
        ("0.1 [] + -0.5 [X0 Z3]", [("IIII", 0.1), ("XIIZ", -0.5)]),
        ("I 0.1\nX0 Z3 -0.5", [("IIII", 0.1), ("XIIZ", -0.5)]),
        ("X0 I3 1\nX0 1", [("XIII", 2.0)]),
        ("I 0.5", [("I", 0.5)]),
        ("0.5 []", [("I", 0.5)]),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_is_unambiguous_is_read(tmp_path, text, wanted, pack):
    path = tmp_path / "h"
    path.write_bytes(pack(text.encode()))
    assert read_terms(path) == wanted
    spec = GibbsSpec(hamiltonian=str(path))
    assert spec.n == len(wanted[0][0])
    assert dict(zip(spec.operator().strings, spec.operator().coefficients.tolist(), strict=True)) == dict(wanted)
    assert spec.size().terms == sum(set(string) != {"I"} for string, _ in wanted)
    assert GibbsSpec.restored(spec.record()) == spec


def test_openfermion_and_full_strings_are_the_same_operator(tmp_path):
    rng = np.random.default_rng(0)
    full = {"".join(rng.choice(list("IXYZ"), 3)): float(rng.normal()) for _ in range(20)}
    lines = []
    for string, c in full.items():
        factors = " ".join(f"{letter}{wire}" for wire, letter in enumerate(string) if letter != "I")
        lines.append(f"{complex(c)} [{factors}]")
    (tmp_path / "openfermion").write_text(" +\n".join(lines))
    found = dict(read_terms(tmp_path / "openfermion", 3))
    assert found == full


def test_a_sparse_list_may_have_more_qubits(tmp_path):
    (tmp_path / "h").write_text("X0 Y1 0.5\nZ1 1\n")
    assert read_terms(tmp_path / "h", 3) == [("XYI", 0.5), ("IZI", 1.0)]
    assert PauliSum.from_file(tmp_path / "h", 4).n == 4
    spec = GibbsSpec(hamiltonian=str(tmp_path / "h"), n=3)
    assert spec.operator().strings == ("XYI", "IZI")
    assert not spec.size().is_real
    with pytest.raises(RefusedError, match=r"n is 1, but the terms act on 2 qubits"):
        read_terms(tmp_path / "h", 1)
    with pytest.raises(RefusedError, match=r"n is 1, but the Hamiltonian in .* acts on 2 qubits"):
        build(GibbsSpec, {"hamiltonian": str(tmp_path / "h"), "n": "1"})
    (tmp_path / "h").write_text("XY 1\n")
    with pytest.raises(RefusedError, match=r"n is 3, but the terms act on 2 qubits"):
        read_terms(tmp_path / "h", 3)


BRACKETS = "[" * 5000
REFUSED = [
    ("ZZ (0.5+0.1j)", r"line 1: the coefficient \(0.5\+0.1j\) of 'ZZ' is complex"),
    ("ZZ 1e-3\nXX 1e-9j", "line 2: the coefficient 1e-9j of 'XX' is complex"),
    ("ZZ 1e308\nXX 1\nZZ 1e308", "line 3: the coefficients of 'ZZ' overflow"),
    ("ZZ 1e400", "the coefficient '1e400' of 'ZZ' is not a finite real number"),
    ("ZZ nan", "not a finite real number"),
    ("ZZ 0x10", "not a finite real number"),
    ("ZZ 1_000", "not a finite real number"),
    ("ZZ ½", "not a finite real number"),
    ("ZZ 50%", "not a finite real number"),
    ("ZZ 0,5", "'ZZ 0,5' is not a term"),
    ("ZZ", "'ZZ' is not a term"),
    ("0.5", "'0.5' is not a term"),
    ("1 2", "'2' is not a Pauli string"),
    ("0.5 [X0] 0.5 [X1]", "is not a term"),
    ("[X0 Z3] -0.5", "is not a term"),
    ("X 0 Z 3 -0.5", "is not a term"),
    ("X0 Z -0.5", "is not a term"),
    ("X0 X0 1", "qubit 0 stands twice in 'X0 X0'"),
    ("XX 1\nX0 1", "line 1: 'XX' has no numbers and others have"),
    ("X9999999999 1", "is not a Pauli string"),
    ("Z999999999 1", "strings on n = 1000000000 qubits are too long to write down"),
    ("ıı 1", "is not a Pauli string"),
    ("{'ZZ': 1}", "line 1: this is not valid JSON"),
    ('{"ZZ": 1, "ZZ": 2}', "'ZZ' stands twice in one object"),
    ('{"terms": [["ZZ", 1]], "qubits": 2}', "unknown key 'qubits'"),
    ('{"ZZ": true}', "coefficient True of 'ZZ' is not a finite real number"),
    ('{"ZZ": "1"}', "coefficient '1' of 'ZZ' is not a finite real number"),
    ('{"ZZ": [0.5, 0]}', "is not a finite real number"),
    ('{"ZZ": 1' + "0" * 400 + "}", r"the coefficient 1000.*\.\.\. of 'ZZ' is not a finite real number"),
    ('{"ZZ": 1' + "0" * 5000 + "}", "Cannot read the Hamiltonian file .*limit"),
    ('{"ZZ": 1e400}', "the coefficient inf of 'ZZ'"),
    ('{"ZZ": NaN}', "NaN is not a number of JSON"),
    (BRACKETS, "it is nested too deeply"),
    ('{"terms": ' + BRACKETS + "]" * 5000 + "}", "it is nested too deeply"),
    ("{}", "holds no term"),
    ('[["\\ud800", 1]]', r"'\\ud800' is not a Pauli string"),
    ("\x1b[2J 1", r"'\\u001b\[2J 1' is not a term"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=lambda each: each[:20].encode("unicode_escape").decode())
def test_the_rest_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "h"
    path.write_text(text)
    with pytest.raises(RefusedError, match=message) as caught:
        read_terms(path)
    assert str(caught.value).isprintable()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["utf-16", "utf-32"])
def test_other_encodings_are_refused_by_name(tmp_path, name):
    (tmp_path / "h").write_bytes("ZZ 1\n".encode(name))
    with pytest.raises(RefusedError, match=f"not text in UTF-8, but in {name.upper()}"):
        read_terms(tmp_path / "h")


def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
        with pytest.raises(RefusedError, match="not a regular file"):
            build(GibbsSpec, {"hamiltonian": str(path)})


def test_imaginary_parts_that_are_rounding_are_none():
    found = PauliSum.from_terms([("ZZ", 0.5 + 0j), ("XX", np.complex128(1 + 1e-17j)), ("YY", 1e-16j)])
    assert found.coefficients.tolist() == [0.5, 1.0, 0.0]
    assert found.coefficients.dtype == jnp.float64
    for wrong in ([("ZZ", 1 + 1e-9j)], [("ZZ", 1e-20), ("XX", 1e-20j)], [("ZZ", complex(1, np.nan))]):
        with pytest.raises(ValueError, match="is complex; a Hamiltonian needs real ones"):
            PauliSum.from_terms(wrong)
    with pytest.raises(ValueError, match="is complex"):
        jax.eval_shape(lambda c: PauliSum.from_terms([("ZZ", c)]), jnp.array(1j))


SPECS = [
    {"coupling": "1e308"},
    {"field": "-1e308", "coupling": "0"},
    {"coupling": "1e101"},
    {"hamiltonian": "xxz", "anisotropy": "1e200"},
    {"hamiltonian": "xxz", "coupling": "1e60", "anisotropy": "1e60"},
    {"hamiltonian": "hubbard", "interaction": "1e308"},
    {"hamiltonian": "hubbard", "hopping": "1e308", "interaction": "1e308"},
    {"hamiltonian": "hubbard", "chemical_potential": "1e200"},
    {"hamiltonian": "h2", "bond_length": "1e-200"},
]


@pytest.mark.parametrize("given", SPECS)
def test_energies_that_overflow_are_refused(given):
    with pytest.raises(RefusedError, match=r"The energies reach .*they overflow; choose other units"):
        build(GibbsSpec, given)


def test_energies_times_beta_that_overflow_are_refused(tmp_path):
    assert build(GibbsSpec, {"coupling": "1e90", "beta": "1"}).coupling == 1e90
    with pytest.raises(RefusedError, match="The energies times beta reach"):
        build(GibbsSpec, {"coupling": "1e90", "beta": "1e20"})
    with pytest.raises(RefusedError, match="The energies times beta reach"):
        build(GibbsSpec, {"beta": "1e308"})
    (tmp_path / "h").write_text("ZZ 1e308\nXX 1e308\n")
    with pytest.raises(RefusedError, match="The energies reach inf"):
        build(GibbsSpec, {"hamiltonian": str(tmp_path / "h")})
