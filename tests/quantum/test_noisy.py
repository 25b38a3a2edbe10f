"""Noisy circuits against PennyLane's density matrices, and their metrics against the limits of no and of all noise."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest

from qnat.geometry import PullbackMetric, boundary, density_weights, hilbert_schmidt, laws, petz_density
from qnat.quantum import (
    Circuit,
    LatentGibbs,
    LatentMetric,
    NoisyState,
    PauliSum,
    PureMetric,
    PureState,
    amplitude_damping,
    depolarizing,
    kraus,
    phase_damping,
)
from qnat.quantum.backends.laws import dense_unitary
from qnat.quantum.circuits.ansatz import hea
from qnat.quantum.circuits.circuit import cnot, rotation, swap

ANGLES = np.random.default_rng(0).normal(size=2 * hea(2, 1).num_angles)
PURE = PureState(hea(2, 2))
INFINITE = ("bkm", "geometric", "harmonic", "wyd:0", "wyd:-0.5", "sandwiched:2")
FINITE = {"sld": 2, "wigner_yanase": 4, "wyd:0.25": 1 / (0.25 * 0.75), "sandwiched:0.75": 4, "sandwiched:0.5": 2}


def noisy(p, circuit=PURE.circuit, **options):
    return NoisyState.layered(circuit, *(depolarizing(p, wire) for wire in range(circuit.n)), **options)


@eqx.filter_jit
def matrix(metric, params):
    return metric.at(params).as_matrix()


def test_density_matrices_are_those_of_pennylane():
    """Two layers on two wires with all three channels after each."""
    model = NoisyState.layered(hea(2, 2), depolarizing(0.3, 0), amplitude_damping(0.2, 1), phase_damping(0.4, 0))

    @qml.qnode(qml.device("default.mixed", wires=2))
    def theirs(angles):
        for x0, z0, x1, z1, both in angles.reshape(2, 5):
            for wire, x, z in ((0, x0, z0), (1, x1, z1)):
                qml.RX(x, wires=wire)
                qml.RZ(z, wires=wire)
            qml.ControlledPhaseShift(both, wires=[0, 1])
            qml.DepolarizingChannel(0.75 * 0.3, wires=0)
            qml.AmplitudeDamping(0.2, wires=1)
            qml.PhaseDamping(0.4, wires=0)
        return qml.density_matrix([0, 1])

    hamiltonian = PauliSum.from_terms([("ZX", 0.7), ("YI", -0.3)])
    rho, energy = map(
        np.asarray,
        eqx.filter_jit(lambda m, params: (m.density_matrix(params), m.energy(params, hamiltonian)))(
            model, {"angles": ANGLES}
        ),
    )
    np.testing.assert_allclose(rho, theirs(np.asarray(ANGLES)), atol=1e-14)
    assert energy == pytest.approx(np.trace(rho @ np.asarray(hamiltonian.matrix())).real, abs=1e-14)


def test_a_channel_finds_its_wires():
    """Mixing a CNOT and a SWAP, control on wire 2 and target on wire 0 of three."""
    gates = [dense_unitary(Circuit(3, (gate,)), np.zeros(0)) for gate in (cnot(2, 0), swap(2, 0))]
    small = [dense_unitary(Circuit(2, (gate,)), np.zeros(0)) for gate in (cnot(0, 1), swap(0, 1))]
    channel = kraus([np.sqrt(p) * U for p, U in zip((0.3, 0.7), small, strict=True)], 2, 0)
    rng = np.random.default_rng(1)
    A = rng.normal(size=(8, 8)) + 1j * rng.normal(size=(8, 8))
    rho = A @ A.conj().T / np.trace(A @ A.conj().T)
    wanted = sum(p * U @ rho @ U.conj().T for p, U in zip((0.3, 0.7), gates, strict=True))
    np.testing.assert_allclose(channel(jnp.asarray(rho)), wanted, atol=1e-15)


@pytest.mark.parametrize("kind", ["bkm", *(pytest.param(k, marks=pytest.mark.slow) for k in ("sld", "harmonic"))])
def test_without_noise_the_general_path_gives_the_metric_of_the_latent_model(kind):
    model = LatentGibbs(hea(2, 2), order=2)
    params = {"latent": jnp.array([0.3, -0.5, 0.4]), "angles": ANGLES}
    found = matrix(NoisyState((model.circuit,), order=2).metric(kind), params)
    np.testing.assert_allclose(found, matrix(LatentMetric(model, kind), params), atol=1e-12)


@pytest.mark.parametrize(
    "kind", [k if k in ("sld", "sandwiched:0.75") else pytest.param(k, marks=pytest.mark.slow) for k in FINITE]
)
def test_a_pure_state_has_the_metrics_that_are_finite_there(kind):
    """2 c(1, 0) times Fubini–Study, which is half of c(1, 0) times the quantum Fisher information."""
    params = {"angles": ANGLES}
    found = matrix(NoisyState((PURE.circuit,)).metric(kind), params)
    np.testing.assert_allclose(found, FINITE[kind] / 2 * matrix(PureMetric(PURE), params), atol=1e-12)


def test_the_boundary_of_the_states_is_near_for_some_metrics_only():
    """c(1, 0) = 1/f(0)."""
    assert {kind: boundary(kind) for kind in FINITE} == pytest.approx(FINITE, rel=1e-12)
    assert all(np.isinf(boundary(kind)) for kind in INFINITE)
    assert jax.jit(lambda p: density_weights("sld", p))(jnp.array([0.0, 0.0, 1.0]))[2] == pytest.approx([2, 2, 1])


@pytest.mark.slow  # a refusal is for eager calls, which compile every operation
@pytest.mark.parametrize("kind", INFINITE)
def test_a_pure_state_refuses_the_others(kind):
    pure = jnp.diag(jnp.array([1.0, 0.0]))
    change = jnp.array([[0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match="use 'sld'"):
        petz_density(kind)(pure, change)
    assert np.isnan(jax.jit(petz_density(kind))(pure, change)).any()
    with pytest.raises(ValueError, match="rank-deficient"):
        NoisyState((Circuit(1, (rotation("X", 0),)),)).metric(kind).at({"angles": jnp.ones(1)})


def test_noise_that_forgets_everything_leaves_no_metric():
    params = {"angles": ANGLES}
    assert np.abs(matrix(noisy(1.0).metric("sld"), params)).max() < 1e-14


@pytest.mark.slow
def test_weak_noise_tends_to_the_pure_state_linearly():
    params = {"angles": ANGLES}
    wanted = matrix(PureMetric(PURE), params)
    distance = {p: np.abs(matrix(noisy(p).metric("sld"), params) - wanted).max() for p in (1e-3, 1e-5, 1e-7)}
    assert distance[1e-7] < 1e-6
    assert distance[1e-3] / distance[1e-5] == pytest.approx(100, rel=0.05)


def test_more_noise_never_lengthens_a_direction():
    params = {"angles": ANGLES}
    weak, strong = (matrix(noisy(p).metric("sld"), params) for p in (0.1, 0.3))
    assert np.linalg.eigvalsh(weak - strong)[0] > -1e-12


def test_noise_breaks_the_blocks_of_latent_and_angles():
    params = {"latent": jnp.array([0.3, -0.5, 0.4]), "angles": ANGLES}

    def cross(model):
        return np.abs(matrix(model.metric("sld"), params)[: len(ANGLES), len(ANGLES) :]).max()

    assert cross(NoisyState((PURE.circuit,), order=2)) < 1e-13
    assert cross(noisy(0.1, order=2)) > 1e-3


@pytest.mark.slow
def test_hilbert_schmidt_approximates_sld_of_nearly_pure_states():
    """The traces differ by less than the missing purity; over √purity once more it sees the dominant eigenvector."""
    params = {"angles": ANGLES}
    model = noisy(0.01)
    rho = np.asarray(eqx.filter_jit(lambda m, angles: m.density_matrix({"angles": angles}))(model, ANGLES))
    purity = np.trace(rho @ rho).real
    flat = matrix(PullbackMetric(model.density_matrix, hilbert_schmidt), params)
    sld = matrix(model.metric("sld"), params)
    assert 0.9 < purity < 0.99
    assert abs(np.trace(flat) / np.trace(sld) - 1) < (1 - purity) / 2
    # ∂|1⟩ of the dominant eigenvector by perturbation theory: Σ |x⟩⟨x|∂ρ|1⟩/(p₁ − pₓ), whose square is Fubini–Study
    p, V = np.linalg.eigh(rho)
    changes = jax.jit(jax.jacfwd(lambda t: model.density_matrix({"angles": t})))(ANGLES)
    mixed = np.einsum("xa,xyk,y->ak", V[:, :-1].conj(), changes, V[:, -1]) / (p[-1] - p[:-1])[:, None]
    assert np.trace(flat) / np.sqrt(purity) == pytest.approx(4 * np.sum(np.abs(mixed) ** 2), rel=1 - purity)


def test_general_metrics_pass_the_laws():
    model, kind = NoisyState((Circuit(1, (rotation("X", 0), rotation("Z", 0))), depolarizing(0.2, 0))), "wigner_yanase"
    params = {"angles": jnp.array([0.7, -0.4])}
    laws.check_metric(
        model.metric(kind),
        params,
        key=jax.random.key(1),
        in_chart=lambda chart: PullbackMetric(lambda x: model.density_matrix(chart(x)), petz_density(kind)),
    )


NOISE = 0.3  # in PennyLane's convention
POINT = np.array([0.1, 0.2, 0.3, 0.4])


@pytest.fixture(scope="module")
def four():
    """Four rotations with noise on the way."""
    return NoisyState(
        (
            Circuit(2, (rotation("X", 0), rotation("Y", 1))),
            depolarizing(4 / 3 * NOISE, 0),
            Circuit(2, (cnot(0, 1), rotation("Z", 1), rotation("X", 1))),
        )
    )


def test_the_metric_of_a_noisy_circuit_where_pennylane_is_silently_wrong(four):
    """RX, RY, depolarising noise, CNOT, RZ, RX: a quarter of SLD, and what PennyLane 0.45 says.

    It takes covariances of generators in the noisy state, which is right for pure states only; what it warns of is
    another matter, that it does not decompose the channel further.
    """

    @qml.qnode(qml.device("default.mixed", wires=3))  # a third wire: without one, the full metric_tensor refuses
    def circuit(t):
        qml.RX(t[0], wires=0)
        qml.RY(t[1], wires=1)
        qml.DepolarizingChannel(NOISE, wires=0)
        qml.CNOT(wires=[0, 1])
        qml.RZ(t[2], wires=1)
        qml.RX(t[3], wires=1)
        return qml.expval(qml.Z(0) @ qml.Z(1))

    ours = matrix(four.metric("sld"), {"angles": POINT}) / 4
    np.testing.assert_allclose(np.diag(ours), [0.09, 0.25, 0.0107, 0.241], atol=5e-5)
    point = qml.numpy.array(POINT, requires_grad=True)
    match = "DepolarizingChannel does not define a decomposition"
    with pytest.warns(UserWarning, match=match):
        theirs = np.diag(qml.metric_tensor(circuit)(point))
    with pytest.warns(UserWarning, match=match):
        fisher = np.diag(qml.gradients.quantum_fisher(circuit)(point))
    np.testing.assert_allclose(theirs, [0.25, 0.25, 0.1644, 0.2410], atol=5e-5)
    np.testing.assert_allclose(fisher / 4, theirs, atol=1e-12)


def test_the_sld_metric_of_that_circuit_is_that_of_its_equation(four):
    """G from ∂ρ = (Lρ + ρL)/2 solved as a linear system, ∂ρ by central differences of PennyLane-checked states."""
    state = jax.jit(lambda t: four.density_matrix({"angles": t}))
    rho, step = np.asarray(state(POINT)), 1e-6
    changes = [np.asarray(state(POINT + step * e) - state(POINT - step * e)) / (2 * step) for e in np.eye(4)]
    both = (np.kron(rho, np.eye(4)) + np.kron(np.eye(4), rho.T)) / 2
    L = [np.linalg.lstsq(both, change.ravel(), rcond=1e-10)[0].reshape(4, 4) for change in changes]
    wanted = [[np.trace(a @ b).real for b in L] for a in changes]
    np.testing.assert_allclose(matrix(four.metric("sld"), {"angles": POINT}), wanted, atol=1e-8)


def test_channels_that_lose_the_trace_are_refused():
    damped = np.array([[[1, 0], [0, 0.8]], [[0, 0.5], [0, 0]]])
    with pytest.raises(ValueError, match=r"Σ K†K = 1; these miss it by 0\.11"):
        kraus(damped, 0)
    with pytest.raises(ValueError, match=r"Kraus operators \(k, 4, 4\)"):
        kraus(np.eye(2)[None], 0, 1)
    with pytest.raises(ValueError, match="between 0 and 1"):
        depolarizing(1.2, 0)
    with pytest.raises(ValueError, match="does not fit circuits on 2 wires"):
        NoisyState.layered(hea(2, 1), depolarizing(0.1, 2))
    with pytest.raises(ValueError, match="same number of wires"):
        NoisyState((hea(2, 1), hea(3, 1)))
    with pytest.raises(ValueError, match=r"0\.\.2"):
        NoisyState((hea(2, 1),), order=3)
