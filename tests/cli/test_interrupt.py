"""Ctrl-C: one sentence, and a folder that can be resumed."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every command runs in an empty folder."""
    monkeypatch.chdir(tmp_path)


def _interrupted_when(ready) -> str:
    """What a long run says that is interrupted once `ready()`."""
    program = str(pathlib.Path(sys.executable).with_name("qnat"))
    command = [program, "run", "gibbs", "--n", "2", "--layers", "1", "--optimizer", "adam", "--steps", "2000000"]
    command += ["--out", "r"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
    deadline = time.monotonic() + 120
    while not ready():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.count("\n") == 1
    assert err.endswith("The same command with --out r --resume continues.\n")
    return err


def test_ctrl_c_exits_130_and_the_folder_resumes(tmp_path):
    log = tmp_path / "r" / "metrics.jsonl"
    assert _interrupted_when(lambda: log.exists() and log.stat().st_size > 0).startswith("qnat: Stopped at step ")
    assert json.loads((tmp_path / "r" / "run.json").read_text())["status"] == "interrupted"


@pytest.mark.slow
def test_ctrl_c_before_the_first_step_exits_130(tmp_path):
    assert _interrupted_when((tmp_path / "r" / ".lock").exists).startswith("qnat: Stopped. ")
