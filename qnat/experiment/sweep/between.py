"""What is exact between the runs of a ladder."""

from collections.abc import Sequence

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from ..loop.artifacts import labelled
from ..measures import EXACT
from ..task import Task
from ..words.spec import RunSpec


def exact_scalars(spec: RunSpec, ladder: str, values: Sequence[float]) -> dict[str, Float[np.ndarray, " values"]]:
    """The scalars that the task of a spec calls exact, at other values of its ladder."""
    tasks = (spec.replaced(**{ladder: value}).task() for value in values)
    found = [_compiled(task) if task.traceable else _scalars(task) for task in tasks]
    return {name: np.array([each[name] for each in found]) for name in found[0]}


def _scalars(task: Task) -> dict[str, Array]:
    """Of parameters to start from, which exact values do not depend on."""
    arrays, _ = labelled(task.artifacts(task.init(jax.random.key(0))))
    return {name: array for name, array in arrays.items() if name.startswith(EXACT) and array.ndim == 0}


_compiled = eqx.filter_jit(_scalars)
