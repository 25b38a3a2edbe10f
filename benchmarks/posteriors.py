"""Posteriors of a logistic regression by every process of `qnat run posterior`, and of volatilities, against chains.

scikit-learn's breast cancers (569 rows, 30 inputs); small tables whose posteriors are skew or have heavy tails; a
simulated GARCH(1,1) series; and HAR on a file of daily prices, columns Open, High, Low, Close, where one is given.

    python benchmarks/posteriors.py [logistic] [skew] [heavy] [garch] [har] [cone] [--prices sp500.csv.gz]

Writes benchmarks/results/posteriors.json, the tables of docs/posteriors.md and its figure; about fifteen minutes on two
cores.
"""

import argparse
import json
import os
import pathlib
import platform
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import matplotlib as mpl
import numpy as np
import scipy.stats
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from classical.data.volatility import har as load_har
from classical.tasks.posterior import PosteriorSpec
from qnat.experiment import Run
from qnat.experiment.show.style import COLOURS, STYLE, WIDTH, legend_below, save_figure

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
OUT = ROOT / "benchmarks" / "results" / "posteriors.json"
DRAWS = 20_000
PALE = "#cccccc"
RUNS: dict[str, dict[str, Any]] = {
    "QBVI": {"process": "qbvi"},
    "QBVI, additive": {"process": "qbvi", "retraction": "additive"},
    "QBVI, multiplicative": {"process": "qbvi", "retraction": "multiplicative"},
    "QBVI, independent draws": {"process": "qbvi", "draws": "independent"},
    "QBVI, 2048 Sobol points": {"process": "qbvi", "draws": "sobol", "samples": 2048},
    "QBVI, 400 draws, b = 0.01": {"process": "qbvi", "samples": 400, "share": 0.01, "steps": 1500},
    "QBVI, no baseline": {"process": "qbvi", "baseline": "none"},
    "CVI": {"process": "cvi"},
    "SNGD, skew-normal": {"process": "sngd"},
    "SNGD, two Gaussians": {"process": "sngd", "shape": "normal", "components": 2},
    "ADVI": {"process": "advi"},
    "ADVI, rate 0.02, 10 draws, 2500 steps": {"process": "advi", "learning_rate": 0.02, "samples": 10, "steps": 2500},
    "Laplace": {"process": "laplace"},
    "QBVI, diagonal": {"process": "qbvi", "covariance": "diagonal"},
    "CVI, diagonal": {"process": "cvi", "covariance": "diagonal"},
    "ADVI, diagonal": {"process": "advi", "covariance": "diagonal"},
}
SHAPES: dict[str, dict[str, Any]] = {
    "the best Gaussian (CVI)": {"process": "cvi", "samples": 200, "steps": 1000, "share": 0.05},
    "the same by SNGD": {"process": "sngd", "shape": "normal", "steps": 1000, "share": 0.05},
    "SNGD, skew-normal": {"process": "sngd", "steps": 1000, "share": 0.05},
    "SNGD, Student's t": {"process": "sngd", "shape": "student_t", "steps": 1000, "share": 0.05},
    "SNGD, two Gaussians": {"process": "sngd", "shape": "normal", "components": 2, "steps": 1000, "share": 0.05},
    "SNGD, two skew-normals": {"process": "sngd", "components": 2, "steps": 1000, "share": 0.05},
    "Laplace": {"process": "laplace"},
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


def compared(run: Run, reference: Run, draws: int) -> dict[str, float]:
    """Means and deviations beside those of chains, and the bound of many draws."""
    mean, deviation = (run.artifacts[name] for name in ("parameters", "parameters_error"))
    exact, spread = (reference.artifacts[name] for name in ("parameters", "parameters_error"))
    bound = run.model().elbo(samples=draws)
    return {
        "elbo": float(bound.value),
        "elbo_error": float(bound.standard_error),
        "mean_error": float(np.max(np.abs(mean - exact) / spread)),
        "least_ratio": float(np.min(deviation / spread)),
        "greatest_ratio": float(np.max(deviation / spread)),
        "seconds": run.spent["train"],
        "compile_seconds": run.spent["compile"],
    }


def study(data: dict[str, Any], runs: dict[str, dict[str, Any]], draws: int = DRAWS) -> dict[str, Any]:
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
            found["rows"][name] = compared(infer(data | words), chains, draws)
        except ArithmeticError as error:
            found["rows"][name] = {"failed": str(error)}
        print(name, found["rows"][name], flush=True)
    return found


def volatility() -> dict[str, Any]:
    """GARCH(1,1) on the simulated series."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "returns.csv")
        np.savetxt(path, returns())
        few = {name: RUNS[name] for name in ("QBVI", "CVI", "SNGD, skew-normal", "ADVI", "Laplace")}
        data = {"data": str(path), "model": "garch", "prior_deviation": 3.0}
        small = {"samples": 100, "share": 0.1}
        return study(data, few | {"QBVI": few["QBVI"] | small, "CVI": few["CVI"]})


def few(*, told: bool) -> np.ndarray:
    """Twelve rows of two inputs and a label: which these tell, or of which there is either at each of six places."""
    rng = np.random.default_rng(5)
    if told:
        x = rng.normal(size=(12, 2))
        label = x.sum(axis=1) * np.sqrt(2) + rng.logistic(size=12) > 0
        return np.column_stack([x, label])
    x = np.repeat(rng.normal(size=(6, 2)), 2, axis=0)
    return np.column_stack([x, np.tile([0, 1], 6)])


def small(*, told: bool) -> dict[str, Any]:
    """Logistic regression of few rows, by bent Gaussians; of the skew one a figure too."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "few.csv")
        np.savetxt(path, few(told=told), delimiter=",", header="first,second,label", comments="")
        data = {"data": str(path), "prior_deviation": 10.0}
        if told:
            draw_marginals(data)
        return study(data, SHAPES, draws=400_000)


def draw_marginals(data: dict[str, Any]) -> None:
    """Of every parameter: draws of chains, and three stand-ins over them, by a kernel over their draws."""
    shown = {"Laplace": "Laplace", "the best Gaussian (CVI)": "Gaussian", "SNGD, skew-normal": "skew-normal"}
    chains, key = infer(data | CHAINS), jax.random.key(2)
    names = list(chains.labels["parameters"].coords["parameter"])
    exact = np.asarray(chains.model().sample(20_000, key=key)["weights"])
    found = {name: infer(data | SHAPES[words]).model().sample(20_000, key=key) for words, name in shown.items()}
    looks = dict(zip(found, zip(COLOURS, (":", "--", "-"), strict=False), strict=True))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.4), layout="constrained")
        for i, (axes, name) in enumerate(zip(figure.subplots(1, len(names)), names, strict=True)):
            low, high = np.quantile(exact[:, i], [0.001, 0.999])
            axes.hist(exact[:, i], bins=30, range=(low, high), density=True, color=PALE)
            x = np.linspace(low, high, 200)
            for each, (colour, style) in looks.items():
                marginal = scipy.stats.gaussian_kde(np.asarray(found[each]["weights"])[:, i])
                axes.plot(x, marginal(x), color=colour, linestyle=style)
            axes.set(xlabel=name, yticks=[], ylabel="" if i else "posterior density")
            axes.grid(visible=False)
        handles = [Line2D([], [], color=colour, ls=style, label=name) for name, (colour, style) in looks.items()]
        legend_below(figure, [Line2D([], [], color=PALE, lw=6, label="chains (NUTS)"), *handles])
        save_figure(figure, ROOT / "docs" / "_static" / "posteriors.png")


