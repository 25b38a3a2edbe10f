"""The Petz kernels: a fifty-digit table, limits of the families, the two sets of weights."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from qnat.geometry import kernel, log_density_weights, log_mean, rotation_weights, sandwiched, wyd
from qnat.geometry import monotone as petz_family
from qnat.geometry.monotone import bkm, geometric, harmonic, sld, wigner_yanase
from qnat.geometry.weights import chentsov

KINDS = {
    "SLD": "sld",
    "WY": "wigner_yanase",
    "BKM": "bkm",
    "GEO": "geometric",
    "HARM": "harmonic",
    "WYD0.25": "wyd:0.25",
}
GAPS = np.concatenate([[0.0, 1e-9, 1e-3], np.linspace(-60, 60, 41), [-1400.0, 1400.0]])
MEETING = (
    (wyd(0.5), wigner_yanase),
    (wyd(0.0), bkm),
    (wyd(1.0), bkm),
    (wyd(2.0), harmonic),
    (wyd(-1.0), harmonic),
    (wyd(0.3), wyd(0.7)),
    (sandwiched(0.5), sld),
    (sandwiched(1.0), bkm),
    (sandwiched(2.0), geometric),
)
CHAIN = (sandwiched(0.3), sld, wigner_yanase, wyd(0.25), bkm, geometric, harmonic)


@jax.jit
def logs(r):
    """log k of all of these kernels, by name."""
    return {k.name: k.log(r) for k in itertools.chain(CHAIN, *MEETING)}


@pytest.mark.parametrize("name", KINDS)
def test_fifty_digit_table(golden, name):
    rows = golden("kernel_near_degenerate")["rows"]
    log_x = np.array([row["log_x"] for row in rows])
    log_y = log_x + np.array([float(row["log_y_minus_log_x"]) for row in rows])
    wanted = np.array([float(row[name]) for row in rows])
    np.testing.assert_allclose(chentsov(KINDS[name], log_x, log_y), wanted, rtol=5e-15)


@pytest.mark.parametrize(("one", "other"), MEETING, ids=lambda k: k.name)
def test_families_meet_the_named_kernels(one, other):
    found, wanted = (logs(GAPS)[k.name] for k in (one, other))
    np.testing.assert_allclose(found, wanted, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.75, 2.0])
def test_sandwiched_kernel_is_the_curvature_of_the_sandwiched_divergence(golden, alpha):
    # stored: c_f(p, 1 − p) of one qubit by the kernel and by the second difference of the divergence
    by_kernel, by_difference = golden("metrics_expfam")["checks"][f"sandwiched_alpha_{alpha}_kernel_vs_hessian"]
    assert by_kernel == pytest.approx(by_difference, rel=1e-7)


def test_closed_forms_of_the_kernels():
    r, p, a = np.linspace(0.1, 30.0, 50), 0.25, 0.75
    kernels = (sld, wigner_yanase, bkm, harmonic, wyd(p), sandwiched(a))
    found = jax.jit(lambda r: {k.name: k(r) for k in kernels})(r)
    np.testing.assert_allclose(found["sld"], 1 / np.cosh(r / 2), rtol=1e-14)
    np.testing.assert_allclose(found["wigner_yanase"], 1 / np.cosh(r / 4) ** 2, rtol=1e-14)
    np.testing.assert_allclose(found["bkm"], (r / 2) / np.sinh(r / 2), rtol=1e-14)
    np.testing.assert_allclose(found["harmonic"], np.cosh(r / 2), rtol=1e-14)
    exact = np.sinh(p * r / 2) * np.sinh((1 - p) * r / 2) / (p * (1 - p) * np.sinh(r / 2) ** 2)
    np.testing.assert_allclose(found["wyd:0.25"], exact, rtol=1e-13)
    exact = np.sinh((a - 1) * r / (2 * a)) / ((a - 1) * np.sinh(r / (2 * a)))
    np.testing.assert_allclose(found["sandwiched:0.75"], exact, rtol=1e-13)


def test_kernels_are_ordered():
    found = jax.tree.map(np.asarray, logs(GAPS))
    for below, above in itertools.pairwise(CHAIN):
        assert np.all(found[below.name][1:] <= found[above.name][1:] + 1e-14), (below.name, above.name)


WEIGHED = (*KINDS.values(), "sandwiched:0.75")


@jax.jit
def weights(log_p):
    """Both sets of every kind, what defines them, and the derivatives of one."""
    pairs = log_p[:, None], log_p[None, :]
    return {
        kind: {
            "log-density": log_density_weights(kind, log_p),
            "rotation": rotation_weights(kind, log_p),
            "chentsov": chentsov(kind, *pairs),
            "mean": log_mean(*pairs),
            "slopes": jax.jacobian(lambda x, kind=kind: rotation_weights(kind, x))(log_p),
        }
        for kind in WEIGHED
    }


@pytest.mark.parametrize("kind", WEIGHED)
def test_weights_against_their_definition(kind):
    log_p = scipy.special.log_softmax([0.3, 0.3, -1.0, 2.0])
    p, found = np.exp(log_p), jax.tree.map(np.asarray, weights(log_p)[kind])
    np.testing.assert_allclose(found["log-density"], found["mean"] ** 2 * found["chentsov"], rtol=1e-14)
    np.testing.assert_allclose(found["rotation"], (p[:, None] - p[None, :]) ** 2 * found["chentsov"], rtol=1e-12)
    np.testing.assert_allclose(np.diag(found["log-density"]), p, rtol=1e-15)
    assert np.all(np.isfinite(found["slopes"]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rotation_weights_of_a_nearly_pure_state(dtype):
    log_p = np.array([0.0, -600.0], dtype)
    rtol = 600 * 4 * np.finfo(dtype).eps
    for kind, wanted in (("sld", 2.0), ("wigner_yanase", 4.0), ("bkm", 600.0)):
        np.testing.assert_allclose(np.asarray(rotation_weights(kind, log_p))[0, 1], wanted, rtol=rtol)


def test_names_resolve():
    assert kernel("bkm") is petz_family.bkm
    assert kernel(bkm) is bkm
    assert kernel("wyd:0.25") is wyd(0.25)  # one object per parameter: no recompilation
    assert kernel("sandwiched:2").name == "sandwiched:2"
    own = kernel(lambda r: 1 / jnp.cosh(r / 2))
    found, wanted = jax.jit(lambda r: (own(r), sld(r)))(GAPS[3:-2])
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("fisher", "fisher.*bkm, sld, wigner_yanase, geometric, harmonic, wyd:p, sandwiched:a"),
        ("wyd:2.5", "-1 <= p <= 2; p is 2.5"),
        ("wyd:nan", "-1 <= p <= 2"),
        ("wyd:", "number after the colon"),
        ("wyd", "number after the colon"),
        ("sandwiched:0", "a > 0; a is 0"),
        ("sandwiched:x", "number after the colon"),
    ],
)
def test_wrong_names_are_refused(kind, words):
    with pytest.raises(ValueError, match=words):
        kernel(kind)


def test_something_else_is_refused():
    with pytest.raises(TypeError, match="not 3"):
        kernel(3)
