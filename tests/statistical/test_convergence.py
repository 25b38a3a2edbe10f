"""What the results page claims of the defaults, for every seed it shows."""

import numpy as np
import pytest

from qnat.quantum.tasks.gibbs import GibbsSpec

pytestmark = pytest.mark.slow


def steps_to(level, run):
    """Per seed, the first step below a relative entropy; infinite if there is none."""
    below = run.curves["relative_entropy"] < level
    return np.where(below.any(1), below.argmax(1), np.inf)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0, 5.0])
def test_cold_starts_of_the_default_model(beta):
    common = {"periodic": True, "beta": beta, "seeds": 5, "steps": 40}
    natural = GibbsSpec(optimizer="natural", **common).run()
    assert (steps_to(1e-3, natural) <= 40).all()
    qpmd = GibbsSpec(optimizer="qpmd", **common).run()
    assert (steps_to(1e-1, qpmd) <= 15).all()


def test_a_scaled_latent_distribution_climbs_the_ladder_for_free():
    """A fit at β = 0.5, scaled, starts every further rung below 10⁻³ nats; left as it is, it does not."""
    first = GibbsSpec(periodic=True, beta=0.5, steps=60)
    params = first.run().params
    for beta in (1.083, 1.667, 2.25):
        rung = GibbsSpec(periodic=True, beta=beta, steps=0)
        scaled = rung.run(initial=rung.warm_start(params, first, "scaled"))
        plain = rung.run(initial=rung.warm_start(params, first, "plain"))
        assert scaled.final["relative_entropy"] < 1e-3 < plain.final["relative_entropy"]
