"""How many angles circuits have; imports no array library, so that a command line can judge sizes at once."""

import math


def angles_per_layer(ansatz: str, n: int) -> int:
    """Angles of a layer of an ansatz but "hva" on n qubits, as in `qnat.quantum.circuits.ansatz`."""
    bonds = n if n > 2 else n - 1
    known = {"real": n + 2 * bonds, "hea_ring": 2 * n + bonds, "matchgate": 2 * (n - 1)}
    return known.get(ansatz, 3 * n - 1)


def default_layers(ansatz: str, n: int, angles: int) -> int:
    """Enough layers of so many angles to reach every eigenframe for n ≤ 4, and 16 above (where that is out of reach).

    An eigenframe has d(d−1)/2 real or d² − d complex dimensions, d = 2^n; with fewer angles hot states, in which every
    eigenvector matters, keep a residual relative entropy that no optimiser removes. Free fermions take n/2 layers to
    reach all of theirs, and four more make the way there easier.
    """
    if ansatz == "matchgate":
        return n // 2 + 4
    if n > 4:
        return 16
    return math.ceil(2**n * (2**n - 1) // (2 if ansatz == "real" else 1) / max(angles, 1))
