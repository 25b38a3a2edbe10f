"""What the command line refuses: one sentence, at once, and nothing is written."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from qnat.cli import main


def _files(folder: pathlib.Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# Refusals: (command line, what standard error must say). They run in one bare process, which must never load JAX.
_REFUSED = [
    ("run gibbs --beta -1", "beta is '-1'; it must be at least 0"),
    ("run gibbs --beta nan", "finite"),
    ("run gibbs --n 14 --states dense", "GB"),
    ("run gibbs --metric euler", "wigner_yanase"),
    ("run gibbs --optimizer newton", "'natural', 'qpmd', 'mirror', 'qbang', 'qn_spsa', 'adam', 'sgd'"),
    ("run gibs", "Unknown task 'gibs'; the tasks are "),
    ("run gibbs --optimizer adam --metric bkm", "metric is not used with optimizer adam"),
    ("run gibbs --learning-rate nan", "finite"),
    ("run gibbs --learning-rate -1", "greater than 0"),
    ("run gibbs --hamiltonian no.txt", "Cannot read the Hamiltonian file no.txt"),
    ("run gibbs --hamiltonian empty.txt", "holds no term"),
    ("run gibbs --hamiltonian uneven.txt", "line 2: 'ZZZ' acts on 3 qubits"),
    ("run gibbs --hamiltonian complex.txt", "line 1: the coefficient 1j"),
    ("run gibbs --hamiltonian good.txt --n 3", "n is 3, but the Hamiltonian in good.txt acts on 2 qubits"),
    ("run gibbs --hamiltonian good.txt --field 1", "field is not used"),
    ("run gibbs --spec bad.toml", "Unknown key 'temperature'; the keys are"),
    ("run gibbs --spec broken.toml", "is not valid TOML"),
    ("run gibbs --spec no.toml", "Cannot read no.toml"),
    ("run gibbs --spec true.toml", "n is True; in TOML it must be a number, without quotes"),
    ("run gibbs --spec quoted.toml", "beta is '1'; in TOML it must be a number, without quotes"),
    ("sweep gibbs --spec quoted.toml", "beta is '1'; in TOML it must be a number, without quotes"),
    ("sweep gibbs --spec list.toml", "n is '3'; in TOML it must be a number, without quotes"),
    ("run gibbs --spec date.toml", "beta is datetime.date(2026, 1, 1); in TOML it must be a number"),
    ("run gibbs --spec one.toml", "periodic is 1; in TOML it must be true or false"),
    ("run network --spec number.toml", "layers is 64; in TOML it must be a word in quotes"),
    ("run gibbs --spec part.toml", "learning_rate is '0.1'; in TOML it must be a number, without quotes"),
    ("run gibbs --spec deep.toml", "Cannot read deep.toml (it is nested too deeply); give a TOML file of options"),
    ("run gibbs --spec wide.toml", "Cannot read wide.toml (it is not text in UTF-8, but in UTF-16)"),
    ("run gibbs --spec mine", "Cannot read mine (it is a folder, not a regular file)"),
    ("run gibbs --n 2 --n 3", "--n is given twice; give it once"),
    ("run gibbs --n 2 --n=2", "--n is given twice; give it once"),
    ("run gibbs --json --n 2 --json", "--json is given twice; give it once"),
    ("sweep gibbs --beta 1,2 --beta 3", "--beta is given twice; give it once"),
    ("compare mine --figure a.png --figure b.png", "--figure is given twice; give it once"),
    ("run gibbs --hamiltonian pipe", "Cannot read the Hamiltonian file pipe (it is a pipe, not a regular file)"),
    ("run gibbs --hamiltonian /dev/zero", "it is a device, not a regular file"),
    ("run learning --data pipe", "Cannot read the counts file pipe (it is a pipe, not a regular file)"),
    ("run gibbs --coupling 1e308", "The energies reach inf, and above 1e+100 they overflow"),
    ("run sequence --elements 100000000", "199999999 runs, for elements = 100000000, a second each, would take"),
    ("run network --layers 32-c8k3", "A convolution stands after a layer of units"),
    ("run network --layers c4k3s2-16-c4k3s2", "A convolution stands after a layer of units"),
    ("run network --data folder", "Unknown data set 'folder'"),
    ("run network --data zipped.npy", "Cannot read the data in zipped.npy (the magic string is not correct"),
    ("run network --data wide.train.data", "Unknown data set"),
    ("run gibbs --colour red", "Unknown option '--colour'; 'qnat run gibbs --help' lists"),
    ("run gibbs --beta", "expected one argument"),
    ("run gibbs --resume", "give --out FOLDER"),
    ("run gibbs --out mine", "it holds notes"),
    ("run gibbs --out good.txt", "is a file"),
    ("run gibbs --out other", "already holds a run"),
    ("run gibbs --out other --resume", "holds another run: its task is"),
    ("run gibbs --out good.txt/r", "good.txt is a file"),
    ("run gibbs --periodic maybe", "periodic is 'maybe'; it must be true or false"),
    ("run", "The task comes first: 'qnat run TASK [options]'; the tasks are "),
    ("run --n 4", "The task comes first"),
    ("run -- gibbs", "The task comes first"),
    ("dance", "Unknown command 'dance'; the commands are list, run, sweep, show"),
    ("rnu gibbs", "Unknown command 'rnu' (did you mean 'run'?)"),
    ("", "COMMAND"),
    ("run gibs", "or a class of yours as module:Class (did you mean 'gibbs'?)."),
    ("run nowhere:Spec", "The task 'nowhere:Spec' cannot be loaded: No module named 'nowhere'."),
    ("run json:Nothing", "cannot be loaded: module 'json' has no attribute 'Nothing'"),
    ("run json:dumps", "give a subclass of qnat.experiment.RunSpec"),
    ("run gibbs --lerning-rate 1", "Unknown option '--lerning-rate' (did you mean '--learning-rate'?)"),
    ("compare other --thresolds 1", "Unknown option '--thresolds' (did you mean '--thresholds'?)"),
    ("run gibbs --optimizer natral", "'sgd' (did you mean 'natural'?)."),
    ("run gibbs --metric bmk", "'bmk' is not a metric (did you mean 'bkm'?)"),
    ("run gibbs --latent kode", "'mlp' (did you mean 'kobe'?)."),
    ("run gibbs --spec near.toml", "Unknown key 'optimiser' (did you mean 'optimizer'?)"),
    ("run gibbs --tolerance 0", "tolerance is '0'; it must be greater than 0"),
    ("run gibbs --tolerance small", "tolerance is 'small'; it must be a number"),
    ("list tusks", "choose from"),
    ("list runs nowhere", "nowhere is not a folder"),
    ("show mine", "not the folder of a run or a sweep"),
    ("show bare", "table.json was not written by qnat"),
    ("show bare/run", "run.json was not written by qnat"),
    ("finish mine", "not the folder of a run"),
    ("finish other", "made no checkpoint, so there is nothing to finish"),
    ("finish done", "The run in done has finished; 'qnat show done' prints it."),
    ("finish several", "several is the folder of a sweep"),
    ("finish foreign", "Unknown task 'else'"),
    ("completion tcsh", "choose from"),
    ("sweep gibbs --beta 1,1", "beta lists 1, 1"),
    ("sweep gibbs --beta 1,1.0", "beta lists 1, 1.0"),
    ("sweep gibbs --beta 1,-1", "beta is '-1'"),
    ("sweep gibbs --periodic true,perhaps", "periodic is 'perhaps'"),
    ("sweep gibbs --beta 1 --warm-start", "warm-start needs a ladder"),
    ("sweep gibbs --beta 1,2 --warm-start hot", "warm-start is 'hot'"),
    ("sweep gibbs --optimizer sgd,adam --metric bkm,sld", "metric is not used with optimizer"),
    ("sweep gibbs --tune --learning-rate 0.1,1", "learning_rate is given, and --tune chooses it"),
    ("run gibbs --tune", "Unknown option '--tune'"),
    ("sweep gibbs --out other --beta 1,2", "folder of a single run"),
    ("compare mine", "not the folder of a run or a sweep"),
    ("compare other", "is running, not finished"),
    ("compare bare", "table.json was not written by qnat"),
    ("compare other --thresholds 0.1,small", "thresholds is '0.1,small'; it must be finite numbers with commas"),
    ("compare other --thresholds nan", "finite numbers"),
    ("compare other --figure a.gif", "give the name of a .png, .pdf or .svg file"),
    ("compare other --format png,gif", "format is 'gif'; it must be png, pdf, svg"),
    ("run gibbs --out=", "Argument --out: it is empty; give the name of a folder"),
    ("run gibbs --spec nested.toml", "it is nested deeper than 8 tables and lists"),
    ("run gibbs --format jpg", "format is 'jpg'; it must be png, pdf, svg"),
    ("sweep gibbs --format jpg", "format is 'jpg'; it must be png, pdf, svg"),
    ("compare other --figure no/a.png", "in an existing folder"),
    ("cite mine", "not the folder of a run or a sweep"),
    ("cite bare", "table.json was not written by qnat"),
    ("cite bare/run", "run.json was not written by qnat"),
    ("run network --batch 100000", "batch is 100000, and the data have 1500 items to train on"),
    ("run network --kind classify --data grey.npy", "no labels to classify"),
    ("run network --data grey.npy --batch 2 --layers c2k3", "no square pictures"),
    ("run network --data loud.npy --batch 2", "outside [0, 1]"),
    ("run network --data thin.npy --batch 2 --kind regress", "one value, which is the target of regress"),
    ("run network --data cifar", "Unknown data set 'cifar'"),
    ("sweep network --data digits,loud.npy --batch 2", "outside [0, 1]"),
    ("run helmholtz --batch 1501", "batch is 1501"),
    ("run helmholtz --data grey.npy --batch 2", "give a threshold"),
    ("run helmholtz --data text --batch 5", "batch is 5, and the data have 3 items"),
    ("run boltzmann --data text --n 3", "n is 3, but the data in text have 2 units"),
    ("run boltzmann --data grey.npy", "make them 0 and 1"),
    ("run boltzmann --n 21", "n is '21'; it must be at most 20"),
    ("run learning --data no.json", "no.json"),
    ("run learning --groups 9 --shots 10 --data shadows", "10 shadows make at most 5 groups"),
    ("run sequence --beta-max 0.1", "beta_max"),
]

_BARE = """
import json, sys, io, contextlib
from qnat.cli import main
answers = []
for line in json.load(sys.stdin):
    err, out = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
        status = main(line.split())
    answers.append([status, out.getvalue(), err.getvalue()])
