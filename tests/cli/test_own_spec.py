"""A spec in a file of one's own, run without being packaged."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from qnat.cli import main
from qnat.experiment import Run
from qnat.experiment.registry import find_spec

MINE = """
from typing import ClassVar, Literal

from pydantic import Field

from qnat.experiment import RunSpec
from qnat.experiment.words.parts import Part


class Adam(Part):
    cites = ("Kingma2015",)
    name: Literal["adam"] = "adam"
    learning_rate: float = Field(0.1, gt=0, description="learning rate")

    def build(self, task):
        import optax

        return optax.adam(self.learning_rate)


class ValleySpec(RunSpec):
    \"\"\"Descend into a valley.\"\"\"

    {name}
    trains = "{module}_task:Valley"
    width: float = Field(1.0, gt=0, description="width of the valley")
    optimizer: Adam = Adam()

    def task(self, previous=None):
        from {module}_task import Valley

        return Valley(self.width)
"""
TASK = """
import jax
import jax.numpy as jnp

from qnat.experiment import Measure, Task


class Valley(Task):
    name: str = "valley"
    measures = (Measure("height", "m", exact=True),)
    width: jax.Array

    def __init__(self, width):
        self.width = jnp.asarray(width)

    def init(self, key):
        return jax.random.normal(key, (2,))

    def value_and_grad(self, params, batch=None, key=None):
        return jax.value_and_grad(lambda p: jnp.sum((p / self.width) ** 2))(params)

    def evaluate(self, params):
        return {"height": jnp.sum((params / self.width) ** 2)}
"""


@pytest.fixture
def mine(tmp_path, monkeypatch, request):
    """A module, of a name that no other test uses, in the folder where the command runs."""
    module = f"mine_{request.node.name.partition('[')[0]}"
    (tmp_path / f"{module}.py").write_text(MINE.replace("{module}", module).replace("{name}", ""))
    (tmp_path / f"{module}_task.py").write_text(TASK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return module


def test_it_runs_resumes_sweeps_and_is_shown_compared_and_cited(mine, capsys):
    name = f"{mine}:ValleySpec"
    assert main(["run", name, "--width", "2", "--steps", "5"]) == 0
    out = "runs/ValleySpec-1"
    assert f"{out}/figure.png" in capsys.readouterr().out
    document = json.loads(pathlib.Path(out, "run.json").read_text())
    assert document["task"] == document["spec"]["task"] == name
    assert main(["run", name, "--width", "2", "--steps", "8", "--out", out, "--resume"]) == 0
    assert Run.load(out).steps == 8
    assert Run.load(out).final == find_spec(name)(width=2, steps=8).run().final
    capsys.readouterr()
    assert main(["show", out]) == 0
    assert "height" in capsys.readouterr().out
    assert main(["cite", out]) == 0
    assert "Kingma2015" in capsys.readouterr().out
    assert main(["sweep", name, "--width", "1,2", "--steps", "3", "--out", "s"]) == 0
    assert {path.parent.name for path in pathlib.Path("s").glob("*/run.json")} == {"width=1.0", "width=2.0"}
    assert main(["compare", "s", out]) == 0
    assert "height" in capsys.readouterr().out


@pytest.mark.slow
def test_its_interrupted_run_is_finished_by_another_process(mine, monkeypatch):
    class Stops:
        def started(self, record, task, step):
            pass

        def recorded(self, rows):
            raise KeyboardInterrupt

        def ended(self, run):
            pass

    spec = find_spec(f"{mine}:ValleySpec")(steps=50)
    with pytest.raises(KeyboardInterrupt):
        spec.run("r", callbacks=[Stops()])
    code = "import sys; from qnat.cli import main; sys.exit(main(['finish', 'r']))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert "of 50 steps." in found.stdout
    assert Run.load("r").steps == 1


def test_without_its_module_a_run_is_still_shown_and_compared(mine, tmp_path, monkeypatch, capsys):
    find_spec(f"{mine}:ValleySpec")(steps=3).run(tmp_path / "r")
    for module in (mine, f"{mine}_task"):
        (tmp_path / f"{module}.py").unlink()
        monkeypatch.delitem(sys.modules, module)
    assert main(["show", "r"]) == 0
    assert main(["compare", "r"]) == 0
    assert main(["list", "runs", "."]) == 0
    printed = capsys.readouterr().out
    assert f"{mine}:ValleySpec  finished  3" in printed
    assert main(["cite", "r"]) == 0  # what it cites of our own references
    assert "Kingma2015" in capsys.readouterr().out
    (tmp_path / "r" / "result.nc").unlink()
    assert main(["run", f"{mine}:ValleySpec", "--out", "r", "--resume"]) == 2
    assert f"The task '{mine}:ValleySpec' cannot be loaded" in capsys.readouterr().err


def test_a_name_of_its_own_that_no_package_registers_gives_way(mine, tmp_path, capsys):
    named = (tmp_path / f"{mine}.py").read_text().replace("    \n", '    task_name: ClassVar[str] = "valley"\n', 1)
    (tmp_path / f"{mine}.py").write_text(named)
    assert main(["run", f"{mine}:ValleySpec", "--steps", "2", "--out", "r"]) == 0
    assert json.loads(pathlib.Path("r/run.json").read_text())["task"] == f"{mine}:ValleySpec"
    assert main(["run", f"{mine}:ValleySpec", "--steps", "2", "--out", "r", "--resume"]) == 0


def test_a_packaged_class_keeps_its_name():
    assert find_spec("classical.tasks.boltzmann:BoltzmannSpec").task_name == "boltzmann"


def test_what_goes_wrong_in_a_module_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine_broken.py").write_text("1 / 0\n")
    assert main(["run", "mine_broken:Spec"]) == 2
    assert capsys.readouterr().err == "qnat: The task 'mine_broken:Spec' cannot be loaded: division by zero.\n"
    (tmp_path / "mine_typo.py").write_text("class (\n")
    assert main(["run", "mine_typo:Spec", "--help"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.glob("*.py")) == ["mine_broken.py", "mine_typo.py"]
    assert not (tmp_path / "runs").exists()
