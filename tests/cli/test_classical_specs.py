"""NetworkSpec and HelmholtzSpec: what follows from what was given, what is refused, and one run of each."""

import gzip
import json
import re
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from classical.tasks.boltzmann import BoltzmannSpec
from classical.tasks.helmholtz import HelmholtzSpec
from classical.tasks.network import NetworkSpec
from qnat.cli import main
from qnat.experiment import Run
from qnat.experiment.store.place import difference
from qnat.experiment.words.flat import choices
from qnat.experiment.words.references import entries

OPTIMIZERS = list(choices(NetworkSpec)["optimizer"])
USED = ("damping", "factored", "inverse", "metric", "memory", "refresh", "clip", "momentum")
USED += ("inner_steps", "scope", "noise")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every command runs in an empty folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bits(tmp_path):
    """A file of 20 items of nine bits."""
    np.save(tmp_path / "bits.npy", np.random.default_rng(0).integers(0, 2, (20, 9)).astype(float))
    return "bits.npy"


@pytest.mark.parametrize(
    ("optimizer", "rate", "used"),
    [
        ("kfac", 0.03, {"damping", "factored", "inverse", "metric", "memory", "refresh", "momentum"}),
        ("kfac_full", None, {"damping", "metric", "refresh"}),
        ("foof", 0.03, {"damping", "memory", "refresh", "momentum"}),
        ("natural", 0.3, {"damping", "metric"}),
        ("kld_wrm_q", 0.2, {"damping", "metric", "memory", "clip"}),
        ("sgd", 0.03, {"momentum"}),
        ("adam", 0.01, set()),
        ("entropy_sgd", 1.0, {"inner_steps", "scope", "noise"}),
    ],
)
def test_each_optimizer_has_its_own_options(optimizer, rate, used):
    spec = NetworkSpec(optimizer=optimizer)
    assert spec.learning_rate == rate
    assert {name for name in USED if getattr(spec, name) is not None} == used
    assert NetworkSpec(**{n: v for n, v in spec.record().items() if n != "task"}) == spec


def test_defaults_of_helmholtz_machines():
    spec = HelmholtzSpec()
    assert (spec.threshold, spec.samples, spec.learning_rate, spec.damping, spec.refresh) == (0.5, 10, 0.1, 0.2, 50)
    assert HelmholtzSpec(layers="48-32-24").learning_rate == 0.2
    plain = HelmholtzSpec(algorithm="ws", optimizer="sgd")
    assert (plain.samples, plain.learning_rate, plain.damping, plain.refresh) == (1, 0.5, None, None)


def test_layers_become_a_network():
    network = NetworkSpec().task().network
    assert [(layer.units, layer.activation) for layer in network.layers] == [
        *((48, "tanh"), (24, "tanh"), (8, "linear"), (24, "tanh"), (48, "tanh"), (64, "linear"))
    ]
    network = NetworkSpec(kind="classify", layers="c8k3s2-32", activation="relu").task().network
    assert network.inputs == (1, 8, 8)
    assert [(layer.units, layer.kernel, layer.stride) for layer in network.layers] == [
        *((8, 3, 2), (32, None, 1), (10, None, 1))
    ]
    assert NetworkSpec(kind="regress").task().y.shape == (1500, 1)


@pytest.mark.parametrize("spec", [*(NetworkSpec(optimizer=name) for name in OPTIMIZERS), HelmholtzSpec()])
def test_every_optimizer_has_a_transform_and_citations(spec):
    task = spec.task()
    transform = spec.transform(task)
    jax.eval_shape(transform.init, jax.eval_shape(task.init, jax.random.key(0)))
    assert spec.citations().items() <= entries().items()
    assert "Bradbury2018" in spec.citations()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimisers_of_different_rates_share_a_compiled_loop(optimizer):
    name = "damping" if optimizer == "kfac_full" else "learning_rate"
    specs = [NetworkSpec(optimizer=optimizer, **{name: value}) for value in (0.1, 0.2)]
    one, other = (eqx.partition(spec.transform(spec.task()), eqx.is_array)[1] for spec in specs)
    assert eqx.tree_equal(one, other)


