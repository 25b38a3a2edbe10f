"""Whose folder: what is not ours is left alone, and nothing outside of a folder is written, followed or removed."""

import json
import os
import pathlib
import shutil
from typing import ClassVar

import optax
import pytest
from pydantic import Field

from qnat.cli import main
from qnat.experiment import RefusedError, Run, RunSpec, load_runs, run, run_sweep
from qnat.experiment.store.files import read_table, write_json
from qnat.experiment.sweep.plan import plan, trial
from qnat.optim import with_rate

SGD = optax.sgd(0.1)
PLAIN = optax.with_extra_args_support(optax.identity())
CHOICES = ({}, {"resume": True}, {"force": True})


@pytest.fixture(autouse=True, scope="module")
def undrawn():
    """Figures take most of the time of such runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "qnat.experiment.runs._draw", lambda result, path, *_: (path / "figure.png").write_bytes(b"picture")
        )
        yield


@pytest.fixture
def train(quadratic):
    return lambda folder, steps=2, **options: run(quadratic(), SGD, steps=steps, seed=0, out=folder, **options)


@pytest.fixture(scope="module")
def spec_class(quadratic):
    class NamedSpec(RunSpec):
        """Roll down a parabola that has a name."""

        task_name: ClassVar[str] = "quadratic"

        name: str = Field("x", description="of the parabola")
        name_rest: str = Field("", description="of the name")
        rest: str = Field("", description="of the parabola")

        def task(self, previous=None):
            return quadratic(0.0, (1.0, 2.0))

        def transform(self, task):
            return with_rate(PLAIN, 0.1)

    return NamedSpec


def _tree(folder: pathlib.Path) -> dict[str, bytes | str]:
    """What stands in a folder: bytes of files, targets of links."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file():
            found[name] = path.read_bytes()
        else:
            found[name] = "folder" if path.is_dir() else "other"
    return found


_FOREIGN = {
    "figure.png": {"figure.png": "mine"},
    "all names of ours": dict.fromkeys(("figure.png", "metrics.jsonl", "result.nc", "checkpoint.npz"), "mine"),
    "a lock": {".lock": "mine"},
    "a torn file": {"run.json.part": "mine"},
    "a run.json": {"run.json": '{"name": "jog", "distance": 5}', "figure.png": "mine"},
    "a list": {"run.json": "[]"},
    "an empty run.json": {"run.json": ""},
    "a run.json of somebody else": {"run.json": '{"task": "jog", "status": "finished", "spec": {}}'},
    "a log and a table": {"metrics.jsonl": "mine", "table.json": "{}"},
}


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("foreign", _FOREIGN)
def test_what_is_not_ours_is_left_alone(train, spec_class, tmp_path, foreign, choice):
    mine = tmp_path / "mine"
    mine.mkdir()
    for name, text in _FOREIGN[foreign].items():
        (mine / name).write_text(text)
    before = _tree(tmp_path)
    with pytest.raises(RefusedError):
        train(mine, **choice)
    with pytest.raises(RefusedError):
        run_sweep(plan(spec_class, {"name": ["a", "b"], "steps": ["1"]}, None), mine, **choice)
    with pytest.raises(RefusedError):
        Run.load(mine)
    assert _tree(tmp_path) == before


@pytest.mark.parametrize("torn", ["", "{", '{\n  "task', '{\n  "task": "quadratic",\n  "sta'])
def test_a_folder_killed_before_it_said_whose_it_is_is_free(train, tmp_path, torn):
    (tmp_path / ".lock").touch()
    (tmp_path / "run.json.part").write_text(torn)
    assert train(tmp_path).steps == 2


def test_the_first_thing_written_says_whose_the_folder_is(train, tmp_path, monkeypatch):
    def killed(*_):
        assert {path.name for path in tmp_path.iterdir()} == {".lock", "run.json"}
        raise KeyboardInterrupt

    monkeypatch.setattr("qnat.experiment.store.folder.Appended", killed)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path)
    monkeypatch.undo()
    assert train(tmp_path, resume=True).steps == 2


_LINKS = [
    "run.json",
    "metrics.jsonl",
    "result.nc",
    "checkpoint.npz",
    "figure.png",
    "run.json.part",
    "figure.png.part",
    ".lock",
]


@pytest.mark.parametrize("name", _LINKS)
@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe"])
def test_links_folders_and_pipes_in_place_of_our_files_are_refused(train, tmp_path, name, kind):
    folder, target = tmp_path / "run", tmp_path / "precious"
    train(folder)
    place = folder / name
    if kind != "dangling link":
        target.write_bytes(place.read_bytes() if place.exists() else b"precious")
    place.unlink(missing_ok=True)
    if kind == "folder":
        place.mkdir()
        (place / "file").write_text("precious")
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(target)
    before = _tree(tmp_path)
    for choice in ({"resume": True, "steps": 4}, {"force": True}):
        with pytest.raises(RefusedError, match=r"symbolic link|a folder|no regular file"):
            train(folder, **choice)
    assert _tree(tmp_path) == before


