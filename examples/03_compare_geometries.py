# %% [markdown]
# # Five geometries on one task
#
# A metric is an object with one method, `at(params)`, that returns a linear operator; one optimiser takes them all.
# Here plain gradient descent (Euclidean), the classical Fisher metric of the latent distribution with the circuit left
# Euclidean, and three quantum metrics share a model, a start and a step rule.

# %%
import jax
import jax.numpy as jnp
import lineax as lx
import matplotlib.pyplot as plt
import numpy as np

from qnat.experiment import run
from qnat.geometry import AbstractMetric, BlockDiagonal
from qnat.optim import natural_gradient
from qnat.quantum import LatentGibbs, ThermalTask, real, tfim

jax.config.update("jax_enable_x64", True)

model = LatentGibbs(real(4, layers=10), order=4)
task = ThermalTask(model, tfim(1, 4, periodic=True), beta=2.0)

# %% [markdown]
# A metric of your own is a class of four lines. This one knows the latent distribution only.


# %%
class LatentFisher(AbstractMetric):
    """Fisher on the latent parameters, the identity on the angles."""

    model: LatentGibbs

    def at(self, params, batch=None, *, key=None):
        fisher = self.model.frame(params).metric("bkm").blocks["latent"]
        identity = lx.MatrixLinearOperator(jnp.eye(params["angles"].size), lx.positive_semidefinite_tag)
        return BlockDiagonal({"latent": fisher, "angles": identity})


# %% [markdown]
# All take rate 1: steps are tried, and a trust radius in the metric's own length does the rest. (For the first two,
# none of the rates 0.03, 0.1, 0.2 and 0.5 ended below 0.08 nats on three other seeds.)

# %%
geometries = {
    "Euclidean": task.metrics["euclidean"],
    "Fisher on the latent": LatentFisher(model),
    "SLD": task.metrics["sld"],
    "Wigner–Yanase": task.metrics["wigner_yanase"],
    "BKM": task.metrics["bkm"],
}
curves = {}
for name, metric in geometries.items():
    result = run(task, natural_gradient(1.0, metric), steps=60, seed=1)
    curves[name] = result.curves["relative_entropy"][0]
    print(f"{name:>22}: D = {curves[name][-1]:.1e} nats after {result.steps} steps")

# %% [markdown]
# What makes the difference is the metric of the circuit: without it the latent distribution freezes into one level.

# %%
assert max(curves[name][-1] for name in ("SLD", "Wigner–Yanase", "BKM")) < 1e-2
assert min(curves[name][-1] for name in ("Euclidean", "Fisher on the latent")) > 1e-2

figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
for name, curve in curves.items():
    axes.semilogy(np.arange(curve.size), curve, label=name)
axes.set(xlabel="step", ylabel="D(ρ‖ρ_β) (nats)", title="TFIM ring, n = 4, β = 2")
axes.legend(frameon=False)
plt.show()
