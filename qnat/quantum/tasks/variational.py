"""The part of a spec that describes a model of quantum states and an optimiser."""

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

from pydantic import Field, field_validator, model_validator

from qnat.experiment.words.spec import check_memory

from .system import SystemSpec

if TYPE_CHECKING:
    import optax

    from qnat.experiment.task import Task

    from .variational_objects import Variational

METRICS = ("bkm", "sld", "wigner_yanase", "geometric", "harmonic")
Optimizer = Literal["natural", "qpmd", "mirror", "qbang", "qn_spsa", "adam", "sgd"]
_LEARNING_RATES = {
    "natural": 1.0,
    "qpmd": 1.0,
    "mirror": 0.5,
    "qbang": 0.05,
    "qn_spsa": 0.05,
    "adam": 0.03,
    "sgd": 0.01,
}
_STEPS = {name: 100 if name in ("natural", "qpmd", "mirror") else 1000 for name in _LEARNING_RATES}


class VariationalSpec(SystemSpec):
    """A Hamiltonian, a model of states, and an optimiser; angles are in radians."""

    used_with: ClassVar[tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = (
        *SystemSpec.used_with,
        ("model", ("qhbm",), ("latent", "order", "hidden", "ansatz", "layers", "blocks")),
        ("latent", ("kobe",), ("order",)),
        ("latent", ("mlp",), ("hidden",)),
        ("optimizer", ("natural", "qbang"), ("metric",)),
        ("optimizer", ("natural",), ("blocks",)),
        ("blocks", ("full", "layer", "diagonal"), ("metric",)),
        ("optimizer", ("natural", "qpmd"), ("damping", "trust")),
    )
    default_steps: ClassVar[dict[str, int]] = _STEPS

    model: Literal["qhbm", "gibbs"] = Field(
        "qhbm", description="qhbm: latent distribution and circuit; gibbs: exponential family of local Paulis"
    )
    latent: Literal["bernoulli", "kobe", "mlp"] | None = Field(
        "kobe", description="energy of the latent distribution: of single spins, of products of spins, a neural network"
    )
    order: int | None = Field(
        None, ge=1, description="spins in an interaction of kobe (default n up to 4 qubits, then 4)"
    )
    hidden: int | None = Field(None, ge=1, description="hidden units of mlp (default 2n)")
    ansatz: Literal["real", "hea_ring", "hea", "hva"] | None = Field(
        None, description="circuit (default real for a real Hamiltonian, else hea_ring); hva rotates by its terms"
    )
    layers: int | None = Field(
        None,
        ge=0,
        description="layers of the circuit (default: up to 4 qubits enough to reach every eigenframe, then 16)",
    )
    optimizer: Optimizer = Field("natural", description="optimiser")
    blocks: Literal["full", "layer", "diagonal", "latent"] | None = Field(
        "full",
        description="circuit block of the metric of natural: full, a block a layer, its diagonal, or none (latent: the "
        "classical natural gradient, plain gradient on the angles)",
    )
    metric: str | None = Field(
        "bkm", description=f"metric of natural and qbang: {', '.join(METRICS)}, wyd:p or sandwiched:a"
    )
    learning_rate: float | None = Field(
        None, gt=0, description="default " + ", ".join(f"{rate:g} ({name})" for name, rate in _LEARNING_RATES.items())
    )
    damping: float | str | None = Field(
        "adaptive", description="added to the metric of natural and qpmd: adaptive or a number"
    )
    trust: float | None = Field(0.3, gt=0, description="first trust radius of natural and qpmd, in the metric's length")
    steps: int = Field(
        100, ge=0, description="optimiser steps (1000 for methods without a metric at every step, unless given)"
    )

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, metric: str | None) -> str | None:
        if metric is None or metric in METRICS or _has_order(metric):
            return metric
        raise ValueError(
            f"'{metric}' is not a metric; use {', '.join(METRICS)}, wyd:p (-1 <= p <= 2) or sandwiched:a (a > 0)."
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
    def _variational(self) -> Self:
        if self.optimizer == "mirror" and self.model != "gibbs":
            raise ValueError("optimizer mirror needs a mirror map, which model qhbm has not; choose model gibbs.")
        if self.learning_rate is None:
            self._resolve("learning_rate", _LEARNING_RATES[self.optimizer])
        if "steps" not in self.model_fields_set:
            self._resolve("steps", self.default_steps[self.optimizer])
        if self.model == "qhbm":
            self._resolve_model()
        self._check_memory()
        return self

    def _resolve_model(self) -> None:
        if self.latent == "kobe":
            self._resolve("order", self.order or min(self.n, 4))
            if self.order is not None and self.order > self.n:
                raise ValueError(f"order is {self.order}; it can be at most n = {self.n}.")
        if self.latent == "mlp":
            self._resolve("hidden", self.hidden or 2 * self.n)
        if self.ansatz is None:
            self._resolve("ansatz", "real" if self.is_real else "hea_ring")
        if self.layers is None:
            self._resolve("layers", default_layers(str(self.ansatz), self.n, self.angles_per_layer))

    @property
    def angles_per_layer(self) -> int:
        """Angles of one layer of the circuit."""
        return self.num_terms if self.ansatz == "hva" else angles_per_layer(str(self.ansatz), self.n)

    def _check_memory(self) -> None:
        """Refuses sizes whose dense matrices do not fit: about twelve, and one a parameter (three for a metric)."""
        parameters = (self.layers or 0) * self.angles_per_layer if self.model == "qhbm" else 12 * self.n
        matrices = (3 if self.optimizer == "natural" else 1) * (parameters + 12)
        bits = math.log2(16 * matrices) + 2 * self.n
        check_memory(bits, f"The dense path of n = {self.n} qubits", "choose a smaller n or fewer layers")

    def transform(self, task: "Task") -> "optax.GradientTransformation":
        """The optimiser for that task."""
        from .variational_objects import transform

        return transform(self, cast("Variational", task))


def _has_order(metric: str) -> bool:
    """Whether a metric is wyd:p or sandwiched:a with a legal number."""
    family, _, number = metric.partition(":")
    try:
        order = float(number)
    except ValueError:
        return False
    return (family == "wyd" and -1 <= order <= 2) or (family == "sandwiched" and 0 < order < math.inf)


def angles_per_layer(ansatz: str, n: int) -> int:
    """As in `qnat.quantum.circuits.ansatz`, which cannot be imported without JAX."""
    bonds = n if n > 2 else n - 1
    return {"real": n + 2 * bonds, "hea_ring": 2 * n + bonds}.get(ansatz, 3 * n - 1)


def default_layers(ansatz: str, n: int, angles: int) -> int:
    """Enough layers of so many angles to reach every eigenframe for n ≤ 4, and 16 above (where that is out of reach).

    An eigenframe has d(d−1)/2 real or d² − d complex dimensions, d = 2^n; with fewer angles hot states, in which every
    eigenvector matters, keep a residual relative entropy that no optimiser removes.
    """
    if n > 4:
        return 16
    return math.ceil(2**n * (2**n - 1) // (2 if ansatz == "real" else 1) / max(angles, 1))
