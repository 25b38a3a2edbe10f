"""Sizes of lattices; imports no array library, so that a command line can judge them at once."""

DENSE = 10
"""Qubits up to which density matrices are the default."""


def dense_bits(n: int) -> float:
    """Logarithm to base 2 of the bytes of a dense complex matrix on n qubits, of any n."""
    return 4 + 2.0 * min(n, 10**300)  # where numbers end; nobody has so many


def num_bonds(rows: int, columns: int, *, periodic: bool) -> int:
    """Number of distinct nearest neighbours of a lattice."""
    return sum(across * (along - 1 + (periodic and along > 2)) for across, along in ((rows, columns), (columns, rows)))


def lattice(sites: int, rows: int | None, columns: int | None) -> tuple[int, int]:
    """Rows and columns of so many sites; a chain if neither is given.

    Raises:
        ValueError: they do not multiply to the sites.
    """
    rows = rows or (1 if columns is None else max(1, sites // columns))
    columns = columns or max(1, sites // rows)
    if rows * columns != sites:
        raise ValueError(f"A lattice of {rows} x {columns} does not have n = {sites} sites; give rows * columns = n.")
    return rows, columns
