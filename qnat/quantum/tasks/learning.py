"""The spec of Hamiltonian learning."""

import hashlib
import json
import math
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from qnat.experiment.bounds import check_memory
from qnat.experiment.errors import RefusedError
from qnat.experiment.words.parts import Part
from qnat.experiment.words.values import EXACT

from ..measure.counts_file import read_counts
from .variational import Family, Qhbm, VariationalSpec

Beta = Annotated[float, Field(ge=0, description="inverse temperature, in inverse units of energy")]
Shots = Annotated[int, Field(ge=1, le=EXACT, description="copies that counts or shadows use up, in all")]


class Exact(Part):
    """The state itself."""

    name: Literal["exact", "counts", "shadows"] = "exact"
    beta: Beta = 1.0

    def build(self, operator: Any, states: Any, seed: int, **fit: Any) -> Any:
        """The task, with simulated data."""
        from ..problems.simulated import simulated

        copies = self.model_dump(exclude={"name", "beta"})
        return simulated(states, operator, self.beta, self.name, seed=seed, **copies, **fit)


class Counts(Exact):
    """Simulated counts of Pauli settings that cover the model."""

    name: Literal["counts", "shadows"] = "counts"
    shots: Shots = 10000


class Shadows(Counts):
    """Simulated copies, measured along random axes."""

    cites = ("Huang2020",)
    name: Literal["shadows"] = "shadows"
    groups: int = Field(1, ge=1, description="groups of the median of means; 1 is the plain mean")

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if 2 * self.groups > self.shots:
            most = f"{self.shots} shadows make at most {self.shots // 2} groups"
            raise ValueError(f"groups is {self.groups}; {most}.")
        return self


class CountsFile(Part):
    """Counts in a JSON file."""

    contents = ("counts", read_counts)
    name: str
    counts: dict[str, dict[str, int]]

    def build(self, operator: Any, states: Any, seed: int, **fit: Any) -> Any:
        """The task, with the data of the file."""
        from ..measure.counts import estimate
        from ..problems import LearningTask

        return LearningTask(states, estimate(self.counts, states.generators.strings), **fit)


_GENERATORS = "strings: on one qubit, on two neighbours and those of the Hamiltonian, or the last only"
_PRETRAIN = "strings that are fitted first, exactly: a start for all (default: none)"


class LearnedFamily(Family):
    """An exponential family of Pauli strings."""

    generators: Literal["local", "hamiltonian"] = Field("local", description=_GENERATORS)
    pretrain: Literal["one-qubit", "hamiltonian"] | None = Field(None, description=_PRETRAIN)
    ridge: float = Field(0.0, ge=0, description="adds ridge |theta|^2/2 to the loss")

    def build(self, operator: Any, *, periodic: bool) -> Any:
        from ..models import GibbsFamily
        from ..operators.pauli import PauliSum

        if self.generators == "local":
            return super().build(operator, periodic=periodic)
        strings = [string for string in operator.strings if set(string) != {"I"}]
        return GibbsFamily(PauliSum.from_strings(strings))


class LearningSpec(VariationalSpec):
    """Learn the Hamiltonian of a thermal state exp(-beta H)/Z from its expectations, from copies, or from a file.

    The learned theta are minus beta times the couplings. Data are simulated from `seed`, the same for all seeds of a
    run; those of a file are what it says, and then nothing is known of the truth.
    """

    task_name: ClassVar[str] = "learning"
    ladder: ClassVar[str | None] = "beta"
    titled = ("hamiltonian", "periodic", "n", "beta", "data", "shots", "model", "optimizer")
    axis = "β (1/energy)"
    trains = "qnat.quantum.problems:LearningTask"

    data: Exact | Counts | Shadows | CountsFile = Exact()
    model: LearnedFamily | Qhbm = LearnedFamily()

    def multiplied(self) -> dict[str, float]:
        return super().multiplied() | ({} if self.beta is None else {"energies times beta": self.beta})

    def qubits(self) -> int | None:
        given, data = super().qubits(), self.data
        if not isinstance(data, CountsFile):
            return given
        qubits = len(next(iter(data.counts)))
        if given not in (None, qubits):
            raise ValueError(f"n is {given}, but the counts in {data.name} are of {qubits} qubits.")
        return qubits

    @model_validator(mode="after")
    def _learning(self) -> Self:
        data = self.data.name
        if self.model.name == "qhbm" and data != "exact":
            raise ValueError(f"data {data} is not used with model qhbm, which needs exact data; choose gibbs.")
        if isinstance(self.data, Shadows):  # numbers of every copy: its axes and bits, and values of all strings
            numbers = 2 * (12 * self.n + self.size().terms) + 6 * self.n + 4
            bits = math.log2(8 * self.data.shots * numbers)
            check_memory(bits, f"The record of shots = {self.data.shots} shadows", "choose fewer shots")
        return self

    def record(self) -> dict[str, Any]:
        """As of every spec, and a digest of the counts of a file, by which a folder knows them."""
        if self.counts is None:
            return super().record()
        text = json.dumps(self.counts, sort_keys=True)
        return super().record() | {"counts_sha256": hashlib.sha256(text.encode()).hexdigest()}

    def cited(self) -> tuple[str, ...]:
        own = ("Anshu2021",) if self.model.name == "gibbs" else ()
        return (*own, *self.data.cites, *(("Coopmans2024",) if self.pretrain else ()), *super().cited())

    def warm_start(self, params: Any, previous: Self, how: str) -> Any:
        """The state of `previous` to the power of the ratio of the betas, or as it is; see `GibbsSpec`."""
        usable = how == "scaled" and self.beta is not None and previous.beta
        return self.scaled(params, self.beta / previous.beta) if usable else params

    def task(self, previous: Any = None) -> Any:
        """The relative entropy of the model from the state of the data.

        Raises:
            RefusedError: the data do not measure the model, or no state has their moments.
        """
        from ..problems.simulated import first_fitted

        operator = self.operator()
        states, fit = self.family(operator), {}
        try:
            if isinstance(self.model, LearnedFamily):
                subset = first_fitted(self.model.pretrain, states.generators.strings, operator.strings)
                fit = {"subset": subset, "ridge": self.model.ridge}
            return self.data.build(operator, states, self.seed, **fit)
        except ValueError as error:
            raise RefusedError(str(error)) from None
