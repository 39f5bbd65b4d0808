"""Measures DNS servers beside each other: the parts of `benchmarks/run`."""
