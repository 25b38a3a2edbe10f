"""Strings and vectors in place of a density matrix: no bias over all signs, no noise at an optimum, what is refused."""

import itertools
import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.experiment import RefusedError, laws
from qnat.experiment.sweep.plan import plan
from qnat.experiment.words.wording import build
from qnat.quantum import GibbsFamily, LatentGibbs, PauliSum, VectorMetric, VectorThermalTask, hea, random_local, tfim
from qnat.quantum.backends.laws import random_circuit
from qnat.quantum.backends.statevector import unitary
from qnat.quantum.circuits.ansatz import real
from qnat.quantum.circuits.circuit import Circuit, hadamard, phase, rotation
from qnat.quantum.engine import frame_rows, tangents
from qnat.quantum.methods.vectors import Draw, VectorFreeEnergy, draw
from qnat.quantum.tasks.gibbs import GibbsSpec
from qnat.quantum.tasks.vectors import rows_fit

SIGNS = np.array(list(itertools.product([1.0, -1.0], repeat=8)))
BETA = 1.3
SHARED = Circuit(
    3, (*map(hadamard, range(3)), phase(0, 1, 2), rotation("YX", 0, 2, controls=(1,)), rotation("X", 1)), 2
)
CIRCUITS = {"real": real(3, 2), "complex": hea(3, 2), "angles with several rows": SHARED}
each_circuit = pytest.mark.parametrize(
    ("name", "strings"),
    [
        ("real", 0),
        ("angles with several rows", 3),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in itertools.product(CIRCUITS, (0, 3))
            if case not in (("real", 0), ("angles with several rows", 3))
        ),
    ],
)


def a_point(circuit, order=2):
    rng = np.random.default_rng(0)
    model = LatentGibbs(circuit, order=order)
    count = len(model.latent.interactions)
    return model, {"latent": 0.5 * rng.normal(size=count), "angles": rng.normal(size=circuit.num_angles)}


def all_signs(model, params, strings):
    """Every vector of signs on the strings that are not summed over exactly."""
    drawn = draw(model.log_probabilities(params["latent"]), strings, 1, key=jax.random.key(0))
    return Draw(drawn.strings, jnp.asarray(SIGNS).at[:, drawn.strings].set(0))


@pytest.mark.parametrize(
    "circuit",
    [random_circuit(6, 20, 1, 4), pytest.param(real(6, 2), marks=pytest.mark.slow), SHARED],
    ids=["random", "real", "shared"],
)
def test_rows_are_tangents_at_the_input_of_the_circuit(circuit):
    angles, basis = np.random.default_rng(3).normal(size=circuit.num_angles), 5

    @jax.jit
    def all_of_them():
        state, forward = tangents(circuit, angles, basis)
        start = jnp.zeros_like(state).at[basis, 0].set(1)
        return unitary(circuit, angles), forward, frame_rows(circuit, angles, start[None], jnp.ones((1, len(start))))

    matrix, *both = map(np.asarray, all_of_them())
    forward, rows = (each[..., 0] + 1j * each[..., -1] * (each.shape[-1] - 1) for each in both)
    np.testing.assert_allclose(rows, forward @ matrix.conj(), atol=1e-12)
    assert np.abs(rows).max() > 0.1


@each_circuit
def test_value_and_gradient_have_no_bias(name, strings):
    model, params = a_point(CIRCUITS[name])
    rng = np.random.default_rng(1)
    every = ["".join(letters) for letters in itertools.product("IXYZ", repeat=3)]  # of some a real circuit sees nothing
    energies = PauliSum.from_terms(zip(every, rng.normal(size=64), strict=True))

    @jax.jit
    def both():
        task = VectorThermalTask(model, energies, BETA, strings=2)
        drawn = all_signs(model, params, strings)
        slopes = task.free_energy.slopes(params, drawn)
        wanted = model.frame(params).free_energy_and_grad(energies.matrix(), BETA)
        found = slopes.value.value, {name: part.value for name, part in slopes.gradient.items()}
        return task.free_energy.value(params, drawn), slopes, found, wanted

    value, slopes, found, wanted = both()
    np.testing.assert_allclose(value.value, wanted[0], rtol=1e-12)
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-12)
    for name, each in found[1].items():
        np.testing.assert_allclose(each, wanted[1][name], atol=1e-12)
    np.testing.assert_allclose(slopes.plain, wanted[1]["angles"], atol=1e-12)
    assert min(float(np.max(each.standard_error)) for each in (value, *slopes.gradient.values())) > 1e-3