@pytest.mark.parametrize(("optimizer", "theirs"), [("lars", optax.lars(20.0)), ("lamb", optax.lamb(0.02))])
def test_trust_ratios_are_those_of_optax(optimizer, theirs):
    spec = NetworkSpec(optimizer=optimizer)
    ours, params = spec.transform(spec.task()), [jnp.arange(6.0).reshape(2, 3), jnp.ones((1, 3))]
    states = [transform.init(params) for transform in (ours, theirs)]
    for step in range(3):
        gradient = jax.tree.map(lambda w, step=step: jnp.cos(w + step), params)
        found = [t.update(gradient, s, params) for t, s in zip((ours, theirs), states, strict=True)]
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), *(updates for updates, _ in found))
        states = [state for _, state in found]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_trains(optimizer):
    run = NetworkSpec(optimizer=optimizer, layers="24-8-24", steps=60, every=60).run(progress=False)
    assert run.curves["test_loss"][0, -1] < 0.75 * run.curves["test_loss"][0, 0]


def refusal(arguments, capsys):
    """The sentence on standard error; nothing was written."""
    assert main(["run", *arguments, "--out", "refused"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("network --data cifar", "Unknown data set 'cifar'; use digits, or a path"),
        ("helmholtz --data cifar", "Unknown data set 'cifar'; use digits, or a path"),
        ("network --batch 1501", "batch is 1501, and the data have 1500 items"),
        ("helmholtz --batch 1501", "batch is 1501, and the data have 1500 items"),
        ("network --data bits.npy --kind classify --batch 2", "no labels to classify"),
        ("network --refresh 0", "refresh is '0'; it must be at least 1"),
        ("helmholtz --refresh 0", "refresh is '0'; it must be at least 1"),
        ("network --metric-items 101", "metric_items is 101, but a batch has 100"),
        ("network --damping 0", "damping is '0'; it must be greater than 0"),
        ("helmholtz --damping -1", "damping is '-1'; it must be greater than 0"),
        ("helmholtz --data grey.npy --batch 2", "grey values where bits are needed; give a threshold, such as --thres"),
        ("network --data loud.npy --batch 2", r"outside \[0, 1\]"),
        ("network --data cube.npy", r"have the shape \(5, 2, 2\); one row an item is wanted"),
        ("network --data short.npy", "Cannot read the data in short.npy"),
        ("network --data letters --kind classify --batch 2", "Labels are out of range: a test item has 7"),
        ("network --layers 3-x", "'x' is not a layer"),
        ("helmholtz --layers 3-0", "'3-0' is not a list of layers"),
        ("network --kind classify --layers c8k9", "Patches of side 9 do not fit into 8 x 8"),
        ("helmholtz --algorithm ws --samples 3", "samples is 3, but ws draws one"),
        ("network --optimizer natural --metric exact", "metric exact is not used with optimizer natural"),
        ("network --optimizer adam --damping 1", "damping is not used with optimizer adam"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(arguments, message, bits, tmp_path, capsys):
    rng = np.random.default_rng(1)
    np.save("grey.npy", rng.random((10, 4)))
    np.save("loud.npy", 2 + rng.random((10, 4)))
    np.save("cube.npy", rng.random((5, 2, 2)))
    (tmp_path / "short.npy").write_bytes((tmp_path / "grey.npy").read_bytes()[:150])
    for part, labels in (("train", [0, 1, 0, 1]), ("t10k", [0, 7])):
        write_mnist(tmp_path / "letters", part, np.zeros((len(labels), 2, 2)), labels)
    before = sorted(tmp_path.iterdir())
    assert re.search(message, refusal(arguments.split(), capsys))
    assert sorted(tmp_path.iterdir()) == before


def test_a_record_from_before_there_were_digests_knows_its_data_by_name(bits, tmp_path):
    record = NetworkSpec(data=bits, batch=5, layers="3").record()
    old = {name: value for name, value in record.items() if name != "data_sha256"}
    assert difference(old, record) is None
    (tmp_path / bits).rename("moved.npy")
    moved = NetworkSpec(data="moved.npy", batch=5, layers="3").record()
    assert difference(record, moved) is None
    assert difference(old, moved) == "data"
    assert difference(record | {"data_sha256": "0"}, record) == "data_sha256"


def test_a_run_knows_its_data_by_their_bytes(bits, tmp_path, capsys):
    run = ["run", "network", "--layers", "3", "--batch", "5", "--steps", "2", "--json", "--out", "r", "--resume"]
    assert main([*run, "--data", bits]) == 0
    assert len(Run.load(tmp_path / "r").spec["data_sha256"]) == 64
    (tmp_path / bits).rename("moved.npy")
    assert main([*run, "--data", "moved.npy"]) == 0
    np.save("moved.npy", 1 - np.load("moved.npy"))
    capsys.readouterr()
    assert main([*run, "--data", "moved.npy"]) == 2
    assert "r holds another run: its data_sha256 is" in capsys.readouterr().err
    for spec in (HelmholtzSpec(data="moved.npy", batch=2), BoltzmannSpec(data="moved.npy")):
        assert len(spec.record()["data_sha256"]) == 64
        assert type(spec).restored(spec.record()) == spec
    assert not any("data_sha256" in spec.record() for spec in (HelmholtzSpec(), BoltzmannSpec(), NetworkSpec()))


def write_mnist(folder, part, images, labels):
    folder.mkdir(exist_ok=True)
    for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
        array = np.asarray(values, np.uint8)
        head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))


@pytest.mark.parametrize(
    ("arguments", "curve", "pictures"),
    [
        ("network --layers 4 --batch 5 --steps 20 --every 5", "test_loss", "reconstructions"),
        ("helmholtz --layers 3-2 --batch 5 --steps 20 --every 5", "test_negative_log_likelihood", "samples"),
    ],
)
def test_a_run_from_words_to_figure(arguments, curve, pictures, bits, tmp_path, capsys):
    assert main(["run", *arguments.split(), "--data", bits, "--json", "--out", "r"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert np.isfinite(found[curve])
    assert (tmp_path / "r" / "figure.png").stat().st_size > 5000
    run = Run.load(tmp_path / "r")
    assert run.artifacts[pictures].shape[1:] == (3, 3)
    assert run.curves[curve][0, -1] == found[curve]


def test_precision_is_one_for_all_runs_of_a_process(tmp_path, capsys):
    assert "precision" not in NetworkSpec().record()  # as before there was a choice
    assert NetworkSpec(precision="single").record()["precision"] == "single"
    assert main(["sweep", "network", "--precision", "single,double", "--steps", "1"]) == 2
    assert "precision is one for all runs of a process" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_single_precision_is_single(tmp_path):
    command = [sys.executable, "-m", "qnat", "run", "network", "--precision", "single", "--steps", "2", "--out", "run"]
    subprocess.run(command, check=True, cwd=tmp_path)
    assert {array.dtype for array in jax.tree.leaves(Run.load(tmp_path / "run").params)} == {np.dtype("float32")}


def test_losses_of_classes_bits_and_values_are_no_one_measure():
    kinds = {"classify": "cross-entropy of classes", "autoencode": "cross-entropy of bits", "regress": "squared error"}
    for kind, of in kinds.items():
        run = NetworkSpec(kind=kind, layers="4", optimizer="sgd", steps=0).run(kind)
        for each in (run, Run.load(kind)):
            assert each.judge.of == of
            assert [one.of for one in each.measures if one.name != "test_loss"] == ["", ""]
