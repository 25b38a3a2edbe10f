"""What shells complete, asked of the shells themselves."""

import json
import shutil
import subprocess
import sys

import pytest

from qnat.cli import main
from qnat.experiment.registry import task_names

_ASK = """
eval "$(cat script)"
COMP_WORDS=(%s); COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
_qnat
printf '%%s\\n' "${COMPREPLY[@]}"
"""
_COMMANDS = {"list", "run", "sweep", "show", "finish", "compare", "cite", "completion"}


@pytest.fixture
def bash(tmp_path, monkeypatch, capsys):
    """Completes a line in bash, whose folder holds a file."""
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("There is no bash here.")
    monkeypatch.chdir(tmp_path)
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "my run").mkdir()

    def complete(*words: str) -> set[str]:
        line = " ".join(json.dumps(word) for word in ("qnat", *words))
        found = subprocess.run([shell, "--norc", "-c", _ASK % line], capture_output=True, text=True, check=True)
        assert found.stderr == ""
        return set(filter(None, found.stdout.splitlines()))

    return complete


def test_bash_completes_commands_tasks_options_and_choices(bash):
    assert bash("") == _COMMANDS | {"--help", "--version"}
    assert bash("s") == {"sweep", "show"}
    assert bash("run", "") == set(task_names())
    assert bash("sweep", "g") == {"gibbs"}
    assert {"--optimizer", "--tolerance", "--out", "--resume"} <= bash("run", "gibbs", "--")
    assert "--warm-start" in bash("sweep", "gibbs", "--w")
    assert bash("run", "gibbs", "--w") == set()
    assert bash("run", "gibbs", "--optimizer", "q") == {"qpmd", "qbang", "qn_spsa"}
    assert bash("run", "network", "--optimizer", "kf") == {"kfac", "kfac_full"}
    assert bash("run", "gibbs", "--periodic", "") == {"true", "false"}
    assert bash("run", "gibbs", "--n", "4", "--mod") == {"--model"}
    assert bash("list", "r") == {"runs"}
    assert bash("completion", "") == {"bash", "zsh", "fish", "--help"}
    assert bash("dance", "") == set()


def test_bash_completes_the_last_word_of_a_list(bash):
    assert bash("sweep", "gibbs", "--optimizer", "natural,q") == {f"natural,{o}" for o in ("qpmd", "qbang", "qn_spsa")}
    assert bash("sweep", "gibbs", "--optimizer", "a,b,ada") == {"a,b,adam"}
    assert bash("sweep", "gibbs", "--hamiltonian", "tfim,sc") == {"tfim,script"}
    assert bash("sweep", "gibbs", "--out", "a,b") == set()
    assert bash("run", "gibbs", "--optimizer", "natural,q") == set()  # which takes one


def test_bash_completes_paths_where_one_is_wanted(bash):
    assert bash("show", "m") == {"my run"}
    assert bash("run", "gibbs", "--out", "sc") == {"script"}
    assert {"tfim", "xxz", "script"} <= bash("run", "gibbs", "--hamiltonian", "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_their_script(shell, tmp_path, capsys):
    assert main(["completion", shell]) == 0
    (tmp_path / "script").write_text(script := capsys.readouterr().out)
    for word in (*_COMMANDS, *task_names(), "tolerance", "qn_spsa"):
        assert word in script
    if (path := shutil.which(shell)) is not None:
        subprocess.run([path, "--no-execute", str(tmp_path / "script")], check=True)


def test_completing_fish_asks_fish(tmp_path, capsys):
    if (path := shutil.which("fish")) is None:
        pytest.skip("There is no fish here.")
    assert main(["completion", "fish"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)

    def complete(line: str) -> set[str]:
        code = f"source {tmp_path / 'script'}; complete -C {json.dumps(line)}"
        found = subprocess.run([path, "--no-config", "-c", code], capture_output=True, text=True, check=True)
        return {row.partition("\t")[0] for row in found.stdout.splitlines()}

    assert complete("qnat ") >= _COMMANDS
    assert complete("qnat run g") == {"gibbs"}
    assert complete("qnat run gibbs --optimizer q") == {"qpmd", "qbang", "qn_spsa"}
    assert complete("qnat sweep gibbs --warm") == {"--warm-start"}
    assert complete("qnat run gibbs --warm") == set()
    assert complete("qnat completion ") == {"bash", "zsh", "fish"}


def test_writing_a_script_loads_no_jax():
    code = "import sys; from qnat.cli import main; main(['completion', 'zsh']); print('jax' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "False"
