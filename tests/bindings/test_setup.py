"""Arguments, before a connection is made."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from typing import Any

import pytest
from tests.bindings.faces import HOSTNAME, Certificates
from tests.bindings.handlers import Sink

import ehlo
import ehlo.extensions
import ehlo_io.asyncio
import ehlo_io.blocking
import ehlo_io.trio
from ehlo_io._asyncio_link import AsyncioAlarm
from ehlo_io._asyncio_pump import AsyncioPump
from ehlo_io._client import ClientSetup
from ehlo_io._server import CurrentSetup, ServeOptions, ServerSetup
from ehlo_io._tls import Channel

MODULES: list[Any] = [ehlo_io.asyncio, ehlo_io.trio, ehlo_io.blocking]


@pytest.mark.parametrize("module", MODULES)
def test_unknown_arguments(module: Any) -> None:
    with pytest.raises(TypeError, match=r"connect\(\).*'passwort'"):
        module.connect("127.0.0.1", 1, passwort="x")
    with pytest.raises(TypeError, match=r"serve\(\).*'tsl'"):
        module.serve(Sink(), port=0, tsl=None)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("options", [{"tls": "always"}, {"tls": ""}, {"newlines": "keep"}])
def test_wrong_values_for_connect(module: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ehlo.LocalProtocolError):
        module.connect("127.0.0.1", 1, **options)


class Misspelt(Sink):
    def on_mesage(self, session: object) -> None:
        """Not called by anybody."""


@pytest.mark.parametrize("module", MODULES)
def test_what_could_never_serve(module: Any) -> None:
    with pytest.raises(TypeError, match="on_mesage"):
        module.serve(Misspelt(), port=0)
    with pytest.raises(ehlo.LocalProtocolError, match="requires authentication"):
        module.serve(object(), port=0)
    with pytest.raises(ehlo.LocalProtocolError, match="implicit_tls"):
        module.serve(Sink(), port=0, implicit_tls=True)
    with pytest.raises(ehlo.LocalProtocolError, match="requires TLS"):
        module.serve(Sink(), port=0, policy=ehlo.RFC6409_STRICT)
    with pytest.raises(ehlo.LocalProtocolError, match="hostname"):
        module.serve(Sink(), port=0, hostname="two words")


@pytest.mark.clause("RFC8314-5.2a")
def test_port_decides_the_default_of_tls() -> None:
    assert ClientSetup.of("a.test", 465, {}).tls is ehlo.TlsMode.IMPLICIT
    assert ClientSetup.of("a.test", 587, {}).tls is ehlo.TlsMode.STARTTLS
    assert ClientSetup.of("a.test", 465, {"tls": "none"}).tls is ehlo.TlsMode.NONE
    assert ClientSetup.of("a.test", 25, {"tls": ehlo.TlsMode.IMPLICIT}).tls is ehlo.TlsMode.IMPLICIT


def test_session_options() -> None:
    options = ClientSetup.of("a.test", 587, {}).session_options("192.0.2.1")
    assert options.server_name == "a.test"
    assert options.auth is None
    assert options.mechanisms is None
    assert not options.allow_cleartext_auth
    assert options.client_name
    options = ClientSetup.of(
        "a.test", 587, {"server_name": "b.test", "client_name": "c.test", "mechanisms": ["NTLM"]}
    ).session_options("192.0.2.1")
    assert (options.server_name, options.client_name, options.mechanisms) == ("b.test", "c.test", ("NTLM",))


@pytest.mark.clause("RFC8314-5.2a")
def test_tls_has_a_safe_context_by_default() -> None:
    channel = ClientSetup.of("a.test", 587, {}).channel()
    channel.start_tls("a.test")
    with pytest.raises(ssl.SSLError, match="no TLS context"):
        ClientSetup.of("a.test", 587, {"tls": "none"}).channel().start_tls("a.test")


def test_server_setup(certificates: Certificates) -> None:
    limits = ehlo.Limits(recipients=3)
    setup = ServerSetup.of(
        Sink(), {"hostname": HOSTNAME, "tls": certificates.server, "implicit_tls": True, "limits": limits}
    )
    assert setup.implicit_tls
    assert setup.config.hostname == HOSTNAME
    assert setup.config.limits is limits
    assert setup.config.tls_available
    assert {"SCRAM-SHA-256", "PLAIN", "LOGIN", "NTLM"} < set(setup.config.mechanisms)
    assert not ServerSetup.of(object(), {"policy": ehlo.OPEN_TEST}).config.mechanisms
    assert ServerSetup.of(Sink(), {}).config.policy is ehlo.OXSMTP_2008


def test_a_connection_after_the_end_is_not_served() -> None:
    """asyncio accepts in one step and makes the connection in another."""

    async def run() -> bytes:
        sink = Sink()
        ours, theirs = socket.socketpair()
        async with ehlo_io.asyncio.serve(sink, port=0, hostname=HOSTNAME) as server:
            factory = server._connections.pump
        await asyncio.get_running_loop().create_connection(factory, sock=theirs)
        with ours:
            ours.setblocking(False)
            async with asyncio.timeout(5):
                found = await asyncio.get_running_loop().sock_recv(ours, 100)
        assert sink.calls == []
        return found

    assert asyncio.run(run()) == b""


def test_loops_in_threads_share_no_buffer() -> None:
    """What one loop receives must not come out of another one's connection."""
    buffers: list[memoryview] = []

    async def take() -> None:
        alarm = AsyncioAlarm(asyncio.get_running_loop())
        pumps = [AsyncioPump(lambda: Channel(None, server_side=True), alarm) for _ in range(2)]
        assert pumps[0].get_buffer(-1) is pumps[1].get_buffer(-1)
        buffers.append(pumps[0].get_buffer(-1))

    for _ in range(2):
        thread = threading.Thread(target=lambda: asyncio.run(take()))
        thread.start()
        thread.join()
    assert len(buffers) == 2
    assert buffers[0].obj is not buffers[1].obj


