"""Every process through the law of processes, and the law through processes that break it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from classical.methods.entropy_sgd import entropy_sgd
from classical.models.mixture import Mixture
from qnat.geometry.families import Normal
from qnat.inference import Info, Process, descend, em, langevin
from qnat.inference.laws import check_process

START = {"a": np.array([1.0, -2.0]), "b": np.array(0.5, np.float32)}
X = np.array([[0.1], [0.3], [2.0], [2.2]])


def bowl(params, batch, key):
    return jax.value_and_grad(lambda p: jnp.sum(p["a"] ** 2) + p["b"] ** 2)(params)


PROCESSES = {
    "descent": lambda: (descend(bowl, optax.adam(0.1)), START, None),
    "chain": lambda: (langevin(bowl, 0.1), START, None),
    "walk": lambda: (entropy_sgd(bowl, 0.1, inner_steps=2), START, None),
    "em": lambda: (em(Mixture(Normal())), (np.log([0.5, 0.5]), np.array([[0.0], [1.0]])), X),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_processes_obey_their_law(name):
    process, params, batch = PROCESSES[name]()
    check_process(process, params, batch, key=jax.random.key(0))


def plain(step, params=lambda state: state):
    return Process(lambda params, *, key: params, step, params)


ticks = itertools.count()
BROKEN = {
    "made of the state": plain(
        lambda s, batch, *, key: (jax.tree.map(lambda x: x.astype(jnp.float32), s), Info(0.0, {}))
    ),
    "parameters look like": plain(lambda s, batch, *, key: (s, Info(0.0, {})), lambda state: state["a"]),
    "and the next one": plain(lambda s, batch, *, key: (s, Info(0.0, {f"{next(ticks)}": 1.0}))),
    "must be scalars": plain(lambda s, batch, *, key: (s, Info(s["a"], {}))),
    "differ": plain(lambda s, batch, *, key: (s, Info(float(next(ticks)), {}))),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_law_notices(what):
    with pytest.raises(AssertionError, match=what):
        check_process(BROKEN[what], START, key=jax.random.key(0))
