"""The spec of Boltzmann machines."""

import math
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from qnat.experiment.bounds import check_memory
from qnat.experiment.errors import RefusedError
from qnat.experiment.words import optimisers
from qnat.experiment.words.parts import Part
from qnat.experiment.words.spec import RunSpec
from qnat.experiment.words.values import Rate, check_finite

from ..data.headers import digest, header

LARGEST = 20


class Ising(Part):
    """The chain exp(−βH)/Z, H = −coupling Σ s s′ − field Σ s."""

    name: Literal["ising"] = "ising"
    coupling: float = Field(1.0, description="J of the chain, an energy")
    field: float = Field(0.0, description="longitudinal field, an energy")
    periodic: bool = Field(False, description="close the chain")
    beta: float = Field(1.0, ge=0, description="inverse temperature, in inverse units of energy")

    def build(self, n: int) -> dict[tuple[int, ...], float]:
        """θ of the chain: −β times the coefficients of H, by the units that they couple."""
        found: dict[tuple[int, ...], float] = {(unit,): self.beta * self.field for unit in range(n)}
        bonds = [(unit, unit + 1) for unit in range(n - 1)] + ([(0, n - 1)] if self.periodic and n > 2 else [])
        return found | dict.fromkeys(bonds, self.beta * self.coupling)


class Bits(Part):
    """Bits in a file."""

    name: str

    def build(self) -> Any:
        """The data."""
        from ..data.sets import load
        from ..data.targets import bits

        return bits(load(self.name), None, "make them 0 and 1 first")


class Sgd(optimisers.Sgd):
    """Gradient descent."""

    learning_rate: Rate = 0.1


class BoltzmannSpec(RunSpec):
    """Learn a fully visible Boltzmann machine from an Ising model or from bits, by exact enumeration.

    The Ising model is exp(-beta H)/Z, H = -coupling sum s s' - field sum s over a chain; energies are in any unit, beta
    in its inverse. The same task with a transverse field is `learning`.
    """

    task_name: ClassVar[str] = "boltzmann"
    ladder: ClassVar[str | None] = "beta"
    titled = ("data", "periodic", "n", "beta", "order", "optimizer")
    axis = "β (1/energy)"
    cites = ("Ackley1985",)
    trains = "classical.problems.boltzmann:BoltzmannTask"

    data: Ising | Bits = Field(
        Ising(),
        description=f"ising, or a path to bits of at most {LARGEST} units: FOLDER/NAME of NAME.train.data and "
        "NAME.test.data, a .npy file",
    )
    n: int = Field(4, ge=1, le=LARGEST, description="number of units; data of a file fix it")
    order: int | None = Field(None, ge=1, description="most spins in an interaction of the machine (default 2)")
    optimizer: optimisers.Natural | optimisers.Mirror | optimisers.Adam | Sgd = optimisers.Natural()
    steps: int = Field(100, ge=0, description="optimiser steps (1000 for adam and sgd, unless given)")

    @model_validator(mode="after")
    def _boltzmann(self) -> Self:
        if isinstance(self.data, Bits):
            units = header(self.data.name).width
            if units > LARGEST:
                raise ValueError(f"The data in {self.data.name} have {units} units; at most {LARGEST} are enumerated.")
            if "n" in self.model_fields_set and self.n != units:
                raise ValueError(f"n is {self.n}, but the data in {self.data.name} have {units} units.")
            self._set(n=units)
        if self.order is not None and self.order > self.n:
            raise ValueError(f"order is {self.order}; it can be at most n = {self.n}.")
        order = self.order or min(2, self.n)
        parameters = sum(math.comb(self.n, k) for k in range(1, order + 1))
        matrices = math.log2(24 * self.seeds) + 2 * math.log2(parameters)
        check_memory(matrices, f"The Fisher matrix of {parameters} parameters", "choose a lower order or fewer seeds")
        if isinstance(self.data, Ising):
            energy = self.n * (abs(self.data.coupling) + abs(self.data.field))
            check_finite(energy, "energies")
            check_finite(energy * self.data.beta, "energies times beta")
        steps = self.steps if "steps" in self.model_fields_set else self.optimizer.steps
        self._set(order=order, steps=steps)
        return self

    def record(self) -> dict[str, Any]:
        """As of every spec, and a digest of data in a file, by which a folder knows them."""
        return super().record() | (digest(self.data.name) if isinstance(self.data, Bits) else {})

    def check_data(self) -> None:
        if isinstance(self.data, Bits):
            self.data.build()

    def warm_start(self, params: Any, previous: Self, how: str) -> Any:
        """The machine of `previous` to the power of the ratio of the betas, or as it is."""
        usable = how == "scaled" and self.beta is not None and previous.beta
        return self.beta / previous.beta * params if usable else params

    def task(self, previous: Any = None) -> Any:
        """The relative entropy of the machine from the data.

        Raises:
            RefusedError: no machine has the moments of the data.
        """
        from ..problems.boltzmann import from_bits, from_couplings

        try:
            if isinstance(self.data, Bits):
                return from_bits(self.data.build().train, self.order or 1)
            return from_couplings(self.n, self.order or 1, self.data.build(self.n))
        except ValueError as error:
            raise RefusedError(str(error)) from None