def test_a_host_name_that_is_no_domain_is_no_reason_not_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "my_app_1")
    setup = ServerSetup.of(object(), {"policy": ehlo.OPEN_TEST})
    assert setup.config.hostname == "localhost"
    with pytest.raises(ehlo.LocalProtocolError, match="hostname"):
        ServerSetup.of(object(), {"policy": ehlo.OPEN_TEST, "hostname": "my_app_1"})


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"auth": ("alice", "secret")}, "auth"),
        ({"mechanisms": "PLAIN"}, "mechanisms"),
        ({"mechanisms": ["PLIAN"]}, "mechanisms"),
        ({"client_name": "a\r\nb"}, "client_name"),
    ],
)
def test_what_is_wrong_is_told_before_a_connection_is_made(options: Any, word: str) -> None:
    with pytest.raises(ehlo.LocalProtocolError, match=word):
        ClientSetup.of("mail.example", 587, options)


@pytest.mark.parametrize("port", [0, -1, 70000])
def test_a_port_that_is_none(port: int) -> None:
    with pytest.raises(ehlo.LocalProtocolError, match="port"):
        ClientSetup.of("mail.example", port, {})


# ---- UNIX sockets and proxies ----


@pytest.mark.parametrize("module", MODULES)
def test_unix_paths_that_cannot_be(module: Any) -> None:
    for path in ("", "\0abstract", "a\0b"):
        with pytest.raises(ehlo.LocalProtocolError, match="path"):
            module.connect_unix(path)
        with pytest.raises(ehlo.LocalProtocolError, match="path"):
            module.serve_unix(Sink(), path)
    for mode in (-1, 0o1000):
        with pytest.raises(ehlo.LocalProtocolError, match="mode"):
            module.serve_unix(Sink(), "/nowhere/socket", mode=mode)
    with pytest.raises(TypeError, match="passwort"):
        module.connect_unix("/nowhere/socket", passwort="x")
    with pytest.raises(TypeError, match="tsl"):
        module.serve_unix(Sink(), "/nowhere/socket", tsl=None)


