"""Posteriors of a logistic regression by every process of `qnat run posterior`, and of a volatility, against chains.

scikit-learn's breast cancers (569 rows, 30 inputs), and a simulated GARCH(1,1) series. Writes
benchmarks/results/posteriors.json and the table of docs/posteriors.md; about ten minutes on two cores.
"""

import json
import os
import pathlib
import platform
import sys
import tempfile
from typing import Any

import jax
import numpy as np

from classical.tasks.posterior import PosteriorSpec
from qnat.experiment import Run

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
OUT = ROOT / "benchmarks" / "results" / "posteriors.json"
DRAWS = 20_000
RUNS: dict[str, dict[str, Any]] = {
    "QBVI": {"process": "qbvi"},
    "QBVI, additive": {"process": "qbvi", "retraction": "additive"},
    "QBVI, multiplicative": {"process": "qbvi", "retraction": "multiplicative"},
    "QBVI, independent draws": {"process": "qbvi", "draws": "independent"},
    "QBVI, 2048 Sobol points": {"process": "qbvi", "draws": "sobol", "samples": 2048},
    "QBVI, 400 draws, b = 0.01": {"process": "qbvi", "samples": 400, "share": 0.01, "steps": 1500},
    "QBVI, no baseline": {"process": "qbvi", "baseline": "none"},
    "CVI": {"process": "cvi"},
    "ADVI": {"process": "advi"},
    "SNGD, skew-normal": {"process": "sngd"},
    "Laplace": {"process": "laplace"},
    "QBVI, diagonal": {"process": "qbvi", "covariance": "diagonal"},
    "CVI, diagonal": {"process": "cvi", "covariance": "diagonal"},
    "ADVI, diagonal": {"process": "advi", "covariance": "diagonal"},
}
CHAINS = {"process": "nuts", "steps": 4000, "warm_up": 1000}


def returns() -> np.ndarray:
    """A series of 1500 returns: ω = 0.05, α = 0.1, β = 0.85."""
    rng = np.random.default_rng(1)
    h, found = 1.0, []
    for _ in range(1500):
        found.append(np.sqrt(h) * rng.normal())
        h = 0.05 + 0.1 * found[-1] ** 2 + 0.85 * h
    return np.array(found)


def infer(words: dict[str, Any]) -> Run:
    """A run by its words; only its end is evaluated."""
    spec = PosteriorSpec(**words)
    return spec.replaced(every=max(1, spec.steps)).run(progress=False)


def compared(run: Run, reference: Run) -> dict[str, float]:
    """Means and deviations beside those of chains, and the bound of many draws."""
    mean, deviation = (run.artifacts[name] for name in ("parameters", "parameters_error"))
    exact, spread = (reference.artifacts[name] for name in ("parameters", "parameters_error"))
    bound = run.model().elbo(samples=DRAWS)
    return {
        "elbo": float(bound.value),
        "elbo_error": float(bound.standard_error),
        "mean_error": float(np.max(np.abs(mean - exact) / spread)),
        "least_ratio": float(np.min(deviation / spread)),
        "greatest_ratio": float(np.max(deviation / spread)),
        "seconds": run.spent["train"],
        "compile_seconds": run.spent["compile"],
    }


