"""Clients to be measured, each a worker of its own: `python -m benchmarks.clients NAME`."""
