"""Servers to be measured, each a process of its own: `python -m benchmarks.servers NAME`."""
