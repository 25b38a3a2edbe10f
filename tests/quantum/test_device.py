"""A thermal task whose energies come from a PennyLane device."""

import equinox as eqx
import jax
import numpy as np
import pytest

from qnat.experiment import run
from qnat.optim import natural_gradient
from qnat.quantum import DeviceThermalTask, LatentGibbs, ThermalTask, hea, tfim
from qnat.quantum.backends.pennylane import PennyLane

pytestmark = pytest.mark.slow

MODEL = LatentGibbs(hea(2, 1), order=2)
HAMILTONIAN = tfim(1, 2, field=0.7)


@pytest.mark.parametrize("name", ["lightning.qubit", "default.mixed"])
def test_value_and_gradient_equal_those_of_the_engine(name):
    task = DeviceThermalTask(MODEL, HAMILTONIAN, 1.3, PennyLane(name))
    exact = ThermalTask(MODEL, HAMILTONIAN, 1.3)
    params = task.init(jax.random.key(0))
    value, grads = task.value_and_grad(params)
    wanted, slopes = eqx.filter_jit(exact.value_and_grad)(params)
    assert float(value) == pytest.approx(float(wanted), abs=1e-13)
    for name in slopes:
        np.testing.assert_allclose(grads[name], slopes[name], atol=1e-13)


def test_natural_gradient_on_a_device_takes_the_steps_of_the_engine():
    """The loop of Python and the compiled one, tried steps included."""
    tasks = (
        DeviceThermalTask(MODEL, HAMILTONIAN, 1.3, PennyLane("lightning.qubit")),
        ThermalTask(MODEL, HAMILTONIAN, 1.3),
    )
    runs = [run(task, natural_gradient(1.0, task.metrics["bkm"]), steps=4, seed=0) for task in tasks]
    device, engine = (found.curves["relative_entropy"][0] for found in runs)
    np.testing.assert_allclose(device, engine, rtol=1e-8)
    assert device[-1] < 0.7 * device[0]
