"""The task that a LearningSpec describes."""

import jax
import numpy as np
from jaxtyping import Array, Inexact, PyTree

from qnat.experiment.errors import RefusedError
from qnat.geometry.hermitian import gibbs_state

from ..measure.counts import Moments, covering_settings, estimate, measure
from ..measure.shadows import estimate_shadows, take_shadows
from ..models import GibbsFamily, LatentGibbs
from ..operators.pauli import PauliSum
from ..problems.learning import LearningTask
from .learning import LearningSpec
from .system_objects import hamiltonian
from .variational_objects import model as variational_model

_DATA_STREAM = 101  # of the seed, apart from those of the training loop


def model(spec: LearningSpec, operator: PauliSum) -> LatentGibbs | GibbsFamily:
    """The family of states."""
    if spec.generators != "hamiltonian":
        return variational_model(spec, operator)
    return GibbsFamily(PauliSum.from_strings([string for string in operator.strings if set(string) != {"I"}]))


def task(spec: LearningSpec) -> LearningTask:
    """The relative entropy of the model from the state of the data.

    Raises:
        RefusedError: the data do not measure the model, or no state has their moments.
    """
    operator = hamiltonian(spec)
    states = model(spec, operator)
    try:
        if spec.counts is not None:
            assert isinstance(states, GibbsFamily)
            strings = _strings(states)
            found = estimate(spec.counts, strings)
            return LearningTask(states, found, subset=_subset(spec, strings, operator), ridge=spec.ridge or 0.0)
        beta = spec.beta or 0.0
        sigma = gibbs_state(-beta * operator.matrix())
        if not isinstance(states, GibbsFamily):
            return LearningTask(states, sigma)
        strings = _strings(states)
        couplings = dict(zip(operator.strings, np.asarray(operator.coefficients), strict=True))
        theta = np.array([-beta * couplings.get(string, 0.0) for string in strings])
        return LearningTask(
            states,
            sigma if spec.data == "exact" else _measured(spec, sigma, strings),
            truth=sigma,
            theta_true=theta,
            subset=_subset(spec, strings, operator),
            ridge=spec.ridge or 0.0,
        )
    except ValueError as error:
        raise RefusedError(str(error)) from None


def scaled(spec: LearningSpec, params: PyTree[Array], factor: float) -> PyTree[Array]:
    """The parameters of ρ^factor, normalised."""
    found = model(spec, hamiltonian(spec))
    return factor * params if isinstance(found, GibbsFamily) else found.scaled(params, factor)


def _strings(family: GibbsFamily) -> tuple[str, ...]:
    assert isinstance(family.generators, PauliSum)
    return family.generators.strings


def _subset(spec: LearningSpec, strings: tuple[str, ...], operator: PauliSum) -> tuple[int, ...] | None:
    """Which strings are fitted first."""
    if spec.pretrain is None:
        return None
    if spec.pretrain == "hamiltonian":
        return tuple(a for a, string in enumerate(strings) if string in operator.strings)
    one_qubit = tuple(a for a, string in enumerate(strings) if len(string) - string.count("I") == 1)
    if not one_qubit:
        raise ValueError("pretrain is one-qubit, but no generator acts on a single qubit; choose generators local.")
    return one_qubit


def _measured(spec: LearningSpec, sigma: Inexact[Array, "d d"], strings: tuple[str, ...]) -> Moments:
    """What simulated copies say of the strings."""
    key = jax.random.fold_in(jax.random.key(spec.seed), _DATA_STREAM)
    shots = spec.shots or 0
    if spec.data == "shadows":
        return estimate_shadows(take_shadows(sigma, shots, key=key), strings, groups=spec.groups or 1)
    settings = covering_settings(strings)
    if shots < 2 * len(settings):
        raise ValueError(f"shots is {shots}; the {len(settings)} settings that cover the model need at least two each.")
    return estimate(measure(sigma, settings, shots // len(settings), key=key), strings)