@each_circuit
def test_both_metrics_have_no_bias_as_matrices_and_as_products(name, strings):
    model, params = a_point(CIRCUITS[name])
    vector = np.random.default_rng(2).normal(size=model.circuit.num_angles)

    @jax.jit
    def all_of_them():
        drawn = all_signs(model, params, strings)
        found = {}
        for kind in ("wigner_yanase", "bkm"):
            gram, product = (
                VectorMetric(model, kind, strings, products=way).drawn(params, drawn).blocks for way in (False, True)
            )
            exact = model.metric(kind).at(params).blocks
            matrix = exact["angles"].as_matrix()
            found[kind] = (
                *(gram["angles"].as_matrix(), matrix),
                *(product["angles"].mv(vector), matrix @ vector),
                *(blocks["latent"].as_matrix() for blocks in (gram, exact)),
            )
        single = VectorMetric(model, kind, strings, single=True).drawn(params, drawn).blocks["angles"].as_matrix()
        return found, jnp.max(jnp.abs(single - found[kind][0]))

    exact, close = all_of_them()
    assert 0 < float(close) < 1e-5
    for kind, parts in exact.items():
        for found, wanted in zip(parts[::2], parts[1::2], strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-12, err_msg=kind)


def test_at_an_optimum_the_estimate_has_no_noise_and_its_own_derivative_has():
    model, params = a_point(CIRCUITS["complex"])
    every = PauliSum.from_strings(["".join(letters) for letters in itertools.product("IXYZ", repeat=3)])

    @jax.jit
    def at_the_optimum():
        # βH = 1 − log ρ, so that ρ is its thermal state, and log Z = −1: the number c of the gradient is not zero
        log_p, basis = model.spectrum(params)
        matrix = (basis * ((1 - log_p) / BETA)) @ basis.conj().T
        coefficients = jnp.einsum("tij,ji->t", every.matrices(), matrix).real / 8
        estimate = VectorFreeEnergy(model, PauliSum(coefficients, every.strings), jnp.asarray(BETA))
        top = draw(log_p, 2, 1, key=jax.random.key(0)).strings
        signs = jnp.asarray(SIGNS[:16]).at[:, top].set(0)
        return jax.lax.map(lambda each: estimate.slopes(params, Draw(top, each[None])), signs)

    slopes = at_the_optimum()
    np.testing.assert_allclose(slopes.value.value, 1, atol=1e-12)  # −log Z
    for each in slopes.gradient.values():
        np.testing.assert_allclose(each.value, 0, atol=1e-12)
    assert np.std(slopes.plain, axis=0).max() > 1e-2


def test_the_trial_of_a_step_is_judged_with_the_slope_of_the_gradient():
    model, params = a_point(CIRCUITS["real"])
    task = VectorThermalTask(model, tfim(1, 3), BETA, strings=2, vectors=2)

    @jax.jit
    def slopes():
        value, gradient, _, judge = task.linearise(params, key=jax.random.key(3))
        return value, gradient, *jax.value_and_grad(judge)(params)

    value, gradient, judged, slope = slopes()
    np.testing.assert_allclose(judged, value, rtol=1e-13)
    for name, each in gradient.items():
        np.testing.assert_allclose(slope[name], each, atol=1e-12)


def test_it_is_a_task():
    task = VectorThermalTask(LatentGibbs(real(2, 1)), tfim(1, 2), BETA, strings=1, vectors=2)
    laws.check_task(task, key=jax.random.key(0), has_loss=False)


def test_what_is_evaluated_is_near_the_dense_task_within_its_errors():
    from qnat.quantum import ThermalTask, thermal_observables

    model, params = a_point(real(5, 2))
    energies = tfim(1, 5)

    @jax.jit
    def both():
        dense = ThermalTask(model, energies, BETA)
        task = VectorThermalTask(model, energies, BETA, strings=6, observables=True)
        exact = thermal_observables(*model.spectrum(params), energies.matrix(), BETA)
        found = {name: each.value for name, each in task.artifacts(params).items()}
        return task.evaluate(params), dense.evaluate(params), found, exact

    found, wanted, artifacts, exact = both()
    assert found["entropy"] == pytest.approx(wanted["entropy"])
    assert 0 < abs(found["energy"] - wanted["energy"]) < 4 * found["energy_error"]
    assert "relative_entropy" not in found
    bloch = np.asarray(exact["bloch_vectors"])
    for name, truth in (("magnetisations", bloch[:, [0, 2]].T.ravel()), ("correlations_zz", exact["correlations_zz"])):
        error = artifacts[f"{name}_error"]
        assert (np.abs(artifacts[name] - truth) <= 4.5 * error + 1e-12).all()
        assert np.max(error) > 1e-3


