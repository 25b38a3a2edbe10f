"""Data sets: their headers, their values, what is asked of them, and batches."""
