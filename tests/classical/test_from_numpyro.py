"""Models written for numpyro: their density in unconstrained coordinates, and what is refused."""

import jax
import numpy as np
import pytest
import scipy.stats

from qnat.experiment.errors import RefusedError

DATA = np.array([0.3, -1.2, 2.0])


def test_a_density_has_the_jacobian_of_its_coordinates():
    import numpyro
    from numpyro import distributions as dist

    from classical.models.from_numpyro import from_numpyro

    def model(y):
        mean = numpyro.sample("mean", dist.Normal(0.0, 2.0))
        scale = numpyro.sample("scale", dist.HalfNormal(1.0))
        numpyro.sample("y", dist.Normal(mean, scale), obs=y)

    posterior = from_numpyro(model, DATA)
    assert posterior.names == ("mean", "scale")
    found = jax.jit(posterior.log_joint)({"mean": 0.5, "scale": np.log(0.7)}, posterior.data)
    wanted = scipy.stats.norm.logpdf(DATA, 0.5, 0.7).sum() + scipy.stats.norm.logpdf(0.5, scale=2)
    wanted += scipy.stats.halfnorm.logpdf(0.7) + np.log(0.7)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_discrete_sites_are_refused():
    import numpyro
    from numpyro import distributions as dist

    from classical.models.from_numpyro import from_numpyro

    def mixed(y):
        label = numpyro.sample("label", dist.Bernoulli(0.5))
        numpyro.sample("y", dist.Normal(label, 1.0), obs=y)

    def nothing(y):
        numpyro.sample("y", dist.Normal(0.0, 1.0), obs=y)

    with pytest.raises(RefusedError, match="Site label of the numpyro model is discrete; sum over it inside"):
        from_numpyro(mixed, DATA)
    with pytest.raises(RefusedError, match="has no latent site"):
        from_numpyro(nothing, DATA)