def test_the_default_metric_is_positive_for_any_number_of_vectors():
    model, params = a_point(CIRCUITS["complex"])
    for kind in ("wigner_yanase", "bkm"):
        metric = VectorMetric(model, kind, strings=1, vectors=1)
        matrix = eqx.filter_jit(
            lambda metric=metric: metric.at(params, key=jax.random.key(0)).blocks["angles"].as_matrix()
        )()
        levels = np.linalg.eigvalsh(matrix)
        assert levels.min() > -1e-12 * levels.max()


def test_what_vectors_cannot_do_is_refused():
    model, params = a_point(CIRCUITS["real"])
    with pytest.raises(ValueError, match="need a model with a circuit"):
        VectorThermalTask(GibbsFamily(PauliSum.from_strings(["ZZ", "XI"])), tfim(1, 2), 1.0)
    with pytest.raises(ValueError, match="There are 8 bit strings of 3 qubits; got 9"):
        VectorThermalTask(model, tfim(1, 3), 1.0, strings=9)
    with pytest.raises(ValueError, match="vectors is 1; it must be a whole number of at least 2"):
        VectorThermalTask(model, tfim(1, 3), 1.0, strings=2, vectors=1)
    with pytest.raises(ValueError, match="WY/2 <= SLD <= WY"):
        VectorMetric(model, "sld", strings=2)
    with pytest.raises(ValueError, match="There are 8 bit strings of 3 qubits; got 16"):
        VectorMetric(model)
    with pytest.raises(ValueError, match=r"vectors is 0\.5; it must be a whole number"):
        VectorMetric(model, strings=2, vectors=0.5)
    with pytest.raises(ValueError, match="The model has 3 qubits and the Hamiltonian 4"):
        VectorFreeEnergy(model, tfim(1, 4), jnp.asarray(1.0))
    with pytest.raises(ValueError, match="The model has 3 qubits and the Hamiltonian 4"):
        VectorThermalTask(model, tfim(1, 4), 1.0, strings=2)
    task = VectorThermalTask(model, tfim(1, 3), 1.0, strings=2)
    with pytest.raises(ValueError, match="pass key="):
        task.value_and_grad(params)
    with pytest.raises(ValueError, match="pass key="):
        task.geometry.at(params)
    with pytest.raises(ValueError, match="One qubit needs no vectors"):
        VectorThermalTask(LatentGibbs(real(1, 1)), PauliSum.from_strings(["X"]), 1.0)