def study(data: dict[str, Any], runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """All runs on some data beside the chains."""
    chains = infer(data | CHAINS)
    found: dict[str, Any] = {
        "chains": {
            "r_hat": chains.final["r_hat"],
            "effective_sample_size": chains.final["effective_sample_size"],
            "seconds": chains.spent["train"],
        },
        "rows": {},
    }
    for name, words in runs.items():
        try:
            found["rows"][name] = compared(infer(data | words), chains)
        except ArithmeticError as error:
            found["rows"][name] = {"failed": str(error)}
        print(name, found["rows"][name], flush=True)
    return found


def volatility() -> dict[str, Any]:
    """GARCH(1,1) on the simulated series."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "returns.csv")
        np.savetxt(path, returns())
        few = {name: RUNS[name] for name in ("QBVI", "CVI", "ADVI", "Laplace")}
        data = {"data": str(path), "model": "garch", "prior_deviation": 3.0}
        small = {"samples": 100, "share": 0.1}
        return study(data, few | {"QBVI": few["QBVI"] | small, "CVI": few["CVI"]})


def cone() -> dict[str, Any]:
    """A hundred runs of 60 steps of QBVI, twenty at each rate: how many end with a positive definite precision."""
    found: dict[str, Any] = {"runs": 0, "inside": 0, "rates": [0.1, 0.2, 0.3, 0.4, 0.5], "elbo": []}
    for rate in found["rates"]:
        run = PosteriorSpec(share=rate, steps=60, every=60, seeds=20).run(progress=False)
        least = np.linalg.eigvalsh(-2 * np.asarray(run.params[1])).min(axis=1)
        found["runs"] += 20
        found["inside"] += int((least > 0).sum())
        found["elbo"].append(float(np.median(run.curves["elbo"][:, -1])))
        print(rate, least.min(), found, flush=True)
    return found


PARTS = {"logistic": lambda: study({}, RUNS), "garch": volatility, "cone": cone}


def number(value: float, digits: int = 3) -> str:
    """As it stands in a table."""
    return f"{value:.{digits}f}".replace("-", "−")


def lines(sentence: str, found: dict[str, Any]) -> list[str]:
    """A table as markdown."""
    head = ["method", "ELBO", "worst error of a mean, in sd", "ratios of sds", "seconds"]
    table = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for name, row in found["rows"].items():
        if "failed" in row:
            table.append(f"| {name} | diverged | | | |")
            continue
        bound = f"{number(row['elbo'])} ± {number(row['elbo_error'])}"
        ratios = f"{number(row['least_ratio'], 2)} – {number(row['greatest_ratio'], 2)}"
        table.append(f"| {name} | {bound} | {number(row['mean_error'])} | {ratios} | {number(row['seconds'], 1)} |")
    chains = found["chains"]
    size = f"{chains['effective_sample_size']:.0f}"
    table.append(
        f"| chains (NUTS): R-hat {number(chains['r_hat'], 4)}, effective size {size} | | 0 | 1 | "
        f"{number(chains['seconds'], 1)} |"
    )
    return [sentence, "", *table, ""]


SENTENCES = {
    "logistic": "Breast cancers, logistic regression, 31 parameters, a normal prior of deviation 1.",
    "garch": "GARCH(1,1) on 1500 simulated returns, 3 parameters, a normal prior of deviation 3; QBVI with 100 draws.",
}


def page(document: dict[str, Any]) -> str:
    """The tables as markdown."""
    known = {name: sentence for name, sentence in SENTENCES.items() if name in document}
    found = [line for name, sentence in known.items() for line in lines(sentence, document[name])]
    if "cone" in document:
        one = document["cone"]
        pairs = zip(one["rates"], one["elbo"], strict=True)
        rates = ", ".join(f"{rate:g} ({number(bound, 1)})" for rate, bound in pairs)
        sentence = (
            f"{one['runs']} runs of 60 steps of QBVI on the breast cancers, twenty at each b: {one['inside']} kept a "
            f"positive definite precision to the end. The medians of their ELBO, by b: {rates}."
        )
        found += [sentence, ""]
    return "\n".join([*found, f"Made by `python benchmarks/posteriors.py` with {document['machine']}.", ""])


def main() -> None:
    """Makes the parts that the command line names, or all, and writes the results and the page."""
    document = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
    document["machine"] = f"jax {jax.__version__}, {platform.machine()}, {os.cpu_count()} threads"
    for name in sys.argv[1:] or PARTS:
        document[name] = PARTS[name]()
        OUT.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (ROOT / "docs" / "_generated" / "posteriors.md").write_text(page(document), encoding="utf-8")
    print(page(document))


if __name__ == "__main__":
    main()
