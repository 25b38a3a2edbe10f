"""Curves reach the dashboards of others as they are."""

import math
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qnat.experiment import RefusedError, Task, run
from qnat.experiment.loggers import MLflow, TensorBoard, points


class Bowl(Task):
    """½|x|²."""

    name = "bowl"

    def init(self, key):
        return jax.random.normal(key, (2,))

    def value_and_grad(self, params, batch=None, key=None):
        return jax.value_and_grad(lambda x: 0.5 * jnp.sum(x**2))(params)

    def evaluate(self, params):
        return {"norm": jnp.linalg.norm(params)}


def stop_after(chunks, logger):
    """The logger, whose run is stopped after some chunks."""
    heard = []

    class Stops:
        def started(self, record, task, step):
            logger.started(record, task, step)

        def recorded(self, rows):
            logger.recorded(rows)
            heard.append(rows)
            if len(heard) == chunks:
                raise KeyboardInterrupt

        def ended(self, run):
            logger.ended(run)

    return Stops()


def test_points_are_thinned_evenly_and_finite():
    rows = [{"step": k, "loss": float(k), **({"rare": 1.0 * k} if k % 50 == 0 else {})} for k in range(1001)]
    found = points(rows, 0, most=10)
    assert [step for step, _ in found["loss"]][-1] == 1000
    assert set(np.diff([step for step, _ in found["loss"]])) <= {100, 101}
    assert len(found["rare"]) == 10  # though only every fiftieth row has it
    assert points(rows[:3], 0)["loss"] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    several = points([{"step": 4, "loss": [1.0, math.nan]}, {"step": 5, "loss": [2.0, 3.0]}], 7)
    assert several == {"loss/seed 7": [(4, 1.0), (5, 2.0)], "loss/seed 8": [(5, 3.0)]}


@pytest.mark.parametrize(("logger", "package"), [(TensorBoard, "tensorboardX"), (MLflow, "mlflow")])
def test_a_missing_package_is_one_sentence(logger, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RefusedError, match=rf"needs {package}, which is not installed; pip install qnat\[loggers\]"):
        logger("x")


def test_tensorboard_reads_the_curves_of_a_resumed_run(tmp_path, paced):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c  # noqa: F401 (the format that is read below)

    paced(5)
    options = {"steps": 12, "seed": 0, "seeds": 2, "out": tmp_path / "r"}
    with pytest.raises(KeyboardInterrupt):
        run(Bowl(), optax.sgd(0.1), **options, callbacks=[stop_after(1, TensorBoard(tmp_path / "logs"))])
    found = run(Bowl(), optax.sgd(0.1), **options, resume=True, callbacks=[TensorBoard(tmp_path / "logs")])
    curves: dict[str, dict[int, float]] = {}
    starts = []
    for file in sorted((tmp_path / "logs").iterdir()):
        data = file.read_bytes()
        while data:  # length, its checksum, an event, its checksum
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            if event.HasField("session_log"):
                starts.append(event.step)
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    curves.setdefault(value.tag, {})[event.step] = value.simple_value
    assert starts[-1] == 5
    for seed in (0, 1):
        for name in ("loss", "norm"):
            told = curves[f"{name}/seed_{seed}"]
            assert sorted(told) == list(range(13))
            np.testing.assert_allclose([told[k] for k in range(13)], found.curves[name][seed], rtol=1e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_mlflow_reads_the_curves_of_a_resumed_run(tmp_path, paced, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # its databases need more than the skinny package
    paced(5)
    uri = (tmp_path / "store").as_uri()
    options = {"steps": 12, "seed": 3, "out": tmp_path / "r"}
    first = MLflow(uri, experiment="bowls")
    with pytest.raises(KeyboardInterrupt):
        run(Bowl(), optax.sgd(0.1), **options, callbacks=[stop_after(1, first)])
    client = mlflow.MlflowClient(uri)
    assert client.get_run(first.run_id).info.status == "KILLED"
    second = MLflow(uri, experiment="bowls", run_id=first.run_id)
    found = run(Bowl(), optax.sgd(0.1), **options, resume=True, callbacks=[second])
    told = client.get_run(first.run_id)
    assert told.info.status == "FINISHED"
    assert told.data.params["task"] == "bowl"
    assert told.data.params["seed"] == "3"
    assert told.data.tags["folder"] == str(tmp_path / "r")
    assert client.get_experiment(told.info.experiment_id).name == "bowls"
    for name in ("loss", "norm"):
        history = client.get_metric_history(first.run_id, name)
        assert sorted(one.step for one in history) == list(range(13))
        np.testing.assert_array_equal(
            [one.value for one in sorted(history, key=lambda one: one.step)], found.curves[name][0]
        )
