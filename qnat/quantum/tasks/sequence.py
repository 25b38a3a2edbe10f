"""The spec of sequences of states."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from qnat.experiment.words.spec import Rung, RunSpec
from qnat.experiment.words.wording import sentence

from .bibliography import ENTRIES, entries
from .system import HAMILTONIANS, SystemSpec
from .variational import VariationalSpec

if TYPE_CHECKING:
    from qnat.experiment.task import Task

    from ..problems import LearningTask, ThermalTask

_QUENCHES = {
    "tfim": "field=2",
    "xxz": "anisotropy=2",
    "hubbard": "interaction=8",
    "random": "instance=1",
    "h2": "bond_length=2",
}
_SHAPE = ("hamiltonian", "n", "rows", "columns")
_OPTIONS = [name for name in SystemSpec.model_fields if name not in (*RunSpec.model_fields, *_SHAPE)]


class SequenceSpec(VariationalSpec):
    """Follow a sequence of states, each fitted from the model of the one before it and, to compare, from a random one.

    Every state is a run of its own: a folder inside the folder of the sequence. Element k of a ladder has the k-th
    inverse temperature; of a quench or an open system it is the state at time k * time_step.
    """

    task_name: ClassVar[str] = "sequence"
    ladder: ClassVar[str | None] = "element"
    figure: ClassVar[Literal["comparison", "sequence"]] = "sequence"
    used_with: ClassVar[tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = (
        *VariationalSpec.used_with,
        ("kind", ("ladder",), ("beta_min", "beta_max")),
        ("kind", ("quench", "open"), ("beta", "time_step", "data")),
        ("kind", ("quench",), ("quench",)),
        ("kind", ("open",), ("decay", "trajectories")),
    )

    kind: Literal["ladder", "quench", "open"] = Field(
        "ladder",
        description="ladder: thermal states of one Hamiltonian, ever colder; quench: a thermal state after the "
        "Hamiltonian has changed; open: a thermal state whose qubits decay",
    )
    elements: int = Field(4, ge=2, description="states in the sequence")
    beta_min: float | None = Field(0.5, ge=0, description="inverse temperature of the first rung of a ladder")
    beta_max: float | None = Field(2.25, ge=0, description="of the last rung; those between are evenly spaced")
    beta: float | None = Field(1.0, ge=0, description="inverse temperature of the state at time 0 of quench and open")
    time_step: float | None = Field(0.25, gt=0, description="time between states, in inverse units of energy")
    quench: str | None = Field(
        None,
        description="what changes at time 0, an option of the Hamiltonian and its new value (default "
        + ", ".join(f"{change} of {name}" for name, change in _QUENCHES.items())
        + ")",
    )
    decay: float | None = Field(0.3, ge=0, description="rate at which each qubit of open decays to 1, an inverse time")
    trajectories: int | None = Field(
        None, ge=1, description="average so many quantum jump trajectories (default: solve the master equation)"
    )
    data: Literal["exact", "recursive"] | None = Field(
        "exact", description="exact: the true states; recursive: the model's own previous state, one time step later"
    )
    start: Literal["both", "previous", "random"] = Field(
        "both", description="start each fit from the previous one, at random, or do both"
    )
    first_steps: int | None = Field(None, ge=0, description="optimiser steps of the first state (default: steps)")
    element: int | None = Field(None, ge=0, description="fit this state alone, from a random start (default: all)")

    _previous: Any = PrivateAttr(None)

    @property
    def is_real(self) -> bool:
        """Whether every state of the sequence has a real matrix; dynamics makes them complex."""
        return self.kind == "ladder" and super().is_real

    @property
    def places(self) -> list[float]:
        """The inverse temperatures of a ladder, or the times."""
        if self.kind != "ladder":
            return [k * (self.time_step or 0.0) for k in range(self.elements)]
        low, high = self.beta_min or 0.0, self.beta_max or 0.0
        return [low + (high - low) * k / (self.elements - 1) for k in range(self.elements)]

    @property
    def previous(self) -> Any:
        """Parameters of the model from whose state the data are made; None for exact data."""
        return self._previous

    @property
    def after(self) -> SystemSpec:
        """The Hamiltonian after the quench."""
        name, _, value = (self.quench or "").partition("=")
        if name not in _OPTIONS or not value:
            raise ValueError(
                f"quench is '{self.quench}'; it must be an option of the Hamiltonian with its new value, as in field=2."
            )
        before = {field: getattr(self, field) for field in (*_SHAPE, *_OPTIONS)}
        try:
            return SystemSpec(**(before | {name: value}))
        except ValidationError as error:
            raise ValueError(f"quench: {sentence(error, _OPTIONS)}") from None

    @model_validator(mode="after")
    def _sequence(self) -> Self:
        if self.kind == "ladder" and (self.beta_max or 0.0) <= (self.beta_min or 0.0):
            raise ValueError(f"beta_max is {self.beta_max}; it must be greater than beta_min = {self.beta_min}.")
        if self.kind != "ladder" and self.ansatz == "real":
            raise ValueError(f"ansatz real makes real states, and those of kind {self.kind} are not; choose hea_ring.")
        if self.kind == "quench":
            self._resolve_quench()
        if self.trajectories is not None and not self.decay:
            raise ValueError("trajectories are those of a decay, which is 0; give a decay, or leave trajectories out.")
        if self.first_steps is None:
            self._resolve("first_steps", self.steps)
        if self.element is not None and self.element >= self.elements:
            raise ValueError(f"element is {self.element}; it must be less than elements = {self.elements}.")
        if self.element and self.data == "recursive":
            raise ValueError(f"element {self.element} of recursive data needs the one before it; leave element out.")
        return self

    def _resolve_quench(self) -> None:
        if self.hamiltonian not in HAMILTONIANS:
            raise ValueError("A Hamiltonian from a file has no options that a quench could change; name one.")
        if self.quench is None:
            self._resolve("quench", _QUENCHES[self.hamiltonian])
        after = self.after
        if all(getattr(after, name) == getattr(self, name) for name in _OPTIONS):
            raise ValueError(f"quench {self.quench} changes nothing; give another value.")

    def rungs(self) -> list[Rung] | None:
        """A run for each state and start, in their order; None if this is one of them.

        With recursive data every seed is a chain of its own, because its data are its own.
        """
        if self.element is not None:
            return None
        chains: Sequence[dict[str, int]] = [{}]
        if self.data == "recursive":
            chains = [{"seed": self.seed + k, "seeds": 1} for k in range(self.seeds)]
        starts = ("previous", "random") if self.start == "both" else (self.start,)
        symbol = "β" if self.kind == "ladder" else "t"
        found: dict[str, Rung] = {}
        for chain in chains:
            labels = {"seed": chain["seed"]} if self.seeds > 1 and chain else {}
            for start in starts:
                before: str | None = None
                for k in range(self.elements):
                    how = start if k else "random"
                    names = {"element": k} | labels
                    folder = "_".join(f"{name}={value}" for name, value in (names | {"start": how}).items())
                    follows = start == "previous" or self.data == "recursive"
                    title = f"{symbol} = {self.places[k]:.4g}"
                    one = Rung(folder, self._one(k, chain), names, before if follows else None, how, title)
                    found.setdefault(folder, one)
                    before = folder
        return list(found.values())

    def _one(self, element: int, chain: Mapping[str, int]) -> Self:
        """The spec of one run."""
        steps = self.steps if element else self.first_steps
        return self.model_copy(update={"element": element, "steps": steps, "first_steps": None, **chain})

    def record(self) -> dict[str, Any]:
        """Every resolved field, and of recursive data the steps once more: later data follow, so they may not grow."""
        tied = self.data == "recursive" and self.element is not None
        return super().record() | ({"data_steps": self.steps} if tied else {})

    def following(self, params: Any) -> Self:
        """This run with data made from the state of these parameters, if its data are recursive."""
        if self.data != "recursive":
            return self
        one = self.model_copy()
        one._previous = params  # noqa: SLF001
        return one

    def warm_start(self, params: Any, previous: Self, how: str) -> Any:
        """The state of `previous`; None at random; "scaled" scales the log-density of a ladder as `GibbsSpec` does."""
        if how == "random":
            return None
        if how != "scaled" or self.kind != "ladder" or not previous.places[previous.element or 0]:
            return params
        from .sequence_objects import scaled

        return scaled(self, params, self.places[self.element or 0] / previous.places[previous.element or 0])

    def citations(self) -> Mapping[str, str]:
        """BibTeX entries of the model, the optimiser, the Hamiltonian and the solver."""
        own = {"Johansson2013": ENTRIES["Johansson2013"]} if self.kind == "open" else {}
        return own | dict(entries(self.hamiltonian, self.model, self.optimizer))

    @classmethod
    def problem(cls) -> "type[Task]":
        from ..problems import SequenceTask

        return SequenceTask

    def task(self) -> "ThermalTask | LearningTask":
        """The relative entropy of the model and the state of this element."""
        from .sequence_objects import task

        return task(self)
