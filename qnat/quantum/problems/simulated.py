"""Hamiltonian learning from data that are simulated: the state itself, counts, shadows."""

from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Array

from qnat.geometry.hermitian import gibbs_state

from ..measure.counts import Moments, covering_settings, estimate, measure
from ..measure.shadows import estimate_shadows, take_shadows
from ..models import GibbsFamily, LatentGibbs
from ..operators.pauli import PauliSum
from .learning import LearningTask

_DATA_STREAM = 101  # of the seed, apart from those of the training loop


def simulated(
    model: GibbsFamily | LatentGibbs,
    hamiltonian: PauliSum,
    beta: float,
    data: Literal["exact", "counts", "shadows"],
    *,
    seed: int,
    shots: int = 0,
    groups: int = 1,
    **fit: Any,
) -> LearningTask:
    """Learn exp(−βH)/Z from the state itself, from counts of settings that cover the model, or from shadows.

    Args:
        model: the states to learn with, an exponential family for counts and shadows. hamiltonian: H. beta: β.
        data: what is known. seed: of the measurements. shots: copies, in all. groups: of the median of shadows.
        fit: `subset` and `ridge` of `LearningTask`.

    Raises:
        ValueError: too few shots, or no state has the moments that were found.
    """
    sigma = gibbs_state(-beta * hamiltonian.matrix())
    if not isinstance(model, GibbsFamily):
        return LearningTask(model, sigma, beta=beta)
    assert isinstance(model.generators, PauliSum)
    strings, key = model.generators.strings, jax.random.fold_in(jax.random.key(seed), _DATA_STREAM)
    couplings = dict(zip(hamiltonian.strings, np.asarray(hamiltonian.coefficients), strict=True))
    theta = np.array([-beta * couplings.get(string, 0.0) for string in strings])
    known: Moments | Array = sigma
    if data == "shadows":
        known = estimate_shadows(take_shadows(sigma, shots, key=key), strings, groups=groups)
    elif data == "counts":
        settings = covering_settings(strings)
        if shots < 2 * len(settings):
            least = f"the {len(settings)} settings that cover the model need at least two each"
            raise ValueError(f"shots is {shots}; {least}.")
        known = estimate(measure(sigma, settings, shots // len(settings), key=key), strings)
    return LearningTask(model, known, truth=sigma, theta_true=theta, beta=beta, **fit)


def first_fitted(
    pretrain: Literal["one-qubit", "hamiltonian"] | None, strings: tuple[str, ...], terms: tuple[str, ...]
) -> tuple[int, ...] | None:
    """Which of the strings are fitted first: those on one qubit, or the terms of the Hamiltonian; None for no such."""
    if pretrain is None:
        return None
    if pretrain == "hamiltonian":
        return tuple(a for a, string in enumerate(strings) if string in terms)
    one_qubit = tuple(a for a, string in enumerate(strings) if len(string) - string.count("I") == 1)
    if not one_qubit:
        raise ValueError("pretrain is one-qubit, but no generator acts on a single qubit; choose generators local.")
    return one_qubit
