"""A problem, complete: where it starts, what it minimises, what is measured, what the right answer is."""

import abc
import types
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from qnat.inference.process import Linearised

from .errors import RefusedError
from .measures import Artifact, Measure, Panel


class Reference(NamedTuple):
    """A value known by other means.

    Attributes:
        value: the number. source: where it comes from. tolerance: how far it can be trusted, absolute.
    """

    value: float | Float[Array, ""]
    source: str
    tolerance: float = 0.0


class Task(eqx.Module):
    """A problem for `qnat.experiment.run`; a subclass defines `name`, `init`, `value_and_grad`, and what else applies.

    Numbers that a sweep varies (temperatures, couplings) should be stored as arrays: they are then inputs of the
    compiled loop, and a whole ladder compiles once.

    What figures, tables and comparisons need to know stands in the class, so that it can be told of a stored run
    without its problem.

    Attributes:
        name: what the task is called.
        measures: curves that tell how good a run is. The first that was recorded judges it; the loss, if none was.
        units: of curves beside the measures, "" for none, in the order in which they are printed.
        panels: how artifacts are drawn.
        costs: curves that say what a step took of something; they are summed where they were recorded.
        starts_traced: whether JAX can trace `init`; False where another library finds the start.
    """

    name: eqx.AbstractVar[str]
    measures: ClassVar[tuple[Measure, ...]] = ()
    units: ClassVar[Mapping[str, str]] = types.MappingProxyType({})
    panels: ClassVar[tuple[Panel, ...]] = ()
    costs: ClassVar[tuple[str, ...]] = ()
    starts_traced: ClassVar[bool] = True

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray) -> PyTree[Array]:
        """The parameters to start from, a pytree of arrays."""

    def skeleton(self) -> Any:
        """The parameters as shapes and types, or those of some start where that is not traced; final."""
        key = jax.random.key(0)
        return jax.eval_shape(self.init, key) if self.starts_traced else self.init(key)

    @abc.abstractmethod
    def value_and_grad(
        self, params: PyTree[Array], batch: Any = None, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, ""], PyTree[Array]]:
        """The loss and its gradient (or an honest estimate of either) in the shape of `params`."""

    def linearise(self, params: PyTree[Array], batch: Any = None, key: PRNGKeyArray | None = None) -> Linearised:
        """Value, gradient and the metric of the default geometry, for models in which one sweep gives all three.

        A task whose value is an estimate may add what the trials of this step are judged by.
        """
        geometry = next(iter(self.metrics.values()))
        return Linearised(*self.value_and_grad(params, batch, key), geometry.at(params, batch, key=key))

    def evaluate(self, params: PyTree[Array]) -> dict[str, Float[Array, ""]]:
        """Scalars worth a curve, by name."""
        return {}

    def artifacts(self, params: PyTree[Array]) -> Mapping[str, Array | Artifact]:
        """Arrays worth keeping of the final parameters, by name; an `Artifact` each whose axes have a meaning."""
        return {}

    def trouble(self, params: PyTree[Array]) -> str:
        """Why there is no loss at these parameters and what to do, as a sentence; "" if that is not known."""
        return ""

    def trained(self, params: PyTree[Array]) -> Any:
        """What a user works with once these parameters are found: an object that predicts, samples or is measured."""
        raise RefusedError(f"The task '{self.name}' has no model to give; define its `trained`.")

    def batches(self, key: PRNGKeyArray, start: int = 0) -> Iterator[Any] | None:
        """Endless batches of data, from that of step `start` on; None if every step sees the whole problem."""
        return None

    @property
    def traceable(self) -> bool:
        """Whether JAX can trace `value_and_grad`; False for a simulator outside JAX, and steps are then Python's."""
        return True

    @property
    def judges(self) -> tuple[Measure, ...]:
        """`measures`, with what each is `of` where that differs between the problems of the class."""
        return self.measures

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The geometries that mean something here, by name; the first is the default."""
        return {}

    @property
    def reference(self) -> Mapping[str, Reference]:
        """Exact or published values. One named "loss" gives the progress display its gap if no exact measure does."""
        return {}
