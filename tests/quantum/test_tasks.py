"""Thermal tasks through the laws of tasks."""

import jax
import numpy as np
import pytest

from qnat.experiment import laws, run
from qnat.inference import descend
from qnat.optim import natural_gradient
from qnat.quantum import GibbsFamily, LatentGibbs, PauliSum, ThermalTask, hea, real, tfim

MODELS = {
    "real": LatentGibbs(real(3, layers=2), order=2),
    "complex": LatentGibbs(hea(3, layers=2), order=3),
    "no angles": LatentGibbs(real(3, layers=0), order=1),
    "family": GibbsFamily(PauliSum.from_strings(["ZZI", "IZZ", "XII", "IYI"]).matrices()),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "complex" else name for name in MODELS]
)
def test_thermal_tasks_pass_the_laws(name):
    laws.check_task(ThermalTask(MODELS[name], tfim(1, 3, field=0.8), beta=1.3), key=jax.random.key(0))


@pytest.mark.slow
def test_laws_notice_a_wrong_gradient():
    class Doubled(ThermalTask):
        def value_and_grad(self, params, batch=None, key=None):
            value, grads = super().value_and_grad(params, batch, key)
            return value, jax.tree.map(lambda g: 2 * g, grads)

    with pytest.raises(AssertionError, match="slope"):
        laws.check_task(Doubled(MODELS["real"], tfim(1, 3), beta=1.3), key=jax.random.key(0))


@pytest.mark.slow
def test_laws_notice_a_sweep_of_its_own():
    class Doubled(ThermalTask):
        def linearise(self, params, batch=None, key=None):
            found = super().linearise(params, batch, key)
            return found._replace(metric=2 * found.metric)

    with pytest.raises(AssertionError, match="linearise differs"):
        laws.check_task(Doubled(MODELS["real"], tfim(1, 3), beta=1.3), key=jax.random.key(0))


def test_natural_gradient_takes_the_metric_of_the_sweep():
    task = ThermalTask(LatentGibbs(real(2, layers=1)), tfim(1, 2), beta=1.3)
    whole = run(task, natural_gradient(1.0, task.metric("bkm")), steps=5, seed=0)
    swept = descend(task.value_and_grad, natural_gradient(1.0), linearise=task.linearise)
    found = run(task, swept, steps=5, seed=0)
    np.testing.assert_allclose(found.curves["loss"], whole.curves["loss"], rtol=1e-10)
    with pytest.raises(ValueError, match="without a metric is handed one"):
        run(task, natural_gradient(1.0), steps=5, seed=0)


@pytest.mark.slow
def test_laws_notice_a_start_of_its_own():
    class Counting(ThermalTask):
        def init(self, key):
            return jax.tree.map(lambda x: x + next(ticks), super().init(key))

    ticks = iter(np.arange(9.0))
    with pytest.raises(AssertionError, match="two starts"):
        laws.check_task(Counting(MODELS["real"], tfim(1, 3), beta=1.3), key=jax.random.key(0))