def test_a_link_in_a_new_folder_is_refused(train, tmp_path):
    (tmp_path / "precious").write_text("precious")
    for name in (".lock", "run.json.part", "run.json"):
        folder = tmp_path / f"with {name}"
        folder.mkdir()
        (folder / name).symlink_to(tmp_path / "precious")
        before = _tree(tmp_path)
        for choice in CHOICES:
            with pytest.raises(RefusedError):
                train(folder, **choice)
        assert _tree(tmp_path) == before


def test_files_of_somebody_else_in_our_folder_survive_force(train, tmp_path):
    train(tmp_path)
    (tmp_path / "notes").write_text("mine")
    train(tmp_path, force=True)
    assert (tmp_path / "notes").read_text() == "mine"


# sweeps


def test_distinct_values_have_distinct_folders(spec_class):
    names = [
        "a/b.txt",
        "a-b.txt",
        "a%2Fb.txt",
        "a_b.txt",
        "a b.txt",
        "a\nb.txt",
        "ä.txt",
        "a~b",
        ".",
        "..",
        "../..",
        "a=b",
        "",
    ]
    names += ["x" * 300 + end for end in "ab"]
    rungs = plan(spec_class, {"name": names, "steps": ["1"]}, None)
    folders = [rung.folder for rung in rungs]
    assert len(set(folders)) == len(names)
    assert all(folder.isascii() and folder.isprintable() and "/" not in folder for folder in folders)
    assert max(map(len, folders)) < 255
    assert "name=a-b.txt" in folders
    assert "name=a%2Fb.txt" in folders


def test_names_and_values_are_not_taken_for_each_other(spec_class):
    # name=x_name_rest=y could be the value "x" before the option name_rest, or "x_name" before rest
    one = plan(spec_class, {"name": ["x", "z"], "name_rest": ["y", "z"], "steps": ["1"]}, None)
    other = plan(spec_class, {"name": ["x_name", "z"], "rest": ["y", "z"], "steps": ["1"]}, None)
    folders = [{rung.folder for rung in rungs if rung.swept["name"] != "z"} for rungs in (one, other)]
    assert not folders[0] & folders[1]


def _swept(spec_class, folder, names=("a", "b"), **choice):
    return run_sweep(plan(spec_class, {"name": list(names), "steps": ["1"]}, None), folder, **choice)


@pytest.fixture(scope="module")
def made(spec_class, tmp_path_factory):
    """A sweep, made once."""
    folder = tmp_path_factory.mktemp("made") / "s"
    _swept(spec_class, folder)
    return folder


@pytest.fixture
def swept(made, tmp_path):
    """A copy of it."""
    return shutil.copytree(made, tmp_path / "s")


_OUTSIDE = [
    "../victim",
    "{}",
    "..",
    ".",
    "",
    "a/../../victim",
    "tuning/../../victim",
    "a/b/c",
    "/",
    "a\0b",
    "\udc80\ud800",
]


@pytest.mark.parametrize(
    "place", ["runs", *(pytest.param(each, marks=pytest.mark.slow) for each in ("tuning", "drawn"))]
)
@pytest.mark.parametrize("outside", _OUTSIDE)
def test_a_table_that_names_folders_elsewhere_is_refused(train, spec_class, swept, tmp_path, outside, place):
    train(tmp_path / "victim")
    table = read_table(swept)
    name = outside.format(tmp_path / "victim")
    row = table["runs"][0] | {"folder": name}
    changes = {"runs": {"runs": [row]}, "tuning": {"tuning": {"seed": 1, "runs": [row]}}, "drawn": {"drawn": [name]}}
    write_json(tmp_path / "s" / "table.json", table | changes[place])
    before = _tree(tmp_path)
    for choice in ({"resume": True}, {"force": True}):
        with pytest.raises(RefusedError, match=r"table\.json"):
            _swept(spec_class, tmp_path / "s", **choice)
    with pytest.raises(RefusedError, match=r"table\.json"):
        load_runs([tmp_path / "s"])
    assert _tree(tmp_path) == before


def test_a_table_changed_by_hand_is_refused(spec_class, tmp_path):
    _swept(spec_class, tmp_path)
    path = tmp_path / "table.json"
    path.write_text(path.read_text().replace('"folder": "name=a"', '"folder": "name=b"'))
    with pytest.raises(RefusedError, match="its checksum is that of another text"):
        load_runs([tmp_path])


@pytest.mark.parametrize("link", ["name=a", "name=c", "tuning"])
def test_links_in_a_sweep_are_not_followed(train, spec_class, swept, tmp_path, link):
    train(tmp_path / "victim")
    table = read_table(swept)
    place = tmp_path / "s" / link
    shutil.rmtree(place, ignore_errors=True)
    place.symlink_to(tmp_path / "victim")
    if link == "tuning":
        (tmp_path / "tuning").mkdir()
        trials = [{"folder": "tuning/x", "status": "finished"}]
        write_json(tmp_path / "s" / "table.json", table | {"tuning": {"seed": 1, "runs": trials}})
    before = _tree(tmp_path)
    with pytest.raises(RefusedError, match="symbolic link, which is not followed"):
        _swept(spec_class, tmp_path / "s", names=("a", "b", "c"), force=True)
    if link != "tuning":
        with pytest.raises(RefusedError, match="symbolic link, which is not followed"):
            _swept(spec_class, tmp_path / "s", names=("a", "b", "c"), resume=True)
    if link == "name=a":
        with pytest.raises(RefusedError, match="symbolic link, which is not followed"):
            load_runs([tmp_path / "s"])
    assert _tree(tmp_path) == before


