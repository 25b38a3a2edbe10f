"""GibbsSpec: what follows from what was given, and what is refused."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.experiment import RefusedError
from qnat.experiment.words.values import METRICS
from qnat.experiment.words.wording import build
from qnat.quantum.circuits.sizes import angles_per_layer
from qnat.quantum.tasks.gibbs import GibbsSpec


@pytest.fixture
def heisenberg(tmp_path):
    """A file with a Hamiltonian that is not real as a matrix of real ansatz: XY − YX."""
    path = tmp_path / "chiral.txt"
    path.write_text("# chiral\nXYI 0.5\nYXI -0.5\n\nIZZ 1.0\nIZZ 0.5\n")
    return path


def test_defaults_are_resolved():
    spec = GibbsSpec()
    assert (spec.n, spec.rows, spec.columns) == (4, 1, 4)
    assert (spec.ansatz, spec.layers, spec.order) == ("real", 10, 4)
    assert (spec.optimizer.name, spec.metric, spec.learning_rate, spec.steps) == ("natural", "bkm", 1.0, 100)


def test_zero_has_no_sign():
    for spec in (GibbsSpec(beta=-0.0), build(GibbsSpec, {"beta": "-0.0"})):
        assert np.copysign(1, spec.beta) == 1
    assert np.copysign(1, GibbsSpec(damping=-0.0).damping) == 1


@pytest.mark.parametrize(
    ("optimizer", "rate", "steps", "used"),
    [
        ("natural", 1.0, 100, {"metric", "damping", "trust"}),
        ("qpmd", 1.0, 100, {"damping", "trust"}),
        ("adam", 0.03, 1000, set()),
        ("sgd", 0.01, 1000, set()),
    ],
)
def test_each_optimizer_has_its_own_defaults(optimizer, rate, steps, used):
    spec = GibbsSpec(optimizer=optimizer)
    assert (spec.learning_rate, spec.steps) == (rate, steps)
    assert {name for name in ("metric", "damping", "trust") if getattr(spec, name) is not None} == used
    assert GibbsSpec(optimizer=optimizer, steps=7, learning_rate=0.5).steps == 7


def test_a_file_fixes_n_and_the_ansatz(heisenberg):
    spec = GibbsSpec(hamiltonian=str(heisenberg))
    assert (spec.n, spec.ansatz, spec.field, spec.rows) == (3, "hea_ring", None, None)
    assert spec.record()["terms"] == [["XYI", 0.5], ["YXI", -0.5], ["IZZ", 1.5]]
    assert spec.task().hamiltonian.shape == (8, 8)
    heisenberg.write_text("ZZI 1\nIXX 1\n")
    assert GibbsSpec(hamiltonian=str(heisenberg)).ansatz == "real"


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({"rows": 2, "columns": 3}, (6, 2, 3)),
        ({"rows": 2}, (4, 2, 2)),
        ({"n": 6, "columns": 2}, (6, 3, 2)),
        ({"n": 5}, (5, 1, 5)),
    ],
)
def test_lattices(given, size):
    spec = GibbsSpec(**given)
    assert (spec.n, spec.rows, spec.columns) == size


def test_a_resolved_spec_reads_back_as_itself(heisenberg):
    for spec in (GibbsSpec(), GibbsSpec(optimizer="adam", model="gibbs"), GibbsSpec(hamiltonian=str(heisenberg))):
        record = json.loads(json.dumps(spec.record()))
        assert GibbsSpec.restored(record) == spec


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"beta": "-1"}, "beta is '-1'; it must be at least 0"),
        ({"beta": "nan"}, "beta is 'nan'; it must be a finite number"),
        ({"beta": "inf"}, "beta is 'inf'; it must be a finite number"),
        ({"beta": "hot"}, "beta is 'hot'; it must be a number"),
        ({"learning_rate": "nan"}, "learning_rate is 'nan'; it must be a finite number"),
        ({"learning_rate": "-0.1"}, "learning_rate is '-0.1'; it must be greater than 0"),
        ({"damping": "-1"}, "'-1' is not a damping"),
        ({"damping": "nan"}, "'nan' is not a damping"),
        ({"damping": "strong"}, "'strong' is not a damping"),
        ({"trust": "0"}, "trust is '0'; it must be greater than 0"),
        ({"n": "four"}, "n is 'four'; it must be a whole number"),
        ({"n": "2.5"}, "n is '2.5'; it must be a whole number"),
        ({"n": "0"}, "n is '0'; it must be at least 1"),
        ({"steps": "-1"}, "steps is '-1'; it must be at least 0"),
        ({"seeds": "0"}, "seeds is '0'; it must be at least 1"),
        ({"n": "14", "states": "dense"}, r"n = 14 qubits needs about [0-9.e+]+ GB, and this machine has [0-9.]+ GB"),
        ({"n": "5000", "states": "dense"}, r"n = 5000 qubits needs about 10\^3008 GB"),
        ({"n": "1000000000000", "model": "gibbs"}, r"n = 1000000000000 qubits needs about 10\^602059991334 GB"),
        ({"n": "1000000000000"}, r"n = 1000000000000 qubits needs about 10\^301029995658 GB"),
        ({"n": "9" * 5000}, "it must be a smaller number"),
        ({"steps": "1000000000000000"}, "record of steps = 1000000000000000 and seeds = 1 needs about"),
        ({"seeds": "100000000"}, "record of steps = 100 and seeds = 100000000 needs about"),
        ({"seed": "2147483648"}, "it must be less than 2147483648"),
        ({"metric": "euler"}, "'euler' is not a metric; use bkm, sld, wigner_yanase, geometric, harmonic, wyd:p"),
        ({"metric": "wyd:3"}, "'wyd:3' is not a metric"),
        ({"metric": "sandwiched:0"}, "'sandwiched:0' is not a metric"),
        ({"optimizer": "newton"}, "one of 'natural', 'qpmd', 'mirror', 'qbang', 'qn_spsa', 'adam', 'sgd'"),
        ({"optimizer": "mirror"}, "mirror needs a mirror map, which model qhbm has not; choose model gibbs"),
        ({"colour": "red"}, "Unknown key 'colour'; the keys are .*optimizer.*beta"),
        ({"optimizer": "adam", "metric": "sld"}, "metric is not used with optimizer adam; leave it out, or choose"),
        ({"optimizer": "sgd", "trust": "1"}, "trust is not used with optimizer sgd"),
        ({"optimizer": "mirror", "model": "gibbs", "damping": "1"}, "damping is not used with optimizer mirror"),
        ({"model": "gibbs", "layers": "3"}, "layers is not used with model gibbs"),
        ({"model": "gibbs", "order": "2"}, "order is not used with model gibbs"),
        ({"latent": "bernoulli", "order": "2"}, "order is not used with latent bernoulli"),
        ({"order": "5"}, "order is 5; it can be at most n = 4"),
        ({"n": "5", "rows": "2"}, "A lattice of 2 x 2 does not have n = 5 sites"),
        ({"n": "5", "rows": "2", "columns": "2"}, "A lattice of 2 x 2 does not have n = 5 sites"),
        ({"anisotropy": "1"}, "anisotropy is not used with hamiltonian tfim; leave it out, or choose hamiltonian xxz"),
        ({"hamiltonian": "hubbard", "n": "5"}, "n is 5; hubbard has two qubits a site, so give an even number"),
        ({"hamiltonian": "hubbard", "rows": "2"}, "rows is not used with hamiltonian hubbard"),
        ({"hamiltonian": "h2", "n": "6"}, "n is 6, but h2 in its minimal basis acts on 4 qubits"),
        ({"hamiltonian": "h2", "bond_length": "0"}, "bond_length is '0'; it must be greater than 0"),
        ({"hamiltonian": "random", "n": "2", "locality": "3"}, "locality is 3; it can be at most n = 2"),
        ({"hidden": "3"}, "hidden is not used with latent kobe; leave it out, or choose latent mlp"),
        ({"optimizer": "adam", "blocks": "layer"}, "blocks is not used with optimizer adam"),
        ({"shots": "0"}, "shots is '0'; it must be at least 1"),
        ({"shots": "9", "model": "gibbs"}, "shots is not used with model gibbs"),
        ({"shots": "9", "optimizer": "qpmd"}, "shots is not used with optimizer qpmd"),
        ({"shots": "9", "metric": "sld"}, "Shots estimate the whole bkm metric"),
        ({"hamiltonian": "/no/such/file"}, "Cannot read the Hamiltonian file /no/such/file"),
    ],
)
def test_refusals_are_one_sentence(values, message):
    with pytest.raises(RefusedError, match=message) as caught:
        build(GibbsSpec, values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no term"),
        ("ZZ 1\nZZZ 1\n", "line 2: 'ZZZ' acts on 3 qubits"),
        ("ZZ 1\nXX 1j\n", "line 2: the coefficient 1j of 'XX' is complex"),
        ("ZQ 1\n", "line 1: 'ZQ' is not a Pauli string"),
        ('{"terms": [["ZZ", 1], ["X", 1]]}', "term 2: 'X' acts on 1 qubits"),
    ],
)
def test_bad_hamiltonian_files_are_refused_with_the_place(tmp_path, text, message):
    path = tmp_path / "h.txt"
    path.write_text(text)
    with pytest.raises(RefusedError, match=message):
        build(GibbsSpec, {"hamiltonian": str(path)})


def test_what_a_file_does_not_use_is_refused(heisenberg):
    for name in ("rows", "columns", "field", "coupling", "periodic"):
        with pytest.raises(RefusedError, match=f"{name} is not used with hamiltonian"):
            build(GibbsSpec, {"hamiltonian": str(heisenberg), name: "1"})
    with pytest.raises(RefusedError, match=r"n is 4, but the Hamiltonian in .* acts on 3 qubits"):
        build(GibbsSpec, {"hamiltonian": str(heisenberg), "n": "4"})
    assert build(GibbsSpec, {"hamiltonian": str(heisenberg), "n": "3"}).n == 3


def test_counts_agree_with_the_circuits():
    from qnat.quantum.circuits.ansatz import ANSATZE, ansatz

    for name in ANSATZE:
        for n in range(1, 7):
            assert angles_per_layer(name, n) == ansatz(name, n, 1).angles_per_layer


def test_default_layers_cover_the_manifold():
    assert (GibbsSpec().layers, GibbsSpec(ansatz="hea_ring").layers, GibbsSpec(n=10).layers) == (10, 20, 16)
    for n in (1, 2, 3, 4, 5, 6):
        spec = GibbsSpec(n=n)
        assert spec.layers * angles_per_layer(spec.ansatz, n) >= 2 ** (n - 1) * (2**n - 1)


SYSTEMS = [
    {},
    {"periodic": True},
    {"hamiltonian": "xxz", "rows": 2, "columns": 3, "periodic": True, "anisotropy": 0.5, "field": 0.3},
    {"hamiltonian": "xxz", "n": 2, "periodic": True},
    {"hamiltonian": "hubbard", "n": 6, "interaction": 3.0, "periodic": True},
    {"hamiltonian": "random", "n": 3, "locality": 3, "instance": 5},
    {"hamiltonian": "h2", "bond_length": 1.5},
]


@pytest.mark.parametrize("given", SYSTEMS)
def test_words_know_size_and_terms_of_every_hamiltonian(given):
    spec = GibbsSpec(**given)
    operator = spec.operator()
    assert (operator.n, operator.is_real or not spec.size().is_real) == (spec.n, True)
    assert len(set(operator.strings) - {"I" * spec.n}) == spec.size().terms


def test_random_hamiltonians_differ_by_their_instance():
    first, again, other = (GibbsSpec(hamiltonian="random", n=2, instance=i).operator().coefficients for i in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


@pytest.mark.slow
@pytest.mark.parametrize("ansatz", ["hva", "hea"])
def test_a_network_and_the_hamiltonian_ansatz_train(ansatz):
    found = GibbsSpec(n=2, latent="mlp", ansatz=ansatz, layers=2, steps=8).run()
    assert found.final["loss"] < found.curves["loss"][0, 0]


def test_metric_names_agree_with_the_geometry():
    from qnat.geometry.monotone import kernel

    for name in (*METRICS, "wyd:0.25", "wyd:-1", "sandwiched:0.3"):
        assert GibbsSpec(metric=name).metric == name
        kernel(name)


def test_a_scaled_start_is_the_state_to_the_power_of_the_ratio():
    cold, warm = GibbsSpec(n=2, beta=2.0), GibbsSpec(n=2, beta=0.5)
    for model in ("qhbm", "gibbs"):
        given = {"n": 2, "model": model}
        task, earlier = GibbsSpec(**given).task(), GibbsSpec(**given, beta=0.5)
        params = task.init(jax.random.key(0))
        scaled = GibbsSpec(**given, beta=2.0).warm_start(params, earlier, "scaled")
        K, K4 = task.model.log_density(params), task.model.log_density(scaled)
        traceless = lambda A: A - jnp.trace(A) / 4 * jnp.eye(4)  # noqa: E731
        np.testing.assert_allclose(traceless(K4), 4 * traceless(K), atol=1e-13)
    params = {"latent": jnp.ones(3), "angles": jnp.ones(2)}
    assert cold.warm_start(params, warm, "plain")["latent"].tolist() == [1, 1, 1]
    assert cold.warm_start(params, GibbsSpec(n=2, beta=0.0), "scaled")["latent"].tolist() == [1, 1, 1]


PAIRS = tuple(itertools.product(("qhbm", "gibbs"), ("natural", "qpmd", "mirror", "qbang", "qn_spsa", "adam", "sgd")))
EVERYDAY = {("qhbm", "natural"), ("gibbs", "qpmd"), ("gibbs", "mirror"), ("gibbs", "adam")}


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [pytest.param(*pair, marks=() if pair in EVERYDAY else pytest.mark.slow) for pair in PAIRS],
)
def test_every_pair_of_model_and_optimizer_descends(model, optimizer):
    if (model, optimizer) == ("qhbm", "mirror"):
        pytest.skip("a QHBM has no mirror map")
    small = {"layers": 1} if model == "qhbm" else {}
    steps = 80 if optimizer == "qn_spsa" else 8  # random directions
    found = GibbsSpec(n=2, model=model, optimizer=optimizer, steps=steps, **small).run()
    assert found.final["loss"] < found.curves["loss"][0, 0]
    assert found.final["loss"] == pytest.approx(found.final["beta_free_energy"], rel=1e-12)
    assert found.final["relative_entropy"] == pytest.approx(
        found.final["loss"] - found.reference["beta_free_energy"]["value"], abs=1e-12
    )


@pytest.mark.slow
@pytest.mark.parametrize("blocks", ["layer", "diagonal", "latent"])
def test_parts_of_the_metric_descend_too(blocks):
    found = GibbsSpec(n=2, blocks=blocks, layers=1, steps=8).run()
    assert found.final["loss"] < found.curves["loss"][0, 0]
    if blocks == "latent":
        assert GibbsSpec(n=2, blocks=blocks).metric is None
        with pytest.raises(ValueError, match="metric is not used with blocks latent"):
            GibbsSpec(n=2, blocks=blocks, metric="bkm")


@pytest.mark.slow
def test_shots_turn_an_exact_run_into_a_sampled_one():
    found = GibbsSpec(n=2, layers=1, steps=12, shots=500).run()
    assert (found.spec["learning_rate"], found.spec["damping"]) == (0.3, 1.0)
    assert found.curves["relative_entropy"][0, -1] < found.curves["relative_entropy"][0, 0]
    assert np.all(found.curves["shots"] > 0)
    with pytest.raises(RefusedError, match="shots"):
        GibbsSpec(n=2, layers=1, shots=1).run()


def test_zero_layers_and_zero_steps_are_legal():
    found = GibbsSpec(n=2, layers=0, steps=0, beta=0.0, latent="bernoulli").run()
    assert found.params["angles"].shape == (0,)
    assert found.final["beta_free_energy"] == pytest.approx(-found.final["entropy"])


def test_citations_are_those_of_the_methods_used():
    assert {"Amari1998", "Petz1996", "Pfeuty1970", "Verdon2019"} <= set(GibbsSpec().citations())
    assert "Kingma2015" in GibbsSpec(optimizer="adam").citations()
    assert "Pfeuty1970" not in GibbsSpec(hamiltonian="xxz").citations()
