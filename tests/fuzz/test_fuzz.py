"""Whatever is typed, whatever files hold: an answer or one sentence, no traceback, no hang; a refusal writes nothing.

Cases are drawn by Hypothesis: command lines, TOML files, Hamiltonians, counts, data, and damaged folders of runs and
sweeps. Legal commands end where they would train, except on folders, whose small runs go on.
"""

import contextlib
import gzip
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qnat.cli import main
from qnat.experiment import RunSpec
from qnat.experiment.registry import find_spec, task_names
from qnat.experiment.store.files import write_json

SECONDS = 60
"""No command that does not train takes as long, on the busiest machine."""
RUN = ["run", "gibbs", "--n", "2", "--layers", "1", "--optimizer", "sgd"]
SWEEP = ["sweep", "gibbs", "--n", "2", "--layers", "1", "--optimizer", "sgd", "--beta", "0.5,1"]
STEPS = ["--steps", "3"]


class Case(NamedTuple):
    """A command line, and what stands in the folder where it runs: files, and how the folders of runs are damaged."""

    arguments: list[str]
    files: Mapping[str, bytes] = MappingProxyType({})
    damage: Any = None


class Trains(BaseException):
    """The command was legal, and would train."""


# files

_HAMILTONIAN = b"# two spins\nZZ -1\nXI -0.5\nIX -0.5\n"
_OTHERS = (
    b"(-0.5+0j) [X0 Z1] +\n0.25 [Z0]\n",
    b'{"ZZ": -1, "XI": 0.5}',
    b'[["ZZ", -0.5]]',
    b"ZZ, -0.5\n",
    b"X0 Z1 -0.5\n",
)
_COUNTS = json.dumps({"settings": {one: {"shots": 9, "counts": {"00": 4, "11": 5}} for one in ("XX", "ZZ")}}).encode()
_TOML = b'n = 2\nbeta = 0.5\noptimizer = "adam"\nsteps = 3\nperiodic = true\n'
_ROWS = b"0,1,1\n1,1,0\n0,0,1\n1,0,1\n" * 5


