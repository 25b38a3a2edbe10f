"""Counts: what a file may say, which strings a setting gives, and that estimates have the covariance they claim."""

import functools
import itertools
import json

import jax
import numpy as np
import pytest

from qnat.quantum.measure.counts import (
    all_settings,
    covering_settings,
    estimate,
    exact_moments,
    measure,
    outcome_probabilities,
)
from qnat.quantum.measure.counts_file import compatible, read_counts, write_counts
from qnat.quantum.operators.hamiltonians import local_strings
from qnat.quantum.operators.pauli import PauliSum

STRINGS = ("XI", "ZZ", "IZ", "XZ", "YY", "IY")
EIGENVECTORS = {"X": [[1, 1], [1, -1]], "Y": [[1, 1j], [1, -1j]], "Z": [[2**0.5, 0], [0, 2**0.5]]}


def random_state(d, seed):
    a = np.random.default_rng(seed).normal(size=(2, d, d))
    rho = (a[0] + 1j * a[1]) @ (a[0] + 1j * a[1]).conj().T
    return rho / np.trace(rho).real


@pytest.fixture(scope="module")
def sigma():
    return random_state(4, 7)


def test_moments_are_traces(sigma):
    found = exact_moments(sigma, STRINGS)
    np.testing.assert_allclose(
        found.values, np.einsum("tij,ji->t", PauliSum.from_strings(STRINGS).matrices(), sigma).real, atol=1e-15
    )
    assert found.copies == 0
    assert not found.covariance.any()


def test_outcomes_follow_from_eigenvectors_in_the_order_of_the_wires(sigma):
    for setting in all_settings(2):
        p = outcome_probabilities(sigma, setting)
        for x, bits in enumerate(itertools.product((0, 1), repeat=2)):
            pieces = [np.array(EIGENVECTORS[s][b]) / 2**0.5 for s, b in zip(setting, bits, strict=True)]
            vector = functools.reduce(np.kron, pieces)
            assert p[x] == pytest.approx((vector.conj() @ sigma @ vector).real, abs=1e-15)
    (counts,) = measure(np.diag([0.0, 1.0, 0.0, 0.0]), ["ZZ"], 5, key=jax.random.key(0)).values()
    assert counts == {"01": 5}


@pytest.mark.parametrize("n", [2, 3, 6])
def test_nine_settings_cover_a_chain(n):
    strings = local_strings(n)
    settings = covering_settings(strings)
    assert len(settings) == 9
    assert all(any(compatible(string, setting) for setting in settings) for string in strings)


def test_a_mean_is_pooled_over_all_settings_that_measure_it():
    counts = {"XX": {"00": 30, "10": 10}, "XZ": {"01": 5, "10": 15}}
    found = estimate(counts, ("XI", "XX", "XZ", "IZ"))
    assert found.copies == 60
    np.testing.assert_allclose(found.values, [(30 - 10 + 5 - 15) / 60, 20 / 40, -20 / 20, 10 / 20])
    variance = (1 - found.values**2) / np.array([59, 39, 19, 19])
    np.testing.assert_allclose(np.diagonal(found.covariance), variance, atol=1e-15)
    assert found.covariance[1, 2] == found.covariance[1, 3] == 0  # never measured together
    # XI and XX share the 40 shots of the first setting
    mx, mxx = found.values[:2]
    common = 30 * (1 - mx) * (1 - mxx) + 10 * (-1 - mx) * (-1 - mxx)
    assert found.covariance[0, 1] == pytest.approx(common / (60 * 40) * np.sqrt(60 * 40 / (59 * 39)), rel=1e-12)


