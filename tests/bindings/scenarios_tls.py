"""TLS and authentication: what fails, what is injected, what is said to whom."""

from __future__ import annotations

import contextlib
import ssl
from functools import partial
from typing import Any

import pytest
import trustme
from tests.bindings.faces import Io
from tests.bindings.handlers import PASSWORD, RCPT, SENDER, Sink
from tests.bindings.peers import GREETING, OFFER, Peer, greet
from tests.bindings.registry import add, scenario
from tests.bindings.scenarios_submit import ENVELOPE, MESSAGE

import ehlo
import ehlo_io


async def _still_serves(io: Io, server: Any, sink: Sink, **options: Any) -> None:
    before = len(sink.stored)
    async with io.connect(server.address, auth=PASSWORD, mechanisms=["PLAIN"], **options) as client:
        await client.submit(MESSAGE, **ENVELOPE)
    assert len(sink.stored) == before + 1


@scenario()
async def wrong_password(io: Io) -> None:
    sink = Sink()
    wrong = ehlo.Password(PASSWORD.username, "guess")
    async with io.serve(sink) as server:
        for mechanism in ("PLAIN", "LOGIN", "NTLM"):
            with pytest.raises(ehlo.AuthenticationFailed) as failed:
                await io.connect(server.address, auth=wrong, mechanisms=[mechanism])
            assert failed.value.reply is not None
            assert failed.value.reply.code == 535
        await io.until(lambda: sink.calls.count("quit") == 3)
        await _still_serves(io, server, sink)


@scenario("RFC8314-3.3b")
async def nobody_is_trusted_blindly(io: Io) -> None:
    sink = Sink()
    for implicit in (False, True):
        tls = "implicit" if implicit else "starttls"
        async with io.serve(sink, tls=io.certificates.stranger, implicit_tls=implicit) as server:
            with pytest.raises(ehlo.TlsFailed, match=r"(?i)verif") as failed:
                await io.connect(server.address, auth=PASSWORD, tls=tls)
            assert isinstance(failed.value.__cause__, ssl.SSLCertVerificationError)
        async with io.serve(sink, implicit_tls=implicit) as server:
            for name in ("other.test", ".mail.test", "a" * 64 + ".test"):
                with pytest.raises(ehlo.TlsFailed):
                    await io.connect(server.address, auth=PASSWORD, tls=tls, server_name=name)
            await _still_serves(io, server, sink, tls=tls)
    assert len(sink.stored) == 2


@scenario("RFC4954-14c")
async def any_name_of_the_certificate_will_do(io: Io) -> None:
    """In any letter case, with one label for an asterisk; the common name counts for nothing."""
    authority = trustme.CA()
    issued = authority.issue_cert("mail.local.example", "*.test.example", common_name="cn.local.example")
    context, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ehlo_io.client_context()
    issued.configure_cert(context)
    authority.configure_trust(trusting)
    async with io.serve(Sink(), tls=context) as server:
        how: dict[str, Any] = {"auth": PASSWORD, "context": trusting}
        for name in ("mail.local.example", "MAIL.Local.Example", "a.test.example", "A.TEST.example"):
            async with io.connect(server.address, server_name=name, **how) as client:
                assert client.tls is not None
                assert client.tls.verified
        for name in ("a.b.test.example", "test.example", "cn.local.example", "x.mail.local.example"):
            with pytest.raises(ehlo.TlsFailed):
                await io.connect(server.address, server_name=name, **how)


@scenario()
async def alert_says_why(io: Io) -> None:
    heard: list[str] = []

    def play(peer: Peer) -> None:
        greet(peer, b"250-mail.test\r\n250 STARTTLS\r\n")
        assert peer.line() == b"STARTTLS"
        peer.send(b"220 Go\r\n")
        try:
            peer.start_tls(io.certificates.stranger, server_side=True)
            peer.line()
        except ssl.SSLError as error:
            heard.append(str(error.reason))

    async with io.scripted(play) as address:
        with pytest.raises(ehlo.TlsFailed):
            await io.connect(address)
    assert heard == ["TLSV1_ALERT_UNKNOWN_CA"]


@scenario()
async def starttls_is_not_offered(io: Io) -> None:
    lines: list[bytes] = []

    def play(peer: Peer) -> None:
        greet(peer, OFFER.replace(b"8BITMIME", b"AUTH PLAIN"))
        while line := peer.line():
            lines.append(line)
            peer.send(b"221 2.0.0 Bye\r\n")

    async with io.scripted(play) as address:
        with pytest.raises(ehlo.TlsFailed, match="does not offer"):
            await io.connect(address, auth=PASSWORD)
    assert lines == [b"QUIT"]