def _bytes(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


_NUMPY = _bytes(lambda file: np.save(file, np.linspace(0, 1, 80).reshape(20, 4)))
_PACKED = _bytes(lambda file: np.savez(file, x=np.zeros((20, 4)), y=np.zeros(20)))
_IDX = b"\x00\x00\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (12, 2, 2)) + bytes(range(48))
_LABELS = b"\x00\x00\x08\x01" + (12).to_bytes(4, "big") + bytes(i % 10 for i in range(12))
_GERMAN = (
    b"\n".join(b" ".join(b"%d" % ((i * j) % 7) for j in range(1, 25)) + b" %d" % (1 + i % 2) for i in range(40)) + b"\n"
)


@st.composite
def mangled(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes, mostly damaged."""
    kind = draw(st.sampled_from(("whole", "flip", "cut", "insert", "repeat", "junk", "gzip", "mark", "swap")))
    place = draw(st.integers(0, max(len(content) - 1, 0)))
    if kind == "flip" and content:
        return content[:place] + bytes([content[place] ^ 1 << draw(st.integers(0, 7))]) + content[place + 1 :]
    if kind == "cut":
        return content[:place]
    if kind == "insert":
        return content[:place] + draw(_JUNK) + content[place:]
    if kind == "repeat":
        return content * draw(st.integers(2, 4))
    if kind == "junk":
        return draw(_JUNK)
    if kind == "gzip":
        packed = gzip.compress(content, mtime=0)
        return packed if draw(st.booleans()) else packed[: 10 + place]
    if kind == "mark":
        return draw(st.sampled_from((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))) + content
    if kind == "swap":
        return content.replace(
            *draw(st.sampled_from(((b"1", b"1e400"), (b"0", b"nan"), (b"Z", b"Q"), (b"\n", b"\r\n"))))
        )
    return content


_JUNK = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(
        (b"[" * 50_000, b'{"a":' * 20_000, b"9" * 5000, b"\0" * 100, b"[ZZ]", b"1j", b"-", b'"', b"#", b"[[n]]")
    ),
)

# command lines

_USUAL = """0 1 2 3 -1 1.5 1e400 nan inf -0 true none a,b 1,2 , 1,,2 100000000 1000000000000 1_0 0x2 1j [x] :smile: $x$
    %s {} é h.txt c.json d.npy no.txt . .. / /dev/null c4k3 32-c8k3 c4k3s2-16-c4k3s2 8-4-8 - -- wyd:2 wyd:9 sandwiched:0
    bkm adam sgd natural full tfim random data digits classify regress shadows exact pauli"""
_WORDS = st.one_of(
    st.sampled_from((*_USUAL.split(), "", " ", "9" * 400, "9" * 5000, "x\x1b[31m", "a\nb", "\udcff")),
    st.text(max_size=8),
    st.integers().map(str),
    st.floats().map(str),
)
_COMMON = (
    "--out",
    "--resume",
    "--force",
    "--json",
    "--spec",
    "--tune",
    "--warm-start",
    "--help",
    "--colour",
    "-h",
    "--",
)


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with options of its task, mostly, and values of all kinds."""
    command = draw(
        st.sampled_from(("run", "run", "run", "sweep", "compare", "cite", "list", "dance", "show", "finish"))
    )
    if command not in ("run", "sweep"):
        return [command, *draw(st.lists(_WORDS, max_size=3)), *draw(st.lists(st.sampled_from(_COMMON), max_size=1))]
    task = draw(st.sampled_from((*task_names(), "gibbs", "learning", "network", "gibs")))
    names = [f"--{name.replace('_', '-')}" for name in find_spec(task).options()] if task in task_names() else ["--n"]
    arguments = [command, task]
    for name in draw(st.lists(st.sampled_from((*names, *names, *_COMMON)), max_size=4)):
        arguments += [name, *draw(st.lists(_WORDS, max_size=1 if name != "--resume" else 0))]
    return arguments


_FILES = {
    "h.txt": st.sampled_from((_HAMILTONIAN, *_OTHERS)),
    "c.json": st.just(_COUNTS),
    "s.toml": st.just(_TOML),
    "d.npy": st.sampled_from((_NUMPY, _PACKED)),
    "rows.train.data": st.just(_ROWS),
    "rows.test.data": st.just(_ROWS),
    "mnist/train-images-idx3-ubyte": st.just(_IDX),
    "mnist/train-labels-idx1-ubyte": st.just(_LABELS),
    "mnist/t10k-images-idx3-ubyte": st.just(_IDX),
    "mnist/t10k-labels-idx1-ubyte": st.just(_LABELS),
    "german.data-numeric": st.just(_GERMAN),
}
_READERS = (
    ("run gibbs --hamiltonian h.txt", ("h.txt",)),
    ("sweep gibbs --hamiltonian h.txt --beta 1,2", ("h.txt",)),
    ("run learning --data c.json --n 2", ("c.json",)),
    ("run gibbs --spec s.toml", ("s.toml",)),
    ("sweep gibbs --spec s.toml", ("s.toml",)),
    ("run network --data d.npy --batch 2", ("d.npy",)),
    ("run network --data d.npy --batch 2 --kind regress", ("d.npy",)),
    ("run helmholtz --data d.npy --threshold 0.5 --batch 2", ("d.npy",)),
    ("run boltzmann --data rows", ("rows.train.data", "rows.test.data")),
    ("run helmholtz --data rows --batch 2", ("rows.train.data", "rows.test.data")),
    ("run network --data mnist --batch 2", tuple(name for name in _FILES if name.startswith("mnist"))),
    ("run network --data german.data-numeric --kind classify --batch 2", ("german.data-numeric",)),
)


@st.composite
def read_files(draw: st.DrawFn) -> Case:
    """A command that reads files, one of which is damaged."""
    line, names = draw(st.sampled_from(_READERS))
    bad = draw(st.sampled_from(names))
    files = {name: draw(_FILES[name]) for name in names}
    return Case(line.split(), files | {bad: draw(mangled(files[bad]))})


# folders


@st.composite
def damaged_folders(draw: st.DrawFn) -> Case:
    """A command on the folder of a run, or of a sweep, in which one thing is not as it was."""
    swept = draw(st.booleans())
    folder, made = ("s", SWEEP) if swept else ("r", RUN)
    commands = (
        ["compare", folder, "--json"],
        ["compare", "r", "s", "--json"],
        ["cite", "s/beta=1.0" if swept else "r"],
        [*made, *STEPS, "--out", folder, "--resume", "--json"],
        [*made, "--steps", "5", "--out", folder, "--resume", "--json"],
        [*made, *STEPS, "--out", folder, "--force", "--json"],
        [*made, *STEPS, "--out", folder],
    )
    runs = ("s/beta=0.5", "s/beta=1.0") if swept else ("r",)
    names = ("run.json", "run.json", "metrics.jsonl", "result.nc", "checkpoint.npz", "checkpoint.previous.npz")
    places = [f"{run}/{name}" for run in runs for name in names] + ["s/table.json"] * 3 * swept
    kind = draw(
        st.sampled_from(("flip", "flip", "cut", "junk", "gone", "swap", "link", "folder", "pipe", "forge", "forge"))
    )
    damage = (kind, draw(st.sampled_from(places)), draw(st.integers(0, 2**31)), draw(_JUNK), draw(_FORGED))
    return Case(draw(st.sampled_from(commands)), damage=damage)


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


def _inflict(damage: Any, root: pathlib.Path) -> None:
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


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A run in r and a sweep in s; figures are not drawn, here and later."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        before = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
        patch.setattr("qnat.experiment.runs._draw", lambda *_, **__: None)
        patch.setattr("qnat.experiment.sweep.sweep._draw", lambda *_, **__: [])
        patch.setattr("qnat.experiment.show.comparison.draw_comparison", lambda *_, **__: None)
        patch.setattr("qnat.experiment.show.style.save_figure", lambda *_: None)
        assert _answer([*RUN, *STEPS, "--out", "r"]).status == 0
        assert _answer([*SWEEP, *STEPS, "--out", "s"]).status == 0
        (folder / "outside").write_text("precious")
        yield folder
        jax.config.update("jax_compilation_cache_dir", before[0])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", before[1])


class Answer(NamedTuple):
    status: int
    out: str
    err: str


def _answer(arguments: list[str]) -> Answer:
    """What a command says, in this process; one that takes too long is an error."""

    def late(*_: object) -> None:
        raise TimeoutError(f"{arguments} takes more than {SECONDS} s")

    out, err = io.StringIO(), io.StringIO()
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings(action="ignore"):
            try:
                status = main(arguments)
            except SystemExit as end:  # --help
                status = int(end.code or 0)
            except Trains:
                status = 0
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return Answer(status, out.getvalue(), err.getvalue())


def _tree(folder: pathlib.Path) -> dict[str, Any]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        if path.is_file() and not path.is_symlink()
        else path.lstat().st_mode
        for path in folder.rglob("*")
        if path.name != ".lock"
    }


def _check(case: Case, whole: pathlib.Path, answer: Callable[[list[str]], Answer]) -> None:
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        here = pathlib.Path(place)
        if case.damage is not None:
            shutil.copytree(whole, here, dirs_exist_ok=True)
            _inflict(case.damage, here)
        for name, content in case.files.items():
            (here / name).parent.mkdir(exist_ok=True)
            (here / name).write_bytes(content)
        before = _tree(here)
        said = answer(case.arguments)
        told = f"{said.status}: {said.err}"
        assert said.status in (0, 1, 2), told
        assert "Traceback" not in said.err, told
        if said.status:
            assert said.err.splitlines()[-1].startswith("qnat: "), told
            assert said.out == "", told
        if said.status == 2:
            assert _tree(here) == before, told
        if case.damage is not None:
            assert (here / "outside").read_text() == "precious"
            if case.arguments[0] == "compare" and said.status == 0 and case.damage[0] != "forge":
                assert json.loads(said.out)["runs"] == _known(case, whole)


_KNOWN: dict[str, Any] = {}


def _known(case: Case, whole: pathlib.Path) -> Any:
    """What a comparison says of whole folders."""
    line = " ".join(case.arguments)
    if line not in _KNOWN:
        with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
            shutil.copytree(whole, place, dirs_exist_ok=True)
            _KNOWN[line] = json.loads(_answer(case.arguments).out)["runs"]
    return _KNOWN[line]


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands end where they would train."""

    def stop(*_: object, **__: object) -> None:
        raise Trains

    monkeypatch.setattr(RunSpec, "run", stop)
    monkeypatch.setattr("qnat.experiment.sweep.sweep.run_sweep", stop)


def _settings(examples: int) -> Any:
    """Everyday examples are always the same; those of the night are new every night, and told where one fails."""
    return settings(
        max_examples=examples,
        derandomize=examples < 100,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


def _fuzz(strategy: st.SearchStrategy[Case], examples: int, check: Callable[[Case], None]) -> None:
    _settings(examples)(given(strategy)(check))()


_SLOW = pytest.mark.slow
# the files of a failing case may be long
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


@pytest.mark.parametrize("examples", [18, pytest.param(5000, marks=_SLOW)])
def test_command_lines(stopped, whole, examples):
    _fuzz(command_lines().map(Case), examples, lambda case: _check(case, whole, _answer))


@pytest.mark.parametrize("examples", [18, pytest.param(4000, marks=_SLOW)])
def test_files(stopped, whole, examples):
    _fuzz(read_files(), examples, lambda case: _check(case, whole, _answer))


@pytest.mark.parametrize("examples", [10, pytest.param(1000, marks=_SLOW)])
def test_damaged_folders(whole, examples):
    _fuzz(damaged_folders(), examples, lambda case: _check(case, whole, _answer))


_PROGRAM = "import sys; from qnat.cli import main; sys.exit(main(sys.argv[1:]))"


def _process(arguments: list[str]) -> Answer:
    """What a process says; one that has to be ended is an error."""
    plain = [argument for argument in arguments if "\0" not in argument]
    quick = ["--steps", "2"] if plain[:1] in (["run"], ["sweep"]) and "--steps" not in plain else []
    command = [sys.executable, "-c", _PROGRAM, *plain, *quick]
    done = subprocess.run(command, capture_output=True, timeout=10 * SECONDS, check=False)
    return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize("examples", [pytest.param(300, marks=_SLOW)])
def test_processes(whole, examples):
    cases = st.one_of(command_lines().map(Case), read_files(), damaged_folders())
    _fuzz(cases, examples, lambda case: _check(case, whole, _process))
