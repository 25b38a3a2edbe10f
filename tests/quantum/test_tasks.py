"""Thermal tasks through the laws of tasks."""

import jax
import numpy as np
import pytest

from qnat.experiment import laws
from qnat.quantum import GibbsFamily, LatentGibbs, PauliSum, ThermalTask, hea, real, tfim

MODELS = {
    "real": LatentGibbs(real(3, layers=2), order=2),
    "complex": LatentGibbs(hea(3, layers=2), order=3),
    "no angles": LatentGibbs(real(3, layers=0), order=1),
    "family": GibbsFamily(PauliSum.from_strings(["ZZI", "IZZ", "XII", "IYI"]).matrices()),
}


@pytest.mark.parametrize("name", MODELS)
def test_thermal_tasks_pass_the_laws(name):
    laws.check_task(ThermalTask(MODELS[name], tfim(1, 3, field=0.8), beta=1.3), key=jax.random.key(0))


def test_laws_notice_a_wrong_gradient():
    class Doubled(ThermalTask):
        def value_and_grad(self, params, batch=None, key=None):
            value, grads = super().value_and_grad(params, batch, key)
            return value, jax.tree.map(lambda g: 2 * g, grads)

    with pytest.raises(AssertionError, match="slope"):
        laws.check_task(Doubled(MODELS["real"], tfim(1, 3), beta=1.3), key=jax.random.key(0))


def test_laws_notice_a_start_of_its_own():
    class Counting(ThermalTask):
        def init(self, key):
            return jax.tree.map(lambda x: x + next(ticks), super().init(key))

    ticks = iter(np.arange(9.0))
    with pytest.raises(AssertionError, match="two starts"):
        laws.check_task(Counting(MODELS["real"], tfim(1, 3), beta=1.3), key=jax.random.key(0))
