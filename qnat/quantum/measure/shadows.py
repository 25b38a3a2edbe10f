"""Classical shadows: every Pauli string from copies measured along random axes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Inexact, Int, PRNGKeyArray

from .counts import Moments, generator, outcome_probabilities

_AXES = "XYZ"


class Shadows(NamedTuple):
    """Snapshots of N copies, each wire of each measured along an axis of its own.

    Attributes:
        axes: (N, n) 0, 1, 2 for X, Y, Z. bits: (N, n) outcomes, 0 for the eigenvalue +1.
    """

    axes: Int[np.ndarray, "N n"]
    bits: Int[np.ndarray, "N n"]


def take_shadows(sigma: Inexact[Array, "d d"], copies: int, *, key: PRNGKeyArray) -> Shadows:
    """Snapshots of simulated copies of σ, the axes uniformly random."""
    if copies < 1:
        raise ValueError(f"copies is {copies}; a shadow needs at least one.")
    random, matrix = generator(key), np.asarray(sigma)
    n = len(matrix).bit_length() - 1
    axes = random.integers(3, size=(copies, n))
    settings, which = np.unique(axes, axis=0, return_inverse=True)
    outcomes = np.empty(copies, dtype=int)
    for k, setting in enumerate(settings):
        mine = np.flatnonzero(which.reshape(-1) == k)
        p = outcome_probabilities(matrix, "".join(_AXES[axis] for axis in setting))
        outcomes[mine] = random.choice(len(p), size=len(mine), p=p)
    return Shadows(axes, outcomes[:, None] >> np.arange(n)[::-1] & 1)


def snapshot_values(shadows: Shadows, strings: Sequence[str]) -> Float[np.ndarray, "N T"]:
    """What every snapshot says of every string: 3^w times its signs if all w axes agree, else 0.

    The mean is ⟨P⟩, since a random axis agrees with probability 1/3, and the variance 3^w − ⟨P⟩².
    """
    values = np.ones((len(shadows.axes), len(strings)))
    for column, string in enumerate(strings):
        for wire, letter in enumerate(string):
            if letter != "I":
                agrees = shadows.axes[:, wire] == _AXES.index(letter)
                values[:, column] *= 3.0 * agrees * (1.0 - 2.0 * shadows.bits[:, wire])
    return values


def estimate_shadows(shadows: Shadows, strings: Sequence[str], *, groups: int = 1) -> Moments:
    """Expectations of Pauli strings, as the median over groups of the means within them.

    One group is the plain mean, the best for a Gaussian error. With K groups the chance that an estimate is off by more
    than 2 standard errors of a group falls as exp(−K/8) or faster, whatever the distribution: K = 8 log(T/δ) makes all
    T strings good at once with probability 1 − δ. The price is the variance of a median: Cov = σᵢσⱼ arcsin(rᵢⱼ)/N with
    the correlations r, so π/2 of that of the mean, for many groups of many times 3^w copies each.

    Args:
        shadows: N snapshots. strings: Pauli strings of any weight. groups: K, 1 ≤ K ≤ N/2.

    Reference: H.-Y. Huang, R. Kueng, J. Preskill, Nature Phys. 16, 1050 (2020).
    """
    values = snapshot_values(shadows, strings)
    copies = len(values)
    if not 1 <= groups <= copies / 2:
        raise ValueError(f"groups is {groups}; {copies} snapshots make between 1 and {copies // 2} groups.")
    covariance = np.atleast_2d(np.cov(values, rowvar=False)) / copies
    if groups == 1:
        return Moments(tuple(strings), values.mean(axis=0), covariance, copies)
    means = [part.mean(axis=0) for part in np.array_split(values, groups)]
    spread = np.sqrt(np.diagonal(covariance))
    scale = np.outer(spread, spread)
    correlation = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
    return Moments(tuple(strings), np.median(means, axis=0), scale * np.arcsin(np.clip(correlation, -1, 1)), copies)
