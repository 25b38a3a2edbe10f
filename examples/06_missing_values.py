# %% [markdown]
# # A table with holes
#
# Three in ten of the entries of a table are missing. A mixture of normal distributions is fitted to what is there,
# exactly, without filling anything in: each pattern of missing entries is a marginal. The numbers are checked against
# the density of every row by itself.

# %%
import pathlib
import tempfile

import jax
import matplotlib.pyplot as plt
import numpy as np
import scipy.stats
from sklearn.datasets import load_iris

from classical.tasks.density import DensitySpec

jax.config.update("jax_enable_x64", True)

columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
complete = load_iris().data
holes = np.where(np.random.default_rng(0).random(complete.shape) < 0.3, np.nan, complete)
table = pathlib.Path(tempfile.mkdtemp()) / "irises.csv"
np.savetxt(table, holes, delimiter=",", header=",".join(columns), comments="")

# %% [markdown]
# On the command line: `qnat run density --data irises.csv --components 2 --prior 1`.

# %%
run = DensitySpec(data=str(table), components=2, prior=1, steps=100).run()
print({name: round(value, 6) for name, value in run.final.items()})

# %% [markdown]
# The density of a row is that of the entries that are seen of it.

# %%
weights, means, covariances = (run.artifacts[name] for name in ("weights", "means", "covariances"))
logs = []
for row in holes:
    seen = ~np.isnan(row)
    if seen.any():
        parts = [
            weight * scipy.stats.multivariate_normal(mean[seen], covariance[np.ix_(seen, seen)]).pdf(row[seen])
            for weight, mean, covariance in zip(weights, means, covariances, strict=True)
        ]
        logs.append(np.log(sum(parts)))
np.testing.assert_allclose(run.final["log_likelihood"], np.mean(logs), rtol=1e-10)

# %% [markdown]
# Two of the columns, with the ellipses of two standard deviations; hollow marks miss one of the two, and are drawn at
# their true place.

# %%
figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
pair = [0, 2]
whole = ~np.isnan(holes[:, pair]).any(axis=1)
axes.scatter(*complete[whole][:, pair].T, s=12, color="0.3")
axes.scatter(*complete[~whole][:, pair].T, s=12, facecolors="none", edgecolors="0.6")
circle = 2 * np.stack([np.cos(t := np.linspace(0, 2 * np.pi, 100)), np.sin(t)])
for mean, covariance in zip(means, covariances, strict=True):
    axes.plot(*(mean[pair, None] + np.linalg.cholesky(covariance[np.ix_(pair, pair)]) @ circle))
axes.set(xlabel="sepal length (cm)", ylabel="petal length (cm)")
plt.show()
