"""The Petz kernels: a fifty-digit table, limits of the families, the two sets of weights."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.geometry import kernel, log_density_weights, log_mean, rotation_weights, sandwiched, wyd
from qnat.geometry import monotone as petz_family
from qnat.geometry.monotone import bkm, chentsov, geometric, harmonic, sld, wigner_yanase

KINDS = {
    "SLD": "sld",
    "WY": "wigner_yanase",
    "BKM": "bkm",
    "GEO": "geometric",
    "HARM": "harmonic",
    "WYD0.25": "wyd:0.25",
}
GAPS = jnp.concatenate([jnp.array([0.0, 1e-9, 1e-3]), jnp.linspace(-60, 60, 41), jnp.array([-1400.0, 1400.0])])


@pytest.mark.parametrize("name", KINDS)
def test_fifty_digit_table(golden, name):
    rows = golden("kernel_near_degenerate")["rows"]
    log_x = jnp.array([row["log_x"] for row in rows])
    log_y = log_x + jnp.array([float(row["log_y_minus_log_x"]) for row in rows])
    wanted = np.array([float(row[name]) for row in rows])
    np.testing.assert_allclose(chentsov(KINDS[name], log_x, log_y), wanted, rtol=5e-15)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (wyd(0.5), wigner_yanase),
        (wyd(0.0), bkm),
        (wyd(1.0), bkm),
        (wyd(2.0), harmonic),
        (wyd(-1.0), harmonic),
        (wyd(0.3), wyd(0.7)),
        (sandwiched(0.5), sld),
        (sandwiched(1.0), bkm),
        (sandwiched(2.0), geometric),
    ],
    ids=lambda k: k.name,
)
def test_families_meet_the_named_kernels(one, other):
    np.testing.assert_allclose(one.log(GAPS), other.log(GAPS), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.75, 2.0])
def test_sandwiched_kernel_is_the_curvature_of_the_sandwiched_divergence(golden, alpha):
    # stored: c_f(p, 1 − p) of one qubit by the kernel and by the second difference of the divergence
    by_kernel, by_difference = golden("metrics_expfam")["checks"][f"sandwiched_alpha_{alpha}_kernel_vs_hessian"]
    assert by_kernel == pytest.approx(by_difference, rel=1e-7)


def test_closed_forms_of_the_kernels():
    r = jnp.linspace(0.1, 30.0, 50)
    np.testing.assert_allclose(sld(r), 1 / jnp.cosh(r / 2), rtol=1e-14)
    np.testing.assert_allclose(wigner_yanase(r), 1 / jnp.cosh(r / 4) ** 2, rtol=1e-14)
    np.testing.assert_allclose(bkm(r), (r / 2) / jnp.sinh(r / 2), rtol=1e-14)
    np.testing.assert_allclose(harmonic(r), jnp.cosh(r / 2), rtol=1e-14)
    p = 0.25
    exact = jnp.sinh(p * r / 2) * jnp.sinh((1 - p) * r / 2) / (p * (1 - p) * jnp.sinh(r / 2) ** 2)
    np.testing.assert_allclose(wyd(p)(r), exact, rtol=1e-13)
    a = 0.75
    exact = jnp.sinh((a - 1) * r / (2 * a)) / ((a - 1) * jnp.sinh(r / (2 * a)))
    np.testing.assert_allclose(sandwiched(a)(r), exact, rtol=1e-13)


def test_kernels_are_ordered():
    chain = [sandwiched(0.3), sld, wigner_yanase, wyd(0.25), bkm, geometric, harmonic]
    r = GAPS[1:]
    for below, above in itertools.pairwise(chain):
        assert jnp.all(below.log(r) <= above.log(r) + 1e-14), (below.name, above.name)


@pytest.mark.parametrize("kind", [*KINDS.values(), "sandwiched:0.75"])
def test_weights_against_their_definition(kind):
    log_p = jax.nn.log_softmax(jnp.array([0.3, 0.3, -1.0, 2.0]))
    p = jnp.exp(log_p)
    c = chentsov(kind, log_p[:, None], log_p[None, :])
    mean = log_mean(log_p[:, None], log_p[None, :])
    np.testing.assert_allclose(log_density_weights(kind, log_p), mean**2 * c, rtol=1e-14)
    np.testing.assert_allclose(rotation_weights(kind, log_p), (p[:, None] - p[None, :]) ** 2 * c, rtol=1e-12)
    np.testing.assert_allclose(jnp.diag(log_density_weights(kind, log_p)), p, rtol=1e-15)
    assert jnp.all(jnp.isfinite(jax.jacobian(lambda x: rotation_weights(kind, x))(log_p)))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_rotation_weights_of_a_nearly_pure_state(dtype):
    log_p = jnp.array([0.0, -600.0], dtype)
    rtol = 600 * 4 * jnp.finfo(dtype).eps
    np.testing.assert_allclose(rotation_weights("sld", log_p)[0, 1], 2.0, rtol=rtol)
    np.testing.assert_allclose(rotation_weights("wigner_yanase", log_p)[0, 1], 4.0, rtol=rtol)
    np.testing.assert_allclose(rotation_weights("bkm", log_p)[0, 1], 600.0, rtol=rtol)


def test_names_resolve():
    assert kernel("bkm") is petz_family.bkm
    assert kernel(bkm) is bkm
    assert kernel("wyd:0.25") is wyd(0.25)  # one object per parameter: no recompilation
    assert kernel("sandwiched:2").name == "sandwiched:2"
    own = kernel(lambda r: 1 / jnp.cosh(r / 2))
    np.testing.assert_allclose(own(GAPS[3:-2]), sld(GAPS[3:-2]), rtol=1e-14)


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
