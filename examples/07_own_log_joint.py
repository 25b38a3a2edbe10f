# %% [markdown]
# # A model of one's own
#
# How many faults does a machine have a day, before and after a day on which something changed? The day is known to be
# one of forty, the rates are not. A joint density is all that has to be written; the day is summed over inside it.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from classical import Posterior, PosteriorTask
from classical.tasks.posterior import PosteriorSpec
from qnat.experiment import run

jax.config.update("jax_enable_x64", True)

rng = np.random.default_rng(3)
faults = np.concatenate([rng.poisson(3.0, size=25), rng.poisson(1.2, size=15)])


def log_joint(params, counts):
    """log p(counts, rates), the day of the change summed over."""
    early, late = params["log_early"], params["log_late"]
    of_early, of_late = (counts * log_rate - jnp.exp(log_rate) for log_rate in (early, late))
    before = jnp.cumsum(of_early)
    # not as a difference of sums: where they are large, what rounding leaves of it would be a density
    after = jnp.append(jnp.cumsum(of_late[:0:-1])[::-1], 0.0)
    constant = jnp.sum(jax.scipy.special.gammaln(counts + 1)) + jnp.log(len(counts))
    prior = jax.scipy.stats.norm.logpdf(early) + jax.scipy.stats.norm.logpdf(late)
    return jax.nn.logsumexp(before + after) - constant + prior


posterior = Posterior(log_joint, {"log_early": 0.5, "log_late": 0.5}, jnp.asarray(faults, float))

# %% [markdown]
# Three ways to a Gaussian, or four chains: the first asks for values of the density only. Every process of
# `qnat run posterior` takes such a model.

# %%
found = {}
for words in (
    {"process": "qbvi", "samples": 500, "share": 0.1},
    {"process": "cvi", "share": 0.2, "steps": 100},
    {"process": "laplace"},
    {"process": "nuts"},
):
    spec = PosteriorSpec(**words)
    task = PosteriorTask(posterior, spec.process.approximation(posterior))
    name = words["process"]
    found[name] = run(task, spec.transform(task), steps=spec.steps, seed=0, every=100, progress=False)
    means, deviations = found[name].artifacts["parameters"], found[name].artifacts["parameters_error"]
    print(f"{name:8s}", *(f"{mean:.3f} ± {deviation:.3f}" for mean, deviation in zip(means, deviations, strict=True)))

# %% [markdown]
# What one wants to know is a function of the parameters: did the rate fall, and by how much?

# %%
drop = found["nuts"].model().expect(lambda params: jnp.exp(params["log_early"]) - jnp.exp(params["log_late"]))
print(f"the rate fell by {drop.mean:.2f} a day, with 90 % between {drop.lower:.2f} and {drop.upper:.2f}")

# %%
draws = found["nuts"].model().sample(1000, key=jax.random.key(1))
figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
for name, colour in (("log_early", "C0"), ("log_late", "C1")):
    axes.hist(np.exp(draws[name]), bins=40, density=True, alpha=0.5, color=colour, label=name.removeprefix("log_"))
axes.set(xlabel="faults a day", ylabel="posterior density")
axes.legend()
plt.show()
