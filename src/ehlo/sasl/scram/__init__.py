"""SCRAM (RFC 5802, RFC 7677): salted challenge and response, proved by both sides.

`keys` is what a server stores and what both compute, `messages` the four messages and their grammar;
`client` and `server` are the two roles.
"""
