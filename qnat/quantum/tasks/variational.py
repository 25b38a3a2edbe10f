"""The part of a spec that describes a model of quantum states and an optimiser."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from qnat.experiment.bounds import check_memory, check_time
from qnat.experiment.words import optimisers
from qnat.experiment.words.optimisers import Adam, Mirror, Sgd
from qnat.experiment.words.parts import Only, Part
from qnat.experiment.words.values import Damping, Metric, Trust

from ..circuits.sizes import angles_per_layer, default_layers
from ..operators.sizes import DENSE, dense_bits
from .optimisers import Qbang, QnSpsa, Qpmd
from .system import Size, SystemSpec

_LATENT = "energy of the latent distribution: of single spins, of products of spins, a neural network"
_ORDER = "spins in an interaction of kobe (default n up to 10 qubits, then 2)"
_ANSATZ = (
    "circuit (default real for a real Hamiltonian, else hea_ring); hva rotates by its terms, matchgate is free fermions"
)
_LAYERS = (
    "layers of the circuit (default: enough to reach every eigenframe up to 6 qubits, 5 if complex; then fewer; of "
    "matchgate n/2 + 4)"
)
_SMALLER = "choose a smaller n, fewer layers or fewer seeds"
_ANGLE_SECONDS = 1e-4
_BLOCKS = (
    "circuit block of the metric: full, a block a layer, its diagonal, or none (latent: plain descent on the angles)"
)


class Family(Part):
    """The exponential family of Pauli strings on one qubit, on two neighbours, and of the Hamiltonian."""

    cites = ("Amin2018",)
    name: Literal["gibbs"] = "gibbs"

    def build(self, operator: Any, *, periodic: bool) -> Any:
        """The `GibbsFamily`."""
        from ..models import GibbsFamily
        from ..operators.hamiltonians import local_strings
        from ..operators.pauli import PauliSum

        strings = dict.fromkeys((*local_strings(operator.n, periodic=periodic), *operator.strings))
        strings.pop("I" * operator.n, None)
        return GibbsFamily(PauliSum.from_strings(tuple(strings)))


class Qhbm(Part):
    """A latent distribution and a circuit."""

    cites = ("Sbahi2022", "Verdon2019")
    name: Literal["qhbm"] = "qhbm"
    latent: Literal["bernoulli", "kobe", "mlp"] = Field("kobe", description=_LATENT)
    order: Annotated[int | None, Only("latent", ("kobe",)), Field(ge=1, description=_ORDER)] = None
    hidden: Annotated[int | None, Only("latent", ("mlp",)), Field(ge=1, description="hidden units (default 2n)")] = None
    ansatz: Literal["real", "hea_ring", "hea", "hva", "matchgate"] | None = Field(None, description=_ANSATZ)
    layers: int | None = Field(None, ge=0, description=_LAYERS)

    def sized(self, size: Size) -> tuple[dict[str, Any], int]:
        """The defaults for a Hamiltonian of that size, and how many angles there are."""
        n = size.n
        if self.order is not None and self.order > n:
            raise ValueError(f"order is {self.order}; it can be at most n = {n}.")
        if self.ansatz == "matchgate" and n < 2:
            raise ValueError("matchgate turns pairs of neighbours, which one qubit has not; choose another ansatz.")
        found: dict[str, Any] = {"ansatz": (ansatz := self.ansatz or ("real" if size.is_real else "hea_ring"))}
        angles = size.terms if ansatz == "hva" else angles_per_layer(ansatz, n)
        found["layers"] = default_layers(ansatz, n, angles) if self.layers is None else self.layers
        found["order"] = self.order or (n if n <= DENSE else 2) if self.latent == "kobe" else None
        found["hidden"] = self.hidden or 2 * n if self.latent == "mlp" else None
        return found, angles * found["layers"]

    def build(self, operator: Any, *, periodic: bool) -> Any:
        """The `LatentGibbs`."""
        from ..circuits.ansatz import ansatz, hva
        from ..models import LatentGibbs, NetworkEnergy

        layers = self.layers or 0
        circuit = hva(operator, layers) if self.ansatz == "hva" else ansatz(str(self.ansatz), operator.n, layers)
        if self.latent == "mlp":
            return LatentGibbs(circuit, NetworkEnergy(operator.n, self.hidden or 1))
        return LatentGibbs(circuit, order=self.order or 1)


Blocks = Literal["full", "layer", "diagonal", "latent"]


class Natural(optimisers.Natural):
    """The natural gradient of a monotone metric, or of what blocks leave of it."""

    cites = ("Amari1998", "Petz1996")
    blocks: Annotated[Blocks | None, Only("model", ("qhbm",)), Field(description=_BLOCKS)] = "full"
    metric: Annotated[Metric, Only("blocks", ("full", "layer", "diagonal"))] = "bkm"
    damping: Damping = "adaptive"
    trust: Trust = 0.3

    def build(self, task: Any, **more: Any) -> Any:
        from qnat.inference import descend
        from qnat.optim import natural_gradient

        from ..models import ApproximateMetric

        def transform(metric: Any = None) -> Any:
            return natural_gradient(self.learning_rate, metric, damping=self.damping, trust=self.trust, **more)

        if self.blocks is not None and self.blocks != "full":
            # a block of the latent alone is Fisher's for every kind
            return transform(ApproximateMetric(task.metric(self.metric or "sld"), self.blocks))
        if self.metric == "bkm" and not more:
            return descend(task.value_and_grad, transform(), linearise=task.linearise)
        return transform(task.metric(self.metric))


class VariationalSpec(SystemSpec):
    """A Hamiltonian, a model of states, and an optimiser; angles are in radians."""

    model: Qhbm | Family = Qhbm()
    optimizer: Natural | Qpmd | Mirror | Qbang | QnSpsa | Adam | Sgd = Natural()
    steps: int = Field(100, ge=0, description="optimiser steps (1000 without a metric at every step, unless given)")

    @model_validator(mode="after")
    def _variational(self) -> Self:
        if self.optimizer.name == "mirror" and self.model.name != "gibbs":
            raise ValueError("optimizer mirror needs a mirror map, which model qhbm has not; choose model gibbs.")
        if "steps" not in self.model_fields_set:
            self._set(steps=self.optimizer.steps)
        size, latent = self.size(), 0
        parameters = 12 * self.n + size.terms
        if isinstance(self.model, Qhbm):
            found, parameters = self.model.sized(size)
            self._set(**found)
            latent = (self.n + 2) * (self.hidden or 0)
        self._check_memory(parameters, latent)
        return self

    def _check_memory(self, parameters: int, latent: int) -> None:
        """Refuses more than this machine holds: states, the parameters of the latent energies, and metrics."""
        self._check_states(parameters)
        # energies of all bitstrings, and a few moments
        bits = math.log2(8 * self.seeds * max(latent, 1)) + math.log2(4 * 2**self.n + 8)
        check_memory(bits, f"The latent energy of {latent} parameters", "choose fewer hidden units")
        if self.model.name == "qhbm":
            check_time(parameters, _ANGLE_SECONDS, f"To compile {parameters} angles", "choose fewer layers")
        if self.optimizer.name not in ("adam", "sgd"):
            count = self._in_matrix(parameters) + latent
            bits = math.log2(32 * self.seeds * max(count, 1) ** 2)
            check_memory(bits, f"The metric of {count} parameters", _SMALLER)

    def _check_states(self, parameters: int) -> None:
        """Refuses states that do not fit, with a matrix each parameter."""
        # about twelve dense matrices, and one a parameter (three for a metric)
        matrices = (3 if self.optimizer.name == "natural" else 1) * (parameters + 12)
        bits = math.log2(matrices * self.seeds) + dense_bits(self.n)
        seeds = f", seeds = {self.seeds}," if self.seeds > 1 else ""
        check_memory(bits, f"The dense path{seeds} of n = {self.n} qubits", _SMALLER)

    def _in_matrix(self, parameters: int) -> int:
        """How many of the parameters but the latent ones have a metric that must be a matrix."""
        return parameters

    def family(self, operator: Any) -> Any:
        """The family of states."""
        return self.model.build(operator, periodic=bool(self.periodic))

    def scaled(self, params: Any, factor: float) -> Any:
        """The parameters of ρ^factor, normalised."""
        return factor * params if self.model.name == "gibbs" else self.family(self.operator()).scaled(params, factor)

    def cited(self) -> tuple[str, ...]:
        return (*self.model.cites, *self.optimizer.cites, *self.hamiltonian.cites)
