"""Whom a server believes what it says of others."""

from __future__ import annotations

import pytest

from ehlo import LocalProtocolError, networks_of, trusted

NETWORKS = networks_of(["192.0.2.0/24", "198.51.100.7", "2001:db8::/32", "unix"])


@pytest.mark.parametrize(
    "peer", ["192.0.2.0", "192.0.2.255", "198.51.100.7", "2001:db8::1", "::ffff:192.0.2.9", "unix"]
)
def test_trusted(peer: str) -> None:
    assert trusted(peer, NETWORKS)
    assert not trusted(peer, ())


@pytest.mark.parametrize(
    "peer",
    [None, "", "192.0.3.0", "198.51.100.8", "2001:db9::1", "::ffff:198.51.100.8", "::192.0.2.9", "Unix", "x"],
)
def test_strangers(peer: str | None) -> None:
    assert not trusted(peer, NETWORKS)


def test_a_network_is_none_of_unix_sockets() -> None:
    assert not trusted("unix", networks_of(["0.0.0.0/0", "::/0"]))
    assert not trusted("192.0.2.1", networks_of(["unix"]))


@pytest.mark.parametrize("text", ["", "192.0.2.1/24", "192.0.2", "localhost", "192.0.2.1/33", "UNIX"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="not a network"):
        networks_of([text])


def test_one_text_is_no_list() -> None:
    with pytest.raises(LocalProtocolError, match="list"):
        networks_of("::1")
