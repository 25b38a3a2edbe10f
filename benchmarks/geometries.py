"""Classical against quantum natural gradient: the same task, seeds and start for every geometry, every rate tuned.

Runs the two commands that a user would, `qnat sweep gibbs --tune` and `qnat compare`, and writes
benchmarks/results/geometries.json, the table and the figure of the docs. Two minutes on two cores.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[1]
QNAT = str(pathlib.Path(sys.executable).with_name("qnat"))
SWEEP = ["gibbs", "--n", "4", "--periodic", "--beta", "2", "--seeds", "5", "--tune"]
SWEEP += ["--optimizer", "natural,qpmd,adam,sgd", "--metric", "bkm,sld,wigner_yanase", "--blocks", "full,latent"]
THRESHOLDS = (0.01, 0.001)


def command(*words: str) -> dict:
    """What a command of qnat prints as JSON."""
    done = subprocess.run([QNAT, *words, "--json"], check=True, capture_output=True, text=True)  # noqa: S603 (our own)
    return json.loads(done.stdout)


def name(run: dict) -> str:
    """A run as a row says it."""
    blocks = {"full": "", "latent": ", latent block only"}.get(run.get("blocks") or "", "")
    metric = (run.get("metric") or "").replace("_", " ")
    words = {"natural": "natural gradient", "qpmd": "QPMD", "adam": "Adam", "sgd": "gradient descent"}
    return f"{words[run['optimizer']]}{metric and ', '}{metric}{blocks}"


def entry(spread: dict) -> str:
    """Median (least to most)."""
    if spread["median"] is None:
        return "–"
    digits = ".0f" if spread["median"] >= 10 else ".2g"
    return f"{spread['median']:{digits}} ({spread['least']:{digits}}–{spread['most']:{digits}})"


def page(rows: list[dict], rates: dict[str, float]) -> str:
    """The table as markdown."""
    heads = [f"{what} to {t:g}" for t in THRESHOLDS for what in ("seeds", "steps", "gradients", "seconds")]
    lines = ["| | rate | " + " | ".join(heads) + " |", "|---|---|" + "---|" * len(heads)]
    for run in rows:
        cells = [name(run), f"{rates[pathlib.Path(run['out']).name]:.2g}"]
        for reached in run["reached"]:
            cells.append(f"{reached['seeds']}/{run['seeds']}")
            cells += [entry(reached[cost]) for cost in ("steps", "gradient_evaluations", "seconds")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", "Made by `python benchmarks/geometries.py`.", ""])


def main() -> None:
    """Sweeps, compares, writes."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "geometries"
        table = command("sweep", *SWEEP, "--out", str(out))
        figure = ROOT / "docs" / "_static" / "geometries.png"
        thresholds = ",".join(map(str, THRESHOLDS))
        rows = command("compare", str(out), "--thresholds", thresholds, "--figure", str(figure))["runs"]
        rates = {
            row["folder"]: json.loads((out / row["folder"] / "run.json").read_text())["spec"]["learning_rate"]
            for row in table["runs"]
        }
    keep = ("optimizer", "blocks", "metric", "seeds", "reached")
    document = {"command": "qnat sweep " + " ".join(SWEEP), "runs": [{k: run.get(k) for k in keep} for run in rows]}
    results = ROOT / "benchmarks" / "results" / "geometries.json"
    results.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (ROOT / "docs" / "_generated" / "geometries.md").write_text(page(rows, rates), encoding="utf-8")


if __name__ == "__main__":
    main()