@scenario()
async def client_meets_plaintext_on_the_implicit_port(io: Io) -> None:
    octets: list[bytes] = []

    def play(peer: Peer) -> None:
        peer.send(GREETING)
        with contextlib.suppress(ConnectionError):
            octets.append(peer.rest())

    async with io.scripted(play) as address:
        with pytest.raises(ehlo.TlsFailed):
            await io.connect(address, auth=PASSWORD, tls="implicit")
    assert all(b"EHLO" not in data for data in octets)


@scenario()
async def server_meets_plaintext_on_the_implicit_port(io: Io) -> None:
    sink = Sink()

    def play() -> None:
        with Peer.silent_to(server.address) as peer:
            peer.send(b"EHLO client.test\r\nMAIL FROM:<a@b.c>\r\n")
            with contextlib.suppress(ConnectionError):
                assert b"220" not in peer.rest()

    async with io.serve(sink, implicit_tls=True) as server:
        await io.thread(play)
        assert sink.calls == []
        await _still_serves(io, server, sink, tls="implicit")


@scenario()
async def injection_behind_starttls_in_the_same_segment(io: Io) -> None:
    sink = Sink()

    def play(behind: bytes) -> None:
        with Peer.to(server.address) as peer:
            assert peer.ask("EHLO client.test").startswith("250-")
            peer.send(b"STARTTLS\r\n" + behind)
            assert peer.rest().startswith(b"421 4.7.0 ")

    async with io.serve(sink, policy=ehlo.OPEN_TEST) as server:
        for behind in (b"NOOP\r\n", b"M", b"MAIL FROM:<a@example.com>\r\n", b"\x16\x03\x01" + b"x" * 65536):
            await io.thread(partial(play, behind))
        assert "mail" not in sink.calls
        await _still_serves(io, server, sink)


@scenario()
async def injection_behind_starttls_in_a_later_segment(io: Io) -> None:
    sink = Sink()

    def play(injected: bytes) -> None:
        with Peer.to(server.address) as peer:
            assert peer.ask("EHLO client.test").startswith("250-")
            assert peer.ask("STARTTLS").startswith("220 ")
            peer.send(injected)
            with contextlib.suppress(ConnectionError):
                assert b"250" not in peer.rest()

    async with io.serve(sink, policy=ehlo.OPEN_TEST) as server:
        for injected in (b"MAIL FROM:<a@example.com>\r\n", b"NOOP\r\n" * 1000):
            await io.thread(partial(play, injected))
        assert sink.calls.count("hello client.test") == 2
        assert "mail" not in sink.calls
        await _still_serves(io, server, sink)


@scenario()
async def injection_before_the_handshake_is_not_executed(io: Io) -> None:
    """Plaintext and a whole handshake behind it: the plaintext breaks the handshake."""
    sink = Sink()

    def play() -> None:
        with Peer.to(server.address) as peer:
            peer.ask("EHLO client.test")
            assert peer.ask("STARTTLS").startswith("220 ")
            peer.send(b"MAIL FROM:<injected@example.com>\r\n")
            with pytest.raises(OSError):  # noqa: PT011 (SSLError or a reset, as TCP has it)
                peer.start_tls(io.certificates.client)

    async with io.serve(sink, policy=ehlo.OPEN_TEST) as server:
        await io.thread(play)
        await _still_serves(io, server, sink)
    assert sink.calls.count("mail") == 1


@scenario()
async def injection_behind_the_220(io: Io) -> None:
    octets: list[bytes] = []

    def play(peer: Peer) -> None:
        greet(peer, b"250-mail.test\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n")
        assert peer.line() == b"STARTTLS"
        peer.send(b"220 Go\r\n250-mail.test\r\n250 AUTH PLAIN\r\n")
        with contextlib.suppress(ConnectionError):
            octets.append(peer.rest())

    async with io.scripted(play) as address:
        with pytest.raises(ehlo.RemoteProtocolError):
            await io.connect(address, auth=PASSWORD)
    assert octets in ([b""], [])


@scenario()
async def nothing_from_before_tls_is_known_after(io: Io) -> None:
    sink = Sink()

    def play() -> None:
        with Peer.to(server.address) as peer:
            assert "STARTTLS" in peer.ask("EHLO before.test")
            peer.ask("STARTTLS")
            peer.start_tls(io.certificates.client)
            assert peer.ask("MAIL FROM:<a@example.com>").startswith("503 ")
            assert "STARTTLS" not in peer.ask("EHLO after.test")
            assert peer.ask("STARTTLS").startswith("503 ")
            assert peer.ask("QUIT").startswith("221 ")
            assert peer.ended()

    async with io.serve(sink) as server:
        await io.thread(play)
    assert sink.calls == ["connect", "hello before.test", "hello after.test", "quit"]


