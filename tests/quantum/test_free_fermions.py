"""The transverse-field Ising chain by free fermions: goldens, diagonalisation, limits."""

import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from qnat.quantum import free_energy_density_tfim, free_fermion_tfim, free_fermion_tfim_observables, tfim, thermal
from qnat.quantum.backends.laws import dense_pauli

FERMIONS = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "tfim_free_fermion.json").read_text())


def test_golden_free_fermions():
    for row in FERMIONS["rows"]:
        for boundary in ("open", "periodic"):
            ours = free_fermion_tfim(
                row["n"], row["beta"], coupling=row["J"], field=row["h"], periodic=boundary == "periodic"
            )
            assert ours.log_z == pytest.approx(row[f"{boundary}_logZ"], rel=1e-12)
            assert ours.free_energy == pytest.approx(row[f"{boundary}_free_energy"], rel=1e-12)
            if f"{boundary}_energy" in row:
                assert ours.energy == pytest.approx(row[f"{boundary}_energy"], rel=1e-10)
    for row in FERMIONS["infinite_chain"]:
        density = free_energy_density_tfim(row["beta"], coupling=row["J"], field=row["h"])
        assert density == pytest.approx(row["f_density"], rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("field", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("periodic", [False, True])
def test_free_fermions_equal_diagonalisation(field, periodic):
    """Also on odd rings and in the cold, where both parity sectors matter."""
    for n, beta in ((7, 5.0), (8, 0.3)):
        exact = thermal(jnp.linalg.eigvalsh(tfim(1, n, field=field, periodic=periodic).matrix()), beta)
        fermions = free_fermion_tfim(n, beta, field=field, periodic=periodic)
        assert fermions.log_z == pytest.approx(float(exact.log_z), rel=1e-12)
        assert fermions.energy == pytest.approx(float(exact.energy), rel=1e-10)
        assert fermions.variance == pytest.approx(float(exact.variance), rel=1e-10, abs=1e-11)


def ring(n, coupling, field):
    """The spectrum of the ring, by diagonalisation."""
    labels = ["".join(letter if site in at else "I" for site in range(n)) for letter, at in ring_terms(n)]
    strengths = [coupling if "Z" in label else field for label in labels]
    return np.linalg.eigvalsh(-sum(c * dense_pauli(label).real for c, label in zip(strengths, labels, strict=True)))


def ring_terms(n):
    return [("Z", {i, (i + 1) % n}) for i in range(n)] + [("X", {i}) for i in range(n)]


@pytest.mark.parametrize("n", [3, 5, 7])
@pytest.mark.parametrize("coupling", [-1.0, -0.4, 1.0])
def test_rings_whose_products_cancel(n, coupling):
    """Odd antiferromagnetic rings in a weak field are frustrated: their four products agree in every digit when cold.

    So do others near |h| = |J|, with either sign of the field. Variances vanish in the cold: their errors are absolute.
    """
    for field in (0.3, -0.3, 0.999, -1.0, 1e-6, 0.0, 2.2):
        levels = ring(n, coupling, field)
        for beta in (1e-3, 0.5, 5.0, 20.0, 25.0, 100.0, 1000.0):
            p = np.exp(-beta * (levels - levels[0]))
            z, excess = p.sum(), p @ (levels - levels[0]) / p.sum()
            found = free_fermion_tfim(n, beta, coupling=coupling, field=field, periodic=True)
            assert found.log_z == pytest.approx(np.log(z) - beta * levels[0], rel=1e-14), (field, beta)
            assert found.energy == pytest.approx(levels[0] + excess, rel=1e-12), (field, beta)
            variance = p @ (levels - levels[0] - excess) ** 2 / z
            assert found.variance == pytest.approx(variance, rel=1e-12, abs=1e-17), (field, beta)
            assert found.variance >= 0


def test_a_frustrated_ring_to_seventeen_digits():
    """Three sites, J = −1, h = 0.3, β = 20, to the digits of a forty-digit diagonalisation."""
    found = free_fermion_tfim(3, 20.0, coupling=-1.0, field=0.3, periodic=True)
    np.testing.assert_allclose(
        found, (33.160858482127128, -1.657409375672908, -33.160858482127128 / 20, 0.00019867112390107195), rtol=1e-12
    )


def test_large_rings_near_their_critical_fields():
    """A ferro- and an antiferromagnet are the same ring if n is even, also where the gap nearly closes at k = π."""
    for field in (0.999999, 1.0):
        ours, other = (free_fermion_tfim(400, 5.0, coupling=j, field=field, periodic=True) for j in (-1.0, 1.0))
        np.testing.assert_allclose(ours, other, rtol=1e-13)


@pytest.mark.parametrize(("n", "beta"), [(0, 1.0), (4, 0.0), (4, -1.0), (4, np.nan), (4, np.inf)])
def test_a_chain_has_sites_and_a_temperature(n, beta):
    with pytest.raises(ValueError, match="at least one site and a finite β > 0"):
        free_fermion_tfim(n, beta)


def test_long_rings_reach_the_infinite_chain():
    ring = free_fermion_tfim(4000, 2.0, periodic=True)
    assert ring.free_energy / 4000 == pytest.approx(free_energy_density_tfim(2.0), rel=1e-12)


def test_a_ring_needs_three_sites():
    with pytest.raises(ValueError, match="periodic=False"):
        free_fermion_tfim(2, 1.0, periodic=True)


@pytest.mark.parametrize(("n", "beta"), [(1, 0.8), (2, 1.3), (6, 0.4), (6, 6.0)])
@pytest.mark.parametrize(("coupling", "field"), [(1.0, 0.5), (-0.8, 1.0), (0.7, -1.7), (1.0, 0.0)])
def test_observables_equal_diagonalisation(n, beta, coupling, field):
    """Ferro- and antiferromagnets, both signs of the field, and the edge modes of h = 0."""

    def state_at(h):
        energies, levels = np.linalg.eigh(tfim(1, n, coupling=coupling, field=h).matrix())
        p = np.exp(-beta * (energies - energies[0]))
        return (levels * (p / p.sum())) @ levels.T

    def at(letter, i):
        return dense_pauli("I" * i + letter + "I" * (n - 1 - i)).real

    found = free_fermion_tfim_observables(n, beta, coupling=coupling, field=field)
    state = state_at(field)
    np.testing.assert_allclose(found.magnetisation_x, [np.sum(state * at("X", i)) for i in range(n)], atol=1e-12)
    wanted = [[np.sum(state * (at("Z", i) @ at("Z", j))) for i in range(n)] for j in range(n)]
    np.testing.assert_allclose(found.correlations_zz, wanted, atol=1e-12)
    total, step = sum(at("X", i) for i in range(n)) / n, 1e-4
    differences = [np.sum((state_at(field + k * step) - state_at(field - k * step)) * total) / step for k in (1, 2)]
    # (4/3) of the short difference less (1/3) of the long one: errors of order step⁴
    slope = (8 * differences[0] - differences[1]) / 12
    assert found.susceptibility_x == pytest.approx(slope, rel=1e-9, abs=1e-9)


def test_observables_agree_with_thermodynamics():
    """At a size that nobody diagonalises: the energy is that of the fields and bonds, the response that of log Z."""
    n, beta, field = 60, 1.4, 0.9
    found = free_fermion_tfim_observables(n, beta, field=field)
    energy = -field * found.magnetisation_x.sum() - np.trace(found.correlations_zz, 1)
    assert energy == pytest.approx(free_fermion_tfim(n, beta, field=field).energy, rel=1e-12)

    def mean(h):
        return free_fermion_tfim_observables(n, beta, field=h).magnetisation_x.mean()

    assert found.susceptibility_x == pytest.approx((mean(field + 1e-4) - mean(field - 1e-4)) / 2e-4, rel=1e-6)


def test_classical_correlations():
    """At h = 0 the Ising chain: ⟨ZᵢZⱼ⟩ = tanh(βJ)^|i−j|."""
    found = free_fermion_tfim_observables(12, 0.6, coupling=1.1, field=0.0)
    distance = np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    np.testing.assert_allclose(found.correlations_zz, np.tanh(0.66) ** distance, atol=1e-14)
    np.testing.assert_allclose(found.magnetisation_x, 0, atol=1e-14)


def test_correlation_length_of_the_ground_state():
    """Inside a long, cold, disordered chain ⟨ZZ⟩ falls as r^(−1/2) (J/h)^r; P. Pfeuty, Ann. Phys. 57, 79 (1970)."""
    found = free_fermion_tfim_observables(80, 100.0, field=1.5).correlations_zz
    assert found[30, 51] / found[30, 50] == pytest.approx((20 / 21) ** 0.5 / 1.5, rel=1e-3)
