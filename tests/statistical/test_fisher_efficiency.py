"""Fisher efficiency: what a stream of copies, measured one by one, gives; 20 000 replicas, standard errors of 1 %.

Online natural gradient of step 1/(k + k₀) has the covariance (k/(k + k₀)²) F⁻¹CF⁻¹ with C that of one draw.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.geometry import AbstractMirrorMap, LogPartition
from qnat.optim.online import online_natural_gradient
from qnat.quantum import GibbsFamily, PauliSum
from qnat.quantum.methods.likelihood import sandwich

pytestmark = pytest.mark.slow

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "fisher_efficiency.json").read_text())
STEPS, OFFSET, REPLICAS = 4000, 100, 20000


class Qubit(AbstractMirrorMap):
    """log Tr exp(θ·σ) = log 2cosh|θ|, in closed form."""

    def potential(self, theta):
        return jnp.logaddexp(jnp.linalg.norm(theta), -jnp.linalg.norm(theta))

    def to_primal(self, eta):
        return eta / jnp.linalg.norm(eta) * jnp.arctanh(jnp.linalg.norm(eta))


def scaled_covariance(mirror, draw, theta):
    """k Cov(θₖ), with the factor (k/(k + k₀))² taken out."""
    found = online_natural_gradient(
        mirror, draw, theta, steps=STEPS, replicas=REPLICAS, offset=OFFSET, key=jax.random.key(0)
    )
    return STEPS * np.cov(np.asarray(found).T) * ((STEPS + OFFSET) / STEPS) ** 2


def in_deviations(matrix, scale):
    return matrix / np.sqrt(np.outer(np.diagonal(scale), np.diagonal(scale)))


def test_commuting_generators_measured_jointly_reach_the_cramer_rao_bound():
    theta = jnp.array([-0.4, 0.3, -0.6])
    spins = jnp.array([[1.0, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])
    cumulative = jnp.cumsum(jax.nn.softmax(theta @ spins))

    def draw(key):
        outcome = jnp.sum(jax.random.uniform(key) > cumulative[:3])
        first, second = jnp.where(outcome < 2, 1.0, -1.0), jnp.where(outcome % 2 == 0, 1.0, -1.0)
        return jnp.stack([first, second, first * second])

    wanted = np.linalg.inv(GibbsFamily(PauliSum.from_strings(["ZI", "IZ", "ZZ"])).metric().at(theta).as_matrix())
    np.testing.assert_allclose(wanted, GOLDEN["fisher_efficiency_commuting"]["F_inv"], rtol=1e-12)
    found = scaled_covariance(LogPartition(spins), draw, theta)
    np.testing.assert_allclose(in_deviations(found, wanted), in_deviations(wanted, wanted), atol=0.05)


def test_generators_that_do_not_commute_follow_the_sandwich_above_the_bound():
    theta = jnp.array([-0.5, -0.8])
    family = GibbsFamily(PauliSum.from_strings(["X", "Z"]))
    eta = Qubit().to_dual(theta)

    def draw(key):  # one copy measured along X, another along Z
        return jnp.where(jax.random.uniform(key, (2,)) < (1 + eta) / 2, 1.0, -1.0)

    bkm, sld = (family.metric(kind).at(theta).as_matrix() for kind in ("bkm", "sld"))
    wanted = sandwich(bkm, jnp.diag(1 - eta**2))
    golden = GOLDEN["fisher_efficiency_noncommuting"]
    np.testing.assert_allclose(wanted, golden["sandwich_Finv_C_Finv"], rtol=1e-12)
    np.testing.assert_allclose(np.linalg.inv(bkm), golden["F_BKM_inv"], rtol=1e-12)
    np.testing.assert_allclose(np.linalg.inv(sld), golden["F_SLD_inv"], rtol=1e-12)
    found = scaled_covariance(Qubit(), draw, theta)
    np.testing.assert_allclose(in_deviations(found, wanted), in_deviations(wanted, wanted), atol=0.05)
    # F_BKM⁻¹ lies below the bound F_SLD⁻¹ of a copy, which a step of two copies respects: nothing reaches the former
    assert np.linalg.eigvalsh(np.linalg.inv(sld) - np.linalg.inv(bkm))[0] > -1e-12
    assert np.linalg.eigvalsh(2 * found - np.linalg.inv(sld))[0] > 0.5
