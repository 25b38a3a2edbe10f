"""qnat's metrics and variational Gibbs steps, through its public names only. Every call that may change stands once."""

from typing import Any

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import optax

from qnat.quantum import GibbsFamily, LatentGibbs, LatentMetric, PauliSum, PureMetric, PureState, tfim

from . import neutral
from .job import Job
from .neutral import Spec
from .on_qnat import circuit


def pure_metric(spec: Spec) -> Job:
    """The Fubini–Study metric as a matrix."""
    metric, angles = PureMetric(PureState(circuit(spec))), jnp.asarray(neutral.angles(spec))
    # Fisher-normalised, four times what peers return
    compiled = jax.jit(lambda angles: metric.at({"angles": angles}).as_matrix() / 4)
    return Job(lambda: compiled(angles).block_until_ready(), neutral.array_numbers)


def thermal_metric(spec: Spec) -> Job:
    """The BKM metric of ρ ∝ exp(Σ θ P) as a matrix."""
    family = GibbsFamily(PauliSum.from_strings(neutral.pauli_strings(spec["n"], spec["terms"])))
    compiled = jax.jit(lambda family, theta: family.metric("bkm").at(theta).as_matrix())
    theta = jnp.asarray(neutral.thermal_parameters(spec))
    return Job(lambda: compiled(family, theta).block_until_ready(), neutral.array_numbers)


def _gibbs(spec: Spec) -> tuple[LatentGibbs, dict, jax.Array]:
    """(model with a product latent, parameters, dense Hamiltonian)."""
    latent, angles = (jnp.asarray(part) for part in neutral.gibbs_start(spec))
    return LatentGibbs(circuit(spec), order=1), {"latent": latent, "angles": angles}, tfim(1, spec["n"]).matrix()


def _gibbs_numbers(result: Any) -> dict[str, float]:
    value, slopes, *_ = result
    flat = np.concatenate([np.asarray(slopes["latent"]), np.asarray(slopes["angles"])])
    return {"value": float(value)} | neutral.array_numbers(flat)


def gibbs_gradient(spec: Spec) -> Job:
    """The free energy β⟨H⟩ − S and its gradient."""
    model, parameters, hamiltonian = _gibbs(spec)
    compiled = jax.jit(jax.value_and_grad(model.free_energy))
    return Job(lambda: jax.block_until_ready(compiled(parameters, hamiltonian, spec["beta"])), _gibbs_numbers)


def gibbs_step(spec: Spec) -> Job:
    """Gradient of the free energy and one Adam step."""
    model, parameters, hamiltonian = _gibbs(spec)
    optimizer = optax.adam(0.05)
    first = optimizer.init(parameters)

    @jax.jit
    def step(parameters: dict, state: Any) -> Any:
        value, slopes = jax.value_and_grad(model.free_energy)(parameters, hamiltonian, spec["beta"])
        updates, state = optimizer.update(slopes, state)
        return value, slopes, optax.apply_updates(parameters, updates), state

    return Job(lambda: jax.block_until_ready(step(parameters, first)), _gibbs_numbers)


def natural_step(spec: Spec) -> Job:
    """Gradient, BKM metric, and the solve for a damped natural gradient: what a second-order step costs in all."""
    model, parameters, hamiltonian = _gibbs(spec)

    @jax.jit
    def step(parameters: dict) -> Any:
        value, slopes = jax.value_and_grad(model.free_energy)(parameters, hamiltonian, spec["beta"])
        metric = LatentMetric(model).at(parameters).blocks["angles"].as_matrix()
        damped = lx.MatrixLinearOperator(metric + 1e-3 * jnp.eye(len(metric)), lx.positive_semidefinite_tag)
        return value, slopes, lx.linear_solve(damped, slopes["angles"], lx.Cholesky()).value

    return Job(lambda: jax.block_until_ready(step(parameters)), _gibbs_numbers)


TASKS = {
    "pure_metric": pure_metric,
    "thermal_metric": thermal_metric,
    "gibbs_gradient": gibbs_gradient,
    "gibbs_step": gibbs_step,
    "natural_step": natural_step,
}
