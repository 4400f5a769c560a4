"""The TLS layer, joined in memory: no socket, no thread, every cut."""

from __future__ import annotations

import ssl

import pytest
from tests.bindings.faces import HOSTNAME, Certificates

import ehlo
from ehlo_io import client_context
from ehlo_io._tls import Channel


def _pair(certificates: Certificates) -> tuple[Channel, Channel]:
    client = Channel(certificates.client, server_side=False)
    server = Channel(certificates.server, server_side=True)
    client.start_tls(HOSTNAME)
    server.start_tls(None)
    return client, server


def _shake(client: Channel, server: Channel, *, cut: int = 100_000) -> tuple[ehlo.TLSInfo, ehlo.TLSInfo]:
    """Join them until both are done; at most `cut` octets travel at a time."""
    client_info, server_info = client.handshake(None), server.handshake(None)
    for _ in range(100_000):
        sent = client.pending()
        for at in range(0, len(sent), cut):
            piece = sent[at : at + cut]
            if server_info is None:
                server_info = server.handshake(piece)
            else:
                assert server.incoming(piece) is None
        answer = server.pending()
        for at in range(0, len(answer), cut):
            piece = answer[at : at + cut]
            if client_info is None:
                client_info = client.handshake(piece)
            else:
                assert client.incoming(piece) is None
        if client_info is not None and server_info is not None and not (sent or answer):
            return client_info, server_info
    raise AssertionError("the handshake does not end")


def test_without_tls_octets_pass_through() -> None:
    channel = Channel(None, server_side=True)
    assert channel.outgoing(b"abc") == b"abc"
    assert channel.incoming(b"abc") == b"abc"
    assert channel.incoming(b"") == b""
    assert channel.buffered() is None
    assert channel.pending() == b""
    assert channel.closing() == b""
    with pytest.raises(ssl.SSLError, match="no TLS context"):
        channel.start_tls(None)


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 7, 11, 100, 1000, 100_000])
def test_handshake_and_data_at_all_cuts(certificates: Certificates, cut: int) -> None:
    client, server = _pair(certificates)
    client_info, server_info = _shake(client, server, cut=cut)
    assert client_info.version == server_info.version == "TLSv1.3"
    assert client_info.cipher == server_info.cipher != ""
    assert client_info.verified
    assert not server_info.verified
    assert client_info.server_certificate == client_info.peer_certificate is not None
    assert server_info.peer_certificate is None
    assert server_info.server_certificate is None
    for sender, receiver in ((client, server), (server, client)):
        text = bytes(range(256)) * 300
        wire = sender.outgoing(text)
        assert text[:50] not in wire
        pieces = [receiver.incoming(wire[at : at + cut]) for at in range(0, len(wire), cut)]
        assert b"" not in pieces
        assert b"".join(piece for piece in pieces if piece is not None) == text


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_data_glued_to_the_last_flight(certificates: Certificates, version: ssl.TLSVersion) -> None:
    client, server = _pair(certificates)
    if version is ssl.TLSVersion.TLSv1_2:
        context = client_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = version
        client = Channel(context, server_side=False)
        client.start_tls(HOSTNAME)
    client_info, server_info = client.handshake(None), None
    glued = b""
    while client_info is None:
        server_info = server.handshake(client.pending()) or server_info
        client_info = client.handshake(server.pending())
    glued = client.pending() + client.outgoing(b"first") + client.outgoing(b"second")
    if server_info is None:
        server_info = server.handshake(glued)
        assert server.buffered() == b"firstsecond"
        assert server.buffered() is None
    else:
        # In TLS 1.2 the server is done first.
        assert server.incoming(glued) == b"firstsecond"
    assert server_info is not None
    assert not client_info.verified or version is ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    "plaintext", [b"MAIL FROM:<a@example.com>\r\n", b"NOOP\r\n" * 9, b"\0" * 20, b"\x16" * 9]
)
def test_plaintext_before_the_handshake_breaks_it(certificates: Certificates, plaintext: bytes) -> None:
    client, server = _pair(certificates)
    client.handshake(None)
    with pytest.raises(ssl.SSLError):
        server.handshake(plaintext + client.pending())


@pytest.mark.parametrize("reply", [b"250 OK\r\n", b"220 mail.test ESMTP\r\n"])
def test_plaintext_in_place_of_the_servers_flight(certificates: Certificates, reply: bytes) -> None:
    client, _ = _pair(certificates)
    client.handshake(None)
    with pytest.raises(ssl.SSLError):
        client.handshake(reply)


def test_plaintext_inside_tls_is_no_data(certificates: Certificates) -> None:
    client, server = _pair(certificates)
    _shake(client, server)
    with pytest.raises(ssl.SSLError):
        server.incoming(b"MAIL FROM:<injected@example.com>\r\n")


def test_a_changed_octet_is_found(certificates: Certificates) -> None:
    client, server = _pair(certificates)
    _shake(client, server)
    wire = bytearray(client.outgoing(b"MAIL"))
    wire[-1] ^= 1
    with pytest.raises(ssl.SSLError):
        server.incoming(bytes(wire))


def test_the_end_in_the_handshake(certificates: Certificates) -> None:
    _, server = _pair(certificates)
    assert server.handshake(None) is None
    with pytest.raises(ssl.SSLEOFError, match="closed"):
        server.handshake(b"")


def test_close_notify_is_the_end(certificates: Certificates) -> None:
    client, server = _pair(certificates)
    _shake(client, server)
    wire = client.outgoing(b"last words") + client.closing()
    assert server.incoming(wire) == b"last words"
    assert server.buffered() == b""
    assert server.buffered() == b""
    # And the other way round, after ours was received.
    assert server.closing() != b""


def test_truncated_stream_is_the_end(certificates: Certificates) -> None:
    client, server = _pair(certificates)
    _shake(client, server)
    wire = client.outgoing(b"half a record")
    assert server.incoming(wire[:-3]) is None
    assert server.incoming(b"") == b""


def test_closing_before_the_handshake_ends(certificates: Certificates) -> None:
    client, _ = _pair(certificates)
    client.handshake(None)
    assert isinstance(client.closing(), bytes)


@pytest.mark.parametrize("name", ["", ".mail.test", "a" * 64 + ".test", "a\0b"])
def test_names_that_no_certificate_has(certificates: Certificates, name: str) -> None:
    with pytest.raises(ssl.SSLError, match="no name to verify"):
        Channel(certificates.client, server_side=False).start_tls(name)


def test_wrong_name_and_strange_authority(certificates: Certificates) -> None:
    for context, name in ((certificates.server, "other.test"), (certificates.stranger, HOSTNAME)):
        client = Channel(certificates.client, server_side=False)
        server = Channel(context, server_side=True)
        client.start_tls(name)
        server.start_tls(None)
        with pytest.raises(ssl.SSLCertVerificationError):
            _shake(client, server)
        # An alert for the server, that says why.
        with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
            server.handshake(client.pending())


@pytest.mark.clause("RFC8314-4c")
def test_contexts(certificates: Certificates) -> None:
    client = client_context()
    assert client.minimum_version is ssl.TLSVersion.TLSv1_2
    assert client.check_hostname
    assert client.verify_mode is ssl.CERT_REQUIRED
    assert certificates.server.minimum_version is ssl.TLSVersion.TLSv1_2
    assert certificates.server.options & ssl.OP_NO_RENEGOTIATION
