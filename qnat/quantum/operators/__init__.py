"""Pauli sums, the Hamiltonians made of them, and files of either."""