@pytest.mark.slow
def test_estimates_have_no_bias_and_the_covariance_that_they_claim(sigma):
    settings = ("XZ", "ZZ", "YY", "XY")
    runs = [
        estimate(measure(sigma, settings, 40, key=key), STRINGS) for key in jax.random.split(jax.random.key(1), 1500)
    ]
    values, claimed = np.array([r.values for r in runs]), np.array([r.covariance for r in runs])
    exact = exact_moments(sigma, STRINGS)
    np.testing.assert_array_less(np.abs(values.mean(0) - exact.values), 4 * values.std(0) / len(runs) ** 0.5)
    measured = np.cov(values, rowvar=False)
    spread = np.sqrt(np.diagonal(measured))
    # a sample covariance of normal variables has the standard error √((1 + r²)/N) in units of the deviations
    np.testing.assert_allclose(
        claimed.mean(0) / np.outer(spread, spread), measured / np.outer(spread, spread), atol=4 * (2 / len(runs)) ** 0.5
    )
    assert (
        np.abs(np.corrcoef(values, rowvar=False) - np.eye(len(STRINGS))).max() > 0.2
    )  # there is something to get right
    for covariance in claimed[:20]:
        assert np.linalg.eigvalsh(covariance)[0] > -1e-16


def test_all_settings_determine_everything(sigma):
    strings = tuple("".join(s) for s in itertools.product("IXYZ", repeat=2))[1:]
    found = estimate(measure(sigma, all_settings(2), 4000, key=jax.random.key(2)), strings)
    assert np.max(np.abs(found.values - exact_moments(sigma, strings).values) / found.errors) < 4


def test_what_was_not_measured_is_named():
    counts = {"XX": {"00": 3}, "ZZ": {"11": 1}}
    with pytest.raises(ValueError, match=r"do not measure YI, XZ; measure a setting"):
        estimate(counts, ("XI", "YI", "XZ"))
    with pytest.raises(ValueError, match=r"IZ was measured once"):
        estimate(counts, ("XI", "IZ"))
    with pytest.raises(ValueError, match=r"no moment of ZZ"):
        estimate(counts, ("XI",)).of(("XI", "ZZ"))
    with pytest.raises(ValueError, match="shots is 0"):
        measure(np.eye(2) / 2, ("X",), 0, key=jax.random.key(0))


def test_a_file_reads_back_what_was_written(tmp_path):
    counts = {"XZ": {"00": 3, "01": 4}, "YY": {"11": 1}}
    write_counts(tmp_path / "c.json", counts)
    assert read_counts(tmp_path / "c.json") == counts
    assert json.loads((tmp_path / "c.json").read_text())["settings"]["XZ"] == {"shots": 7, "counts": counts["XZ"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", 'need an object "settings"'),
        ('{"settings": {}}', 'need an object "settings"'),
        ('{"settings": {"XQ": {"shots": 1, "counts": {"00": 1}}}}', "'XQ': a setting is one letter X, Y or Z"),
        ('{"settings": {"XI": {"shots": 1, "counts": {"00": 1}}}}', "'XI': a setting is one letter X, Y or Z"),
        (
            '{"settings": {"XX": {"shots": 1, "counts": {"00": 1}}, "Z": {"shots": 1, "counts": {"0": 1}}}}',
            "'Z': it measures 1 qubits, but the first setting 'XX' 2",
        ),
        (
            '{"settings": {"X": {"shots": 5, "counts": {"0": 1, "1": 3}}}}',
            "'X': its counts add up to 4, but its shots are 5",
        ),
        ('{"settings": {"X": {"shots": 0, "counts": {}}}}', "'X': it has no shots"),
        ('{"settings": {"X": {"counts": {"0": 1}}}}', "'X': it needs \"shots\""),
        ('{"settings": {"X": {"shots": 1, "counts": {"02": 1}}}}', "'02' is not a string of 1 bits"),
        ('{"settings": {"X": {"shots": 1, "counts": {"0": 1.0}}}}', "count of '0' is 1.0"),
        ('{"settings": {"X": {"shots": -1, "counts": {"0": -1}}}}', "'X': it needs \"shots\", a whole number"),
        ('{"settings": {"X": {"shots": 1, "counts": {"0": 2, "1": -1}}}}', "count of '1' is -1"),
        ('{"settings": {"X": {"shots": 1, "counts": {"0": 1, "0": 1}}}}', "'0' stands twice"),
        ('{"settings": ', "line 1: this is not valid JSON"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(tmp_path, text, message):
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_counts(path)
    assert str(caught.value).startswith(str(path)) or str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Cannot read the counts file"):
        read_counts(tmp_path / "no.json")
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not text"):
        read_counts(tmp_path / "b")