def har(prices: str) -> dict[str, Any]:
    """Daily variances of a price, 5 parameters; a linear regression, which QBVI takes as well."""
    few = {name: RUNS[name] for name in ("QBVI", "CVI", "ADVI", "Laplace")}
    small = {"samples": 200, "share": 0.1}
    days = {"days": len(load_har(prices).y)}
    return days | study({"data": prices, "model": "har"}, few | {"QBVI": few["QBVI"] | small})


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


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "logistic": lambda: study({}, RUNS),
    "skew": lambda: small(told=True),
    "heavy": lambda: small(told=False),
    "garch": volatility,
    "cone": cone,
}


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
        digits = 3 if row["elbo_error"] > 5e-4 else 4
        bound = f"{number(row['elbo'], digits)} ± {number(row['elbo_error'], digits)}"
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
    "skew": "Logistic regression of twelve rows, two inputs that tell the label, a normal prior of deviation 10.",
    "heavy": "The same where each of six inputs is seen with either label: no skewness, tails longer than normal ones.",
    "garch": "GARCH(1,1) on 1500 simulated returns, 3 parameters, a normal prior of deviation 3; QBVI with 100 draws.",
    "har": "HAR on the Garman–Klass variances of {days} days of prices, 5 parameters, a normal prior of deviation 1; "
    "QBVI with 200 draws.",
}


def page(document: dict[str, Any]) -> str:
    """The tables as markdown."""
    known = {name: sentence.format(**document[name]) for name, sentence in SENTENCES.items() if name in document}
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="which to make anew; none for all")
    parser.add_argument("--prices", help="a table of daily prices for har")
    words = parser.parse_args()
    parts = PARTS | ({"har": lambda: har(words.prices)} if words.prices else {})
    document = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
    document["machine"] = f"jax {jax.__version__}, {platform.machine()}, {os.cpu_count()} threads"
    for name in words.parts or parts:
        document[name] = parts[name]()
        OUT.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (ROOT / "docs" / "_generated" / "posteriors.md").write_text(page(document), encoding="utf-8")
    print(page(document))


if __name__ == "__main__":
    main()
