"""A two-qubit circuit with a latent distribution: its metrics, the pure limit, and what channels do to metrics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qnat.geometry import PullbackMetric, chentsov, fubini_study, gibbs_state, hilbert_schmidt, laws, monotone_metric

KINDS = {
    "SLD": "sld",
    "WY": "wigner_yanase",
    "BKM": "bkm",
    "GEO": "geometric",
    "HARM": "harmonic",
    "WYD0.25": "wyd:0.25",
    "SAND2": "sandwiched:2",
    "SAND0.75": "sandwiched:0.75",
    "SAND0.3": "sandwiched:0.3",
    "SAND0.2": "sandwiched:0.2",
}
SPINS = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])  # s₀, s₁, s₀s₁


@pytest.fixture(scope="module")
def unitary(paulis):
    """U = CNOT RX₁ RX₀ CNOT RY₁ RY₀, the rightmost first, RP(t) = exp(−itP/2)."""
    cnot = np.eye(4)[[0, 1, 3, 2]]
    y0, y1, x0, x1 = paulis("YI", "IY", "XI", "IX")

    def build(angles):
        rotations = [
            jnp.cos(t / 2) * np.eye(4) - 1j * jnp.sin(t / 2) * P for t, P in zip(angles, (y0, y1, x0, x1), strict=True)
        ]
        return cnot @ rotations[3] @ rotations[2] @ cnot @ rotations[1] @ rotations[0]

    return build


def test_state_and_metrics_of_the_circuit(golden, unitary):
    stored = golden("metrics_qhbm")
    params = np.array(stored["params"])

    def log_density(params):
        U = unitary(params[3:])
        return (U * -(SPINS @ params[:3])) @ U.conj().T

    @jax.jit
    def described(params):
        kinds = {label: KINDS[label] for label in stored["metrics"]}
        metrics = {label: monotone_metric(log_density, params, kind).as_matrix() for label, kind in kinds.items()}
        return gibbs_state(log_density(params)), metrics

    state, metrics = jax.tree.map(np.asarray, described(params))
    rho = np.array(stored["rho"]["re"]) + 1j * np.array(stored["rho"]["im"])
    np.testing.assert_allclose(state, rho, atol=1e-14)
    for label, wanted in stored["metrics"].items():
        found = metrics[label]
        np.testing.assert_allclose(found, wanted, atol=1e-10 * np.linalg.norm(wanted))
        # moving eigenvalues and moving the eigenframe are orthogonal in every monotone metric
        assert np.abs(found[:3, 3:]).max() < 1e-14


@pytest.mark.slow
def test_pure_limit(golden, unitary):
    """Latent energies t(s₀ + s₁ − s₀s₁/2); traces of circuit blocks, over Fubini–Study of the dominant eigenvector."""
    angles = np.array(golden("metrics_qhbm")["params"][3:])
    energies = SPINS @ np.array([1.0, 1.0, -0.5])

    @jax.jit
    def quantities(t):
        log_p = jax.nn.log_softmax(-t * energies)

        def log_density(a):
            return (unitary(a) * log_p) @ unitary(a).conj().T

        def state(a):
            return gibbs_state(log_density(a))

        blocks = [
            jnp.trace(monotone_metric(log_density, angles, k).as_matrix()) for k in ("sld", "wigner_yanase", "bkm")
        ]
        pure = jnp.trace(PullbackMetric(lambda a: unitary(a)[:, 3], fubini_study).at(angles).as_matrix())
        purity = jnp.sum(jnp.exp(2 * log_p))
        flat = jnp.trace(PullbackMetric(state, hilbert_schmidt).at(angles).as_matrix())
        return {
            "p_max": jnp.exp(jnp.max(log_p)),
            "SLD/FS": blocks[0] / pure,
            "WY/FS": blocks[1] / pure,
            "BKM/FS": blocks[2] / pure,
            "log_inv_pmin": -jnp.min(log_p),
            "purity": purity,
            "HS2_over_sqrt_purity_over_SLD": flat / blocks[0],
        }

    for row in golden("limits")["pure_limit"]:
        found = quantities(row["t"])
        for name, value in found.items():
            assert value == pytest.approx(row[name], rel=1e-10), (row["t"], name)
    assert found["SLD/FS"] == pytest.approx(4, rel=1e-10)
    assert found["WY/FS"] == pytest.approx(8, rel=1e-6)


def squared_length(kind, rho, tangent):
    p, V = np.linalg.eigh(rho)
    weights = np.asarray(chentsov(kind, np.log(p)[:, None], np.log(p)[None, :]))
    return float(np.sum(weights * np.abs(V.conj().T @ tangent @ V) ** 2))


def test_stored_channel_that_increases_a_metric_which_is_not_monotone(golden):
    stored = golden("limits")["nonmonotone_example_SAND0.2"]
    rho, tangent, kraus = (np.array(stored[k]["re"]) + 1j * np.array(stored[k]["im"]) for k in ("rho", "A", "kraus"))
    np.testing.assert_allclose(sum(k.conj().T @ k for k in kraus), np.eye(2), atol=1e-14)

    def ratio(kind):
        after = [sum(k @ m @ k.conj().T for k in kraus) for m in (rho, tangent)]
        return squared_length(kind, *after) / squared_length(kind, rho, tangent)

    assert ratio("sandwiched:0.2") == pytest.approx(stored["ratio"], rel=1e-10)
    assert ratio("sandwiched:0.2") == pytest.approx(golden("limits")["max_contraction_ratio"]["SAND0.2"], rel=1e-10)
    for kind in ("sld", "wigner_yanase", "bkm", "geometric", "harmonic", "wyd:0.25", "sandwiched:0.75"):
        assert ratio(kind) <= 1


def test_channels_contract_exactly_the_metrics_that_the_stored_search_found_contracting(golden):
    for label, largest in golden("limits")["max_contraction_ratio"].items():
        key = jax.random.key(7)
        if largest <= 1:
            laws.check_monotone(KINDS[label], key=key)
        else:
            with pytest.raises(AssertionError, match="not monotone"):
                laws.check_monotone(KINDS[label], key=key)
