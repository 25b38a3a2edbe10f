"""Missing pixels of the Frey faces: variational Gibbs inference, exact EM, MICE and mean imputation.

Factor analysis with 43 factors of four fifths of the images, of which a share of the pixels is missing completely at
random; of each method the mean log-likelihood of the other images, which are whole, less that of EM on whole images.
VGI and MICE run with one seed, and with three at the least and the largest share; the rest with three. MICE imputes,
by a regression of each pixel on forty others, and so does the mean; EM then fits what is whole.

Usage: python benchmarks/freyfaces.py [--data PATH] [--minutes 120] [--only WORDS]
PATH is an array (1965, 560) of grey values as .npy or .npy.gz. Rows that are stored stay; no row begins after the
minutes. Writes benchmarks/results/freyfaces.json, and from it the table and the figure of the docs; without data only
these two.
"""

import argparse
import json
import os
import pathlib
import platform
import time
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import optax
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from classical.data.tables import Table, table
from classical.methods.gibbs_vi import gibbs_vi
from classical.problems.densities import centred
from classical.problems.factors import FactorDensity, factor_analysis
from qnat.experiment.show.style import COLOURS, GREY, MARKS, STYLE, WIDTH, legend_below, save_figure
from qnat.inference import em

jax.config.update("jax_enable_x64", True)

ROOT = pathlib.Path(__file__).parents[1]
OUT = ROOT / "benchmarks" / "results" / "freyfaces.json"
FACTORS, PRIOR = 43, 1.0
SHARES = {"16.7": 1 / 6, "33.3": 1 / 3, "50": 1 / 2, "66.7": 2 / 3, "83.3": 5 / 6}
EM_STEPS, VGI_STEPS, UPDATES, RATE = 100, 2000, 6, 1e-2
NEAREST, ROUNDS = 40, 10
SEEDS = range(3)
PAPER = {"16.7": -9, "33.3": -18, "50": -34, "66.7": -109, "83.3": -251}
"""Of VGI, from the figure of arXiv:2111.13180, to about three nats, in its own units of the pixels."""
Fit = Callable[[np.ndarray, int], tuple[FactorDensity, object]]


def density_of(x: np.ndarray) -> FactorDensity:
    """Factor analysis of rows, NaN where a pixel is missing."""
    names = tuple(map(str, range(x.shape[1])))
    return factor_analysis(centred(Table(x, names)), FACTORS, PRIOR, isotropic=False)


def by_em(x: np.ndarray, seed: int) -> tuple[FactorDensity, object]:
    """EM, exact also where pixels are missing."""
    density = density_of(x)

    @jax.jit
    def fit(start, data):
        process = em(density.model, data=data)
        state = jax.lax.fori_loop(0, EM_STEPS, lambda _, state: process.step(state)[0], process.init(start))
        return process.params(state)

    return density, fit(density.start(jax.random.key(seed)), density.data)


def by_vgi(x: np.ndarray, seed: int) -> tuple[FactorDensity, object]:
    """Variational Gibbs inference with linear conditionals, rates along a cosine to a tenth."""
    density = density_of(x)
    adam = optax.adam(optax.cosine_decay_schedule(RATE, VGI_STEPS, 0.1))
    process = gibbs_vi(
        density.complete,
        density.chart("standard"),
        density.data,
        adam,
        adam,
        updates=UPDATES,
        warmup=0,
    )

    @eqx.filter_jit
    def fit(process, start, first, later):
        def step(index, state):
            return process.step(state, key=jax.random.fold_in(later, index))[0]

        return process.params(jax.lax.fori_loop(0, VGI_STEPS, step, process.init(start, key=first)))

    first, later = jax.random.split(jax.random.key(1000 + seed))
    return density, fit(process, density.start(jax.random.key(seed)), first, later)


