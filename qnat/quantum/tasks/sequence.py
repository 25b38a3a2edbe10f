"""The spec of sequences of states."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError, model_validator

from qnat.experiment.bounds import check_memory, check_time
from qnat.experiment.errors import RefusedError
from qnat.experiment.reading import shown
from qnat.experiment.words.parts import Part
from qnat.experiment.words.sentence import sentence
from qnat.experiment.words.spec import Rung, check_record

from ..operators.sizes import dense_bits
from .system import Size, SystemSpec
from .variational import VariationalSpec

_DAY = 86400.0
_TRAJECTORY_SECONDS = 1e-3
_RADIANS, _TURNS = 1e15, 1e4
_SHAPE = ("rows", "columns")
_OPTIONS = [name for name, option in SystemSpec.options().items() if option.choice and name not in _SHAPE]


class Ladder(Part):
    """Thermal states of one Hamiltonian, ever colder."""

    symbol: ClassVar[str] = "β"
    name: Literal["ladder"] = "ladder"
    beta_min: float = Field(0.5, ge=0, description="inverse temperature of the first rung of a ladder")
    beta_max: float = Field(2.25, ge=0, description="of the last rung; those between are evenly spaced")

    @model_validator(mode="after")
    def _colder(self) -> Self:
        if self.beta_max <= self.beta_min:
            raise ValueError(f"beta_max is {self.beta_max}; it must be greater than beta_min = {self.beta_min}.")
        return self

    def places(self, elements: int) -> list[float]:
        """The inverse temperatures."""
        return [self.beta_min + (self.beta_max - self.beta_min) * k / (elements - 1) for k in range(elements)]


class Evolution(Part):
    """A thermal state, and what becomes of it."""

    symbol: ClassVar[str] = "t"
    beta: float = Field(1.0, ge=0, description="inverse temperature of the state at time 0")
    time_step: float = Field(0.25, gt=0, description="time between states, in inverse units of energy")
    data: Literal["exact", "recursive"] = Field(
        "exact", description="exact: the true states; recursive: the model's own previous state, one time step later"
    )

    def places(self, elements: int) -> list[float]:
        """The times."""
        return [k * self.time_step for k in range(elements)]


class Quench(Evolution):
    """A thermal state after the Hamiltonian has changed."""

    name: Literal["quench"] = "quench"
    quench: str | None = Field(
        None,
        description="what changes at time 0, an option of the Hamiltonian and its new value (default field=2 of tfim, "
        "anisotropy=2 of xxz, interaction=8 of hubbard, instance=1 of random, bond_length=2 of h2)",
    )

    def build(self, spec: "SequenceSpec") -> Any:
        """The dynamics."""
        from ..problems.sequence import closed

        return closed(spec.after.operator())


class Open(Evolution):
    """A thermal state whose qubits decay."""

    cites = ("Johansson2013",)
    name: Literal["open"] = "open"
    decay: float = Field(0.3, ge=0, description="rate at which each qubit decays to 1, an inverse time")
    trajectories: int | None = Field(
        None, ge=1, description="average so many quantum jump trajectories (default: solve the master equation)"
    )

    @model_validator(mode="after")
    def _decays(self) -> Self:
        if self.trajectories is not None and not self.decay:
            raise ValueError("trajectories are those of a decay, which is 0; give a decay, or leave trajectories out.")
        return self

    def build(self, spec: "SequenceSpec") -> Any:
        """The dynamics."""
        from ..problems.sequence import decaying

        element = spec.element if self.data == "recursive" else None
        return decaying(spec.operator(), self.decay, self.trajectories, seed=spec.seed, element=element)


class SequenceSpec(VariationalSpec):
    """Follow a sequence of states, each fitted from the model of the one before it and, to compare, from a random one.

    Every state is a run of its own: a folder inside the folder of the sequence. Element k of a ladder has the k-th
    inverse temperature; of a quench or an open system it is the state at time k * time_step.
    """

    task_name: ClassVar[str] = "sequence"
    ladder: ClassVar[str | None] = "element"
    figure: ClassVar[Literal["comparison", "sequence"]] = "sequence"
    titled = ("hamiltonian", "periodic", "n", "kind", "data", "model", "optimizer")
    trains = "qnat.quantum.problems:SequenceTask"

    kind: Ladder | Quench | Open = Ladder()
    elements: int = Field(4, ge=2, description="states in the sequence")
    start: Literal["both", "previous", "random"] = Field(
        "both", description="start each fit from the previous one, at random, or do both"
    )
    first_steps: int | None = Field(None, ge=0, description="optimiser steps of the first state (default: steps)")
    element: int | None = Field(None, ge=0, description="fit this state alone, from a random start (default: all)")

    def multiplied(self) -> dict[str, float]:
        coldest = self.kind.beta_max if isinstance(self.kind, Ladder) else self.kind.beta
        return super().multiplied() | {"energies times beta": coldest}

    def size(self) -> Size:
        size = super().size()
        return size._replace(is_real=size.is_real and self.kind.name == "ladder")  # dynamics makes states complex

    @property
    def places(self) -> list[float]:
        """The inverse temperatures of a ladder, or the times."""
        return self.kind.places(self.elements)

    @property
    def after(self) -> SystemSpec:
        """The Hamiltonian after the quench."""
        name, _, value = (self.quench or "").partition("=")
        if name not in _OPTIONS or not value:
            raise ValueError(
                f"quench is '{shown(self.quench, 60)}'; it must be an option of the Hamiltonian with its new "
                "value, as in field=2."
            )
        before = {word: value for word, value in self.words().items() if word in (*_SHAPE, *_OPTIONS)}
        try:
            return SystemSpec(hamiltonian=self.hamiltonian.name, n=self.n, **(before | {name: value}))
        except ValidationError as error:
            raise ValueError(f"quench: {sentence(error, _OPTIONS)}") from None

    @model_validator(mode="after")
    def _sequence(self) -> Self:
        if self.kind.name != "ladder" and self.ansatz == "real":
            raise ValueError(
                f"ansatz real makes real states, and those of kind {self.kind.name} are not; choose hea_ring."
            )
        chains = self.seeds if self.data == "recursive" else 1
        runs = (self.elements * (1 + (self.start == "both")) - (self.start == "both")) * chains
        what = f"To make {runs} runs, for elements = {self.elements}, a second each,"
        check_time(runs, 1.0, what, "choose fewer elements", most=_DAY)
        if self.kind.name == "quench":
            self._check_quench()
        if isinstance(self.kind, Evolution):
            self._check_times(self.kind)
        if "first_steps" not in self.model_fields_set:
            self._set(first_steps=self.steps)
        check_record(self.first_steps or 0, self.seeds)
        if self.element is not None and self.element >= self.elements:
            raise ValueError(f"element is {self.element}; it must be less than elements = {self.elements}.")
        if self.element and self.data == "recursive" and self.first_steps is not None:  # those of `rungs` have none
            raise ValueError(f"element {self.element} of recursive data needs the one before it; leave element out.")
        return self

    def _check_quench(self) -> None:
        if not self.hamiltonian.quench:
            raise ValueError("A Hamiltonian from a file has no options that a quench could change; name one.")
        self._set(quench=self.quench or self.hamiltonian.quench)
        if self.after.hamiltonian == self.hamiltonian:
            raise ValueError(f"quench {self.quench} changes nothing; give another value.")

    def _check_times(self, kind: Evolution) -> None:
        """Refuses times over which nothing is known any more, or that a solver does not reach."""
        bits = math.log2(3 * self.elements) + dense_bits(self.n)
        check_memory(bits, f"The states of elements = {self.elements}", "choose fewer elements")
        energy = max(self.size().energy, self.after.size().energy if kind.name == "quench" else 0.0)
        if not (phase := energy * kind.time_step * self.elements) <= _RADIANS:
            raise ValueError(
                f"Energies times the last time reach {phase:.3g}, and double precision knows no angle above "
                f"{_RADIANS:.0e}; choose a smaller time_step."
            )
        if isinstance(kind, Open):
            if not (turns := (energy + self.n * kind.decay) * kind.time_step) <= _TURNS:
                raise ValueError(
                    f"Energies and decay times time_step reach {turns:.3g}, and the solver takes at most "
                    f"{_TURNS:.0e} between two states; choose a smaller time_step."
                )
            what = f"The data of trajectories = {kind.trajectories}"
            check_time(kind.trajectories or 1, _TRAJECTORY_SECONDS, what, "choose fewer")

    def rungs(self) -> list[Rung] | None:
        """A run for each state and start, in their order; None if this is one of them.

        With recursive data every seed is a chain of its own, because its data are its own.
        """
        if self.element is not None:
            return None
        chains: Sequence[dict[str, int]] = [{}]
        places = self.places
        if self.data == "recursive":
            chains = [{"seed": self.seed + k, "seeds": 1} for k in range(self.seeds)]
        starts = ("previous", "random") if self.start == "both" else (self.start,)
        found: dict[str, Rung] = {}
        for chain in chains:
            labels = {"seed": chain["seed"]} if self.seeds > 1 and chain else {}
            for start in starts:
                before: str | None = None
                for k, position in enumerate(places):
                    how = start if k else "random"
                    names = {"element": k} | labels
                    folder = "_".join(f"{name}={value}" for name, value in (names | {"start": how}).items())
                    follows = start == "previous" or self.data == "recursive"
                    title = f"{self.kind.symbol} = {position:.4g}"
                    one = Rung(folder, self._one(k, chain), names, before if follows else None, how, title)
                    found.setdefault(folder, one)
                    before = folder
        return list(found.values())

    def _one(self, element: int, chain: Mapping[str, int]) -> Self:
        """The spec of one run."""
        steps = self.steps if element or self.first_steps is None else self.first_steps
        return self.replaced(element=element, steps=steps, first_steps=None, **chain)

    def record(self) -> dict[str, Any]:
        """Every word, and of recursive data the steps once more: later data follow, so they may not grow."""
        tied = self.data == "recursive" and self.element is not None
        return super().record() | ({"data_steps": self.steps} if tied else {})

    def warm_start(self, params: Any, previous: Self, how: str) -> Any:
        """The state of `previous`; None at random; "scaled" scales the log-density of a ladder as `GibbsSpec` does."""
        if how == "random":
            return None
        if how != "scaled" or self.kind.name != "ladder" or not previous.places[previous.element or 0]:
            return params
        return self.scaled(params, self.places[self.element or 0] / previous.places[previous.element or 0])

    def cited(self) -> tuple[str, ...]:
        return (*self.kind.cites, *super().cited())

    def task(self, previous: Any = None) -> Any:
        """D(ρ‖σ) of a thermal state σ for a ladder, else D(σ‖ρ) of the state after some steps of time.

        Args:
            previous: parameters of the model from whose state recursive data are made.

        Raises:
            ValueError: the spec is of a whole sequence, or its data need a state before them.
        """
        from ..problems import ThermalTask
        from ..problems.sequence import evolved

        if self.element is None:
            raise ValueError("A sequence is several runs: pass spec.rungs() to run_sweep, or give element for one.")
        operator = self.operator()
        states = self.family(operator)
        if self.kind.name == "ladder":
            return ThermalTask(states, operator, self.places[self.element])
        data = self.data if self.trajectories is None or self.data == "recursive" else "noisy"
        if self.element and data == "recursive" and previous is None:
            raise ValueError(
                f"Element {self.element} of recursive data is made from the one before it; pass previous=."
            )
        made: Any = {"data": data, "previous": previous if data == "recursive" else None}
        try:
            return evolved(states, (operator, self.beta), self.kind.build(self), self.places, self.element, **made)
        except ValueError as error:  # no state of the family fits
            raise RefusedError(str(error)) from None
