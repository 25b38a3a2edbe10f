"""Local observables of a rotated mixture from a few vectors, with standard errors."""

import itertools

import jax.numpy as jnp

from qnat.experiment.measures import ERROR, Artifact

from ..models import LatentGibbs
from ..models.latent import Params
from ..operators.hamiltonians import string_at
from ..operators.pauli import PauliSum
from .vectors import Draw, expectations


def vector_observables(model: LatentGibbs, params: Params, drawn: Draw) -> dict[str, Artifact]:
    """Magnetisations ⟨Xᵢ⟩, ⟨Zᵢ⟩ (2n,) and correlations ⟨ZᵢZⱼ⟩ (n, n), and the standard errors of each."""
    n = model.circuit.n
    sites = [(letter, i) for letter in "XZ" for i in range(n)]
    pairs = list(itertools.combinations(range(n), 2))
    strings = [string_at(letter, (i,), n) for letter, i in sites] + [string_at("ZZ", pair, n) for pair in pairs]
    found = expectations(model, params, PauliSum.from_strings(strings), drawn)
    along = {"site": [f"{letter}{i}" for letter, i in sites]}
    artifacts: dict[str, Artifact] = {}
    for ending, values, diagonal in (("", found.value, 1.0), (ERROR, found.standard_error, 0.0)):
        rows, columns = jnp.asarray(pairs, int).T
        upper = jnp.zeros((n, n), values.dtype).at[rows, columns].set(values[2 * n :])
        square = {"qubit_i": range(n), "qubit_j": range(n)}
        artifacts[f"magnetisations{ending}"] = Artifact(values[: 2 * n], ("site",), along)
        artifacts[f"correlations_zz{ending}"] = Artifact(
            upper + upper.T + diagonal * jnp.eye(n), ("qubit_i", "qubit_j"), square
        )
    return artifacts