def by_mice(x: np.ndarray, seed: int) -> tuple[FactorDensity, object]:
    """One imputation by chained equations, then EM."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401 (it is what lets one import the next)
    from sklearn.impute import IterativeImputer

    imputer = IterativeImputer(
        n_nearest_features=NEAREST, max_iter=ROUNDS, tol=0, sample_posterior=True, random_state=seed
    )
    return by_em(imputer.fit_transform(x), seed)


def by_mean(x: np.ndarray, seed: int) -> tuple[FactorDensity, object]:
    """The mean of each pixel where it is missing, then EM."""
    return by_em(np.where(np.isnan(x), np.nanmean(x, axis=0), x), seed)


METHODS: dict[str, Fit] = {"EM": by_em, "VGI": by_vgi, "MICE": by_mice, "mean imputation": by_mean}


def cells() -> list[tuple[str, str, int]]:
    """Method, share and seed of each row, the cheap and the telling ones first; a share of 0 is EM on whole images."""
    whole = [("EM", "0", seed) for seed in SEEDS]
    every = [(name, share, seed) for seed in SEEDS for share in SHARES for name in ("mean imputation", "EM")]
    slow = [
        (name, share, seed)
        for seed in SEEDS
        for name in ("VGI", "MICE")
        for share in SHARES
        if seed == 0 or share in ("16.7", "83.3")
    ]
    return [*whole, *(cell for cell in every if cell[2] == 0), *slow, *(cell for cell in every if cell[2])]


def parts(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Images to fit and to judge, in [0, 1]."""
    x = table(path).values / 255
    order = np.random.default_rng(0).permutation(len(x))
    return x[order[: len(x) * 4 // 5]], x[order[len(x) * 4 // 5 :]]


def measured(name: str, share: str, seed: int, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
    """Mean log-likelihoods, of the test images and of what is seen of the others, and the seconds of the fit."""
    holes = np.random.default_rng([seed, round(6 * SHARES.get(share, 0))]).random(train.shape) < SHARES.get(share, 0)
    began = time.perf_counter()
    seen = np.where(holes, np.nan, train)
    density, theta = METHODS[name](seen, seed)
    jax.block_until_ready(theta)
    seconds = time.perf_counter() - began
    trained = density.trained(theta)
    return {
        "test": float(jnp.mean(trained.log_prob(test))),
        "seen": float(jnp.mean(trained.log_prob(seen))),
        "seconds": seconds,
    }


def differences(found: dict, name: str, share: str, what: str = "test") -> np.ndarray:
    """To EM from the same start, a number a seed; empty where nothing is stored.

    Of `test` to EM on whole images, and of `seen`, what is seen of the images that are fitted, to EM on the same.
    """
    other = "0" if what == "test" else share
    pairs = [(found.get(f"{name}, {share} %, seed {s}"), found.get(f"EM, {other} %, seed {s}")) for s in SEEDS]
    return np.array([mine[what] - theirs[what] for mine, theirs in pairs if mine and theirs])


def told(each: np.ndarray) -> str:
    """The mean, and the standard deviation of more than one."""
    spread = f" ± {each.std(ddof=1):.1f}" if len(each) > 1 else ""
    return f"{each.mean():.1f}{spread}" if len(each) else "–"


def page(document: dict) -> str:
    """The tables as markdown."""
    found = document["rows"]
    head = f"| | {' | '.join(f'{share} %' for share in SHARES)} |"
    whole = [found[key]["test"] for seed in SEEDS if (key := f"EM, 0 %, seed {seed}") in found]
    of_whole = f" ({np.mean(whole):.1f})" if whole else ""
    lines = [
        f"Nats a test image, less those of EM on whole images{of_whole}:",
        "",
        f"{head} minutes |",
        "|---" * 7 + "|",
    ]
    for name in METHODS:
        row = " | ".join(told(differences(found, name, share)) for share in SHARES)
        spent = [value["seconds"] / 60 for key, value in found.items() if key.startswith(name) and ", 0 %" not in key]
        lines.append(f"| {name} | {row} | {f'{np.median(spent):.1f}' if spent else '–'} |")
    lines += ["", "Nats of what is seen of an image that is fitted, less those of EM:", "", head, "|---" * 6 + "|"]
    for name in METHODS:
        if name != "EM":
            row = " | ".join(told(differences(found, name, share, "seen")) for share in SHARES)
            lines.append(f"| {name} | {row} |")
    words = (
        "After ± stands the standard deviation over three seeds, without it one seed; a dash is a row that was not "
        "run; minutes are those of a fit, the median. Made by `python benchmarks/freyfaces.py --data FILE` with "
        f"{document['machine']}."
    )
    return "\n".join([*lines, "", words, ""])


def draw(document: dict) -> None:
    """Differences against the share that is missing."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        axes, handles = figure.subplots(), []
        shown = zip(METHODS, COLOURS, MARKS, strict=False)
        for name, colour, mark in shown:
            each = {share: differences(document["rows"], name, share) for share in SHARES}
            points = [(100 * SHARES[share], -values.mean()) for share, values in each.items() if len(values)]
            if points:
                axes.plot(*np.transpose(points), color=colour, marker=mark, mec="white", mew=0.5)
                handles.append(Line2D([], [], color=colour, marker=mark, label=name))
        axes.plot([100 * SHARES[share] for share in PAPER], [-v for v in PAPER.values()], "x", color=GREY)
        handles.append(Line2D([], [], color=GREY, marker="x", linestyle="none", label="VGI, the paper's own scale"))
        axes.set_yscale("log")
        axes.set(xlabel="pixels missing (%)", ylabel="below EM on whole images (nats)")
        legend_below(figure, handles)
        save_figure(figure, ROOT / "docs" / "_static" / "freyfaces.png")


def main() -> None:
    """Measures the rows that are not stored, if there are data; makes table and figure of what is stored."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="the images")
    parser.add_argument("--minutes", type=float, default=120.0, help="after which no row begins")
    parser.add_argument("--only", default="", help="rows that have these words in their name")
    arguments = parser.parse_args()
    document = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {"rows": {}}
    if arguments.data:
        train, test = parts(arguments.data)
        began = time.perf_counter()
        for name, share, seed in cells():
            key = f"{name}, {share} %, seed {seed}"
            if key in document["rows"] or arguments.only not in key:
                continue
            if time.perf_counter() - began > 60 * arguments.minutes:
                break
            row = measured(name, share, seed, train, test)
            print(key, row, flush=True)
            if not np.isfinite(row["test"]):
                continue  # a fit that went out of bounds is no row; it is tried again next time
            document["rows"][key] = row
            document["machine"] = f"jax {jax.__version__}, {platform.machine()}, {len(os.sched_getaffinity(0))} core(s)"
            OUT.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (ROOT / "docs" / "_generated" / "freyfaces.md").write_text(page(document), encoding="utf-8")
    draw(document)
    print(page(document))


if __name__ == "__main__":
    main()