FOURTEEN = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000,) * 2)
import jax
jax.config.update("jax_enable_x64", True)
from qnat.quantum.tasks.gibbs import GibbsSpec
run = GibbsSpec(n=14, ansatz="matchgate", layers=2, steps=2, strings=16, vectors=2).run(progress=False)
print(run.spec["states"], run.curves["loss"][0, 0] - run.curves["loss"][0, -1])
"""


@pytest.mark.slow
def test_fourteen_qubits_need_no_more_than_one_and_a_half_gigabytes():
    one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MALLOC_ARENA_MAX"), "1")  # threads reserve space
    command = [sys.executable, "-c", FOURTEEN]
    found = subprocess.run(command, env=os.environ | one, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
    states, fall = found.stdout.split()
    assert states == "vectors"
    assert float(fall) > 0


@pytest.mark.slow
def test_words_train_and_resume_bit_by_bit(tmp_path):
    words = {"n": 3, "states": "vectors", "strings": 2, "vectors": 2, "layers": 1, "observables": True}
    whole = GibbsSpec(**words, steps=6).run(tmp_path / "whole", progress=False)
    GibbsSpec(**words, steps=3).run(tmp_path / "parts", progress=False)
    parts = GibbsSpec(**words, steps=6).run(tmp_path / "parts", resume=True, progress=False)
    for name, curve in whole.curves.items():
        np.testing.assert_array_equal(parts.curves[name], curve, err_msg=name)
    assert whole.curves["loss"][0, -1] < whole.curves["loss"][0, 0]
    exact = -whole.reference["log_z_exact"]["value"]
    off = whole.final["beta_free_energy"] - exact - whole.final["relative_entropy"]
    assert abs(off) < 1e-12
    assert whole.final["relative_entropy_error"] > 0
    assert whole.model().n == 3
    with pytest.raises(RefusedError, match="A density matrix of 11 qubits has too many numbers"):
        VectorThermalTask(LatentGibbs(real(11, 0)), tfim(1, 11), 1.0).trained({})


@pytest.mark.parametrize("layers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_circuit_of_few_angles_trains_and_its_free_energy_has_an_error(layers):
    words = {"n": 3, "states": "vectors", "strings": 2, "vectors": 2, "layers": layers, "steps": 1, "beta": 0.5}
    run = GibbsSpec(**words, hamiltonian="xxz").run(progress=False)
    assert run.params["angles"].size == 9 * layers
    assert run.final["free_energy_error"] == run.final["energy_error"] > 0
    assert run.final["beta_free_energy_error"] == 0.5 * run.final["energy_error"]
    levels = np.linalg.eigvalsh(GibbsSpec(**words, hamiltonian="xxz").operator().matrix())
    wanted = -np.log(np.sum(np.exp(-0.5 * levels)))
    assert run.reference["beta_free_energy"]["value"] == pytest.approx(wanted, rel=1e-12)


def test_without_an_exact_reference_the_run_says_so_and_goes_on(monkeypatch, capsys):
    monkeypatch.setattr("qnat.quantum.tasks.vectors._TYPICAL", 2)
    run = GibbsSpec(n=3, hamiltonian="xxz", states="vectors", layers=0, steps=1).run(progress=False)
    said = "There is no exact reference for 3 qubits of this Hamiltonian: the run goes on without relative entropies"
    assert capsys.readouterr().err == f"{said}, and its free energies have errors.\n"
    assert "relative_entropy" not in run.final
    assert not run.reference


def test_the_memory_of_a_step_is_said_before_it_is_taken(capsys):
    GibbsSpec(n=12, ansatz="matchgate", layers=1, latent="bernoulli").task()
    said = "A step with vectors of n = 12 qubits and 22 angles takes about 1.01 GB.\n"
    assert capsys.readouterr().err == said


def test_a_metric_whose_matrix_does_not_fit_is_made_of_products():
    deep = GibbsSpec(n=12, layers=2000)
    assert not rows_fit(deep, 72000)
    assert rows_fit(GibbsSpec(n=12), 576)
    assert not rows_fit(GibbsSpec(n=20, order=9, ansatz="matchgate", layers=1), 38)
    assert rows_fit(GibbsSpec(n=12, order=12), 576)


def test_words_choose_vectors_where_density_matrices_do_not_fit():
    spec = GibbsSpec(n=12)
    assert (spec.states, spec.strings, spec.vectors, spec.order, spec.metric) == ("vectors", 64, 16, 2, "bkm")
    assert GibbsSpec(n=10).states == "dense"
    assert GibbsSpec(n=12, ansatz="matchgate").layers == 10
    assert GibbsSpec.restored(spec.record()) == spec
    assert "states" not in GibbsSpec(n=4).record()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"n": 14, "states": "dense"}, r"n = 14 qubits needs about .* GB.*or states vectors, which needs about 1\.02"),
        ({"n": 40}, r"A step with vectors of n = 40 qubits needs about .*density matrices need about"),
        ({"n": 4, "strings": 3}, "strings is not used with states dense; leave it out, or choose states vectors"),
        ({"n": 4, "states": "vectors", "strings": 17}, "strings is 17; 4 qubits have 16 bit strings"),
        ({"n": 4, "states": "vectors", "metric": "sld"}, "sld is no mean of Gram matrices, though WY/2 <= SLD <= WY"),
        ({"n": 4, "states": "vectors", "metric": "harmonic"}, "harmonic is no mean of Gram matrices: choose"),
        ({"n": 12, "layers": 10**8}, "To compile .* angles would take about"),
        ({"n": 12, "latent": "mlp", "hidden": 10**6}, "The latent energy of 14000000 parameters needs about"),
        ({"n": 14, "optimizer": "qpmd"}, "fewer layers or fewer seeds.$"),
        ({"n": 4, "states": "vectors", "blocks": "layer"}, "Vectors estimate the whole metric"),
        ({"n": 4, "states": "vectors", "shots": 9}, "States as vectors do not go with shots"),
        ({"n": 4, "states": "vectors", "model": "gibbs"}, "States as vectors do not go with model gibbs"),
        ({"n": 4, "states": "vectors", "optimizer": "qpmd"}, "States as vectors do not go with optimizer qpmd"),
        ({"n": 1, "states": "vectors"}, "States as vectors do not go with one qubit"),
        ({"n": 1, "ansatz": "matchgate"}, "matchgate turns pairs of neighbours"),
        ({"n": 12, "order": 13}, "order is 13; it can be at most n = 12"),
    ],
)
def test_words_that_vectors_cannot_use_are_refused_in_a_sentence(words, message):
    with pytest.raises(RefusedError, match=message) as caught:
        build(GibbsSpec, {name: str(value) for name, value in words.items()})
    assert "\n" not in str(caught.value)


def test_a_sweep_of_both_ways_gives_strings_to_vectors_only():
    words = {"n": ["3"], "states": ["dense", "vectors"], "strings": ["2", "4"]}
    specs = [rung.spec for rung in plan(GibbsSpec, words, None)]
    assert [(spec.states, spec.strings) for spec in specs] == [("dense", None), ("vectors", 2), ("vectors", 4)]


@pytest.mark.slow
@pytest.mark.parametrize("n", [8, 10])
def test_estimates_scatter_about_the_dense_values_as_their_errors_say(n):
    """z-scores of the means of 64 estimates on random points: value, gradients, both metrics."""
    points, repeats = 50, 64
    model = LatentGibbs(real(n, 1), order=2)
    energies = random_local(n, 2, key=jax.random.key(5))
    rng = np.random.default_rng(6)

    def kinds(value, gradient, blocks):
        upper = np.triu_indices(model.circuit.num_angles)
        grams = {kind: block["angles"].as_matrix()[upper] for kind, block in blocks.items()}
        return {"value": value[None], "latent": gradient["latent"], "angles": gradient["angles"], **grams}

    @jax.jit
    def exact(params):
        value, gradient = model.frame(params).free_energy_and_grad(energies.matrix(), BETA)
        return kinds(value, gradient, {k: model.metric(k).at(params).blocks for k in ("wigner_yanase", "bkm")})

    @jax.jit
    def estimated(params, keys):
        task = VectorThermalTask(model, energies, BETA, strings=8, vectors=2)

        def one(key):
            slopes = task.slopes(params, key=key)
            gradient = {name: each.value for name, each in slopes.gradient.items()}
            blocks = {k: VectorMetric(model, k, 8, 1).at(params, key=key).blocks for k in ("wigner_yanase", "bkm")}
            return kinds(slopes.value.value, gradient, blocks)

        return jax.lax.map(one, keys)

    scores: dict[str, list] = {}
    combined: dict[str, list] = {}
    for point in range(points):
        params = {
            "latent": 0.3 * rng.normal(size=len(model.latent.interactions)),
            "angles": rng.normal(size=model.circuit.num_angles),
        }
        truth = exact(params)
        draws = estimated(params, jax.random.split(jax.random.key(100 + point), repeats))
        for kind in draws:
            values, wanted = np.asarray(draws[kind]), np.asarray(truth[kind])
            moving = values.std(axis=0) > 1e-9 * np.abs(wanted).max()
            np.testing.assert_allclose(values.mean(0)[~moving], wanted[~moving], atol=1e-9)
            error = values[:, moving].std(0, ddof=1) / np.sqrt(repeats)
            scores.setdefault(kind, []).append((values.mean(0) - wanted)[moving] / error)
            ways = np.random.default_rng(7).normal(size=(10, wanted.size))
            mixed = (values - wanted) @ ways.T
            combined.setdefault(kind, []).append(mixed.mean(0) / (mixed.std(0, ddof=1) / np.sqrt(repeats)))
    for kind, parts in scores.items():
        z = np.concatenate(parts)
        few = 4 / np.sqrt(points)  # entries of one point hang together
        assert abs(z.mean()) < max(0.1, few if kind == "value" else 0.1), kind
        assert abs(z.std() - 1) < max(0.1, few if kind == "value" else 0.1), kind
        assert np.abs(z).max() < 7, kind
        assert np.abs(np.concatenate(combined[kind])).max() < 4.5, kind
