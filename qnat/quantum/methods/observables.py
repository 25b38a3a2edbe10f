"""What a physicist plots of a thermal state: densities, responses, correlations, local marginals."""

import itertools

import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact

from qnat.geometry.hermitian import dot, log_mean

from ..operators.hamiltonians import string_at
from ..operators.pauli import PauliSum


def thermal_observables(
    log_p: Float[Array, " d"],
    basis: Inexact[Array, "d d"],
    hamiltonian: Inexact[Array, "d d"],
    beta: float | Float[Array, ""],
) -> dict[str, Array]:
    """Observables of ρ = Σ p |v⟩⟨v| on n qubits, for a trained state as for the exact one; works inside jit.

    Scalars are per qubit, which is per site where a site is one qubit; of `hubbard` it is two. The two responses belong
    to a ρ that is thermal; of a trained state they are what its own fluctuations say.

    Args:
        log_p: log-eigenvalues of ρ. basis: its eigenvectors, columns.
        hamiltonian: H. beta: inverse temperature, in inverse units of energy.

    Returns:
        By name: `energy_density` ⟨H⟩/n; `specific_heat` β² (⟨H²⟩ − ⟨H⟩²)/n, which is −β² ∂⟨H⟩/∂β/n where ρ is thermal;
        `magnetisation_x`, `magnetisation_z` mₐ = ⟨Mₐ⟩/n, Mₐ = Σᵢ σᵢᵃ; `susceptibility_x`, `susceptibility_z`
        β Cov(Mₐ, Mₐ)/n with the Bogoliubov–Kubo–Mori covariance, the isothermal ∂mₐ/∂h of the Gibbs state of H − h Mₐ,
        in 1/energy; `correlations_zz` (n, n) ⟨ZᵢZⱼ⟩, magnetisations not subtracted; `bloch_vectors` (n, 3) ⟨Xᵢ⟩, ⟨Yᵢ⟩,
        ⟨Zᵢ⟩, so that the marginal of qubit i is (1 + ⟨Xᵢ⟩X + ⟨Yᵢ⟩Y + ⟨Zᵢ⟩Z)/2.
    """
    n = log_p.size.bit_length() - 1
    p = jnp.exp(log_p)
    moved = dot(hamiltonian, basis)
    energy = p @ jnp.sum((basis.conj() * moved).real, axis=0)
    variance = p @ jnp.sum(jnp.abs(moved - energy * basis) ** 2, axis=0)
    pairs = list(itertools.combinations(range(n), 2))
    strings = [string_at(a, (i,), n) for i in range(n) for a in "XYZ"] + [string_at("ZZ", pair, n) for pair in pairs]
    local = _expectations(log_p, basis, strings)
    bloch = local[: 3 * n].reshape(n, 3)
    rows, columns = jnp.asarray(pairs, int).reshape(-1, 2).T
    upper = jnp.zeros((n, n), local.dtype).at[rows, columns].set(local[3 * n :])
    found = {"energy_density": energy / n, "specific_heat": beta**2 * variance / n}
    for a, mean in (("x", bloch[:, 0].mean()), ("z", bloch[:, 2].mean())):
        total = PauliSum.from_strings([string_at(a.upper(), (i,), n) for i in range(n)])
        centred = dot(basis.conj().T, total.apply(basis)) - n * mean * jnp.eye(p.size)
        covariance = jnp.sum(log_mean(log_p[:, None], log_p[None, :]) * jnp.abs(centred) ** 2)
        found |= {f"magnetisation_{a}": mean, f"susceptibility_{a}": beta * covariance / n}
    return found | {"correlations_zz": upper + upper.T + jnp.eye(n), "bloch_vectors": bloch}


def _expectations(log_p: Float[Array, " d"], basis: Inexact[Array, "d d"], strings: list[str]) -> Float[Array, " T"]:
    """Tr(ρ Pⱼ) of Pauli strings in the state with these log-eigenvalues and eigenvectors."""
    planes = [basis.real, basis.imag] if jnp.iscomplexobj(basis) else [basis]
    states = jnp.stack([plane.T for plane in planes], axis=-1)
    return jnp.exp(log_p) @ PauliSum.from_strings(strings).string_expectations_planes(states)
