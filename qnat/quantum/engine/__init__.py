"""The statevector engine."""
