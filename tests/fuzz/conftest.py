"""How cases are drawn and judged: an answer or one sentence, no traceback, no hang; a refusal writes nothing.

Each file of this folder draws what its name says, by Hypothesis. An everyday test asks a few cases in this process and
always the same; by night there are thousands, new every night, and a hundred of each kind in processes of their own.
"""

import contextlib
import io
import pathlib
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qnat.cli import main
from qnat.experiment import RunSpec

SECONDS = 60
"""No command that does not train takes as long, on the busiest machine."""
_PROGRAM = "import sys; from qnat.cli import main; sys.exit(main(sys.argv[1:]))"


class Trains(BaseException):
    """The command was legal, and would train."""


class Answer(NamedTuple):
    status: int
    out: str
    err: str


def _in_this_process(arguments: list[str]) -> Answer:
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


def _as_a_process(arguments: list[str]) -> Answer:
    """What a process says; one that has to be ended is an error."""
    plain = [argument for argument in arguments if "\0" not in argument]
    quick = ["--steps", "2"] if plain[:1] in (["run"], ["sweep"]) and "--steps" not in plain else []
    command = [sys.executable, "-c", _PROGRAM, *plain, *quick]
    done = subprocess.run(command, capture_output=True, timeout=10 * SECONDS, check=False)
    return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())


def _tree(folder: pathlib.Path) -> dict[str, Any]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        if path.is_file() and not path.is_symlink()
        else path.lstat().st_mode
        for path in folder.rglob("*")
        if path.name != ".lock"
    }


def _nothing(*_: Any) -> None:
    pass


def _check(
    arguments: list[str],
    fill: Callable[[pathlib.Path], object],
    judge: Callable[..., object],
    answer: Callable[..., Answer],
) -> None:
    """One command, in a folder that `fill` fills; `judge` is told of that folder and of the answer."""
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        here = pathlib.Path(place)
        fill(here)
        before = _tree(here)
        said = answer(arguments)
        told = f"{said.status}: {said.err}"
        assert said.status in (0, 1, 2), told
        assert "Traceback" not in said.err, told
        if said.status:
            assert said.err.splitlines()[-1].startswith("qnat: "), told
            assert said.out == "", told
        if said.status == 2:
            assert _tree(here) == before, told
        judge(here, said)


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


@pytest.fixture(scope="session")
def fuzz() -> Callable[..., None]:
    """Checks cases, which begin with a command line, here or as processes; `fill` and `judge` are told the case."""

    def fuzz(
        strategy: st.SearchStrategy[Sequence[Any]],
        examples: int,
        fill: Callable[..., object] = _nothing,
        judge: Callable[..., object] = _nothing,
        *,
        processes: bool = False,
    ) -> None:
        answer = _as_a_process if processes else _in_this_process

        def check(case: Sequence[Any]) -> None:
            _check(case[0], lambda here: fill(here, *case[1:]), lambda *found: judge(*found, *case), answer)

        _settings(examples)(given(strategy)(check))()

    return fuzz


@pytest.fixture(scope="session")
def answer() -> Callable[[list[str]], Answer]:
    """What a command says, in this process."""
    return _in_this_process


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands end where they would train."""

    def stop(*_: object, **__: object) -> None:
        raise Trains

    monkeypatch.setattr(RunSpec, "run", stop)
    monkeypatch.setattr("qnat.experiment.sweep.sweep.run_sweep", stop)


@pytest.fixture(scope="session")
def junk() -> st.SearchStrategy[bytes]:
    """Bytes that mean nothing, or much too much."""
    return st.one_of(
        st.binary(max_size=40),
        st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.sampled_from(
            (b"[" * 50_000, b'{"a":' * 20_000, b"9" * 5000, b"\0" * 100, b"[ZZ]", b"1j", b"-", b'"', b"#", b"[[n]]")
        ),
    )
