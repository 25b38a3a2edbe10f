"""One iteration of expectation maximisation of a Gaussian mixture: qnat against scikit-learn, in one process.

The same centred data, the same parameters; samples of both alternate. The log-likelihoods are compared as well. Rows
with missing entries, which scikit-learn does not take, stand beside it. About a minute on two cores. Writes
benchmarks/results/em_iteration.json and docs/_generated/em_iteration.md.
"""

import json
import os
import pathlib
import platform
import statistics
import time
import warnings
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from sklearn.mixture import GaussianMixture

from classical.data.missing import Rows, rows
from classical.models.emissions import FullGaussians
from classical.models.mixture import IncompleteMixture
from qnat.inference import em

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
OUT = ROOT / "benchmarks" / "results" / "em_iteration.json"
SIZES = ((100_000, 10, 10), (20_000, 16, 10))
ROUNDS = 15


def items(count: int, width: int, components: int) -> np.ndarray:
    """Rows of a mixture of wide components, less their mean."""
    generator = np.random.default_rng(1)
    centres = 2 * generator.normal(size=(components, width))
    mixing = np.eye(width) + 0.3 * generator.normal(size=(components, width, width))
    labels = generator.integers(0, components, count)
    noise = generator.normal(size=(count, width))
    x = centres[labels] + np.einsum("nij,nj->ni", mixing[labels], noise)
    return x - x.mean(axis=0)


def ours(data: Rows, eta: tuple) -> tuple[Callable[[], float], float, float]:
    """(one iteration after another, seconds to compile the first, its log-likelihood)."""
    model = IncompleteMixture(FullGaussians())
    process = em(model, data=jax.tree.map(jnp.asarray, data))
    step = eqx.filter_jit(process.step)
    state = process.init(eqx.filter_jit(model.maximise)(eta))
    began = time.perf_counter()
    state, info = jax.block_until_ready(step(state))
    compiled, first, box = time.perf_counter() - began, -float(info.value), [state]

    def again() -> float:
        box[0], info = jax.block_until_ready(step(box[0]))
        return -float(info.value)

    return again, compiled, first


def theirs(x: np.ndarray, components: int, precision: np.ndarray) -> tuple[Callable[[], float], float]:
    """As `ours`, by scikit-learn."""
    start = {"means_init": x[:components], "weights_init": np.full(components, 1 / components)}
    mixture = GaussianMixture(
        components, max_iter=1, reg_covar=0, precisions_init=np.stack([precision] * components), **start
    )
    with warnings.catch_warnings(action="ignore"):  # that it did not converge
        first = mixture.fit(x).lower_bound_

    def again() -> float:
        value, responsibilities = mixture._e_step(x)  # noqa: SLF001 (there is no public single iteration)
        mixture._m_step(x, responsibilities)  # noqa: SLF001
        return float(value)

    return again, float(first)


def measure(count: int, width: int, components: int) -> dict[str, float]:
    """Medians and the least of interleaved samples, in milliseconds, and how far the log-likelihoods are apart."""
    x = items(count, width, components)
    second = x[:components, :, None] * x[:components, None] + np.cov(x.T)
    eta = (np.full(components, 1 / components), (x[:components] / components, second / components))
    our, compiled, first = ours(rows(x), eta)
    their, known = theirs(x, components, np.linalg.inv(np.cov(x.T)))
    holes = np.where(np.random.default_rng(2).random(x.shape) < 0.1, np.nan, x)
    incomplete = ours(rows(holes), eta)[0]
    sides = {"qnat": our, "scikit-learn": their, "a tenth missing": incomplete}
    times: dict[str, list[float]] = {side: [] for side in sides}
    gap = abs(first - known)
    for _ in range(ROUNDS):
        values = {}
        for side, step in sides.items():
            began = time.perf_counter()
            values[side] = step()
            times[side].append(1e3 * (time.perf_counter() - began))
        gap = max(gap, abs(values["qnat"] - values["scikit-learn"]))
    found = {side: statistics.median(taken) for side, taken in times.items()}
    least = {f"{side}, least": min(taken) for side, taken in times.items()}
    return {"N": count, "d": width, "K": components, **found, **least, "compiling, s": compiled, "gap": gap}


def main() -> None:
    """Measures every size, and writes."""
    found = [measure(*size) for size in SIZES]
    machine = f"jax {jax.__version__}, {platform.machine()}, {os.cpu_count()} threads"
    OUT.write_text(json.dumps({"machine": machine, "rows": found}, indent=1) + "\n", encoding="utf-8")
    lines = ["| N | d | K | qnat, ms | scikit-learn, ms | ratio | a tenth missing, ms | difference |", "|" + "---|" * 8]
    lines += [
        f"| {row['N']} | {row['d']} | {row['K']} | {row['qnat']:.1f} | {row['scikit-learn']:.1f} | "
        f"{row['scikit-learn'] / row['qnat']:.1f} | {row['a tenth missing']:.0f} | {row['gap']:.0e} |"
        for row in found
    ]
    made = "Made by `python benchmarks/em_iteration.py`: medians of interleaved iterations in one process."
    table = "\n".join([*lines, "", made, ""])
    (ROOT / "docs" / "_generated" / "em_iteration.md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