def test_folders_of_somebody_else_in_a_sweep_are_found_before_anything_is_removed(train, spec_class, tmp_path):
    _swept(spec_class, tmp_path)
    for foreign in ("name=c", "name=a"):  # a new one, and one that the table lists
        shutil.rmtree(tmp_path / foreign, ignore_errors=True)
        (tmp_path / foreign).mkdir()
        (tmp_path / foreign / "thesis.tex").write_text("precious")
        before = _tree(tmp_path)
        with pytest.raises(RefusedError, match=rf"{foreign} is not the folder of a run \(it holds thesis.tex\)"):
            _swept(spec_class, tmp_path, names=("a", "b", "c"), force=True)
        assert _tree(tmp_path) == before
        shutil.rmtree(tmp_path / foreign)
    train(tmp_path / "name=c")
    with pytest.raises(RefusedError, match=r"holds a run that .*table\.json does not list"):
        _swept(spec_class, tmp_path, names=("a", "b", "c"), force=True)


def test_force_removes_what_the_table_lists_and_no_more(train, spec_class, tmp_path):
    _swept(spec_class, tmp_path)
    train(tmp_path / "own")
    (tmp_path / "tuning").mkdir()
    train(tmp_path / "tuning" / "own")
    _swept(spec_class, tmp_path, names=("c", "d"), force=True)
    found = {str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("run.json")}
    assert found == {"name=c", "name=d", "own", "tuning/own"}


def test_trials_have_distinct_folders_too(spec_class):
    class Rated(spec_class):
        learning_rate: float = 0.1

    rungs = plan(Rated, {"name": ["a/b", "a-b"]}, None)
    assert len({trial(rung, 1000, 0).folder for rung in rungs}) == 2


_TABLES = {
    "text": "nonsense",
    "a list": "[]",
    "nested": '{"task": "quadratic", "runs": ' + "[" * 100_000,
    "runs are words": '{"task": "quadratic", "runs": ["a"]}',
    "a folder is a number": '{"task": "quadratic", "runs": [{"folder": 1, "status": "finished", "start": "cold"}]}',
    "a status of its own": '{"task": "quadratic", "runs": [{"folder": "a", "status": "asleep", "start": "cold"}]}',
    "no start": '{"task": "quadratic", "runs": [{"folder": "a", "status": "finished"}]}',
    "tuning is a list": '{"task": "quadratic", "runs": [], "tuning": []}',
}


@pytest.mark.parametrize("table", _TABLES)
def test_a_wrong_table_is_one_sentence(spec_class, swept, table):
    (swept / "table.json").write_text(_TABLES[table])
    before = _tree(swept)
    for choice in ({"resume": True}, {"force": True}):
        with pytest.raises(RefusedError, match=r"Cannot read the damaged file .*table.json|was not written by qnat"):
            _swept(spec_class, swept, **choice)
    assert main(["compare", str(swept)]) == 2
    assert _tree(swept) == before


# comparisons


def test_a_comparison_is_not_drawn_over_a_picture_of_somebody_else(train, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("qnat.experiment.show.report.print_comparison", lambda *_, **__: None)
    train(tmp_path / "r")
    precious = tmp_path / "precious"
    precious.write_bytes(b"\x89PNG mine")
    for make in (
        lambda: pathlib.Path("compare.png").write_bytes(b"\x89PNG mine"),
        lambda: pathlib.Path("compare.png").symlink_to(precious),
        lambda: os.mkfifo("compare.png"),
        lambda: pathlib.Path("compare.png").mkdir(),
        lambda: pathlib.Path("compare.png.part").write_text("mine"),
    ):
        make()
        assert main(["compare", "r"]) == 2
        assert capsys.readouterr().err.count("\n") <= 2  # older runs ask their task, and say that there is none
        for name in ("compare.png", "compare.png.part"):
            path = pathlib.Path(name)
            if os.path.lexists(path):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    assert precious.read_bytes() == b"\x89PNG mine"
    assert main(["compare", "r"]) == 0


def test_a_comparison_is_drawn_over_one_of_ours(train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(tmp_path / "r")
    assert [main(["compare", "r"]) for _ in range(2)] == [0, 0]


def test_an_error_ends_the_status_running(train, quadratic, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("the printer is on fire")

    monkeypatch.setattr("qnat.experiment.runs._draw", broken)
    with pytest.raises(RuntimeError, match="on fire"):
        train(tmp_path / "r")
    document = json.loads((tmp_path / "r" / "run.json").read_text())
    assert (document["status"], document["message"]) == ("failed", "the printer is on fire")
    monkeypatch.setattr("qnat.experiment.runs._draw", lambda result, path, *_: None)
    assert train(tmp_path / "r", resume=True).status == "finished"
