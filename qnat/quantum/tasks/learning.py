"""The spec of Hamiltonian learning."""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from ..measure.counts_file import Counts, read_counts
from .bibliography import ENTRIES, entries
from .variational import VariationalSpec

if TYPE_CHECKING:
    from qnat.experiment.task import Task

    from ..problems.learning import LearningTask

_SIMULATED = ("exact", "counts", "shadows")


class LearningSpec(VariationalSpec):
    """Learn the Hamiltonian of a thermal state exp(-beta H)/Z from its expectations, from copies, or from a file.

    The learned theta are minus beta times the couplings. Data are simulated from `seed`, the same for all seeds of a
    run; those of a file are what it says, and then nothing is known of the truth.
    """

    task_name: ClassVar[str] = "learning"
    ladder: ClassVar[str | None] = "beta"
    used_with: ClassVar[tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = (
        *VariationalSpec.used_with,
        ("model", ("gibbs",), ("generators", "pretrain", "ridge")),
        ("data", _SIMULATED, ("beta",)),
        ("data", ("counts", "shadows"), ("shots",)),
        ("data", ("shadows",), ("groups",)),
    )

    beta: float | None = Field(1.0, ge=0, description="inverse temperature, in inverse units of energy")
    data: str = Field(
        "exact",
        description="exact, counts (of Pauli settings that cover the model), shadows (random axes), or a JSON file of "
        "counts",
    )
    shots: int | None = Field(10000, ge=1, description="copies that counts or shadows use up, in all")
    groups: int | None = Field(1, ge=1, description="groups of the median of means of shadows; 1 is the plain mean")
    model: Literal["qhbm", "gibbs"] = Field(
        "gibbs", description="gibbs: exponential family of Pauli strings; qhbm: latent distribution and circuit"
    )
    generators: Literal["local", "hamiltonian"] | None = Field(
        "local",
        description="strings of gibbs: on one qubit, on two neighbours and those of the Hamiltonian, or the last only",
    )
    pretrain: Literal["one-qubit", "hamiltonian"] | None = Field(
        None, description="strings of gibbs that are fitted first, exactly: a start for all (default: none)"
    )
    ridge: float | None = Field(0.0, ge=0, description="adds ridge |theta|^2/2 to the loss of gibbs")

    _counts: Counts | None = PrivateAttr(None)

    @property
    def counts(self) -> Counts | None:
        """The counts of the file, as they were when it was read; None for simulated data."""
        return self._counts

    @model_validator(mode="before")
    @classmethod
    def _size_of_file(cls, values: Any) -> Any:
        """The file fixes n, which the Hamiltonian's lattice then takes."""
        data = values.get("data", "exact") if isinstance(values, dict) else "exact"
        if not isinstance(data, str) or data in _SIMULATED:
            return values
        qubits = len(next(iter(read_counts(data))))
        if str(values.get("n", qubits)) != str(qubits):
            raise ValueError(f"n is {values['n']}, but the counts in {data} are of {qubits} qubits.")
        return values | {"n": qubits}

    @model_validator(mode="after")
    def _learning(self) -> Self:
        if self.data not in _SIMULATED:
            self._counts = read_counts(self.data)
        if self.model == "qhbm" and self.data != "exact":
            raise ValueError(f"data {self.data} is not used with model qhbm, which needs exact data; choose gibbs.")
        if self.groups is not None and self.shots is not None and 2 * self.groups > self.shots:
            raise ValueError(f"groups is {self.groups}; {self.shots} shadows make at most {self.shots // 2} groups.")
        return self

    def record(self) -> dict[str, Any]:
        """Every resolved field, and what identifies the counts of a file, which may change."""
        if self._counts is None:
            return super().record()
        text = json.dumps(self._counts, sort_keys=True)
        return super().record() | {"counts_sha256": hashlib.sha256(text.encode()).hexdigest()}

    def citations(self) -> Mapping[str, str]:
        """BibTeX entries of the model, the optimiser, the data and the Hamiltonian."""
        own = ["Anshu2021"] if self.model == "gibbs" else []
        own += ["Huang2020"] if self.data == "shadows" else []
        own += ["Coopmans2024"] if self.pretrain else []
        return {key: ENTRIES[key] for key in own} | entries(self.hamiltonian, self.model, self.optimizer)

    def warm_start(self, params: Any, previous: Self, how: str) -> Any:
        """The state of `previous` to the power of the ratio of the betas, or as it is; see `GibbsSpec`."""
        if how != "scaled" or self.beta is None or not previous.beta:
            return params
        from .learning_objects import scaled

        return scaled(self, params, self.beta / previous.beta)

    @classmethod
    def problem(cls) -> "type[Task]":
        from ..problems import LearningTask

        return LearningTask

    def task(self) -> "LearningTask":
        """The relative entropy of the model from the state of the data."""
        from .learning_objects import task

        return task(self)
