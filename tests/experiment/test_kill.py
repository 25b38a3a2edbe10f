"""SIGKILL at moments from a fixed seed: the resumed run ends in the bits of one that was left alone."""

import pathlib
import random
import runpy
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from qnat.experiment import Run
from qnat.experiment.store import checkpoint

_SCRIPT = pathlib.Path(__file__).parent / "killed_run.py"
_STEPS = 400


@pytest.fixture(scope="module")
def script():
    from qnat.experiment.loop import iterate as loop
    from qnat.experiment.loop import pace

    before = pace.TARGET_SECONDS, loop.CHECKPOINT_SECONDS
    yield runpy.run_path(str(_SCRIPT))
    pace.TARGET_SECONDS, loop.CHECKPOINT_SECONDS = before


def _kill_at(folder: pathlib.Path, name: str, row: int, delay: float) -> int:
    """Starts or resumes the run, kills it soon after it has logged that row; returns the step of its checkpoint.

    After the last row it may be drawn and finished before it is killed.
    """
    process = subprocess.Popen([sys.executable, str(_SCRIPT), str(folder), name], stderr=subprocess.PIPE)
    log, deadline = folder / "metrics.jsonl", time.monotonic() + 120
    while not log.exists() or log.read_bytes().count(b"\n") < row:
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    assert process.wait() in ((-9, 0) if row > _STEPS else (-9,))
    process.stderr.close()
    # killed between two renames, the folder has the checkpoint before only
    return checkpoint.load(folder).meta["step"]


def _killed_often(script, tmp_path, name: str, kills: int, seed: int) -> Run:
    """Kills a run that many times; returns the one that was left alone, which it is found to equal."""
    assert script["STEPS"] == _STEPS
    alone = script["train"](tmp_path / "alone", name)
    chance = random.Random(seed)
    folder, steps = tmp_path / "killed", [0]
    # the last 120 rows are room for the delay and a chunk
    rows = sorted(chance.sample(range(20, script["STEPS"] - 120), kills))
    steps += [_kill_at(folder, name, row, chance.uniform(0.0, 0.03)) for row in rows]
    assert steps == sorted(steps)
    assert steps[1] > 0  # a checkpoint follows every chunk, and the first row is a chunk
    _ends_as(script, tmp_path, folder, name, alone)
    return alone


def _ends_as(script, tmp_path, folder: pathlib.Path, name: str, alone: Run) -> None:
    """Goes on, to the bits of a run that was left alone."""
    found = script["train"](folder, name)
    jax.tree.map(np.testing.assert_array_equal, (found.params, found.draws), (alone.params, alone.draws))
    for file in ("metrics.jsonl", *(["draws.bin"] if name == "chain" else [])):
        assert (folder / file).read_bytes() == (tmp_path / "alone" / file).read_bytes()
    _same(Run.load(folder), alone)


def _same(found: Run, alone: Run) -> None:
    assert found.final == alone.final
    jax.tree.map(np.testing.assert_array_equal, found.curves, alone.curves)


def test_killed_once(script, tmp_path):
    _killed_often(script, tmp_path, "descent", kills=1, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["descent", "chain", "em", "online em", "natural", "sngd", "bfgs"])
def test_killed_often(script, tmp_path, name):
    _killed_often(script, tmp_path, name, kills=4 if name == "descent" else 2, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["descent", "chain", "em", "online em"])
def test_a_campaign_of_kills(script, tmp_path, name):
    """Fifty: forty of one run, wherever it is, and ten at its end, while it is drawn and finished."""
    alone = _killed_often(script, tmp_path, name, kills=40, seed=2)
    chance = random.Random(3)
    for number in range(10):
        folder = tmp_path / f"at the end {number}"
        _kill_at(folder, name, _STEPS + 1, chance.uniform(0.0, 0.8))
        _ends_as(script, tmp_path, folder, name, alone)
