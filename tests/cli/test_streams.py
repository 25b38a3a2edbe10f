"""Streams that are missing, full or know no letters but ASCII, no home, a full disk, and names that look like code."""

import io
import json
import os
import pathlib
import re
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from qnat.cli import main
from qnat.experiment import Measure, Reference, console
from qnat.experiment.loop.progress import display
from qnat.experiment.show.lines import Entry
from qnat.experiment.show.literal import take_literally
from qnat.experiment.show.report import print_run
from qnat.experiment.show.style import STYLE, save_figure
from qnat.experiment.show.tables import print_table
from qnat.experiment.store.result import Result

_TINY = "run boltzmann --n 2 --optimizer sgd --steps 3 --out r"
_PROGRAM = f'"{sys.executable}" -c "import sys; from qnat.cli import main; sys.exit(main())" '


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every command runs in an empty folder."""
    monkeypatch.chdir(tmp_path)


def _shell(command, **environment):
    """What a shell says of a command whose streams it redirects."""
    known = {name: value for name, value in os.environ.items() if name not in (*environment, "PYTHONUNBUFFERED")}
    changed = {name: value for name, value in environment.items() if value is not None}
    return subprocess.run(
        command, shell=True, capture_output=True, env=known | changed, timeout=300, check=False, text=True
    )


def _status():
    return json.loads(pathlib.Path("r/run.json").read_text())["status"]


@pytest.mark.parametrize(
    ("streams", "status"),
    [
        pytest.param(">&- 2>&- <&-", 0),
        pytest.param("2>&-", 0, marks=pytest.mark.slow),
        pytest.param(">&-", 0, marks=pytest.mark.slow),
        pytest.param("2>/dev/full", 0, marks=pytest.mark.slow),
        pytest.param(">/dev/full", 1, marks=pytest.mark.slow),
        pytest.param(">/dev/full 2>&1", 1, marks=pytest.mark.slow),
        pytest.param("| true; exit ${PIPESTATUS[0]}", 1, marks=pytest.mark.slow),
    ],
)
def test_a_run_does_not_need_its_streams(streams, status):
    found = subprocess.run(
        ["bash", "-c", _PROGRAM + _TINY + " " + streams], capture_output=True, text=True, timeout=300, check=False
    )
    assert "Traceback" not in found.stderr
    assert "Exception" not in found.stderr
    assert found.stderr in ("", "qnat: Cannot write to standard output (No space left on device).\n")
    assert found.returncode == status
    assert _status() == "finished"
    # what follows in the files is what was written to them, and to no stream
    assert [json.loads(line)["step"] for line in pathlib.Path("r/metrics.jsonl").read_text().splitlines()] == [
        0,
        1,
        2,
        3,
    ]


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", ">&- 2>&-"])
def test_a_refusal_does_not_need_them_either(streams):
    assert _shell(f"{_PROGRAM} run gibbs --beta -1 {streams}").returncode == 2
    assert not list(pathlib.Path().iterdir())


@pytest.mark.parametrize("words", ["--version", "--help", "list", "run gibbs --help"])
def test_what_only_prints_says_that_it_cannot(words):
    found = _shell(f"{_PROGRAM} {words} >/dev/full")
    assert (found.returncode, found.stderr) == (
        1,
        "qnat: Cannot write to standard output (No space left on device).\n",
    )


_ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param(_ASCII, id="locale"),
        pytest.param({"PYTHONIOENCODING": "ascii"}, id="streams", marks=pytest.mark.slow),
    ],
)
def test_without_utf_8_ascii_is_written(environment):
    for command in ("run gibbs --help", "list", "run gibbs --hamiltonian β.txt", "cite β–1"):
        found = _shell(_PROGRAM + command, **environment)
        assert "Traceback" not in found.stderr
        assert (found.stdout + found.stderr).isascii()
        assert found.returncode == (0 if command in ("list", "run gibbs --help") else 2)


@pytest.mark.slow
@pytest.mark.parametrize("environment", [_ASCII, {"PYTHONIOENCODING": "ascii"}], ids=["locale", "streams"])
def test_tables_and_runs_are_written_in_ascii(environment):
    sweep = "sweep gibbs --n 2 --layers 1 --steps 3 --optimizer sgd,adam --out β"
    for command in (_TINY, sweep, "compare r β", "compare β --json"):
        found = _shell(_PROGRAM + command, **environment)
        assert found.returncode == 0
        assert found.stderr == ""
        assert found.stdout.isascii()


def test_what_ascii_lacks_is_written_in_other_words(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    console.say("0.1 – β ≤ −log Z … é \udcff")
    stream.seek(0)
    assert stream.read() == "0.1 - beta <= -log Z ... \\u00e9 \\xff\n"


@pytest.mark.parametrize("broken", [None, "closed"])
def test_a_program_without_streams_may_say_and_note(monkeypatch, broken):
    stream = None
    if broken == "closed":
        stream = io.StringIO()
        stream.close()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, stream)
    console.say("result")
    console.note("remark")
    print_table("title", [Entry(_run(), {"a": 1}, None)], ["b"], [["2"]])
    with display("task", 0, 3, None) as bar:
        bar.update(1, 0.5, None)


_HOMES = [
    {"HOME": None},
    {"HOME": "/nonexistent/home"},
    {"HOME": "/dev/null", "MPLCONFIGDIR": "/dev/null"},
    {"XDG_CACHE_HOME": "/dev/null/x", "XDG_CONFIG_HOME": "/dev/null/x"},
]


@pytest.mark.parametrize(
    "home",
    [_HOMES[2] | {"MPLBACKEND": "nonsense"}, *(pytest.param(each, marks=pytest.mark.slow) for each in _HOMES)],
    ids=str,
)
def test_no_home_is_needed_and_no_backend_of_figures(home):
    found = _shell(_PROGRAM + _TINY, **home)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.endswith("r/figure.png\n")
    assert _status() == "finished"


def test_a_device_that_is_not_there_is_one_sentence():
    found = _shell(_PROGRAM + _TINY.replace("--out r", "--out s"), JAX_PLATFORMS="nonsense")
    assert found.returncode == 2
    assert found.stderr == "qnat: JAX starts on no device (JAX_PLATFORMS is 'nonsense'); unset it, or take cpu.\n"
    assert not pathlib.Path("s").exists()


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [1, 3, 8, 40])
def test_a_full_disk_is_one_sentence_and_the_run_goes_on_afterwards(blocks):
    whole = _TINY.replace("--steps 3", "--steps 60")
    found = _shell(f"ulimit -f {blocks}; {_PROGRAM} {whole}", JAX_COMPILATION_CACHE_DIR="")
    assert "Traceback" not in found.stderr
    assert found.stderr.count("\n") == 1
    assert "free some space, then --resume continues" in found.stderr
    assert found.returncode == 1
    assert not pathlib.Path("r/run.json").exists() or _status() == "failed"
    assert _shell(f"{_PROGRAM} {whole} --resume").returncode == 0
    assert _status() == "finished"


# names

_NAMES = [
    "[red]x[/red]",
    "[/]",
    "[x]",
    ":smile:",
    "$x$",
    "$",
    r"\$x$",
    "$\\frac{",
    "_",
    "_name",
    "%s %(a)s %",
    "{} {0} {x!r}",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "two\nlines",
    "back\rhome\b",
    "\u202eright to left",
    "\x9b31m",
    "\udcff",
    "日本",
    "",
]
_FEW = ("[x]", "$x$", "$\\frac{", "_name", "\x1b[31mred\x1b[0m", "")


def _run(**changes):
    known = {
        "path": None,
        "spec": {"task": "task"},
        "curves": {"loss": np.ones((1, 3))},
        "params": {},
        "artifacts": {},
        "final": {"loss": 1.0},
        "reference": {},
        "status": "finished",
        "steps": 2,
        "spent": dict.fromkeys(("compile", "train", "write", "draw"), 0.0),
    }
    return Result(**(known | changes))


def _took(seconds):
    return {"compile": 0.0, "train": seconds, "write": 0.0, "draw": 0.0}


def _harmless(text: str) -> bool:
    return all(sign == "\n" or not console._is_control(sign) for sign in text)


@pytest.mark.parametrize("name", _NAMES)
def test_tables_show_names_as_they_are(capsys, name):
    shown = console.literal(name)
    print_table("title", [Entry(_run(), {f"a {name}": f"b {name}"}, None)], [f"c {name}"], [[f"d {name}"]])
    printed = capsys.readouterr().out
    assert _harmless(printed)
    assert printed.count("\n") == 3
    for letter in "abcd":
        assert f"{letter} {shown}".rstrip() in printed


@pytest.mark.parametrize("name", _NAMES)
def test_the_end_of_a_run_shows_names_as_they_are(capsys, name):
    known = {f"exact {name}": Reference(1.0, f"by {name}")._asdict()}
    print_run(_run(path=pathlib.Path("r") / (name or "x"), final={f"loss {name}": 1.0}, reference=known), "")
    printed = capsys.readouterr().out
    assert _harmless(printed)
    assert f"r/{console.literal(name or 'x')}" in printed


@pytest.mark.parametrize("name", _NAMES)
def test_the_bar_shows_names_as_they_are(monkeypatch, name):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with display(f"a {name}", 0, 3, True) as bar:
        bar.update(1, 0.5, None)
    assert f"a {console.literal(name)}" in stream.getvalue()


@pytest.mark.parametrize(
    "name", [each if each in _FEW else pytest.param(each, marks=pytest.mark.slow) for each in _NAMES]
)
def test_figures_show_names_as_they_are(tmp_path, name):
    with mpl.rc_context(STYLE):
        figure = Figure()
        axes = figure.subplots()
        axes.plot([1, 2], [1e-3, 1.0], label=f"a {name}")
        axes.set(title=f"a {name}", xlabel=f"a {name}", yscale="log")
        axes.set_xticks([1, 2], labels=[f"a {name}", "b"])
        legend = figure.legend(handles=[*axes.lines])
        for _ in range(2):  # a figure may be saved twice
            save_figure(figure, tmp_path / "figure.png")
    shown = "\n".join(map(console.literal, f"a {name}".split("\n")))
    texts = [axes.title, axes.xaxis.label, axes.xaxis.get_ticklabels()[0], *legend.get_texts()]
    assert [text.get_text() for text in texts] == [shown] * 4
    assert not any(text.get_parse_math() for text in texts)
    assert any("10^{-3}" in text.get_text() and text.get_parse_math() for text in axes.yaxis.get_ticklabels())
    assert b"Software\0qnat" in (tmp_path / "figure.png").read_bytes()


def test_figures_draw_dollars_and_not_formulas():
    with mpl.rc_context(STYLE):
        pictures = []
        for text in ("$x$", r"\$x\$"):  # Matplotlib's own way to say that no formula is meant
            figure = Figure(figsize=(2, 1))
            figure.text(0.1, 0.5, text)
            if text == "$x$":
                take_literally(figure)
            file = io.BytesIO()
            figure.savefig(file, format="png")
            pictures.append(file.getvalue())
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("name", ["[x]", ":smile:", "\x1b[31m", "a\nb", "$x$", "\udcff"])
def test_refusals_show_names_as_they_are(capsys, name):
    for command in (["run", name], ["run", "gibbs", "--hamiltonian", name], ["cite", name], ["compare", name]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert _harmless(said)
        assert console.literal(name) in said


def test_json_is_not_touched(capsys):
    from qnat.experiment.show.report import print_json

    path = pathlib.Path("\x1b[31m \x7f \x85 β")
    print_json(_run(path=path))
    assert json.loads(capsys.readouterr().out)["out"] == str(path)


# comparisons


def test_runs_that_different_measures_judge_are_told_apart(capsys):
    from qnat.experiment.show.report import print_comparison

    exact, loss = Measure("gap", exact=True), Measure("test_loss", "nats")
    right = Measure("test_accuracy", better="higher")
    curves = {"loss": np.full((1, 3), 7.0), "gap": np.array([[1.0, 0.05, 0.005]])}
    tests = {"loss": np.full((1, 3), 7.0), "test_loss": np.array([[3.0, 1.0, 2.0]])}
    accuracies = {"test_accuracy": np.array([[0.5, 0.75, 0.875]])}
    runs = [
        _run(
            curves=tests | accuracies, measures=(loss, right), spec={"task": "network", "rate": 2}, spent=_took(0.01234)
        ),
        _run(curves=curves, measures=(exact,), spec={"task": "gibbs", "rate": 1}),
        _run(curves=tests, measures=(loss, right), spec={"task": "network", "rate": 1}, spent=_took(1234.6)),
        _run(spec={"task": "one"}),
        _run(spec={"task": "other"}),  # two losses of two tasks
    ]
    entries = [Entry(each, {}, None) for each in runs]
    print_comparison(entries, [pathlib.Path("c.png")], as_json=False)
    tables = re.split(r"c(?:-\d)?\.png\n+", capsys.readouterr().out)[:-1]
    assert [table.split(" at the first")[0] for table in tables] == ["test loss", "gap", "loss", "loss"]
    assert [" ".join(line.split()) for line in tables[0].splitlines()[1:4]] == [
        "task rate first last best test accuracy steps seconds",
        "network 2 3 2 1 0.875 2 0.0123",
        "network 1 3 2 1 – 2 1235",
    ]
    assert "gap below 0.1" in tables[1]
    assert "below" not in tables[0] + tables[2] + tables[3]
    assert sorted(path.name for path in pathlib.Path().iterdir()) == ["c-2.png", "c-3.png", "c-4.png", "c.png"]
    print_comparison(entries, [pathlib.Path("c.png")], as_json=True)
    rows = json.loads(capsys.readouterr().out)["runs"]
    assert [(row["measure"], row["figure"]) for row in rows] == [
        ("test_loss", "c.png"),
        ("test_loss", "c.png"),
        ("gap", "c-2.png"),
        ("loss", "c-3.png"),
        ("loss", "c-4.png"),
    ]


def test_losses_of_different_meaning_are_told_apart_under_one_name(capsys):
    from qnat.experiment.show.report import print_comparison

    kinds = [Measure("test_loss", "nats", of=of) for of in ("cross-entropy", "squared error", "cross-entropy", "")]
    curves = {"loss": np.full((1, 3), 7.0), "test_loss": np.array([[3.0, 1.0, 2.0]])}
    entries = [
        Entry(_run(curves=curves, measures=(kind,), spec={"task": "network", "rate": k}), {}, None)
        for k, kind in enumerate(kinds)
    ]
    print_comparison(entries, [pathlib.Path("c.png")], as_json=False)
    printed = capsys.readouterr().out
    tables = re.split(r"c(?:-\d)?\.png\n+", printed)[:-1]
    assert [table.split(" at the first")[0] for table in tables] == [
        "test loss (cross-entropy)",
        "test loss (squared error)",
        "test loss",  # from before a folder said
    ]
    assert [table.count("network") for table in tables] == [2, 1, 1]
    print_comparison(entries, [pathlib.Path("c.png")], as_json=True)
    rows = json.loads(capsys.readouterr().out)["runs"]
    assert [row.get("measure_of") for row in rows] == ["cross-entropy", "cross-entropy", "squared error", None]


def test_runs_are_ordered_along_a_ladder_of_words_and_numbers():
    from qnat.experiment.show.lines import ordered

    values = ["b", 2, None, "a", 1.5]
    found = ordered([Entry(_run(), {"beta": value}, None) for value in values], "beta")
    assert [entry.labels["beta"] for entry in found] == [None, 1.5, 2, "a", "b"]
