"""DensitySpec: what is refused and with which sentence, tables of one's own, and runs of each process."""

import json

import equinox as eqx
import jax
import numpy as np
import pytest
from sklearn.datasets import load_iris

from classical.data.tables import table
from classical.tasks.density import DensitySpec
from qnat.cli import main
from qnat.experiment import Run
from qnat.experiment.errors import NonFiniteError

TABLES = {
    "plain.csv": "height,weight,who\n1.5,60,0\n1.7,,0\nNA,70,1\n1.6,65,1\n1.8,80,1\n,,1\n",
    "constant.csv": "a,b\n1,2\n1,3\n1,5\n",
    "empty.csv": "a,b\n1,\n2,\n3,NA\n",
    "infinite.csv": "a,b\n1,inf\n2,3\n",
    "words.csv": "a,b\n1,2\n3,four\n",
    "ragged.csv": "a,b\n1,2\n3\n",
    "named.csv": "a,a\n1,2\n",
    "few.csv": "1 2\n3 5\n",
    "negative.csv": "a,w\n1,1\n2,-1\n3,1\n",
    "heavy.csv": "a,w\n1,1e308\n2,1e308\n3,1\n",
    "joined.csv": "a,b\n1,2\n3,1_0\n",
    "nothing.csv": "a,w\n1,0\n2,0\n3,0\n",
    "point.csv": "a\n" + "1\n" * 5 + "".join(f"{k}\n" for k in range(2, 8)),
    "counts.csv": "n\n3\n4.5\n9\n0\n",
    "even.csv": "n\n3\n3\n4\n4\n",
    "gap.csv": "a\n1\n\n3\n4\n",
    "broken.csv": "1.5,6O\n1.7,70\n",
    "flat.csv": "a,b\n" + "".join(f"{k % 7},0.1\n" for k in range(300)),
    "quoted.csv": '"a, in cm";b\n1;x\n2;y\n4;z\n',
    "single.csv": "a,b,id\n1,2,0\n3,5,1\n4,4,2\n",
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every command runs in a folder with these tables."""
    monkeypatch.chdir(tmp_path)
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--data nowhere.csv", "Unknown data 'nowhere.csv'; use iris, wine, diabetes, breast_cancer, or the path"),
        ("--data constant.csv", "Column a is constant, and has no density; leave it out with columns"),
        ("--data flat.csv", "Column b is constant, and has no density; leave it out with columns"),
        ("--data quoted.csv", "Line 2 of the data in quoted.csv: 'x' in column b is not a number"),
        ("--data empty.csv", "Column b of the data in empty.csv has no value at all; leave it out with columns"),
        ("--data infinite.csv", "Column b of the data in infinite.csv holds a value that is not finite"),
        ("--data words.csv", "Line 3 of the data in words.csv: 'four' in column b is not a number; NA marks what"),
        ("--data ragged.csv", "line 3 has 1 values, and the first one 2"),
        ("--data named.csv", "two columns are called a"),
        ("--data few.csv --components 3", "The data have 2 rows, fewer than the 3 components"),
        ("--data plain.csv --columns length", "have no column 'length'; they have height, weight, who"),
        ("--data plain.csv --columns height,height", "Column height is asked for twice"),
        ("--data negative.csv --weight w", "The weights in column w hold -1; weights are numbers from 0 to 1e+100"),
        ("--data heavy.csv --weight w", "The weights in column w hold 1e+308; weights are numbers from 0 to 1e+100"),
        ("--data joined.csv", "Line 3 of the data in joined.csv: '1_0' in column b is not a number; NA marks"),
        (f"--data plain.csv --columns {'9' * 5000}", "have no column '999"),
        ("--data nothing.csv --weight w", "The weights in column w sum to zero"),
        ("--data gap.csv --density hmm", "line 3 is empty; write NA for a value that is missing, or take the line out"),
        ("--data broken.csv", "the first line has the number 1.5 and '6O', which is none; mend it, or put a line of"),
        (
            "--data single.csv --density lds --sequence id --dimension 1",
            "No row follows another in its sequence; give longer sequences, or choose density fa",
        ),
        ("--prior 1e300", "prior is '1e300'; it must be at most 1000000"),
        (
            "--data plain.csv --density skew_normal",
            "Entries of the data are missing, and this density takes whole rows",
        ),
        ("--data counts.csv --density negative_binomial", "takes counts 0, 1, 2, …; 1 are not, such as 4.5"),
        ("--data even.csv --density negative_binomial", "A negative binomial has a variance above its mean"),
        ("--density negative_binomial", "Counts are one column, and the data have 4; choose one with columns"),
        ("--components 0", "components is '0'; it must be at least 1"),
        ("--density hmm --emission categorical", "emission categorical takes symbols 0, 1, …"),
        ("--density fa --dimension 4", "dimension is 4; a hidden vector has less than the 4 numbers of a row"),
        ("--process bfgs --batch 10", "batch is not used with process bfgs"),
        ("--process sngd", "process sngd is not one of density gmm; choose em or natural or adam or bfgs or vgi"),
        ("--density fa --process vgi", "No entry of the data is missing, and vgi imputes such entries; choose"),
        ("--data plain.csv --columns 0,1 --density ppca --dimension 1 --process vgi --batch 9", "data have 5 rows"),
        ("--density fa --process adam", "process adam is not one of density fa; choose em or vgi"),
        ("--density skew_normal --process adam --chart squared", "chart squared is one of the means of gmm"),
        ("--sequence who", "sequence is not used with density gmm"),
        ("--data plain.csv --density hmm --weight who", "Row 3 has weight 1 and another of its sequence 0; give all"),
        ("--density lds --batch 10", "batch is of rows that are independent"),
        ("--rate 0.5", "rate and decay average over batches"),
        ("--density skew_normal --components 2", "components is not used with density skew_normal"),
    ],
)
def test_refusals_are_one_sentence_and_write_nothing(arguments, message, capsys, folder):
    before = set(folder.iterdir())
    assert main(["run", "density", *arguments.split(), "--out", "refused"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert set(folder.iterdir()) == before


def test_tables_have_names_weights_and_sequences(folder):
    found = table("plain.csv", weight="who")
    np.testing.assert_array_equal(found.values, [[np.nan, 70], [1.6, 65], [1.8, 80]])
    assert found.names == ("height", "weight")
    assert found.dropped == 3  # of weight 0, or of which nothing is known
    np.testing.assert_array_equal(found.weights, [1, 1, 1])
    found = table("plain.csv", columns="1", sequence="who", ordered=True)
    assert found.names == ("weight",)
    np.testing.assert_array_equal(found.sequence, [0, 0, 1, 1, 1, 1])  # a row of which nothing is known keeps its place
    (folder / "named.csv").write_text("who,a,note\nBo,1,x\nAl,2,\nBo,4,y\n")
    found = table("named.csv", columns="a", sequence="who", ordered=True)
    np.testing.assert_array_equal(found.sequence, [0, 1, 0])
    np.testing.assert_array_equal(table("quoted.csv", columns='"a, in cm"').values, [[1], [2], [4]])
    np.save(folder / "array.npy", np.arange(6.0).reshape(3, 2))
    assert table("array.npy", columns="1").names == ("1",)


@pytest.mark.parametrize("density", ["hmm", "lds"])
def test_the_weight_of_a_sequence_is_so_many_of_it_and_a_row_of_nothing_is_a_step_in_time(density, folder):
    x = np.random.default_rng(0).normal(size=(12, 2)).cumsum(axis=0)
    x[4] = np.nan
    once = np.column_stack([x, np.repeat([0, 1], 6), np.repeat([1, 2], 6)])
    np.savetxt(folder / "weighed.csv", once, delimiter=",")
    np.savetxt(folder / "twice.csv", np.concatenate([once, once[6:] + np.array([0, 0, 1, 0])]), delimiter=",")
    words = {"density": density, "columns": "0,1", "sequence": "2", "steps": 3, "prior": 1}
    words |= {"states": 2} if density == "hmm" else {"dimension": 1}
    weighed, repeated = (
        DensitySpec(data=f"{name}.csv", **words, **more).task()
        for name, more in (("weighed", {"weight": "3"}), ("twice", {}))
    )
    start = weighed.init(jax.random.key(0))
    loss = eqx.filter_jit(lambda task: task.loss(start))
    np.testing.assert_allclose(loss(weighed), loss(repeated), rtol=1e-12)
    assert table("weighed.csv", columns="0,1", ordered=True).dropped == 0


def weighed(folder, words, **more):
    """The same fit of rows with weights, some of them 0, and of rows that stand as often."""
    x = load_iris().data[::4].copy()
    x[::5, 0] = np.nan
    times = np.random.default_rng(1).integers(0, 4, len(x))
    np.savetxt(folder / "weighed.csv", np.column_stack([x, times]), delimiter=",")
    np.savetxt(folder / "repeated.csv", np.repeat(x, times, axis=0), delimiter=",")
    return (
        DensitySpec(prior=1, **given, **words, **more).task()
        for given in ({"data": "weighed.csv", "weight": "4"}, {"data": "repeated.csv"})
    )


@pytest.mark.parametrize("words", [{"components": 2}, {"density": "fa", "dimension": 3}])
def test_a_weight_counts_rows_in_batches_and_criteria_too(words, folder):
    task, repeated = weighed(folder, words)
    start = repeated.init(jax.random.key(0))
    one, other = (eqx.filter_jit(each.evaluate)(start) for each in (task, repeated))
    np.testing.assert_allclose([one[name] for name in other], list(other.values()), rtol=1e-12)
    assert task.density.freedom <= 14 * words.get("components", 1) + words.get("components", 1) - 1
    batched, _ = weighed(folder, words, batch=16)
    stream = batched.batches(jax.random.key(3))
    chunks = [next(stream) for _ in range(len(batched.density.data.x))]
    assert len(chunks) > 1
    loss = eqx.filter_jit(batched.loss)
    np.testing.assert_allclose(np.mean([loss(start, chunk) for chunk in chunks]), loss(start), rtol=1e-12)


@pytest.mark.parametrize(
    "words",
    [
        {"process": "adam", "components": 2},
        {"density": "skew_normal"},
        pytest.param({"process": "natural", "components": 2}, marks=pytest.mark.slow),
        pytest.param({"process": "bfgs", "components": 2}, marks=pytest.mark.slow),
        pytest.param({"density": "skew_normal_mixture"}, marks=pytest.mark.slow),
        pytest.param({"density": "skew_t"}, marks=pytest.mark.slow),
    ],
)
def test_units_and_where_zero_is_do_not_matter(words, folder):
    x, scale = np.random.default_rng(2).gamma(2, size=(60, 2)), np.array([1e3, 1e-2])
    np.savetxt(folder / "here.csv", x, delimiter=",")
    np.savetxt(folder / "there.csv", x * scale + [1e4, -5], delimiter=",")
    here, there = (DensitySpec(data=f"{name}.csv", steps=10, **words).run(progress=False) for name in ("here", "there"))
    np.testing.assert_allclose(there.curves["loss"], here.curves["loss"] + np.log(scale).sum(), rtol=1e-7)
    place = "means" if "means" in here.artifacts else "location"
    np.testing.assert_allclose(there.artifacts[place], here.artifacts[place] * scale + [1e4, -5], rtol=1e-7)
    model = there.model()
    np.testing.assert_allclose(np.mean(model.log_prob(x * scale + [1e4, -5])), there.final["log_likelihood"])


def test_a_density_with_a_surrogate_checks_rows_as_others_do():
    model = DensitySpec(density="skew_normal", columns="0,1", steps=1).run(progress=False).model()
    with pytest.raises(ValueError, match=r"Rows have 2 values each; got an array of shape \(3, 1\)"):
        model.log_prob(np.ones((3, 1)))
    with pytest.raises(ValueError, match="Entries are missing"):
        model.log_prob([[1, np.nan]])
    ranks = DensitySpec(density="t_copula", columns="0,1", steps=1).task()
    with pytest.raises(ValueError, match="ranks divided by one more than the rows"):
        ranks.trained(ranks.init(jax.random.key(0))).log_prob([[0.5, 3.0]])


def test_a_component_that_collapses_is_named(folder):
    with pytest.raises(NonFiniteError, match=r"Component 1 of 2 has collapsed .*give a prior, such as prior 1"):
        DensitySpec(data="point.csv", components=2, steps=200).run(progress=False)


def test_a_prior_keeps_it_from_collapsing():
    run = DensitySpec(data="point.csv", components=2, steps=50, prior=1).run(progress=False)
    assert np.isfinite(run.final["log_likelihood"])
    assert np.all(np.diff(run.curves["loss"][0]) < 1e-12)


def test_one_noise_of_columns_of_different_width_falls_from_the_start():
    run = DensitySpec(data="wine", density="ppca", steps=10).run(progress=False)
    assert np.all(np.diff(run.curves["loss"][0]) < 0)


def test_a_component_that_nothing_needs_keeps_the_rows_of_the_prior(folder):
    """Without the weight of its prior its covariance would grow as its weight falls, to 0 after some steps."""
    x = load_iris().data
    holes = np.where(np.random.default_rng(0).random(x.shape) < 0.3, np.nan, x)
    np.savetxt(folder / "holes.csv", holes, delimiter=",")
    run = DensitySpec(data="holes.csv", components=3, steps=60, prior=1).run(progress=False)
    weights = np.asarray(run.artifacts["weights"])
    assert 1 / 153 < weights.min() < 2 / 153


def test_a_prior_is_one_of_symbols_too(folder):
    (folder / "symbols.csv").write_text("0\n1\n" * 10)
    words = {"data": "symbols.csv", "density": "hmm", "emission": "categorical", "states": 2, "steps": 60}
    run = DensitySpec(**words, prior=1).run(progress=False)
    emission = np.asarray(run.artifacts["emission"])
    np.testing.assert_allclose(np.sort(emission, axis=1), [[0.5 / 11, 10.5 / 11]] * 2, rtol=1e-2)


@pytest.mark.parametrize("columns", ["0,2", "0,1,2,3"])
def test_a_view_is_a_plane_of_the_data(columns):
    """Its rows are two columns, or uncorrelated; its ellipses are the covariances in that plane."""
    run = DensitySpec(components=1, columns=columns, steps=2).run(progress=False)
    rows, (ellipse,) = run.artifacts["rows"], run.artifacts["ellipses"]
    names = run.labels["rows"].coords["axis"]
    np.testing.assert_allclose(ellipse[:, 1:] @ ellipse[:, 1:].T, np.cov(rows.T, bias=True), atol=1e-12)
    np.testing.assert_allclose(ellipse[:, 0], rows.mean(axis=0), atol=1e-12)
    if columns == "0,2":
        assert list(names) == ["sepal_length", "petal_length"]
        np.testing.assert_allclose(np.sort(rows, axis=0), np.sort(load_iris().data[:, [0, 2]], axis=0), atol=1e-12)
    else:
        values = np.linalg.eigvalsh(np.corrcoef(load_iris().data.T))[::-1]
        np.testing.assert_allclose(np.cov(rows.T, bias=True), np.diag(values[:2]), atol=1e-12)


def test_missing_entries_are_fitted_and_a_row_of_which_nothing_is_known_is_left_out(capsys):
    arguments = ["--data", "plain.csv", "--columns", "0,1", "--components", "1", "--steps", "30", "--json"]
    assert main(["run", "density", *arguments]) == 0
    printed = capsys.readouterr()
    assert "Rows left out because all their values are missing or their weight is 0: 1" in printed.err
    assert json.loads(printed.out)["log_likelihood"] < 0


SEQUENCES = {"data": "holes.csv", "columns": "a,b,c,d", "sequence": "id", "prior": 1}
COUNTS = {"data": "more.csv"}
PRECISIONS = {
    "gmm": {"data": "holes.csv", "columns": "a,b,c,d", "components": 2, "prior": 1, "steps": 60},
    "online": {"batch": 40, "components": 2, "prior": 1},
    "hmm": SEQUENCES | {"density": "hmm", "states": 2, "steps": 60},
    "lds": SEQUENCES | {"density": "lds", "dimension": 1, "steps": 60},
    "tied": {"covariance": "tied"},
    "diagonal": {"covariance": "diagonal"},
    "spherical": {"covariance": "spherical"},
    "fa": {"density": "fa"},
    "ppca": {"density": "ppca", "data": "wine"},
    "symbols": {"density": "hmm", "emission": "categorical", "states": 2, **COUNTS},
    "negative_binomial": {"density": "negative_binomial", "steps": 20, **COUNTS},
    "negative_binomial_mixture": {"density": "negative_binomial_mixture", "steps": 40, **COUNTS},
    "skew_normal": {"density": "skew_normal"},
    "skew_normal_mixture": {"density": "skew_normal_mixture"},
    "skew_t": {"density": "skew_t", "columns": "0,1"},
    "t_copula": {"density": "t_copula", "columns": "0,1,2", "steps": 60},
    "natural": {"process": "natural", "components": 2, "columns": "2,3", "steps": 40},
    "adam": {"process": "adam", "components": 2, "steps": 300},
    "bfgs": {"process": "bfgs", "components": 2, "columns": "2,3", "steps": 60},
}


@pytest.mark.parametrize(
    "name",
    [name if name == "lds" else pytest.param(name, marks=pytest.mark.slow) for name in PRECISIONS],
)
def test_single_precision_has_the_losses_of_double(name, folder):
    x, generator = load_iris().data, np.random.default_rng(0)
    holes = np.column_stack([np.where(generator.random(x.shape) < 0.3, np.nan, x), np.arange(150) // 11])
    np.savetxt(folder / "holes.csv", holes, delimiter=",", header="a,b,c,d,id", comments="")
    np.savetxt(folder / "more.csv", generator.negative_binomial(np.where(np.arange(200) % 3, 3, 30), 0.3), fmt="%d")
    double = DensitySpec(**PRECISIONS[name]).run(progress=False)
    with jax.enable_x64(False):
        single = DensitySpec(**PRECISIONS[name], precision="single").run(progress=False)
    assert {leaf.dtype for leaf in jax.tree.leaves(single.params)} == {np.dtype("float32")}
    assert np.isfinite(single.curves["loss"]).all()
    np.testing.assert_allclose(single.final["loss"], double.final["loss"], rtol=1e-3)


def test_what_cannot_be_has_no_probability(folder):
    """Symbols that take turns: of a move to the same state, and of the other symbol, nothing is left."""
    (folder / "turns.csv").write_text("0\n1\n" * 30)
    words = {"data": "turns.csv", "density": "hmm", "emission": "categorical", "states": 2, "steps": 100}
    run = DensitySpec(**words).run(progress=False)
    for name in ("start", "transitions", "emission"):
        found = np.ravel(run.artifacts[name])
        np.testing.assert_allclose(np.sort(found), np.repeat([0.0, 1.0], found.size // 2))
        assert found.min() == 0


@pytest.mark.parametrize(
    "words",
    [
        {"density": "fa"},
        pytest.param({"density": "hmm", "emission": "diagonal"}, marks=pytest.mark.slow),
        {"batch": 50, "components": 2, "seeds": 2},
        pytest.param(
            {"process": "natural", "chart": "squared", "components": 2, "columns": "2", "draws": 50},
            marks=pytest.mark.slow,
        ),
        pytest.param({"process": "bfgs", "components": 2, "columns": "2,3"}, marks=pytest.mark.slow),
        {"density": "skew_normal", "columns": "0,1"},
    ],
)
def test_every_process_climbs(words, tmp_path):
    spec = DensitySpec(**words, steps=12, every=4)
    run = spec.run(tmp_path / "run", progress=False)
    found = run.curves["log_likelihood"]
    assert np.all(found[:, -1] > found[:, 0])
    assert (tmp_path / "run" / "figure.png").exists()
    model = Run.load(tmp_path / "run").model(seed=0)
    shown = table("iris", columns=spec.columns).values
    total = np.sum(model.log_prob(shown))
    np.testing.assert_allclose(total / len(shown), found[0, -1], rtol=1e-10)
    assert (
        DensitySpec(**{name: value for name, value in spec.record().items() if name not in ("task", "data_sha256")})
        == spec
    )


@pytest.mark.parametrize(
    "options",
    [
        {"density": "fa", "batch": 20},
        pytest.param({"density": "gmm", "conditionals": "network"}, marks=pytest.mark.slow),
        *(
            pytest.param({"density": "gmm", "covariance": kind, "steps": 300}, marks=pytest.mark.slow)
            for kind in ("tied", "diagonal", "spherical")
        ),
    ],
)
def test_missing_entries_are_imputed_by_variational_gibbs_inference(options, folder):
    x = load_iris().data
    x[np.random.default_rng(0).random(x.shape) < 0.2] = np.nan
    np.savetxt(folder / "holes.csv", x, delimiter=",")
    spec = DensitySpec(**{"data": "holes.csv", "process": "vgi", "steps": 60, "warmup": 20} | options)
    run = spec.run(progress=False)
    curve = run.curves["log_likelihood"][0]
    assert curve[20] == curve[0]  # the conditionals learn alone
    assert curve[-1] > curve[0]
    assert ("e_step_kl" in run.curves) == (options["density"] == "fa")
    assert "Simkus2023" in spec.citations()