def test_unix_sockets_have_no_tls_unless_asked_for() -> None:
    setup = ClientSetup.of_path("/nowhere/socket", {})
    assert (setup.path, setup.where, setup.tls) == ("/nowhere/socket", "/nowhere/socket", ehlo.TlsMode.NONE)
    session = setup.session_options("")
    assert (session.server_name, session.port) == ("localhost", 0)
    assert session.client_name
    assert ClientSetup.of_path("/nowhere/socket", {"tls": None}).tls is ehlo.TlsMode.NONE
    with pytest.raises(ehlo.LocalProtocolError, match="tls"):
        ClientSetup.of_path("/nowhere/socket", {"tls": ""})
    for tls in ("starttls", "implicit", "opportunistic"):
        with pytest.raises(ehlo.LocalProtocolError, match="server_name"):
            ClientSetup.of_path("/nowhere/socket", {"tls": tls})
        named = ClientSetup.of_path("/nowhere/socket", {"tls": tls, "server_name": "a.test"})
        assert (named.tls.value, named.session.server_name) == (tls, "a.test")


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("names", ["127.0.0.1", [], ["127.0.0.1/8"], ["proxy.test"]])
def test_proxies_that_cannot_be(module: Any, names: Any) -> None:
    with pytest.raises(ehlo.LocalProtocolError):
        module.serve(Sink(), port=0, proxied_from=names)


def test_no_proxies_are_none() -> None:
    assert ServerSetup.of(Sink(), {"proxied_from": None}).proxied_from is None


def test_who_may_speak_for_others() -> None:
    alone = ServerSetup.of(object(), {"xclient_from": ["192.0.2.0/24", "unix"]})
    assert alone.config.xclient == {"NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"}
    chosen = (*ehlo.EVERY[:-1], ehlo.extensions.xclient("ADDR"))
    options: ServeOptions = {"policy": ehlo.OPEN_TEST, "extensions": chosen, "xclient_from": ["::1"]}
    assert ServerSetup.of(object(), options).config.xclient == {"ADDR"}
    assert not ServerSetup.of(Sink(), {"extensions": ehlo.EVERY}).config.xclient
    for wrong in ("192.0.2.1", ["mail.example"]):
        with pytest.raises(ehlo.LocalProtocolError, match="network"):
            ServerSetup.of(Sink(), {"xclient_from": wrong})


def test_whoever_offers_burl_can_fetch() -> None:
    options: ServeOptions = {
        "extensions": (*ehlo.STANDARD, ehlo.extensions.burl(ehlo.BurlSources(imap=True)))
    }
    with pytest.raises(ehlo.LocalProtocolError, match="on_burl"):
        ServerSetup.of(Sink(), options)

    class Fetching(Sink):
        def on_burl(self, session: object, url: str) -> bytes:
            return b""

    assert ServerSetup.of(Fetching(), options).config.burl == ehlo.BurlSources(imap=True)


# ---- another handler, another certificate ----


def test_renewal_keeps_the_other_options_and_the_count(certificates: Certificates) -> None:
    options: ServeOptions = {"hostname": HOSTNAME, "tls": certificates.server, "connections": 2}
    current = CurrentSetup(ServerSetup.of(Sink(), options))
    before, sink = current.setup, Sink()
    current.renew(sink, certificates.stranger, None)
    assert current.setup.tls is certificates.stranger
    assert current.setup.certificate not in (None, before.certificate)
    assert current.setup.hooks.methods["on_message"] == sink.on_message
    assert current.setup.config.hostname == HOSTNAME
    assert current.setup.crowd is before.crowd is not None
    # [RFC5802-5.1g] the salts of nobody stay, too.
    key = before.options.get("salt_key")
    assert key
    assert current.setup.options.get("salt_key") == key
    assert options["tls"] is certificates.server


def test_renewal_without_a_certificate_keeps_tls(certificates: Certificates) -> None:
    current = CurrentSetup(ServerSetup.of(Sink(), {"tls": certificates.server}))
    before, sink = current.setup, Sink()
    current.renew(sink, None, None)
    assert current.setup.hooks.methods["on_message"] == sink.on_message
    assert current.setup.tls is certificates.server
    assert current.setup.certificate == before.certificate is not None


def test_renewal_that_could_never_work_changes_nothing(certificates: Certificates) -> None:
    options: ServeOptions = {"tls": certificates.server, "implicit_tls": True}
    current = CurrentSetup(ServerSetup.of(Sink(), options))
    before = current.setup
    for handler, tls, error in (
        (object(), certificates.server, ehlo.LocalProtocolError),
        (Misspelt(), certificates.server, TypeError),
    ):
        with pytest.raises(error):
            current.renew(handler, tls, None)
        assert current.setup is before
