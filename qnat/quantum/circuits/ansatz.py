"""The ansätze: layered circuits whose angles are radians (a gate exponent a of the literature is t = πa)."""

from ..operators.pauli import PauliSum
from .circuit import Circuit, hadamard, phase, rotation

ANSATZE = ("real", "hea_ring", "hea", "matchgate")


def _ring(n: int, *, closed: bool) -> list[tuple[int, int]]:
    """Even bonds, odd bonds, then the wrap-around bond of a chain of n wires."""
    chain = [(i, i + 1) for start in (0, 1) for i in range(start, n - 1, 2)]
    return [*chain, (n - 1, 0)] if closed and n > 2 else chain


def hea(n: int, layers: int, *, closed: bool = False) -> Circuit:
    """Hardware-efficient ansatz: RX and RZ on each wire, then controlled phases on neighbours; closed: on a ring.

    3n − 1 angles a layer on the open chain, 3n on the ring (n > 2).

    Reference: A. Kandala et al., Nature 549, 242 (2017); gate set of google/qhbm-library.
    """
    single = [rotation(letter, wire) for wire in range(n) for letter in "XZ"]
    return Circuit(n, tuple(single + [phase(*pair) for pair in _ring(n, closed=closed)]), layers)


def real(n: int, layers: int) -> Circuit:
    """Real-orthogonal ansatz for Hamiltonians that are real: RY on each wire, then YZ and ZY rotations on a ring.

    Every generator is imaginary, so U is real orthogonal; 3n angles a layer (n > 2). It reaches all eigenframes of a
    real Hamiltonian with d(d−1)/2 angles, half of what a generic frame needs.
    """
    single = [rotation("Y", wire) for wire in range(n)]
    pairs = [rotation(letters, *pair) for pair in _ring(n, closed=True) for letters in ("YZ", "ZY")]
    return Circuit(n, tuple(single + pairs), layers)


def matchgate(n: int, layers: int) -> Circuit:
    """Free fermions after a Hadamard gate on each wire: YZ and ZY rotations on the bonds of an open chain.

    By the Jordan–Wigner transformation along X the rotations turn Majorana operators into one another, real orthogonal
    ones within each of two sets of n; n/2 layers of 2(n − 1) angles reach every such turn. With a product of single
    bits it holds the thermal state of the open transverse-field Ising chain at any temperature. Other chains it
    approximates by free fermions.

    Reference: L. Valiant, SIAM J. Comput. 31, 1229 (2002); B. Terhal, D. DiVincenzo, Phys. Rev. A 65, 032325 (2002).
    """
    bonds = [(i, i + 1) for start in (0, 1) for i in range(start, n - 1, 2)]
    turns = [rotation(letters, *bond) for bond in bonds for letters in ("YZ", "ZY")]
    return Circuit(n, (*map(hadamard, range(n)), *(turns * layers)))


def hva(hamiltonian: PauliSum, layers: int) -> Circuit:
    """Hamiltonian variational ansatz: a rotation by every term of the Hamiltonian but the identity, in their order.

    Every term has an angle of its own; with angles that are equal up to the coefficients a layer is a Trotter step.

    Reference: D. Wecker, M. Hastings, M. Troyer, Phys. Rev. A 92, 042303 (2015).
    """
    places = [tuple(i for i, letter in enumerate(string) if letter != "I") for string in hamiltonian.strings]
    terms = zip(hamiltonian.strings, places, strict=True)
    rotations = tuple(rotation("".join(string[i] for i in wires), *wires) for string, wires in terms if wires)
    return Circuit(hamiltonian.n, rotations, layers)


def ansatz(name: str, n: int, layers: int) -> Circuit:
    """The ansatz of that name ("real", "hea_ring", "hea" or "matchgate") on n wires."""
    if name not in ANSATZE:
        raise ValueError(f"Unknown ansatz '{name}'; use one of {', '.join(ANSATZE)}.")
    if name == "matchgate":
        return matchgate(n, layers)
    return real(n, layers) if name == "real" else hea(n, layers, closed=name == "hea_ring")
