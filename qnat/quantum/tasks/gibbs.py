"""The spec of variational Gibbs sampling."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from qnat.experiment.spec import RunSpec, check_memory

from ..hamiltonian_file import read_terms
from .bibliography import entries

if TYPE_CHECKING:
    import optax

    from qnat.experiment.task import Task

    from ..methods.thermal import ThermalTask

_METRICS = ("bkm", "sld", "wigner_yanase", "geometric", "harmonic")
_LEARNING_RATES = {"natural": 1.0, "qpmd": 1.0, "mirror": 0.5, "adam": 0.03, "sgd": 0.01}
_STEPS = {"natural": 100, "qpmd": 100, "mirror": 100, "adam": 1000, "sgd": 1000}

# the choice that decides, the values of it that use the options, the options
_USED_WITH: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("hamiltonian", ("tfim",), ("rows", "columns", "field", "coupling", "periodic")),
    ("model", ("qhbm",), ("latent", "order", "ansatz", "layers")),
    ("latent", ("kobe",), ("order",)),
    ("optimizer", ("natural",), ("metric",)),
    ("optimizer", ("natural", "qpmd"), ("damping", "trust")),
)


class GibbsSpec(RunSpec):
    """Train a thermal state exp(-beta H)/Z and compare it with the exact one.

    Energies are in the units of the Hamiltonian's coefficients, beta in their inverse; angles in radians.
    """

    task_name: ClassVar[str] = "gibbs"
    ladder: ClassVar[str | None] = "beta"

    hamiltonian: str = Field("tfim", description="tfim, or a file of Pauli terms: lines such as 'ZZII -1.0', or JSON")
    n: int = Field(4, ge=1, description="number of qubits; a file fixes it")
    rows: int | None = Field(None, ge=1, description="rows of the lattice (default 1, a chain)")
    columns: int | None = Field(None, ge=1, description="columns of the lattice (default n / rows)")
    beta: float = Field(1.0, ge=0, description="inverse temperature, in inverse units of energy")
    field: float | None = Field(1.0, description="transverse field h of the TFIM, an energy")
    coupling: float | None = Field(1.0, description="coupling J of the TFIM, an energy")
    periodic: bool | None = Field(False, description="close the lattice of the TFIM")
    model: Literal["qhbm", "gibbs"] = Field(
        "qhbm", description="qhbm: latent distribution and circuit; gibbs: exponential family of local Paulis"
    )
    latent: Literal["bernoulli", "kobe"] | None = Field("kobe", description="energy of the latent distribution")
    order: int | None = Field(
        None, ge=1, description="spins in an interaction of kobe (default n up to 4 qubits, then 4)"
    )
    ansatz: Literal["real", "hea_ring", "hea"] | None = Field(
        None, description="circuit (default real for a real Hamiltonian, else hea_ring)"
    )
    layers: int | None = Field(
        None,
        ge=0,
        description="layers of the circuit (default: up to 4 qubits enough to reach every eigenframe, then 16)",
    )
    optimizer: Literal["natural", "qpmd", "mirror", "adam", "sgd"] = Field("natural", description="optimiser")
    metric: str | None = Field("bkm", description=f"metric of natural: {', '.join(_METRICS)}, wyd:p or sandwiched:a")
    learning_rate: float | None = Field(
        None, gt=0, description="default " + ", ".join(f"{rate:g} ({name})" for name, rate in _LEARNING_RATES.items())
    )
    damping: float | str | None = Field(
        "adaptive", description="added to the metric of natural and qpmd: adaptive or a number"
    )
    trust: float | None = Field(0.3, gt=0, description="first trust radius of natural and qpmd, in the metric's length")
    steps: int = Field(100, ge=0, description="optimiser steps (1000 for adam and sgd unless given)")

    _terms: list[tuple[str, float]] | None = PrivateAttr(None)

    @property
    def terms(self) -> list[tuple[str, float]] | None:
        """(Pauli string, coefficient) of the file, as it was when it was read; None for the TFIM."""
        return self._terms

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, metric: str | None) -> str | None:
        if metric is None or metric in _METRICS or _has_order(metric):
            return metric
        raise ValueError(
            f"'{metric}' is not a metric; use {', '.join(_METRICS)}, wyd:p (-1 <= p <= 2) or sandwiched:a (a > 0)."
        )

    @field_validator("damping", mode="before")
    @classmethod
    def _known_damping(cls, damping: Any) -> Any:
        if damping is None or damping == "adaptive":
            return damping
        try:
            number = float(damping)
        except (TypeError, ValueError):
            number = math.nan
        if not 0 <= number < math.inf:
            raise ValueError(f"{damping!r} is not a damping; use adaptive, or a finite number of at least 0.")
        return number

    @model_validator(mode="after")
    def _resolved(self) -> Self:
        """Refuses what does not fit together, and fills in what follows from it."""
        for choice, users, names in _USED_WITH:
            chosen = getattr(self, choice)
            for name in () if chosen in users else names:
                if name in self.model_fields_set and getattr(self, name) is not None:
                    raise ValueError(
                        f"{name} is not used with {choice} {chosen}; "
                        f"leave it out, or choose {choice} {' or '.join(users)}."
                    )
                self._set(name, None)
        if self.optimizer == "mirror" and self.model != "gibbs":
            raise ValueError("optimizer mirror needs a mirror map, which model qhbm has not; choose model gibbs.")
        self._resolve_size()
        self._resolve_defaults()
        self._check_memory()
        return self

    def _set(self, name: str, value: Any) -> None:
        """Resolves a field while the instance is being made; it is frozen afterwards."""
        self.__dict__[name] = value

    def _resolve_size(self) -> None:
        if self.hamiltonian != "tfim":
            self._terms = read_terms(self.hamiltonian)
            qubits = len(self._terms[0][0])
            if "n" in self.model_fields_set and self.n != qubits:
                raise ValueError(f"n is {self.n}, but the Hamiltonian in {self.hamiltonian} acts on {qubits} qubits.")
            self._set("n", qubits)
            return
        if self.rows is not None and self.columns is not None and "n" not in self.model_fields_set:
            self._set("n", self.rows * self.columns)
        rows = self.rows or (1 if self.columns is None else max(1, self.n // self.columns))
        columns = self.columns or max(1, self.n // rows)
        if rows * columns != self.n:
            raise ValueError(
                f"A lattice of {rows} x {columns} does not have n = {self.n} sites; give rows * columns = n."
            )
        self._set("rows", rows)
        self._set("columns", columns)

    def _resolve_defaults(self) -> None:
        if self.learning_rate is None:
            self._set("learning_rate", _LEARNING_RATES[self.optimizer])
        if "steps" not in self.model_fields_set:
            self._set("steps", _STEPS[self.optimizer])
        if self.model != "qhbm":
            return
        if self.latent == "kobe":
            self._set("order", self.order or min(self.n, 4))
            if self.order is not None and self.order > self.n:
                raise ValueError(f"order is {self.order}; it can be at most n = {self.n}.")
        if self.ansatz is None:
            is_real = all(string.count("Y") % 2 == 0 for string, _ in self._terms or ())
            self._set("ansatz", "real" if is_real else "hea_ring")
        if self.layers is None:
            self._set("layers", _default_layers(str(self.ansatz), self.n))

    def _check_memory(self) -> None:
        """Refuses sizes whose dense matrices do not fit: about twelve, and one a parameter (three for a metric)."""
        parameters = (self.layers or 0) * _angles(self.ansatz, self.n) if self.model == "qhbm" else 12 * self.n
        matrices = (3 if self.optimizer == "natural" else 1) * (parameters + 12)
        bits = math.log2(16 * matrices) + 2 * self.n
        check_memory(bits, f"The dense path of n = {self.n} qubits", "choose a smaller n or fewer layers")

    def record(self) -> dict[str, Any]:
        """What identifies the run; the terms of a file stand in it, because a file may change."""
        return super().record() | ({} if self._terms is None else {"terms": self._terms})

    def citations(self) -> Mapping[str, str]:
        """BibTeX entries of the model, the optimiser and the Hamiltonian."""
        return entries(self.hamiltonian, self.model, self.optimizer)

    def warm_start(self, params: Any, previous: Self, how: str) -> Any:
        """The state of `previous`, its log-density scaled by the ratio of the betas or as it is.

        If ρ is thermal at β, then ρ^(β'/β) is at β', so a scaled start has no error of its own. At β = 0, where K = 0,
        there is nothing to scale, and the start is plain.
        """
        factor = self.beta / previous.beta if how == "scaled" and previous.beta > 0 else 1.0
        if self.model == "gibbs":
            return factor * params
        return {"latent": factor * params["latent"], "angles": params["angles"]}

    def task(self) -> "ThermalTask":
        """The free energy of the model."""
        from .gibbs_objects import task

        return task(self)

    def transform(self, task: "Task") -> "optax.GradientTransformation":
        """The optimiser for that task."""
        from .gibbs_objects import transform

        return transform(self, task)


def _has_order(metric: str) -> bool:
    """Whether a metric is wyd:p or sandwiched:a with a legal number."""
    family, _, number = metric.partition(":")
    try:
        order = float(number)
    except ValueError:
        return False
    return (family == "wyd" and -1 <= order <= 2) or (family == "sandwiched" and 0 < order < math.inf)


def _angles(ansatz: str | None, n: int) -> int:
    """Angles of one layer, as in `qnat.quantum.ansatz`, which cannot be imported without JAX."""
    bonds = n if n > 2 else n - 1
    return {"real": n + 2 * bonds, "hea_ring": 2 * n + bonds}.get(str(ansatz), 3 * n - 1)


def _default_layers(ansatz: str, n: int) -> int:
    """`qnat.quantum.ansatz.default_layers` without JAX."""
    if n > 4:
        return 16
    return math.ceil(2**n * (2**n - 1) // (2 if ansatz == "real" else 1) / _angles(ansatz, n))