@scenario()
async def commands_glued_to_the_last_flight(io: Io) -> None:
    """What a client sends together with the end of its handshake is served."""
    sink = Sink()

    def play() -> None:
        with Peer.to(server.address) as peer:
            peer.ask("EHLO before.test")
            peer.ask("STARTTLS")
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = io.certificates.client.wrap_bio(incoming, outgoing, server_hostname="mail.test")
            while True:
                with contextlib.suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                    break
                peer.send(outgoing.read())
                incoming.write(peer.sock.recv(65536))
            tls.write(b"EHLO after.test\r\nQUIT\r\n")
            peer.send(outgoing.read())
            found = b""
            while b"221 " not in found:
                try:
                    found += tls.read(65536)
                except ssl.SSLWantReadError:
                    data = peer.sock.recv(65536)
                    assert data, "the server closed before it answered"
                    incoming.write(data)

    async with io.serve(sink) as server:
        await io.thread(play)
    assert sink.calls[-2:] == ["hello after.test", "quit"]


@scenario("RFC8314-3.4a")
async def tls_ends_with_close_notify(io: Io) -> None:
    """In both roles: a peer that raises for a truncated stream is content."""
    ends: list[bytes] = []

    def play(peer: Peer) -> None:
        greet(peer, b"250-mail.test\r\n250 STARTTLS\r\n")
        peer.line()
        peer.send(b"220 Go\r\n")
        context = io.certificates.server
        peer.sock = context.wrap_socket(peer.sock, server_side=True, suppress_ragged_eofs=False)
        peer.line()
        peer.send(OFFER)
        assert peer.line() == b"QUIT"
        peer.send(b"221 2.0.0 Bye\r\n")
        try:
            ends.append(peer.rest())
        except ssl.SSLError as error:
            ends.append(repr(error).encode())

    def ask() -> None:
        with Peer.to(server.address) as peer:
            peer.ask("EHLO before.test")
            peer.ask("STARTTLS")
            peer.sock = io.certificates.client.wrap_socket(
                peer.sock, server_hostname="mail.test", suppress_ragged_eofs=False
            )
            assert peer.ask("QUIT").startswith("221 ")
            assert peer.rest() == b""

    async with io.scripted(play) as address, io.connect(address):
        pass
    assert ends == [b""]
    async with io.serve(Sink()) as server:
        await io.thread(ask)


@scenario()
async def silence_in_the_handshake(io: Io) -> None:
    sink = Sink()

    def play(*, implicit: bool, drip: bool) -> None:
        with Peer.silent_to(server.address) as peer:
            if not implicit:
                peer.reply()
                peer.ask("EHLO client.test")
                peer.ask("STARTTLS")
            if drip:
                peer.sock.settimeout(0.05)
                _drip(peer, b"\x16\x03\x01\x02\x00\x01" + bytes(500))
            else:
                assert peer.ended()

    limits = ehlo.Limits(tls_timeout=0.3)
    for implicit in (False, True):
        async with io.serve(sink, limits=limits, implicit_tls=implicit) as server:
            for drip in (False, True):
                await io.thread(partial(play, implicit=implicit, drip=drip))

    def mute(peer: Peer) -> None:
        peer.ended()

    async with io.scripted(mute) as address:
        with pytest.raises(ehlo.TlsFailed, match="out of time") as failed:
            await io.connect(address, tls="implicit", limits=limits)
        assert failed.value.temporary


def _drip(peer: Peer, octets: bytes) -> None:
    """An octet at a time until the server closes; the time-out of the socket is the pause."""
    for octet in octets:
        try:
            peer.send(bytes([octet]))
            if not peer.sock.recv(65536):
                return
        except TimeoutError:
            continue
        except ConnectionError:
            return
    raise AssertionError("the server would wait for ever")


async def _opportunistic(io: Io, *, offered: bool) -> None:
    sink = Sink()
    tls = io.certificates.server if offered else None
    async with (
        io.serve(sink, tls=tls, policy=ehlo.OPEN_TEST) as server,
        io.connect(server.address, tls="opportunistic") as client,
    ):
        assert (client.tls is not None) is offered
        await client.submit(MESSAGE, sender=SENDER, recipients=[RCPT])
    assert sink.stored == [MESSAGE]


add("opportunistic_with_tls", partial(_opportunistic, offered=True))
add("opportunistic_without_tls", partial(_opportunistic, offered=False))


@scenario()
async def cleartext_passwords_stay_home(io: Io) -> None:
    sink = Sink()
    async with io.serve(sink, tls=None, policy=ehlo.SubmissionPolicy(allow_cleartext_auth=True)) as server:
        with pytest.raises(ehlo.AuthenticationFailed, match="safe without TLS"):
            await io.connect_open(server.address, auth=PASSWORD, mechanisms=["PLAIN"])
        async with io.connect_open(
            server.address, auth=PASSWORD, mechanisms=["PLAIN"], allow_cleartext_auth=True
        ) as client:
            await client.submit(MESSAGE, **ENVELOPE)
    assert sink.mechanisms == ["PLAIN"]
