"""The systems that `benchmarks/engine.py` compares, each behind the same few functions."""
