"""Whole numbers are bounded by memory and time: what cannot be done is refused with the count and the cost."""

import jax
import numpy as np
import pytest

from classical.models.layers import hidden, shapes
from classical.models.network import Layer, Network
from classical.tasks.network import NetworkSpec
from qnat.experiment import RefusedError
from qnat.experiment.registry import find_spec, task_names
from qnat.experiment.sweep.plan import plan
from qnat.experiment.words.parts import kinds
from qnat.experiment.words.wording import build
from qnat.geometry.families import Bernoulli
from qnat.quantum.tasks.gibbs import GibbsSpec
from qnat.quantum.tasks.sequence import SequenceSpec


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine of 16 GB, whatever this one has."""
    monkeypatch.setattr("qnat.experiment.bounds.present_memory", lambda: 2**34)


HUGE = [10**18, 10**30, 10**400, -1]
# at 10^8 these cost nothing: they are counted or drawn, not stored
FREE = {"seed", "every", "instance", "refresh", "inner_steps", "shots"}


def whole_numbers(task):
    """Every option of a task that is a whole number, with the choices that it needs, a choice at a time."""
    for name, option in find_spec(task).options().items():
        if any(int in kinds(field) for field in option.fields.values()):
            more = {"latent": "mlp"} if name == "hidden" else {}
            yield from ((name, more | ({option.choice: word} if word else {})) for word in option.fields)


NUMBERS = [(task, name, needs) for task in task_names() for name, needs in whole_numbers(task)]


def test_there_are_many_whole_numbers():
    assert len(NUMBERS) > 60
    assert {"elements", "shots", "trajectories", "groups", "layers", "hidden", "samples"} <= {
        name for _, name, _ in NUMBERS
    }


@pytest.mark.parametrize(("task", "name", "needs"), NUMBERS, ids=str)
def test_whole_numbers_are_bounded(task, name, needs):
    kind, free = find_spec(task), name in FREE and "shadows" not in needs.values()
    for number in HUGE if free else [10**8, *HUGE]:
        with pytest.raises(RefusedError) as caught:
            build(kind, needs | {name: str(number)})
        said = str(caught.value)
        assert said.isprintable()
        assert len(said) < 600
        if number < 10**30:
            assert str(number) in said or name in said or "GB" in said
    if free:
        assert getattr(build(kind, needs | {name: "100000000"}), name) == 10**8


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        ("gibbs", {"rows": 10**18, "columns": 10**18}, r"n = 1000000000000000000000000000000000000 qubits needs about"),
        ("gibbs", {"rows": 10**300, "columns": 10**300}, r"needs about 10\^3\.01e\+299 GB"),
        ("gibbs", {"hamiltonian": "random", "n": 10**12, "locality": 10**12}, "n = 1000000000000 qubits needs about"),
        ("gibbs", {"n": 6, "seeds": 30000}, "seeds = 30000, of n = 6 qubits needs about"),
        ("gibbs", {"n": 1, "layers": 10**7, "optimizer": "adam"}, "To compile 10000000 angles would take about"),
        ("gibbs", {"n": 2, "layers": 10**5}, "The metric of 400000 parameters needs about"),
        ("learning", {"n": 5, "hamiltonian": "random", "locality": 5, "seeds": 10**4}, "qubits needs about"),
        ("learning", {"data": "shadows", "shots": 10**8}, "The record of shots = 100000000 shadows needs about"),
        (
            "sequence",
            {"elements": 10**8},
            "199999999 runs, for elements = 100000000, a second each, would take about",
        ),
        ("sequence", {"kind": "quench", "elements": 10**8, "start": "random"}, "100000000 runs"),
        ("sequence", {"kind": "open", "trajectories": 10**8}, "trajectories = 100000000 would take about 27.8 hours"),
        ("sequence", {"kind": "quench", "time_step": 1e300}, "no angle above 1e"),
        ("sequence", {"kind": "open", "time_step": 1e6}, "the solver takes at most 1e"),
        ("sequence", {"kind": "open", "decay": 1e9}, "the solver takes at most 1e"),
        ("sequence", {"kind": "quench", "quench": "field=1e308"}, "quench: The energies reach"),
        ("boltzmann", {"coupling": 1e308}, "The energies reach"),
        ("boltzmann", {"coupling": 1e60, "beta": 1e60}, "The energies times beta reach"),
        ("boltzmann", {"n": 20, "order": 20}, "Fisher matrix of 1048575 parameters needs about"),
        ("network", {"layers": "100000000"}, r"network of \d+ weights needs about"),
        ("network", {"layers": "1" + "0" * 30}, r"network of \d+ weights needs about"),
        ("network", {"layers": "9" * 5000}, "is not a layer"),
        ("network", {"layers": "c100000000k3"}, r"network of \d+ weights needs about"),
        ("network", {"layers": "c2k" + "9" * 30}, "do not fit into 8 x 8"),
        ("network", {"layers": "-".join(["2"] * 101)}, "There are 101 hidden layers; at most 100"),
        ("network", {"seeds": 10**5}, "seeds = 100000 needs about"),
        ("helmholtz", {"layers": "100000000"}, r"machine of \d+ weights .* needs about"),
        ("helmholtz", {"layers": "9" * 5000}, "is not a list of layers"),
        ("helmholtz", {"layers": "3-\N{ARABIC-INDIC DIGIT THREE}"}, "is not a list of layers"),
        ("helmholtz", {"layers": "-".join(["2"] * 101)}, "There are 101 hidden layers"),
        ("helmholtz", {"samples": 10**7}, "320000000 draws a batch needs about"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_cost(task, given, message):
    with pytest.raises(RefusedError, match=message):
        build(find_spec(task), given)


def test_too_many_combinations_are_counted_not_made():
    values = {name: [str(k / 10) for k in range(100)] for name in ("beta", "coupling", "field")}
    with pytest.raises(RefusedError, match="1000000 combinations of values, a second each, would take about 278 hours"):
        plan(GibbsSpec, values, None)


def test_the_places_of_a_long_sequence_are_made_once():
    rungs = SequenceSpec(elements=300, start="random").rungs()
    assert [rung.title for rung in rungs][::299] == ["β = 0.5", "β = 2.25"]


@pytest.mark.slow
def test_the_largest_numbers_run():
    largest = 2**31 - 1
    found = GibbsSpec(n=2, layers=1, steps=2, every=largest, seed=largest, shots=2**53).run()
    assert np.isfinite(found.final["loss"])
    assert found.curves["relative_entropy"].shape == (1, 3)
    assert np.isnan(found.curves["relative_entropy"][0, 1])
    for optimizer, number in (("foof", "refresh"), ("entropy_sgd", "inner_steps")):
        given = {"optimizer": optimizer, number: largest, "layers": "3", "steps": 2, "every": largest}
        assert np.isfinite(NetworkSpec(**given).run().final["loss"])


@pytest.mark.parametrize("words", ["5-3", "c2k3-4", "c2k3s2-c3k2-5-4", "c2k3-c3k2", "c2k8"])
def test_weights_are_counted_as_the_network_has_them(words):
    layers = hidden(words)
    made = [Layer(units, "tanh", kernel, stride) for units, kernel, stride in layers]
    network = Network(64 if layers[0].kernel is None else (1, 8, 8), (*made, Layer(7, "linear")), Bernoulli())
    weights = jax.eval_shape(network.init, jax.random.key(0))
    sizes = [int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(weights)]
    assert sum(sizes) == sum(shape.inputs * shape.units for shape in shapes(layers, 64, 7))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("32-c8k3", "A convolution stands after a layer of units"),
        ("c4k3s2-16-c4k3s2", "A convolution stands after a layer of units"),
        ("c4k9", "Patches of side 9 do not fit into 8 x 8"),
        ("c4k5-c4k5", "Patches of side 5 do not fit into 4 x 4"),
        ("c4k3s100-c4k2", "Patches of side 2 do not fit into 1 x 1"),
        ("c0k3", "is not a layer"),
        ("c4k3s0", "is not a layer"),
        ("-", "is not a layer"),
        ("", "is not a layer"),
        ("8-", "is not a layer"),
    ],
)
def test_layers_that_make_no_network_are_refused(words, message):
    for kind in ("autoencode", "classify", "regress"):
        with pytest.raises(RefusedError, match=message):
            build(NetworkSpec, {"layers": words, "kind": kind})


NOT_NUMBERS = [
    ("gibbs", "n"),
    ("gibbs", "beta"),
    ("gibbs", "damping"),
    ("gibbs", "learning_rate"),
    ("network", "batch"),
]


@pytest.mark.parametrize(("task", "name"), NOT_NUMBERS)
@pytest.mark.parametrize("value", [True, False])
def test_true_is_no_number(task, name, value):
    with pytest.raises(RefusedError, match=f"{name} is {str(value).lower()}; it must be a number"):
        build(find_spec(task), {name: value})


ODD = ["", " ", "nan", "-inf", "1e400", "-1e308", "5e-324", "0x10", "\0", "\ud800", "\x1b[2J", "1" * 5000, "a" * 5000]
ODD += ["/dev/zero", True, 1.5, [], {}, b"x", 10**400, float("nan")]


def refusal(kind, given):
    """What is said against a spec; nothing if it is taken."""
    try:
        build(kind, given)
    except RefusedError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("task", task_names())
def test_whatever_is_given_is_taken_or_refused_in_a_sentence(task):
    kind = find_spec(task)
    for name, option in kind.options().items():
        for word, value in ((word, value) for word in option.fields for value in ODD):
            said = refusal(kind, ({option.choice: word} if word else {}) | {name: value})
            assert said.isprintable(), name
            assert len(said) <= 2000, name  # a path may be long
