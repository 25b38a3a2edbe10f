"""Circuits as data: a block of gates on n wires, repeated. Backends give them meaning."""

from typing import NamedTuple

import equinox as eqx


class Gate(NamedTuple):
    """One gate. Make it with `rotation`, `phase` or `cnot`.

    Attributes:
        kind: "rotation" exp(−i t P/2), "phase" diag(1, …, 1, e^{it}) on the wires, or "cnot" (no angle).
        wires: the wires it acts on; for "cnot" (control, target).
        pauli: the letters of P on those wires, for a rotation.
    """

    kind: str
    wires: tuple[int, ...]
    pauli: str = ""


def rotation(pauli: str, *wires: int) -> Gate:
    """exp(−i t P/2) with the Pauli string P on the wires: RX, RY, RZ for one letter, PauliRot beyond."""
    if len(pauli) != len(wires) or not set(pauli) <= set("XYZ"):
        raise ValueError(f"A rotation needs one letter X, Y or Z per wire; got '{pauli}' on wires {wires}.")
    return Gate("rotation", wires, pauli)


def phase(*wires: int) -> Gate:
    """diag(1, …, 1, e^{it}) on the wires: PhaseShift, ControlledPhaseShift, …"""
    return Gate("phase", wires)


def cnot(control: int, target: int) -> Gate:
    """The fixed controlled NOT."""
    return Gate("cnot", (control, target))


class Circuit(eqx.Module):
    """U(t) = B(t_L) … B(t_1), where the block B applies `block` from left to right.

    Attributes:
        n: number of wires; wire 0 is the leftmost Kronecker factor.
        block: gates of one layer.
        layers: L, how often the block stands; 0 is the identity.
    """

    n: int = eqx.field(static=True)
    block: tuple[Gate, ...] = eqx.field(static=True)
    layers: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        for gate in self.block:
            if len(set(gate.wires)) != len(gate.wires) or not all(0 <= wire < self.n for wire in gate.wires):
                raise ValueError(f"Gate {gate} needs distinct wires in 0..{self.n - 1}.")
        if self.n < 1 or self.layers < 0:
            raise ValueError(f"A circuit needs n >= 1 and layers >= 0; got n={self.n}, layers={self.layers}.")

    @property
    def angles_per_layer(self) -> int:
        """Number of parametrised gates of the block."""
        return sum(gate.kind != "cnot" for gate in self.block)

    @property
    def num_angles(self) -> int:
        """P, the number of angles in radians, ordered layer by layer, gate by gate."""
        return self.layers * self.angles_per_layer
