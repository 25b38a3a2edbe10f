"""The spec of variational Gibbs sampling."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from qnat.experiment.errors import RefusedError
from qnat.experiment.words.parts import Only
from qnat.experiment.words.values import EXACT

from .variational import Natural, VariationalSpec
from .vectors import check_vectors, chosen, defaults, described, vector_descent, vector_task

Shots = Annotated[
    int | None, Only("model", ("qhbm",)), Only("optimizer", ("natural", "adam", "sgd")), Field(ge=1, le=EXACT)
]


def _idle(name: str) -> str:
    return f"{name} is not used with states dense; leave it out, or choose states vectors."


class GibbsSpec(VariationalSpec):
    """Train a thermal state exp(-beta H)/Z and compare it with the exact one.

    Energies are in the units of the Hamiltonian's coefficients, beta in their inverse; angles in radians.
    """

    task_name: ClassVar[str] = "gibbs"
    ladder: ClassVar[str | None] = "beta"
    titled = ("hamiltonian", "periodic", "n", "beta", "model", "optimizer", "shots")
    axis = "β (1/energy)"
    added = ("states", "strings", "vectors")
    trains = "qnat.quantum.problems:ThermalTask"

    beta: float = Field(1.0, ge=0, description="inverse temperature, in inverse units of energy")
    shots: Shots = Field(
        None, description="shots of a measurement; loss, gradient and metric are then estimates (default: exact)"
    )
    states: Literal["dense", "vectors"] = Field(
        "dense",
        description="density matrices, or vectors of random signs with errors (above 10 qubits, unless given)",
    )
    strings: int | None = Field(
        None,
        ge=0,
        le=EXACT,
        description="most probable bit strings, summed over exactly beside vectors (default 64)",
    )
    vectors: int | None = Field(None, ge=2, le=EXACT, description="vectors of random signs a step (default 16)")
    observables: bool = Field(False, description="also record thermal observables of the model and the exact state")

    @classmethod
    def unused(cls, values: Mapping[str, Any]) -> dict[str, str]:
        # no `Only`: without a word it is n that tells how states are held
        idle = {name: _idle(name) for name in ("strings", "vectors") if values.get("states") == "dense"}
        return super().unused(values) | idle

    @model_validator(mode="after")
    def _sampled(self) -> Self:
        if self.shots is None or not isinstance(self.optimizer, Natural):
            return self
        if self.optimizer.metric != "bkm" or self.optimizer.blocks != "full":
            raise ValueError(
                "Shots estimate the whole bkm metric; leave metric and blocks out, or leave shots out for the others."
            )
        # noise of the gradient, divided by small eigenvalues, would carry the default of the exact method away
        modest = {"learning_rate": 0.3, "damping": 1.0}
        self._set(**{name: modest[name] for name in modest.keys() - self.optimizer.model_fields_set})
        return self

    def _check_states(self, parameters: int) -> None:
        """Density matrices or vectors, whichever are asked for; by default what is exact, where it is small."""
        resolved = chosen(self)
        self._set(states=resolved)
        if resolved == "dense":
            if given := [name for name in ("strings", "vectors") if getattr(self, name) is not None]:
                raise ValueError(_idle(given[0]))
            try:
                super()._check_states(parameters)
            except RefusedError as error:
                raise RefusedError(f"{str(error)[:-1]}{described(self)}.") from None
            return
        self._set(**defaults(self))
        check_vectors(self)

    def _in_matrix(self, parameters: int) -> int:
        return 0 if self.states == "vectors" else super()._in_matrix(parameters)  # products will do

    def multiplied(self) -> dict[str, float]:
        return super().multiplied() | {"energies times beta": self.beta}

    def warm_start(self, params: Any, previous: Self, how: str) -> Any:
        """The state of `previous`, its log-density scaled by the ratio of the betas or as it is.

        If ρ is thermal at β, then ρ^(β'/β) is at β', so a scaled start has no error of its own. At β = 0, where K = 0,
        there is nothing to scale, and the start is plain.
        """
        return self.scaled(params, self.beta / previous.beta if how == "scaled" and previous.beta > 0 else 1.0)

    def task(self, previous: Any = None) -> Any:
        """The free energy of the model, or an estimate of it."""
        from ..problems import SampledThermalTask, ThermalTask

        operator = self.operator()
        family = self.family(operator)
        if self.states == "vectors":
            return vector_task(self, family, operator)
        if self.shots is None:
            return ThermalTask(family, operator, self.beta, observables=self.observables)
        try:
            return SampledThermalTask(family, operator, self.beta, shots=self.shots)
        except ValueError as error:  # too few for the settings of this Hamiltonian
            raise RefusedError(str(error)) from None

    def transform(self, task: Any) -> Any:
        """The optimiser for that task; an estimated loss is no judge of steps, so that all are taken."""
        if self.shots is not None and isinstance(self.optimizer, Natural):
            return self.optimizer.build(task, accept=None)
        if self.states == "vectors" and isinstance(self.optimizer, Natural):
            return vector_descent(self.optimizer, task)
        return super().transform(task)
