"""Published optimiser paths, step by step: natural gradient, Adam, plain descent, proximal and mirror descent."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qnat.geometry import HessianMetric, relative_entropy
from qnat.optim import mirror_descent, natural_gradient, proximal_descent, with_rate
from qnat.quantum import Circuit, GibbsFamily, LatentGibbs, PauliSum, ThermalTask
from qnat.quantum.circuit import cnot, rotation

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
PATHS = json.loads((GOLDEN / "trajectories.json").read_text())
PROX = json.loads((GOLDEN / "prox_checks.json").read_text())

BLOCK = (rotation("Y", 0), rotation("Y", 1), cnot(0, 1), rotation("X", 0), rotation("X", 1), cnot(0, 1))
MODEL = LatentGibbs(Circuit(2, BLOCK), order=2)
TASK = ThermalTask(MODEL, PauliSum.from_terms([("ZZ", -1.0), ("XI", -0.7), ("IX", -0.7)]), beta=1.3)
LOG_Z = float(TASK.reference["log_z_exact"].value)


def follow(task_value_and_grad, optimizer, params, steps):
    """Parameters at steps 0..steps, as one array."""

    @jax.jit
    def step(carry, _):
        params, state = carry
        value, grads = task_value_and_grad(params)
        updates, state = optax.with_extra_args_support(optimizer).update(
            grads, state, params, value=value, value_fn=lambda p: task_value_and_grad(p)[0]
        )
        return (optax.apply_updates(params, updates), state), params

    (last, _), path = jax.lax.scan(step, (params, optimizer.init(params)), None, length=steps)
    return jax.tree.map(lambda p, q: jnp.concatenate([p, q[None]]), path, last)


def plain_natural(kind):
    return natural_gradient(0.2, TASK.metric(kind), damping=0.0, trust=None, box=None, accept=None)


def proximal(divergence, inner_steps):
    return proximal_descent(
        0.2, divergence, inner=optax.sgd(0.05), inner_steps=inner_steps, euclidean=0.0, budget=np.inf, accept=None
    )


def swapped(new, old):
    return MODEL.relative_entropy(old, new)


LATENT_PATHS = {
    "GD_lr0.2": optax.sgd(0.2),
    "BKM-NGD_lr0.2_damp0": plain_natural("bkm"),
    "SLD-NGD_lr0.2_damp0": plain_natural("sld"),
    "WY-NGD_lr0.2_damp0": plain_natural("wigner_yanase"),
    "Adam_lr0.1_eps1e-8": with_rate(optax.scale_by_adam(eps=1e-8), 0.1),
    "QPMD_model||prev_eta0.2_innerGD_lr0.05_J20": proximal(MODEL.relative_entropy, 20),
    "QPMD_prev||model_eta0.2_innerGD_lr0.05_J20": proximal(swapped, 20),
    "QPMD_model||prev_eta0.2_innerGD_lr0.05_J400": proximal(MODEL.relative_entropy, 400),
    "QPMD_prev||model_eta0.2_innerGD_lr0.05_J400": proximal(swapped, 400),
}


CHAOTIC = "QPMD_model||prev_eta0.2_innerGD_lr0.05_J400"


@pytest.mark.parametrize("name", LATENT_PATHS)
def test_latent_paths(name):
    rows = PATHS["qhbm_vqt"][name]
    rows = rows[:3] if name == CHAOTIC else rows
    start = {"latent": jnp.array(rows[0]["params"][:3]), "angles": jnp.array(rows[0]["params"][3:])}
    path = follow(TASK.value_and_grad, LATENT_PATHS[name], start, len(rows) - 1)
    values, grads = jax.vmap(TASK.value_and_grad)(path)
    flat = np.concatenate([path["latent"], path["angles"]], axis=1)
    norms = np.sqrt((np.concatenate([grads["latent"], grads["angles"]], axis=1) ** 2).sum(1))
    np.testing.assert_allclose(flat, [row["params"] for row in rows], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(values + LOG_Z, [row["loss"] for row in rows], rtol=1e-7)
    np.testing.assert_allclose(norms, [row["grad_norm"] for row in rows], rtol=1e-6, atol=1e-7)


def test_the_converged_proximal_path_is_chaotic():
    """400 inner steps chase an unbounded objective: a rounding error of the start moves the fourth step by over 0.1.

    No two programs agree beyond the second step, and none needs to: the path says that converging the inner loop fails.
    """
    flat = jnp.array(PATHS["qhbm_vqt"][CHAOTIC][0]["params"])
    starts = [{"latent": flat[:3] * scale, "angles": flat[3:]} for scale in (1.0, 1.0 + 1e-15)]
    one, other = (follow(TASK.value_and_grad, LATENT_PATHS[CHAOTIC], start, 4) for start in starts)
    assert np.abs(one["angles"][1] - other["angles"][1]).max() < 1e-9
    assert np.abs(one["angles"][4] - other["angles"][4]).max() > 0.1
    assert TASK.value_and_grad(jax.tree.map(lambda x: x[4], one))[0] + LOG_Z > PATHS["qhbm_vqt"][CHAOTIC][0]["loss"]


@pytest.mark.slow
@pytest.mark.parametrize("inner_steps", [20, 400, 4000])
def test_the_safeguarded_proximal_step_is_safe_at_any_depth(inner_steps):
    """What ruins the plain method, a converged inner loop, costs the safeguarded one nothing."""
    flat = jnp.array(PATHS["qhbm_vqt"][CHAOTIC][0]["params"])
    safe = proximal_descent(0.2, MODEL.relative_entropy, inner=optax.sgd(0.05), inner_steps=inner_steps)
    path = follow(TASK.value_and_grad, safe, {"latent": flat[:3], "angles": flat[3:]}, 40)
    values = jax.vmap(TASK.value_and_grad)(path)[0] + LOG_Z
    assert values[-1] < 0.5
    assert jnp.max(values) <= values[0]


FAMILY = GibbsFamily(PauliSum.from_strings(["XX", "ZI", "IZ", "YI"]).matrices())
MIRROR = FAMILY.mirror
# The golden files write ρ = exp(−Σ θG)/Z: their θ is minus ours, and their gradient too.
DATA = -jnp.array([0.6, -0.4, 0.3, 0.2])


def learning(theta):
    """D(σ‖ρ_θ) and its gradient η(θ) − η*."""
    return jax.value_and_grad(lambda t: relative_entropy(FAMILY.log_density(DATA), FAMILY.log_density(t)))(theta)


def implicit(rate):
    """The proximal step of D(new‖old) converged to its stationary point, F(θ₊)(θ₊ − θ) = −h g, by iteration."""

    def update(grads, state, params):
        def body(_, new):
            metric = HessianMetric(MIRROR).at(new).as_matrix()
            return params - rate * jnp.linalg.solve(metric, grads)

        return jax.lax.fori_loop(0, 200, body, params) - params, state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


FAMILY_PATHS = {
    "GD_lr0.5": optax.sgd(0.5),
    "BKM-NGD_lr0.5": natural_gradient(0.5, HessianMetric(MIRROR), damping=0.0, trust=None, box=None, accept=None),
    "MD_prev||model_lr0.5 (eta(theta+)=eta_k+lr*g)": mirror_descent(0.5, MIRROR),
    "MD_prev||model_lr1 (one-step exact)": mirror_descent(1.0, MIRROR),
    "MD_model||prev_lr0.5 (implicit NG, fixed point)": implicit(0.5),
}


@pytest.mark.parametrize("name", FAMILY_PATHS)
def test_family_paths(name):
    rows = PATHS["expfam_qmhl"][name]
    path = follow(learning, FAMILY_PATHS[name], jnp.zeros(4), len(rows) - 1)
    values = jax.vmap(learning)(path)[0]
    np.testing.assert_allclose(-path, [row["theta"] for row in rows], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(values, [row["loss"] for row in rows], rtol=1e-7, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", PATHS["qpmd_to_ngd_relative_error"])
def test_proximal_steps_tend_to_natural_ones(name):
    """(v₊ − v)/η → −F⁻¹g to first order in η, in both directions of the divergence."""
    direction, _, rate = name.partition(" eta=")
    divergence = MODEL.relative_entropy if direction == "model||prev" else swapped
    flat = jnp.array(PATHS["qhbm_vqt"]["GD_lr0.2"][0]["params"])
    params = {"latent": flat[:3], "angles": flat[3:]}
    value, grads = TASK.value_and_grad(params)
    eta = float(rate)
    inner = proximal_descent(
        eta,
        divergence,
        inner=optax.sgd(0.5 * eta),
        inner_steps=4000,
        euclidean=0.0,
        budget=np.inf,
        accept=None,
    )
    step = inner.update(grads, inner.init(params), params, value=value)[0]
    exact = natural_gradient(1.0, TASK.metric("bkm"), damping=0.0, trust=None, box=None, accept=None)
    wanted = exact.update(grads, exact.init(params), params)[0]
    ours, wanted = (np.concatenate([t["latent"], t["angles"]]) for t in (jax.tree.map(lambda x: x / eta, step), wanted))
    error = np.linalg.norm(ours - wanted) / np.linalg.norm(wanted)
    assert error == pytest.approx(PATHS["qpmd_to_ngd_relative_error"][name], rel=1e-6)
