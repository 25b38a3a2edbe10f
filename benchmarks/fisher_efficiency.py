"""How much a stream of copies, measured one by one, tells: online natural gradient against the Cramér–Rao bounds.

Step 1/(k + 100), projection |θ| ≤ 2, 20 000 replicas, from the truth. Prints k Cov(θₖ), which should be
(k/(k + 100))² F⁻¹CF⁻¹ with C the covariance of one draw, beside the inverse metrics; writes
benchmarks/results/fisher_efficiency.json and the table of the docs. Half a minute on two cores.
"""

import json
import os
import pathlib
import platform
import time

import jax
import jax.numpy as jnp
import numpy as np

from qnat.geometry import LogPartition, LogTraceExp
from qnat.optim.online import online_natural_gradient
from qnat.quantum import GibbsFamily, PauliSum
from qnat.quantum.measure.counts import exact_moments, outcome_probabilities
from qnat.quantum.methods.likelihood import sandwich

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
STEPS = (500, 1000, 2000, 4000)
OFFSET, REPLICAS = 100, 20000


class Qubit(LogTraceExp):
    """One qubit with the generators X and Z, in closed form."""

    def potential(self, theta):
        """log 2cosh|θ|."""
        return jnp.logaddexp(jnp.linalg.norm(theta), -jnp.linalg.norm(theta))


def study(family, mirror, draw, theta, covariance) -> dict:
    """Empirical k Cov(θₖ) beside what it should be and the bounds."""
    bkm, sld = (np.asarray(family.metric(kind).at(theta).as_matrix()) for kind in ("bkm", "sld"))
    wanted = np.asarray(sandwich(jnp.asarray(bkm), jnp.asarray(covariance)))
    found, began = {}, time.perf_counter()
    for k in STEPS:
        thetas = online_natural_gradient(
            mirror, draw, theta, steps=k, replicas=REPLICAS, offset=OFFSET, key=jax.random.key(k)
        )
        measured = k * np.cov(np.asarray(thetas).T)
        ratio = measured / (wanted * (k / (k + OFFSET)) ** 2)
        found[k] = {"k_cov": measured.tolist(), "ratio_to_theory": np.diagonal(ratio).tolist()}
        print(f"  k = {k}: k Var = {np.diagonal(measured).round(3)}, over theory {np.diagonal(ratio).round(3)}")
    inverse = {"bkm_inverse": np.linalg.inv(bkm), "sld_inverse": np.linalg.inv(sld), "sandwich": wanted}
    for name, matrix in inverse.items():
        print(f"  {name}: {np.diagonal(matrix).round(3)}")
    return {"steps": found, "seconds": time.perf_counter() - began} | {n: m.tolist() for n, m in inverse.items()}


def page(document: dict) -> str:
    """The last step of both cases as a table, in diagonals."""

    def diagonal(matrix: list) -> str:
        return ", ".join(f"{value:.3f}" for value in np.diagonal(matrix))

    k = STEPS[-1]
    lines = [
        f"| | k Var θ at k = {k} | over theory | F⁻¹CF⁻¹ | F⁻¹ (BKM) | F⁻¹ (SLD) |",
        "|---|---|---|---|---|---|",
    ]
    for name, key in (("ZI, IZ, ZZ, one copy a step", "commuting"), ("X and Z, a copy each a step", "not_commuting")):
        case = document[key]
        last = {int(step): found for step, found in case["steps"].items()}[k]
        cells = [diagonal(last["k_cov"]), ", ".join(f"{r:.3f}" for r in last["ratio_to_theory"])]
        cells += [diagonal(case[matrix]) for matrix in ("sandwich", "bkm_inverse", "sld_inverse")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"{document['replicas']} replicas; theory is F⁻¹CF⁻¹ (k/(k + {document['offset']}))². Diagonals of matrices.",
    ]
    return "\n".join([*lines, f"Made by `python benchmarks/fisher_efficiency.py` with {document['machine']}.", ""])


def main() -> None:
    """Both cases."""
    theta = jnp.array([-0.4, 0.3, -0.6])
    family = GibbsFamily(PauliSum.from_strings(["ZI", "IZ", "ZZ"]))
    spins = jnp.array([[1.0, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])
    cumulative = jnp.cumsum(jax.nn.softmax(theta @ spins))

    def both(key):
        """One copy, measured in ZZ."""
        return spins[:, jnp.sum(jax.random.uniform(key) > cumulative[:3])]

    print("commuting: ZI, IZ, ZZ from one copy a step")
    commuting = study(family, LogPartition(spins), both, theta, family.metric().at(theta).as_matrix())

    theta = jnp.array([-0.5, -0.8])
    family = GibbsFamily(PauliSum.from_strings(["X", "Z"]))
    log_p, basis = family.spectrum(theta)
    sigma = np.asarray((basis * jnp.exp(log_p)) @ basis.conj().T)
    up = jnp.array([outcome_probabilities(sigma, letter)[0] for letter in "XZ"])

    def each(key):
        """One copy measured in X, another in Z."""
        return jnp.where(jax.random.uniform(key, (2,)) < up, 1.0, -1.0)

    print("not commuting: X from one copy and Z from another a step")
    variances = 1 - exact_moments(sigma, ("X", "Z")).values ** 2
    mirror = Qubit(family.generators.matrices())
    general = study(family, mirror, each, theta, np.diag(variances))

    machine = f"jax {jax.__version__}, {platform.machine()}, {os.cpu_count()} threads"
    document = {"offset": OFFSET, "replicas": REPLICAS, "machine": machine}
    document |= {"commuting": commuting, "not_commuting": general}
    out = ROOT / "benchmarks" / "results" / "fisher_efficiency.json"
    out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (ROOT / "docs" / "_generated" / "fisher_efficiency.md").write_text(page(document), encoding="utf-8")


if __name__ == "__main__":
    main()