main(["list"])
main(["list", "runs", "other"])
main(["show", "other"])
main(["completion", "bash"])
for task in ("boltzmann", "gibbs", "helmholtz", "learning", "network", "sequence"):
    with contextlib.suppress(SystemExit):
        main(["run", task, "--help"])
json.dump([answers, sorted({"jax", "jaxlib", "matplotlib", "sklearn", "xarray"} & set(sys.modules))], sys.stderr)
"""

_FINISHED = {"task": "gibbs", "status": "finished", "steps": 1, "spec": {"task": "gibbs", "steps": 1}, "final": {}}
_FINISHED |= {"reference": {}, "seconds": 0.0, "compile_seconds": 0.0}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refused")
    texts = {
        "empty.txt": "# nothing\n",
        "uneven.txt": "ZZ 1\nZZZ 1\n",
        "complex.txt": "ZZ 1j\n",
        "good.txt": "ZZ 1\n",
        "near.toml": "optimiser = 'adam'\n",
        "nested.toml": "n" + ".a" * 3000 + " = 1\n",
        "done/run.json": json.dumps(_FINISHED),
        "several/table.json": '{"task": "gibbs", "runs": []}',
        "foreign/run.json": '{"task": "else", "status": "interrupted", "spec": {"task": "else", "steps": 1}}',
        "foreign/checkpoint.npz": "",
        "bad.toml": "temperature = 1\n",
        "broken.toml": "n = = 4\n",
        "true.toml": "n = true\n",
        "quoted.toml": "beta = '1'\n",
        "list.toml": "n = [2, '3']\n",
        "date.toml": "beta = 2026-01-01\n",
        "one.toml": "periodic = 1\n",
        "number.toml": "layers = 64\n",
        "part.toml": "[optimizer]\nname = 'adam'\nlearning_rate = '0.1'\n",
        "deep.toml": "n = " + "[" * 5000,
        "folder/empty": "",
        "mine/notes": "precious",
        "bare/table.json": "{}",
        "bare/run/run.json": '{"status": "finished"}',
        "other/run.json": '{"task": "else", "status": "running", "spec": {"task": "else", "steps": 1}}',
        "text.train.data": "0,1\n1,1\n0,0\n",
        "text.test.data": "0,1\n",
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    os.mkfifo(folder / "pipe")
    (folder / "wide.toml").write_bytes("n = 2\n".encode("utf-16"))
    np.savez(folder / "zipped.npz", np.zeros((10, 4)))
    (folder / "zipped.npz").rename(folder / "zipped.npy")
    np.save(folder / "grey.npy", np.linspace(0, 1, 50).reshape(10, 5))
    np.save(folder / "thin.npy", np.zeros((10, 1)))
    np.save(folder / "loud.npy", np.full((10, 4), 3.0))
    before = _files(folder)
    lines = json.dumps([line for line, _ in _REFUSED])
    process = subprocess.run(
        [sys.executable, "-c", _BARE], input=lines, capture_output=True, text=True, cwd=folder, check=True
    )
    found, modules = json.loads(process.stderr)
    assert _files(folder) == before  # nothing was written
    return dict(zip([line for line, _ in _REFUSED], found, strict=True)), modules, process.stdout


@pytest.mark.parametrize(("line", "message"), _REFUSED)
def test_refusals_exit_2_with_one_sentence(answers, line, message):
    status, out, err = answers[0][line]
    assert status == 2
    assert out == ""
    assert err.startswith("qnat: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert message in err


def test_lists_help_and_refusals_do_not_load_jax(answers):
    assert answers[1] == []
    assert "gibbs        Train a thermal state" in answers[2]
    assert answers[2].count("\noptions:\n") == 6
    for group in ("hamiltonian", "model", "optimizer", "task", "run", "folder and output"):
        assert f"\n{group}:\n" in answers[2]
    assert "\nother   else" in answers[2]
    assert "other is interrupted at step 0 of 1." in answers[2]


def test_a_table_nested_too_deeply_is_one_sentence(tmp_path, capsys):
    (tmp_path / "deep.toml").write_text("a." * 3_000 + "b = 1\n")
    assert main(["run", "gibbs", "--spec", str(tmp_path / "deep.toml")]) == 2
    assert capsys.readouterr().err.startswith("qnat: ")
