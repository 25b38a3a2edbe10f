"""What is measured: rows of systems that do the same work, and the ratios we want to see."""

from typing import NamedTuple

from .neutral import Spec


class Side(NamedTuple):
    """One system at one task, in a process of its own."""

    label: str
    system: str
    task: str
    threads: int = 1


class Row(NamedTuple):
    """Sides that are timed in turn and must agree; the first is qnat, and ratios are of the others to it.

    Attributes:
        kind: "speed" (interleaved timing), or "compile" (fresh processes, one side).
        cases: the specs; several are seeds, whose median ratio counts.
        goals: wanted ratio by label; for a compile row, wanted seconds.
        clock: "cpu" is robust on a shared machine, "wall" is the point where threads are compared.
        at_most: whether goals are upper bounds.
    """

    group: str
    title: str
    cases: tuple[Spec, ...]
    sides: tuple[Side, ...]
    goals: dict[str, float] = {}  # noqa: RUF012 - never changed
    kind: str = "speed"
    clock: str = "cpu"
    at_most: bool = False

    @property
    def name(self) -> str:
        """What `--only` searches, and the key in the results."""
        return f"{self.group}: {self.title}"

    @property
    def n(self) -> int:
        """Number of qubits."""
        return self.cases[0]["n"]


SEEDS = (101, 102, 103)  # the engine's planner was developed on other seeds

GROUPS = {
    "state": "Final state",
    "gradient": "Gradient of the energy",
    "batch": "256 basis states at once",
    "cost": "What a gradient costs, and two threads",
    "compile": "Compile time and temporary memory",
    "context": "Further simulators, small circuits",
    "metric": "Metrics",
    "gibbs": "Variational Gibbs steps",
}


def _ladder(n: int, layers: int = 8) -> tuple[Spec, ...]:
    return ({"family": "ladder", "n": n, "layers": layers},)


def _irregular(n: int) -> tuple[Spec, ...]:
    return tuple({"family": "irregular", "n": n, "layers": 8, "seed": seed} for seed in SEEDS)


def _peer(label: str, task: str) -> Side:
    """The side of a peer by the label that tables show."""
    system, suffix = {
        "qulacs": ("qulacs", ""),
        "lightning": ("pennylane", ""),
        "lightning, tape": ("pennylane", "_tape"),
        "lightning loop": ("pennylane", "_loop"),
        "PennyLane jit": ("pennylane", "_jit"),
        "qujax": ("qujax", ""),
        "TensorCircuit-NG": ("tensorcircuit", ""),
        "NumPy": ("numpy", ""),
        "JAX": ("jax", ""),
    }[label]
    return Side(label, system, task + suffix)


def _against(
    group: str, title: str, cases: tuple[Spec, ...], task: str, goals: dict[str, float], extra: tuple[str, ...] = ()
) -> Row:
    """qnat and peers at one task; `extra` peers have no goal."""
    ours = "qnat_models" if group in ("metric", "gibbs") else "qnat"
    peers = tuple(_peer(label, task) for label in (*goals, *extra))
    return Row(group, title, cases, (Side("qnat", ours, task), *peers), goals)


def _state_rows() -> list[Row]:
    goals = {
        8: {"qulacs": 4.0},
        12: {"qulacs": 8.0},
        16: {"qulacs": 11.0, "lightning": 4.5},
        20: {"qulacs": 10.0, "lightning": 2.0},
        22: {"lightning": 4.0},
        24: {"lightning": 4.0},
    }
    rough = {12: {"qulacs": 5.0}, 16: {"qulacs": 6.5, "lightning": 2.6}, 20: {"lightning": 1.1}}
    tape = {16: ("lightning, tape",), 20: ("lightning, tape",)}
    rows = [
        _against("state", f"ladder, n = {n}", _ladder(n), "evaluation", goal, tape.get(n, ()))
        for n, goal in goals.items()
    ]
    return rows + [
        _against("state", f"irregular, n = {n}", _irregular(n), "evaluation", goal, tape.get(n, ()))
        for n, goal in rough.items()
    ]


def _gradient_rows() -> list[Row]:
    goals = {
        8: {"qulacs": 6.0},
        12: {"qulacs": 10.0},
        16: {"qulacs": 13.0, "lightning": 4.5},
        20: {"lightning": 6.0},
    }
    tape = {16: ("lightning, tape",), 20: ("lightning, tape",)}
    return [
        _against("gradient", f"ladder, n = {n}", _ladder(n), "gradient", goal, tape.get(n, ()))
        for n, goal in goals.items()
    ]


