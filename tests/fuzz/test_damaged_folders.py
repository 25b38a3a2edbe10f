"""Folders in which one thing is not as it was: an answer or one sentence, and nothing outside them changes.

Their runs are small, and go on.
"""

import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import pytest
from hypothesis import strategies as st

from qnat.experiment.store.files import write_json
from qnat.quantum.tasks.gibbs import GibbsSpec

# the files of a failing case may be long
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

RUN = ["run", "gibbs", "--n", "2", "--layers", "1", "--optimizer", "sgd"]
SWEEP = ["sweep", "gibbs", "--n", "2", "--layers", "1", "--optimizer", "sgd", "--beta", "0.5,1"]
STEPS = ["--steps", "3"]


class Damage(NamedTuple):
    """What happens to a file: its kind, and what that kind needs."""

    kind: str
    name: str
    number: int
    junk: bytes
    forged: tuple[int, Any, bool]


@st.composite
def damaged_folders(draw: st.DrawFn, junk: st.SearchStrategy[bytes]) -> tuple[list[str], Damage]:
    """A command on the folder of a run, of one that was stopped, or of a sweep, and one damage to it."""
    folder = draw(st.sampled_from(("r", "u", "s")))
    made, steps = {"r": (RUN, STEPS), "u": (RUN, ["--steps", "50"]), "s": (SWEEP, STEPS)}[folder]
    runs = ("s/beta=0.5", "s/beta=1.0") if folder == "s" else (folder,)
    commands = (
        ["compare", folder, "--json"],
        ["compare", "r", "s"],
        ["compare", "r", "s", "--json"],
        ["cite", runs[-1]],
        ["show", folder],
        ["show", folder, "--json"],
        ["show", runs[-1]],
        ["list", "runs", folder],
        ["list", "runs", "."],
        ["finish", folder],
        ["finish", runs[-1], "--json"],
        [*made, *steps, "--out", folder, "--resume", "--json"],
        [*made, "--steps", "5", "--out", folder, "--resume", "--json"],
        [*made, *steps, "--out", folder, "--force", "--json"],
        [*made, *steps, "--out", folder],
    )
    names = ("run.json", "run.json", "metrics.jsonl", "checkpoint.npz", "checkpoint.previous.npz")
    names += () if folder == "u" else ("result.nc",)
    places = [f"{run}/{name}" for run in runs for name in names] + ["s/table.json"] * 3 * (folder == "s")
    kinds = ("flip", "flip", "cut", "junk", "gone", "swap", "link", "folder", "pipe", "forge", "forge")
    damage = Damage(
        draw(st.sampled_from(kinds)),
        draw(st.sampled_from(places)),
        draw(st.integers(0, 2**31)),
        draw(junk),
        draw(_FORGED),
    )
    return draw(st.sampled_from(commands)), damage


_JSON = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats().map(str),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.sampled_from((-1, 10**30, "../r", "/", "finished", "running", [[1]], {"loss": "nan"}, [1, 2], "cold", 0.5)),
)
_FORGED = st.tuples(st.integers(0, 2**31), _JSON, st.booleans())


def inflict(root: pathlib.Path, damage: Damage) -> None:
    """Damages a file in one of many ways."""
    kind, name, number, junk, forged = damage
    path = root / name
    content = path.read_bytes()
    if kind == "flip":
        place = number % len(content)
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << number % 8]) + content[place + 1 :])
    elif kind == "cut":
        path.write_bytes(content[: number % len(content)])
    elif kind == "junk":
        path.write_bytes(junk)
    elif kind == "gone":
        path.unlink()
    elif kind == "swap":
        others = sorted(each for each in root.rglob("*") if each.is_file() and each.suffix != ".png")
        path.write_bytes(others[number % len(others)].read_bytes())
    elif kind == "forge" and path.suffix == ".json":
        _forge(path, *forged)
    else:
        path.unlink()
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(root / "outside")


def _forge(path: pathlib.Path, number: int, value: Any, seal: bool) -> None:
    """Puts a value somewhere into a document, with a right checksum, or as if from before there were any."""
    document = json.loads(path.read_text())
    branch, steps = document, number
    while True:
        keys = list(branch) if isinstance(branch, dict) else list(range(len(branch)))
        key = keys[steps % len(keys)]
        steps //= len(keys)
        if not isinstance(branch[key], dict | list) or not branch[key] or steps % 3 == 0:
            break
        branch = branch[key]
    branch[key] = value
    if seal:
        write_json(path, document)
    else:
        rest = {name: one for name, one in document.items() if name not in ("format", "sha256")}
        path.write_text(json.dumps(rest))


@pytest.fixture(scope="module")
def whole(answer, stops, tmp_path_factory) -> Iterator[pathlib.Path]:
    """A run in r, one in u that was stopped, and a sweep in s; figures are not drawn, here and later."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        before = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
        patch.setattr("qnat.experiment.runs._draw", lambda *_, **__: None)
        patch.setattr("qnat.experiment.sweep.sweep._draw", lambda *_, **__: [])
        patch.setattr("qnat.experiment.show.comparison.draw_comparison", lambda *_, **__: None)
        patch.setattr("qnat.experiment.show.style.save_figure", lambda *_: None)
        assert answer([*RUN, *STEPS, "--out", "r"]).status == 0
        assert answer([*SWEEP, *STEPS, "--out", "s"]).status == 0
        with pytest.MonkeyPatch.context() as paced:
            paced.setattr(
                "qnat.experiment.loop.iterate.Pace.length", lambda _self, _first, remaining: min(10, remaining)
            )
            with pytest.raises(KeyboardInterrupt):
                GibbsSpec(n=2, layers=1, optimizer="sgd", steps=50).run("u", callbacks=[stops(2)])
        (folder / "outside").write_text("precious")
        yield folder
        jax.config.update("jax_compilation_cache_dir", before[0])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", before[1])


@pytest.fixture(scope="module")
def damaged(whole) -> Callable[[pathlib.Path, Damage], None]:
    """Copies the whole folders, and damages them."""

    def damaged(here: pathlib.Path, damage: Damage) -> None:
        shutil.copytree(whole, here, dirs_exist_ok=True)
        inflict(here, damage)

    return damaged


@pytest.fixture(scope="module")
def judge(whole, answer) -> Callable[..., None]:
    """Nothing outside has changed, and runs that are compared have the numbers of whole ones."""
    known: dict[str, Any] = {}

    def compared(arguments: list[str]) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(whole)
            return json.loads(answer(arguments).out)["runs"]

    def judge(here: pathlib.Path, said: Any, arguments: list[str], damage: Damage) -> None:
        assert (here / "outside").read_text() == "precious"
        if arguments[0] == "compare" and "--json" in arguments and said.status == 0 and damage.kind != "forge":
            line = " ".join(arguments)
            if line not in known:
                known[line] = compared(arguments)
            assert json.loads(said.out)["runs"] == known[line]

    return judge


@pytest.mark.parametrize("examples", [10, pytest.param(1000, marks=pytest.mark.slow)])
def test_damaged_folders(fuzz, junk, damaged, judge, examples):
    fuzz(damaged_folders(junk), examples, damaged, judge)


@pytest.mark.slow
@pytest.mark.parametrize("examples", [100])
def test_processes(fuzz, junk, damaged, judge, examples):
    fuzz(damaged_folders(junk), examples, damaged, judge, processes=True)
