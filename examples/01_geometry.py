# %% [markdown]
# # One potential, three objects
#
# Take ψ(θ) = log Tr exp(Σ θₐFₐ). Its gradient is a mirror map, its Bregman gap a divergence, its Hessian a metric. With
# commuting F they are mean parameters, Kullback–Leibler and Fisher; in general they are expectations, relative entropy
# and the Bogoliubov–Kubo–Mori metric. This script checks each of these sentences with numbers.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from qnat import geometry as g
from qnat.quantum import PauliSum

jax.config.update("jax_enable_x64", True)

generators = PauliSum.from_strings(["ZZ", "XI", "IX", "YI"]).matrices()
mirror = g.LogTraceExp(generators)
theta = jnp.array([0.7, 0.4, 0.9, -0.25])
other = jnp.array([0.5, 0.1, 1.0, 0.3])

# %% [markdown]
# The mirror map takes natural parameters to expectations, and comes back by Newton's method.

# %%
eta = mirror.to_dual(theta)
rho = g.gibbs_state(mirror.log_density(theta))
np.testing.assert_allclose(eta, [jnp.trace(rho @ F).real for F in generators], atol=1e-14)
np.testing.assert_allclose(mirror.to_primal(eta), theta, atol=1e-12)
print("expectations", np.round(eta, 4))

# %% [markdown]
# The Bregman divergence of two points is the relative entropy of their states, in the other order.

# %%
gap = g.bregman(mirror)(other, theta)
divergence = g.relative_entropy(mirror.log_density(theta), mirror.log_density(other))
np.testing.assert_allclose(gap, divergence, rtol=1e-12)
print("relative entropy", float(divergence), "nats")

# %% [markdown]
# The Hessian is the BKM metric, which the Petz family contains with many others. All are Fisher-normalised, so on
# commuting states they agree, and SLD here is the quantum Fisher information (four times Fubini–Study).

# %%
bkm = g.HessianMetric(mirror).at(theta).as_matrix()
np.testing.assert_allclose(bkm, g.monotone_metric(mirror.log_density, theta).as_matrix(), atol=1e-13)
for kind in ("sld", "wigner_yanase", "bkm", "geometric", "harmonic"):
    metric = g.monotone_metric(mirror.log_density, theta, kind).as_matrix()
    print(f"{kind:>14}: eigenvalues {np.round(jnp.linalg.eigvalsh(metric), 4)}")

# %% [markdown]
# They are ordered SLD ≤ Wigner–Yanase ≤ BKM ≤ geometric ≤ harmonic. Any even kernel with k(0) = 1 makes one more; its
# axioms are functions that you run yourself.

# %%
own = g.monotone_metric(mirror.log_density, theta, lambda r: 1 / jnp.cosh(r / 2))
np.testing.assert_allclose(own.as_matrix(), g.monotone_metric(mirror.log_density, theta, "sld").as_matrix(), atol=1e-13)
g.laws.check_kernel(lambda r: 1 / jnp.cosh(r / 2), key=jax.random.key(0))
print("a kernel of one's own passes the laws")

# %% [markdown]
# A kernel is all that tells two of these metrics apart: the weight of a coherence between two levels, by the difference
# r of their log-probabilities.

# %%
r = np.linspace(-8, 8, 201)
figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
for kernel in (g.sld, g.wigner_yanase, g.bkm, g.geometric, g.harmonic):
    axes.semilogy(r, jax.vmap(kernel)(r), label=kernel.name)
axes.set(xlabel="r", ylabel="k(r)", title="Monotone metrics")
axes.legend(frameon=False)
plt.show()