def _batch_rows() -> list[Row]:
    return [
        _against("batch", f"ladder, n = {n}", ({**_ladder(n)[0], "batch": 256},), "batch", {"qulacs": goal})
        for n, goal in ((4, 150.0), (8, 20.0))
    ]


def _cost_rows() -> list[Row]:
    gradient = [
        Row(
            "cost",
            f"gradient / state, ladder, n = {n}",
            _ladder(n),
            (Side("qnat state", "qnat", "evaluation"), Side("qnat gradient", "qnat", "gradient")),
            {"qnat gradient": goal},
            at_most=True,
        )
        for n, goal in ((8, 4.0), (12, 4.5), (16, 4.5), (20, 4.5))
    ]
    threads = [
        Row(
            "cost",
            f"one thread / two threads, ladder, n = {n}",
            _ladder(n),
            (Side("qnat, two threads", "qnat", "evaluation", 2), Side("qnat, one thread", "qnat", "evaluation")),
            {"qnat, one thread": 1.6} if n == 20 else {},
            clock="wall",
        )
        for n in (18, 20, 22)
    ]
    return gradient + threads


def _compile_rows() -> list[Row]:
    return [
        Row(
            "compile",
            f"{what}, ladder, n = {n}, L = {layers}",
            _ladder(n, layers),
            (Side("qnat", "qnat", f"compile_{task}"),),
            {"qnat": goal},
            kind="compile",
            at_most=True,
        )
        for what, task, goal in (("state", "evaluation", 1.0), ("gradient", "gradient", 2.5))
        for n in (8, 12, 16, 20)
        for layers in (8, 64)
    ]


def _context_rows() -> list[Row]:
    simulators = ("qujax", "TensorCircuit-NG", "PennyLane jit", "NumPy")
    return [_against("context", f"ladder, n = {n}", _ladder(n), "evaluation", {}, simulators) for n in (4, 8, 12)]


def _metric_rows() -> list[Row]:
    """Rows whose qnat side belongs to `on_qnat_models.pure_metric` and `thermal_metric`."""
    pure = [
        _against("metric", f"pure state, n = {n}, L = {layers}", _ladder(n, layers), "pure_metric", {"JAX": goal})
        for n, layers, goal in ((4, 8, 10.0), (8, 4, 30.0), (12, 3, 30.0))
    ]
    mixed = [
        _against("metric", f"BKM, n = {n}, P = {terms}", ({"n": n, "terms": terms},), "thermal_metric", {"NumPy": goal})
        for n, terms, goal in ((6, 100, 1.6), (8, 100, 1.6), (10, 20, 2.8))
    ]
    return pure + mixed


def _gibbs_rows() -> list[Row]:
    """Adam steps against PennyLane, and natural steps (`on_qnat_models.natural_step`) against our own gradient."""
    adam = [
        _against(
            "gibbs",
            f"Adam step, RZZ and RX, n = {n}, L = {n}",
            ({"family": "ising", "n": n, "layers": n, "beta": 1.0},),
            "gibbs_step",
            {"lightning loop": 500.0, "PennyLane jit": 4.0},
        )
        for n in (4, 6)
    ]
    hardware = [
        _against(
            "gibbs",
            f"Adam step, hardware-efficient, n = {n}, L = {layers}",
            ({"family": "hea", "n": n, "layers": layers, "beta": 1.0},),
            "gibbs_step",
            {"lightning loop": 500.0},
        )
        for n, layers in ((4, 6), (6, 10))
    ]
    natural = [
        Row(
            "gibbs",
            f"natural step / gradient, hardware-efficient, n = {n}, L = 6",
            ({"family": "hea", "n": n, "layers": 6, "beta": 1.0},),
            (
                Side("qnat gradient", "qnat_models", "gibbs_gradient"),
                Side("qnat natural step", "qnat_models", "natural_step"),
            ),
            {"qnat natural step": 4.0} if n == 6 else {},
            at_most=True,
        )
        for n in (6, 8)
    ]
    return adam + hardware + natural


def all_rows() -> list[Row]:
    """Every row, group by group."""
    engine = [*_state_rows(), *_gradient_rows(), *_batch_rows(), *_cost_rows(), *_compile_rows(), *_context_rows()]
    return [*engine, *_metric_rows(), *_gibbs_rows()]
