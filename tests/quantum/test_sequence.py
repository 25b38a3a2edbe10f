"""Sequences: what evolves, what a start from the previous state is worth, and errors that add up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from qnat.experiment import laws, load_runs, run_sweep
from qnat.experiment.show.lines import Entry
from qnat.experiment.show.sequence import draw_sequence
from qnat.geometry.hermitian import gibbs_state
from qnat.quantum import LatentGibbs, hea, tfim
from qnat.quantum.backends.laws import dense_pauli
from qnat.quantum.exact.dense import thermal
from qnat.quantum.methods.dynamics import closed_dynamics, density_matrix, open_dynamics
from qnat.quantum.problems.sequence import SequenceTask
from qnat.quantum.tasks.sequence import SequenceSpec

pytestmark = pytest.mark.slow

H = tfim(1, 2, field=0.7)
TIMES = np.array([0.0, 0.4, 1.1])
RHO = scipy.linalg.expm(1.3 * (0.3 * dense_pauli("ZZ") + dense_pauli("XI") + dense_pauli("IX")).real)
RHO /= np.trace(RHO)


def relative_entropy(rho, sigma):
    """Tr ρ (log ρ − log σ) by the logarithms of matrices."""
    return np.trace(rho @ (scipy.linalg.logm(rho) - scipy.linalg.logm(sigma))).real


def lindbladian(H, decay):
    """The matrix of the master equation, rows of ρ one after the other."""
    d = len(H)
    one = np.eye(d)
    L = -1j * (np.kron(H, one) - np.kron(one, H.T))
    lower = np.array([[0, 0], [1, 0]])
    for C in (np.sqrt(decay) * np.kron(lower, np.eye(2)), np.sqrt(decay) * np.kron(np.eye(2), lower)):
        square = C.conj().T @ C
        L = L + np.kron(C, C.conj()) - (np.kron(square, one) + np.kron(one, square.T)) / 2
    return L


def test_closed_dynamics_is_the_exponential_and_keeps_the_spectrum():
    states = closed_dynamics(H)(RHO, TIMES)
    for time, state in zip(TIMES, states, strict=True):
        U = scipy.linalg.expm(-1j * float(time) * np.asarray(H.matrix()))
        np.testing.assert_allclose(state, U @ RHO @ U.conj().T, atol=1e-14)
        np.testing.assert_allclose(np.linalg.eigvalsh(state), np.linalg.eigvalsh(RHO), atol=1e-14)


def test_a_thermal_state_of_the_hamiltonian_itself_does_not_move():
    still = gibbs_state(-0.8 * H.matrix())
    np.testing.assert_allclose(closed_dynamics(H)(still, TIMES), jnp.stack([still] * 3), atol=1e-14)


def test_open_dynamics_is_the_exponential_of_the_lindbladian():
    states = open_dynamics(H, 0.6)(RHO, TIMES)
    L = lindbladian(np.asarray(H.matrix()), 0.6)
    for time, state in zip(TIMES, states, strict=True):
        wanted = (scipy.linalg.expm(float(time) * L) @ np.asarray(RHO).reshape(-1)).reshape(4, 4)
        np.testing.assert_allclose(state, wanted, atol=1e-8)
        assert float(jnp.trace(state).real) == pytest.approx(1, abs=1e-10)
        assert np.linalg.eigvalsh(state)[0] > 0


def test_qubits_left_alone_decay_to_one():
    states = open_dynamics(tfim(1, 2, coupling=0.0, field=0.0), 0.6)(RHO, TIMES)
    excited = jnp.diagonal(states, axis1=1, axis2=2).real @ jnp.array([2.0, 1.0, 1.0, 0.0])
    np.testing.assert_allclose(excited, excited[0] * jnp.exp(-0.6 * TIMES), rtol=1e-8)


def test_trajectories_average_to_the_master_equation():
    exact = open_dynamics(H, 0.6)(RHO, TIMES)
    for count in (50, 800):
        noisy = open_dynamics(H, 0.6, trajectories=count, key=jax.random.key(3))(RHO, TIMES)
        errors = np.linalg.norm(noisy - exact, axis=(1, 2))
        assert (errors[1:] > 1e-6).all()  # they are an average, and not the solution
        assert (errors < 4 / np.sqrt(count)).all()
        np.testing.assert_allclose(jnp.trace(noisy, axis1=1, axis2=2), 1, atol=1e-10)
    again = open_dynamics(H, 0.6, trajectories=800, key=jax.random.key(3))(RHO, TIMES)
    np.testing.assert_array_equal(again, noisy)


def test_a_task_with_two_states_learns_one_and_reports_both():
    model = LatentGibbs(hea(2, layers=2), order=2)
    data, true = closed_dynamics(H)(RHO, TIMES)[1:]
    problem = SequenceTask(model, data, true)
    laws.check_task(problem, key=jax.random.key(0))
    params = problem.init(jax.random.key(1))
    found, rho = problem.evaluate(params), density_matrix(model, params)
    assert float(problem.value_and_grad(params)[0]) == pytest.approx(relative_entropy(data, rho), abs=1e-12)
    assert float(found["relative_entropy"]) == pytest.approx(relative_entropy(data, rho), abs=1e-12)
    assert float(found["true_relative_entropy"]) == pytest.approx(relative_entropy(true, rho), abs=1e-12)


def test_on_a_fine_ladder_the_previous_state_is_wrong_by_the_energy_variance():
    """D(ρ_β‖ρ_{β+δ}) = δ² Var(H)/2 + O(δ³): slope two, with the exact constant."""
    given = {"model": "gibbs", "n": 3, "elements": 2, "beta_min": 0.7, "element": 1}
    operator = SequenceSpec(**given).operator()
    variance = float(thermal(jnp.linalg.eigvalsh(operator.matrix()), 0.7).variance)
    gaps, errors = [1e-1, 1e-2, 1e-3], []
    for gap in gaps:
        problem = SequenceSpec(**given, beta_max=0.7 + gap).task()
        couplings = dict(zip(operator.strings, operator.coefficients, strict=True))
        params = jnp.array([-0.7 * couplings.get(string, 0.0) for string in problem.model.generators.strings])
        errors.append(float(problem.evaluate(params)["relative_entropy"]))
    slopes = np.diff(np.log(errors)) / np.diff(np.log(gaps))
    np.testing.assert_allclose(slopes, 2, atol=0.05)
    assert errors[-1] == pytest.approx(0.5e-6 * variance, rel=2e-3)


@pytest.fixture(scope="module")
def small():
    """A quench of two qubits, three states, few steps."""

    def make(**given):
        small = {"n": 2, "layers": 2, "elements": 3, "steps": 6, "kind": "quench"}
        return SequenceSpec(**(small | given))

    return make


def states(runs, spec):
    """The final state of every run, by folder."""
    model = spec._one(0, {}).task().model
    return {name: np.asarray(density_matrix(model, run.params)) for name, run in runs.items()}


def runs_in(folder):
    """Finished runs by the name of their folder."""
    return {entry.run.path.name: entry.run for entry in load_runs([folder])}


def test_a_warm_run_begins_at_the_state_before_and_a_cold_one_does_not(small, tmp_path):
    spec = small(kind="ladder", elements=2)
    run_sweep(spec.rungs(), tmp_path)
    runs = runs_in(tmp_path)
    assert len(runs) == 3  # both chains share the first
    before = states(runs, spec)["element=0_start=random"]
    sigma = scipy.linalg.expm(-spec.beta_max * np.asarray(spec.operator().matrix()))
    wanted = relative_entropy(before, sigma / np.trace(sigma))
    warm, cold = (runs[f"element=1_start={start}"].curves["relative_entropy"][0, 0] for start in ("previous", "random"))
    assert warm == pytest.approx(wanted, rel=1e-9)
    assert cold != pytest.approx(wanted, rel=1e-2)
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_exact_data_of_a_quench_are_the_thermal_state_of_one_hamiltonian_under_another(small):
    spec = small(field=0.5, quench="field=1.5")
    sigma = scipy.linalg.expm(-spec.beta * np.asarray(tfim(1, 2, field=0.5).matrix()))
    for k in range(spec.elements):
        U = scipy.linalg.expm(-1j * k * spec.time_step * np.asarray(tfim(1, 2, field=1.5).matrix()))
        found = spec._one(k, {}).task().target.matrix
        np.testing.assert_allclose(found, U @ sigma @ U.conj().T / np.trace(sigma), atol=1e-14)


@pytest.fixture(scope="module")
def recursive(small, tmp_path_factory):
    """A recursive sequence, finished."""
    folder, spec = tmp_path_factory.mktemp("recursive"), small(data="recursive")
    run_sweep(spec.rungs(), folder)
    return folder, spec


def test_recursive_data_are_the_model_s_own_state_one_step_later(recursive):
    folder, spec = recursive
    runs = runs_in(folder)
    assert len(runs) == 2 * spec.elements - 1
    rho = states(runs, spec)
    after = np.asarray(spec.after.operator().matrix())
    first = np.asarray(gibbs_state(-spec.beta * spec.operator().matrix()))
    step = scipy.linalg.expm(-1j * spec.time_step * after)
    for start in ("previous", "random"):
        names = ["element=0_start=random", *(f"element={k}_start={start}" for k in range(1, spec.elements))]
        for k in range(1, spec.elements):
            curves, before, U = runs[names[k]].curves, rho[names[k - 1]], np.linalg.matrix_power(step, k)
            data, true = step @ before @ step.conj().T, U @ first @ U.conj().T
            wanted = relative_entropy(data, rho[names[k]]), relative_entropy(true, rho[names[k]])
            assert curves["relative_entropy"][0, -1] == pytest.approx(wanted[0], rel=1e-7, abs=1e-13)
            assert curves["true_relative_entropy"][0, -1] == pytest.approx(wanted[1], rel=1e-7, abs=1e-13)
            assert curves["loss"][0, -1] == pytest.approx(wanted[0], abs=1e-12)
            if start == "previous":
                assert curves["loss"][0, 0] == pytest.approx(relative_entropy(data, before), rel=1e-9)


def test_a_recursive_sequence_goes_on_from_what_is_there_to_the_same_bits(recursive):
    folder, spec = recursive
    before = runs_in(folder)
    for name in ("element=2_start=previous", "element=1_start=previous"):
        for file in (folder / name).iterdir():
            file.unlink()
    run_sweep(spec.rungs(), folder, resume=True)
    for name, run in runs_in(folder).items():
        for leaf in ("latent", "angles"):
            np.testing.assert_array_equal(run.params[leaf], before[name].params[leaf])


def test_a_figure_stands_for_any_number_of_states(recursive, tmp_path):
    folder, _ = recursive
    entries = [Entry(e.run, e.labels, e.start) for e in load_runs([folder])]
    many = [Entry(e.run, {"element": 3 * e.labels["element"]}, e.start) for e in entries]
    draw_sequence(many, "element", tmp_path / "f.png")
    assert (tmp_path / "f.png").exists()


def test_trajectories_are_noise_that_the_truth_has_not(small):
    spec = small(kind="open", trajectories=40, elements=3)
    problem = spec._one(2, {}).task()
    true = open_dynamics(spec.operator(), spec.decay)(gibbs_state(-spec.operator().matrix()), jnp.asarray(spec.places))[
        2
    ]
    np.testing.assert_allclose(problem.true.matrix, true, atol=1e-10)
    distance = float(jnp.linalg.norm(problem.target.matrix - true))
    assert 1e-4 < distance < 4 / np.sqrt(40)


def test_a_family_learns_a_quench_up_to_what_it_contains():
    """One qubit: the family of X, Y and Z has every state; two that do not commute leave something."""
    spec = SequenceSpec(n=1, model="gibbs", hamiltonian="random", locality=1, kind="quench")
    with pytest.raises(ValueError, match="several runs"):
        spec.task()
    assert abs(float(spec._one(2, {}).task().least)) < 1e-12
    larger = SequenceSpec(n=3, model="gibbs", kind="quench", time_step=1.0)
    assert float(larger._one(2, {}).task().least) > 1e-3


@pytest.mark.parametrize(
    ("words", "least"), [({}, 5), ({"ansatz": "hea", "layers": 7, "order": 2}, 3)], ids=["default", "seven layers"]
)
def test_on_the_ladder_a_previous_start_needs_four_steps(tmp_path, words, least):
    """D < 0.01 at the last three β in at most four steps: every seed of the default model, most of a smaller one."""
    spec = SequenceSpec(periodic=True, seeds=5, start="previous", **words)
    np.testing.assert_allclose(spec.places, [0.5, 1.083, 1.667, 2.25], atol=1e-3)
    run_sweep(spec.rungs(), tmp_path)
    reached = [(entry.run.curves["relative_entropy"][:, :5] < 1e-2).any(1) for entry in load_runs([tmp_path])[1:]]
    assert len(reached) == 3
    assert all(seeds.sum() >= least for seeds in reached)
