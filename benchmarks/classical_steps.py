"""Step times of the classical methods against their first-order baselines, interleaved A B A B in one process.

K-FAC and FOOF (inverses every 20 steps) against Adam on the autoencoder 784-500-300-100-30 and back, batches of 500,
single precision, with the moments of an eighth of a batch and of all of it; natural reweighted wake–sleep (Fisher
matrix every 50 steps) against reweighted wake–sleep on the deep machine of the digits and on the authors' layers for
MNIST, there with the Fisher matrix of all draws and of a fifth. Data are random bits: times do not depend on them.
Writes benchmarks/results/classical_steps.json and the table of the docs.
"""

import functools
import json
import os
import pathlib
import platform
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from classical.methods.fisher import KroneckerFisher
from classical.methods.wake_sleep import HelmholtzFisher, value_and_grad
from classical.models.helmholtz import HelmholtzMachine
from classical.models.network import Layer, Network
from qnat.geometry.families import Bernoulli
from qnat.geometry.kronecker import factored_inverse
from qnat.geometry.structured import exact_inverse
from qnat.optim import scale_by_running_metric

ROOT = pathlib.Path(__file__).parents[1]
ROUNDS = 5
HIDDEN = (500, 300, 100)
MACHINES = {
    "deep digits": (64, 48, 32, 24, 16, 10, 10),
    "MNIST, the authors' layers": (784, 300, 200, 100, 75, 50, 35, 25, 20, 15, 10, 10),
}


def stepper(loss_and_grad, transform, params, batch, steps):
    """(() -> seconds a step) of a compiled loop of `steps` steps, each with the next key."""

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def loop(params, state, batch, key):
        def body(index, carry):
            params, state = carry
            step_key = jax.random.fold_in(key, index)
            value, gradient = loss_and_grad(params, batch, step_key)
            change, state = transform.update(gradient, state, params, value=value, batch=batch, key=step_key)
            return optax.apply_updates(params, change), state

        return jax.lax.fori_loop(0, steps, body, (params, state))

    held = jax.tree.map(jnp.copy, [params, transform.init(params)])

    def run():
        began = time.perf_counter()
        held[:] = jax.block_until_ready(loop(*held, batch, jax.random.key(0)))
        return (time.perf_counter() - began) / steps

    run()
    run()  # past the warm-up of the inverses
    return run


def interleaved(runs: dict) -> dict[str, float]:
    """Milliseconds a step: the median of rounds in which each runs once."""
    times = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            times[name].append(run())
    return {name: 1e3 * float(np.median(values)) for name, values in times.items()}


def autoencoder() -> dict[str, float]:
    """K-FAC, FOOF and Adam."""
    units = (*HIDDEN, 30, *HIDDEN[::-1])
    layers = [Layer(n, "linear" if n == 30 else "tanh") for n in units]
    network = Network(784, (*layers, Layer(784, "linear")), Bernoulli())
    x = jax.random.bernoulli(jax.random.key(1), 0.2, (500, 784)).astype(jnp.float32)
    params = [w.astype(jnp.float32) for w in network.init(jax.random.key(2))]

    def loss_and_grad(params, batch, _key):
        return jax.value_and_grad(network.loss)(params, *batch)

    def kronecker(outputs, items):
        metric = KroneckerFisher(network, outputs=outputs, items=items)
        inverter = factored_inverse if outputs else exact_inverse
        direction = scale_by_running_metric(metric, damping=0.1, refresh=20, inverter=inverter)
        return optax.chain(optax.trace(0.9), direction, optax.scale(-1e-3))

    methods = {
        "Adam": optax.with_extra_args_support(optax.adam(1e-3)),
        "FOOF, an eighth": kronecker(False, 64),
        "FOOF, all": kronecker(False, None),
        "K-FAC, an eighth": kronecker(True, 64),
        "K-FAC, all": kronecker(True, None),
    }
    return interleaved({name: stepper(loss_and_grad, m, params, (x, x), 40) for name, m in methods.items()})


def machine(sizes: tuple[int, ...], fisher_draws: tuple[int, ...]) -> dict[str, float]:
    """NRWS and RWS with 32 items and 10 draws; 50 steps hold one Fisher matrix, from so many draws an item."""
    model = HelmholtzMachine(sizes)
    x = jax.random.bernoulli(jax.random.key(1), 0.2, (32, sizes[0])).astype(jnp.float32)
    params = jax.tree.map(lambda w: w.astype(jnp.float32), model.init(jax.random.key(2)))

    def estimate(params, batch, key):
        return value_and_grad(model, params, batch, algorithm="rws", samples=10, key=key)

    def natural(draws):
        metric = HelmholtzFisher(model, 32, samples=draws)
        direction = scale_by_running_metric(metric, damping=0.2, memory=None, refresh=50, warm_up=0)
        return optax.chain(direction, optax.scale(-1e-3))

    methods = {"RWS": optax.with_extra_args_support(optax.sgd(1e-3))}
    methods |= {f"NRWS, Fisher matrix of {draws} draws": natural(draws) for draws in fisher_draws}
    return interleaved({name: stepper(estimate, m, params, x, 50) for name, m in methods.items()})


def page(document: dict) -> str:
    """The table as markdown."""
    lines = ["| | ms a step | ratio |", "|---|---|---|"]
    for place, times in document["milliseconds"].items():
        base = next(iter(times.values()))
        lines += [f"| {place}: {name} | {value:.3g} | {value / base:.2f} |" for name, value in times.items()]
    return "\n".join([*lines, "", f"Made by `python benchmarks/classical_steps.py` with {document['machine']}.", ""])


def main() -> None:
    """Measures, writes."""
    found = {"autoencoder 784-500-300-100-30, batch 500": autoencoder()}
    print(found, flush=True)
    for name, sizes in MACHINES.items():
        found[f"Helmholtz machine, {name}"] = machine(sizes, (10,) if len(sizes) < 10 else (2, 10))
        print(found, flush=True)
    document = {
        "machine": f"jax {jax.__version__}, {platform.machine()}, {os.cpu_count()} threads",
        "milliseconds": found,
    }
    results = ROOT / "benchmarks" / "results" / "classical_steps.json"
    results.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (ROOT / "docs" / "_generated" / "classical_steps.md").write_text(page(document), encoding="utf-8")


if __name__ == "__main__":
    main()
