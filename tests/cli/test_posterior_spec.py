"""PosteriorSpec: what is refused and with which sentence, runs of each process, what a trained posterior can do."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from classical.models.posterior import Posterior
from classical.problems.posterior import PosteriorTask
from classical.tasks.posterior import PosteriorSpec
from qnat.cli import main
from qnat.experiment import Run, run
from qnat.experiment.errors import RefusedError
from qnat.experiment.show.verdict import verdict

TABLES = {
    "labels.csv": "a,b,y\n1,2,0\n2,1,1\n3,4,2\n4,1,1\n",
    "equal.csv": "a,b,c,y\n1,1,5,0\n2,2,1,1\n3,3,2,0\n4,4,2,1\n7,7,9,1\n",
    "constant.csv": "a,b,y\n1,2,0\n1,1,1\n1,4,0\n",
    "hole.csv": "a,b,y\n1,2,0\n,1,1\n1,4,0\n",
    "counts.csv": "a,y\n1,2\n2,2.5\n3,1\n",
    "apart.csv": "a,y\n1,0\n2,0\n3,1\n4,1\n",
    "exact.csv": "a,y\n" + "".join(f"{k},{2 * k + 1}\n" for k in range(9)),
    "zeros.csv": "a,y\n1,0\n2,0\n3,1\n3,2\n",
    "flat.csv": "r\n1\n1\n1\n",
    "short.csv": "Date,Open,High,Low,Close\n1/4/1999,2,3,1,2\n",
    "still.csv": "Date,Open,High,Low,Close\n" + "1/4/1999,2,3,1,2\n" * 2 + "1/5/1999,2,2,2,2\n" * 30,
}


def prices():
    """Eighty days, of volatility that comes and goes, behind their dates."""
    rng, lines, level, log_variance = np.random.default_rng(2), ["Date,Open,High,Low,Close"], 4.0, 0.0
    for day in range(80):
        log_variance = 0.9 * log_variance + 0.4 * rng.normal()
        path = level + np.cumsum(rng.normal(size=50)) * 0.001 * np.exp(log_variance / 2)
        ends = path[[0, np.argmax(path), np.argmin(path), -1]]
        lines.append(f"1/{day + 1}/1999," + ",".join(f"{np.exp(each):.12g}" for each in ends))
        level = path[-1]
    return "\n".join(lines) + "\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every command runs in a folder with these tables."""
    monkeypatch.chdir(tmp_path)
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    labels = (x @ [1.0, -1.0] + rng.logistic(size=40) > 0).astype(int)
    np.savetxt(tmp_path / "small.csv", np.column_stack([x, labels]), delimiter=",", header="a,b,y", comments="")
    np.savetxt(tmp_path / "returns.csv", rng.standard_t(5, size=60), header="r", comments="")
    (tmp_path / "prices.csv").write_text(prices())
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--data nowhere.csv", "Unknown data 'nowhere.csv'; use iris, wine, diabetes, breast_cancer, or the path"),
        ("--prior-deviation 0", "prior_deviation is '0'; it must be at least 1e-100"),
        ("--prior-deviation 1e-200", "prior_deviation is '1e-200'; it must be at least 1e-100"),
        ("--data exact.csv --prior flat --model linear", "The inputs give the response exactly, so that the density"),
        ("--data zeros.csv --prior flat --model poisson", "The rows of count 0 lie on one side of a plane that holds"),
        ("--prior flat --prior-deviation 1", "prior_deviation is not used with prior flat"),
        ("--data equal.csv --prior flat", "Column b is a combination of those before it, which a flat prior leaves"),
        ("--data apart.csv --prior flat", "A plane separates the two labels"),
        ("--data labels.csv", "Column y holds 2, and labels of model logistic are 0 and 1; number them"),
        ("--data counts.csv --model poisson", "Column y holds 2.5, and model poisson takes counts 0, 1, 2, …"),
        ("--data constant.csv", "Column a is constant, as the intercept is; leave it out with columns"),
        ("--data hole.csv", "Column a lacks a value in row 2; give whole rows, or leave the column out"),
        ("--data labels.csv --columns y", "Column y is asked for twice, or is the target; name it once"),
        ("--data labels.csv --target z", "have no column 'z'; they have a, b, y"),
        ("--share 0", "share is '0'; it must be greater than 0"),
        ("--share 1.5", "share is '1.5'; it must be at most 1"),
        ("--samples 2", "samples is 2, and a leave-one-out baseline needs 4 antithetic draws or more; give more"),
        ("--samples 1 --draws independent", "a leave-one-out baseline needs 2 independent draws or more"),
        ("--samples 25", "samples is 25, and antithetic draws come in pairs; give an even number"),
        ("--draws sobol", "samples is 2000, and Sobol points are a power of two"),
        ("--process laplace --covariance diagonal", "covariance is not used with process laplace"),
        (
            "--process advi --covariance block",
            "covariance block is not used with process advi; choose full or",
        ),
        ("--block-size 3", "block_size is not used with covariance full"),
        ("--model garch", "A series is one column, and the data have 30; choose one with columns"),
        ("--model garch --target r", "target is not used with model garch"),
        ("--model garch --data flat.csv", "Column r is constant, and has no volatility"),
        ("--model har --target r", "target is not used with model har; give those of open, high, low, close"),
        ("--model har --data flat.csv", "The data have no column open; name those of open, high, low, close with"),
        ("--model har --data prices.csv --columns Open,High", "takes columns of open, high, low and close; got 2"),
        ("--model har --data short.csv", "Model har takes 24 days or more; the data have 1"),
        ("--model har --data still.csv", "Row 3 has open, high, low, close 2, 2, 2, 2; a day has a low above 0, below"),
        ("--process sngd --shape round", "shape is 'round'; it must be one of 'normal', 'skew_normal', 'student_t'"),
        ("--process sngd --components 0", "components is '0'; it must be at least 1"),
        ("--process sngd --shape student_t --model poisson", "shape student_t has an infinite loss with model poisson"),
        ("--components 2", "components is not used with process qbvi; leave it out, or choose process sngd"),
    ],
)
def test_refusals_are_one_sentence_and_write_nothing(arguments, message, capsys, folder):
    before = set(folder.iterdir())
    assert main(["run", "posterior", *arguments.split(), "--out", "refused"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert set(folder.iterdir()) == before


def test_a_package_that_is_missing_is_told_of_before_a_run_begins(monkeypatch, capsys, folder):
    monkeypatch.setitem(sys.modules, "blackjax", None)
    assert main(["run", "posterior", "--data", "small.csv", "--process", "nuts", "--out", "refused"]) == 2
    assert "blackjax" in capsys.readouterr().err
    assert not (folder / "refused").exists()


def test_a_density_that_is_not_finite_at_the_start_names_the_parameter():
    def log_joint(params, data):
        return jnp.log(params["scale"]) - params["scale"] - params["mean"] ** 2

    with pytest.raises(RefusedError, match="not finite at the start; parameter scale is 0; start where"):
        PosteriorTask(Posterior(log_joint, {"mean": 0.0, "scale": 0.0}))
    for joint, start, said in (
        (lambda p, _: jnp.log(p["b"]) + jnp.log(p["c"]) - p["a"] ** 2, {"a": 0.5, "b": -1.0, "c": -2.0}, "b is -1;"),
        (lambda p, _: jnp.where((p["s"] > 0) & (p["s"] < 1), 0.0, -jnp.inf) - p["a"], {"a": 0.5, "s": 3.0}, "s is 3;"),
        (lambda p, _: -((p["b"] * p["a"]) ** 2), {"a": 0.5, "b": np.nan}, "b is nan;"),
    ):
        with pytest.raises(RefusedError, match=said):
            PosteriorTask(Posterior(joint, start))
    with pytest.raises(RefusedError, match=r"log_joint has the shape \(2,\); it must be one number"):
        PosteriorTask(Posterior(lambda x, data: x, np.zeros(2)))
    with pytest.raises(ValueError, match="1 names are given for 2 parameters"):
        Posterior(lambda x, data: -x @ x, np.zeros(2), names=["a"])


def test_a_mode_that_is_none_is_said():
    """Laplace's approximation about a saddle is no Gaussian."""
    task = PosteriorTask(Posterior(lambda p, _: p["x"] ** 2 - p["x"] ** 4, {"x": 0.0}))
    found = run(task, PosteriorSpec(process="laplace").transform(task), steps=2, every=1, seed=0, progress=False)
    assert verdict(found) == "elbo is not a number in the end; try more --steps."


PROCESSES = {
    "qbvi": {"steps": 60, "samples": 200, "share": 0.2},
    "cvi": {"steps": 60, "samples": 20, "share": 0.2, "covariance": "block"},
    "sngd": {"steps": 40, "samples": 40},
    "laplace": {"steps": 20},
    "advi": {"steps": 400, "covariance": "diagonal", "learning_rate": 0.05},
    "nuts": {"steps": 200, "warm_up": 100, "chains": 2},
}


@pytest.mark.parametrize(
    "process",
    [name if name in ("qbvi", "sngd", "nuts") else pytest.param(name, marks=pytest.mark.slow) for name in PROCESSES],
)
def test_processes_agree_on_a_small_posterior(process):
    """With quadrature in NumPy over the two weights and the intercept."""
    found = PosteriorSpec(data="small.csv", process=process, every=20, **PROCESSES[process]).run(progress=False)
    table = np.loadtxt("small.csv", delimiter=",", skiprows=1)
    x = np.column_stack([np.ones(40), (table[:, :2] - table[:, :2].mean(axis=0)) / table[:, :2].std(axis=0)])
    grid = np.stack(np.meshgrid(*[np.linspace(-4, 4, 81)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    logits = grid @ x.T
    log_joint = logits @ table[:, 2] - np.logaddexp(0, logits).sum(axis=1) - (grid**2).sum(axis=1) / 2
    p = np.exp(log_joint - log_joint.max())
    p /= p.sum()
    mean = p @ grid
    deviation = np.sqrt(p @ grid**2 - mean**2)
    assert list(found.labels["parameters"].coords["parameter"]) == ["intercept", "a", "b"]
    assert (np.abs(found.artifacts["parameters"] - mean) < 0.35 * deviation).all()
    ratio = found.artifacts["parameters_error"] / deviation
    assert (ratio > 0.6).all()
    assert (ratio < 1.25).all()
    if process == "nuts":
        assert found.final["r_hat"] < 1.1
        assert found.final["effective_sample_size"] > 30
    else:
        evidence = np.log(np.exp(log_joint - log_joint.max()).sum() * 0.1**3) + log_joint.max()
        evidence -= 1.5 * np.log(2 * np.pi)
        assert evidence - 0.5 < found.final["elbo"] < evidence + 4 * found.final["elbo_error"]


@pytest.mark.parametrize(
    "model", ["poisson", *(pytest.param(name, marks=pytest.mark.slow) for name in ("probit", "linear"))]
)
def test_models_have_posteriors(model):
    words = {"process": "cvi", "samples": 4, "steps": 30, "share": 0.3, "every": 30}
    found = PosteriorSpec(data="small.csv", model=model, **words).run(progress=False)
    assert np.isfinite(found.final["elbo"])
    assert found.artifacts["parameters"][-2] > 0 > found.artifacts["parameters"][-1]


def test_volatility_has_a_posterior():
    found = PosteriorSpec(data="returns.csv", model="garch", process="laplace", steps=30).run(progress=False)
    assert np.isfinite(found.final["elbo"])
    assert list(found.labels["parameters"].coords["parameter"]) == ["log_variance", "news", "persistence"]


def test_har_has_the_posterior_of_a_regression():
    """Given the noise it is normal, by NumPy; the noise on a grid."""
    found = PosteriorSpec(data="prices.csv", model="har", process="cvi", every=200).run(progress=False)
    opened, high, low, closed = np.loadtxt("prices.csv", delimiter=",", skiprows=1, usecols=(1, 2, 3, 4)).T
    variance = np.log(high / low) ** 2 / 2 - (2 * np.log(2) - 1) * np.log(closed / opened) ** 2
    days = range(22, 80)
    x = np.log([[variance[day - lag : day].mean() for lag in (1, 5, 22)] for day in days])
    x, y = (x - x.mean(axis=0)) / x.std(axis=0), np.log(variance[22:])
    x, y = np.column_stack([np.ones(58), x]), (y - y.mean()) / y.std()
    logs, means, seconds, weights = np.linspace(-1.5, 1, 501), [], [], []
    for log_noise in logs:
        noise = np.exp(2 * log_noise)
        precision = np.eye(4) + x.T @ x / noise
        mean = np.linalg.solve(precision, x.T @ y / noise)
        evidence = scipy.stats.multivariate_normal(np.zeros(58), noise * np.eye(58) + x @ x.T).logpdf(y)
        weights.append(evidence + scipy.stats.norm.logpdf(log_noise))
        means.append([log_noise, *mean])
        seconds.append([log_noise**2, *(np.diag(np.linalg.inv(precision)) + mean**2)])
    p = np.exp(np.array(weights) - max(weights))
    evidence = max(weights) + np.log(p.sum() * (logs[1] - logs[0]))
    p /= p.sum()
    mean = p @ np.array(means)
    deviation = np.sqrt(p @ np.array(seconds) - mean**2)
    assert list(found.labels["parameters"].coords["parameter"]) == ["log_noise", "intercept", "day", "week", "month"]
    np.testing.assert_array_less(np.abs(found.artifacts["parameters"] - mean), 0.1 * deviation)
    np.testing.assert_allclose(found.artifacts["parameters_error"], deviation, rtol=0.1)
    assert evidence - 0.05 < found.final["elbo"] < evidence + 4 * found.final["elbo_error"]


@pytest.mark.slow
def test_a_mixture_and_a_heavy_tail_are_words(folder):
    for name, words in {"mixed": {"components": 2, "shape": "normal"}, "heavy": {"shape": "student_t"}}.items():
        few = {"process": "sngd", "steps": 3, "every": 3, "samples": 4}
        found = PosteriorSpec(data="small.csv", **few, **words).run(progress=False, out=folder / name)
        assert np.isfinite(found.final["elbo"])
        assert abs(found.model().elbo(samples=500).value - found.final["elbo"]) < 0.3


def test_a_command_prints_a_table_and_its_model_predicts(capsys, folder):
    words = ["--data", "small.csv", "--steps", "20", "--samples", "100", "--share", "0.3", "--out", "run", "--json"]
    assert main(["run", "posterior", *words]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert np.isfinite(printed["elbo"]), printed
    model = Run.load("run").model()
    draws = model.sample(50, key=jax.random.key(1))
    assert draws["weights"].shape == (50, 3)
    mean, lower, upper = model.predict([[2.0, -2.0], [-2.0, 2.0]], level=0.8)
    assert (np.asarray(lower) < mean).all()
    assert (np.asarray(mean) < upper).all()
    assert mean[0] > 0.5 > mean[1]
    bound = model.elbo(samples=500)
    assert abs(bound.value - Run.load("run").final["elbo"]) < 6 * bound.standard_error + 0.2
    with pytest.raises(ValueError, match=r"Inputs are rows of 2 values; got an array of shape \(1, 3\)"):
        model.predict([[1.0, 2.0, 3.0]])


def test_a_joint_density_of_ones_own_has_a_posterior():
    """A normal mean with a normal prior, by its exact posterior."""
    data = np.array([1.0, 2.0, 4.0])

    def log_joint(params, data):
        return -jnp.sum((data - params["mean"]) ** 2) / 2 - params["mean"] ** 2 / 2

    spec = PosteriorSpec(process="cvi", share=1.0, steps=5, samples=2, retraction="additive")
    task = PosteriorTask(Posterior(log_joint, {"mean": 0.0}, data))
    found = run(task, spec.transform(task), steps=5, seed=0, every=5, progress=False)
    np.testing.assert_allclose(found.artifacts["parameters"], [7 / 4], atol=1e-10)
    np.testing.assert_allclose(found.artifacts["parameters_error"], [0.5], atol=1e-10)
    assert found.labels["parameters"].coords["parameter"] == ("mean",)
    model = found.model()
    interval = model.expect(lambda params: params["mean"] > 0, samples=50)
    assert interval.mean == 1
    with pytest.raises(ValueError, match="does not say what it predicts; use `expect`"):
        model.predict([0.0])
