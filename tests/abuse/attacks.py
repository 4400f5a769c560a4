"""Endless things, broken handshakes, comers and goers."""

from __future__ import annotations

import contextlib
import itertools
import os
import ssl
from collections.abc import Iterator

from tests.abuse.ground import ENVELOPE, HELLO, Ground, at_once, attack
from tests.abuse.wire import ENDS, connected, converse, end, greeted, push

# ---- what has no end ----


def _endless(start: bytes, piece: bytes) -> Iterator[bytes]:
    yield start
    yield from itertools.repeat(piece)


@attack("line_without_end")
def line_without_end(ground: Ground) -> None:
    """In a command, and where octets may be a line's end, but are not."""
    for piece in (b"x" * 65536, b"\r" * 65536, b"x\n" * 32768, bytes(65536)):
        for _ in range(ground.times(1, 10)):
            said, taken = converse(connected(ground.target.address), _endless(HELLO, piece))
            assert said.splitlines()[-1].startswith(b"421 "), said[-200:]
            assert taken < 16 * 1024 * 1024


@attack("chunk_of_2_63_octets")
def chunk_of_2_63_octets(ground: Ground) -> None:
    """It is taken until there is too much of it; what then comes is dropped, and nothing is kept."""
    for declared, how in itertools.product((2**63, 2**63 - 1, 2**64, 10**19), ENDS):
        for _ in range(ground.times(1, 10)):
            with greeted(ground.target.address) as peer:
                peer.send(ENVELOPE + b"BDAT %d\r\n" % declared)
                with contextlib.suppress(ConnectionError):
                    for _ in range(20):
                        peer.send(b"x" * 100_000)
                end(peer.sock, how)


@attack("message_too_big")
def message_too_big(ground: Ground) -> None:
    """Read to its end and refused; what is on the disk meanwhile has a bound."""
    for _ in range(ground.times(2, 20)):
        with greeted(ground.target.address) as peer:
            for command in (*ENVELOPE.splitlines(), b"DATA"):
                assert peer.ask(command.decode())[0] in "23"
            line = b"x" * 998 + b"\r\n"
            for _ in range(8):
                peer.send(line * 1000)
            with contextlib.suppress(FileNotFoundError):
                sizes = [path.stat().st_size for path in (ground.target.maildir / "tmp").iterdir()]
                assert sum(sizes) < 4_000_000, sizes
            assert peer.ask(".").startswith("552 ")


@attack("replies_unread")
def replies_unread(ground: Ground) -> None:
    """The server takes no more when nobody hears what it answers."""
    flood = (
        HELLO
        + (b"MAIL FROM:<a@local.example>\r\n" + b"RCPT TO:<b@local.example>\r\n" * 900 + b"RSET\r\n") * 5
    )
    socks = [connected(ground.target.address, small_window=True) for _ in range(ground.times(1, 10))]
    try:
        for sock in socks:
            push(sock, flood)
        ground.at_height()
    finally:
        for sock in socks:
            end(sock, "reset")


# ---- TLS ----


@attack("handshakes_broken_off")
def handshakes_broken_off(ground: Ground) -> None:
    """At each stage: before, in the middle, and with what is none."""
    garbage = (b"", b"\x16", b"\x16\x03\x01\x40\x00" + bytes(50), os.urandom(4096), b"EHLO again\r\n" * 50)
    hello = _client_hello(ground.target.context)
    for octets in (*garbage, hello[: len(hello) // 2], hello, hello + b"\0" * 100, hello * 20):
        for how in ENDS:
            for _ in range(ground.times(2, 20)):
                with greeted(ground.target.address) as peer:
                    assert peer.ask("STARTTLS").startswith("220 ")
                    with contextlib.suppress(ConnectionError):
                        peer.send(octets)
                    end(peer.sock, how)


def _client_hello(context: ssl.SSLContext) -> bytes:
    come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(come, go, server_hostname="localhost").do_handshake()
    return go.read()


@attack("handshake_records_without_end")
def handshake_records_without_end(ground: Ground) -> None:
    record = b"\x16\x03\x01\x40\x00" + b"\x01\x00\xff\xff" + bytes(16380)
    for _ in range(ground.times(3, 30)):
        peer = greeted(ground.target.address)
        assert peer.ask("STARTTLS").startswith("220 ")
        _, taken = converse(peer.sock, itertools.repeat(record))
        assert taken < 16 * 1024 * 1024


@attack("handshakes_many")
def handshakes_many(ground: Ground) -> None:
    """Each costs the server more than the client: they must not starve the others."""

    def hammer() -> None:
        for _ in range(ground.times(25, 500)):
            with greeted(ground.target.address) as peer:
                assert peer.ask("STARTTLS").startswith("220 ")
                with contextlib.suppress(OSError):
                    wrapped = ground.target.context.wrap_socket(peer.sock, server_hostname="localhost")
                    end(wrapped, "reset")

    at_once(4, hammer)


@attack("tls_records_of_nothing")
def tls_records_of_nothing(ground: Ground) -> None:
    """Noise in place of records, and the end of TLS without the end of the connection."""
    for octets in (b"\x17\x03\x03\x00\x00" * 1000, os.urandom(1000), b"\x17\x03\x03\x40\x00"):
        for how in ENDS:
            for _ in range(ground.times(2, 20)):
                with greeted(ground.target.address) as peer:
                    assert peer.ask("STARTTLS").startswith("220 ")
                    with ground.target.context.wrap_socket(peer.sock, server_hostname="localhost") as wrapped:
                        wrapped.sendall(HELLO)
                        # Past TLS, as somebody would who sits on the line.
                        os.write(wrapped.fileno(), octets)
                        end(wrapped, how)


# ---- comers and goers ----


@attack("connections_without_a_word")
def connections_without_a_word(ground: Ground) -> None:
    """Made and ended in each way, before the greeting is heard."""
    for how in ("close", "reset"):
        for _ in range(ground.times(300, 5000)):
            end(connected(ground.target.address), how)
