"""Measures `ehlo` beside its peers: `python -m benchmarks NAME`. Never imported by `make test` except
for the statistics and tables, which need no peer.
"""
