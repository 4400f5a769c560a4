"""ehlo's server behind HAProxy: the client's own address, not the proxy's, is what it sees."""

import smtplib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Unpack

import attrs
import pytest
import trustme
from tests.interop import haproxy
from tests.interop.ehlo_server import serving
from tests.interop.messages import fresh_recipient, message
from tests.interop.peer import PASSWORD, USER, directory, write_certificates
from tests.interop.processes import PATIENCE

import ehlo
import ehlo_io
from ehlo_io import blocking
from ehlo_io._server import ServeOptions

CLIENT = "127.0.0.77"
"""Not the address that HAProxy connects from."""
TRUSTED = ("127.0.0.1", "unix")
VERSIONS = {1: "send-proxy", 2: "send-proxy-v2"}

pytestmark = pytest.mark.peer("haproxy")
each_version = pytest.mark.parametrize("version", VERSIONS)


class Door(ehlo.UserStore):
    """Keeps whom each message came from."""

    def __init__(self) -> None:
        super().__init__({USER: PASSWORD})
        self.messages: list[tuple[str | None, ehlo.ProxyHeader | None]] = []
        self.itself = threading.Event()
        """The proxy has looked whether the server is there."""

    def on_hello(self, session: ehlo.Session, name: str) -> None:
        if session.proxy is not None and session.proxy.local:
            assert session.peer == "127.0.0.1"
            self.itself.set()

    def on_message(self, session: ehlo.Session, envelope: ehlo.Envelope, content: bytes) -> None:
        self.messages.append((session.peer, session.proxy))


@pytest.fixture
def top() -> Iterator[Path]:
    with directory("haproxy") as place:
        yield place


def submit(port: int, ca: Path, *, implicit_tls: bool = False, password: str = PASSWORD) -> None:
    """Submit a message from the client's address. Raises SMTPException."""
    context = ssl.create_default_context(cafile=str(ca))
    recipient = fresh_recipient()
    source = (CLIENT, 0)
    client: smtplib.SMTP
    if implicit_tls:
        client = smtplib.SMTP_SSL("127.0.0.1", port, context=context, source_address=source, timeout=PATIENCE)
    else:
        client = smtplib.SMTP("127.0.0.1", port, source_address=source, timeout=PATIENCE)
    with client:
        if not implicit_tls:
            client.starttls(context=context)
        client.login(USER, password)
        client.sendmail("alice@local.example", [recipient], message(recipient))


@attrs.frozen
class Proxied:
    """A server in this process and HAProxy in front of it."""

    port: int
    """HAProxy's."""
    ca: Path
    door: Door

    def submit(self, **options: Any) -> None:
        submit(self.port, self.ca, **options)


@contextmanager
def proxied(
    top: Path,
    authority: trustme.CA,
    options: str,
    *,
    check: str = "",
    unix: bool = False,
    **served: Unpack[ServeOptions],
) -> Iterator[Proxied]:
    """`options` and `check` are those of HAProxy."""
    certificate, ca = write_certificates(authority, top)
    settings: ServeOptions = {"tls": ehlo_io.server_context(str(certificate)), "proxied_from": TRUSTED}
    settings |= served
    door, path = Door(), top / "socket"
    server = blocking.serve_unix(door, path, **settings) if unix else blocking.serve(door, port=0, **settings)
    with server:
        target = f"unix@{path}" if unix else f"127.0.0.1:{server.address[1]}"
        with haproxy.in_front_of(top, target, options, check) as port:
            yield Proxied(port, ca, door)


@each_version
@pytest.mark.parametrize("io", ["asyncio", "trio", "blocking"])
def test_the_log_and_the_message_have_the_client(top: Path, io: str, version: int) -> None:
    with (
        serving(top, io, ["--proxy-protocol"]) as server,
        haproxy.in_front_of(top, f"127.0.0.1:{server.port}", VERSIONS[version]) as port,
    ):
        submit(port, server.ca)
        (stored,) = server.files()
        assert stored.parent.name == "new"
        assert f" ([{CLIENT}])".encode() in stored.read_bytes().partition(b"\r\n\r\n")[0]
        with pytest.raises(smtplib.SMTPAuthenticationError):
            submit(port, server.ca, password="guess")
        assert server.terminate() == 0
        text = server.errors.read_text()
    assert f"AUTH PLAIN refused (session with {CLIENT}): " in text
    assert "session with 127.0.0.1" not in text


@each_version
@pytest.mark.parametrize("implicit_tls", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize("unix", [False, True], ids=["TCP", "UNIX"])
def test_the_handler_has_the_client(
    top: Path, authority: trustme.CA, version: int, implicit_tls: bool, unix: bool
) -> None:
    with proxied(top, authority, VERSIONS[version], unix=unix, implicit_tls=implicit_tls) as server:
        server.submit(implicit_tls=implicit_tls)
    ((peer, header),) = server.door.messages
    assert peer == CLIENT
    assert header is not None
    assert header.version == version
    assert header.source is not None
    assert header.destination is not None
    assert str(header.source.address) == CLIENT
    assert header.destination.port == server.port


def test_what_else_the_proxy_tells(top: Path, authority: trustme.CA) -> None:
    with proxied(top, authority, "send-proxy-v2 proxy-v2-options crc32c,unique-id") as server:
        server.submit()
    ((_, header),) = server.door.messages
    assert header is not None
    assert header.tlv(ehlo.TlvType.UNIQUE_ID) == f"mark-{CLIENT}".encode()
    assert len(header.tlv(ehlo.TlvType.CRC32C) or b"") == 4


def test_the_proxy_looks_for_itself_whether_the_server_is_there(top: Path, authority: trustme.CA) -> None:
    options = "send-proxy-v2 check check-send-proxy inter 100ms fall 1"
    with proxied(top, authority, options, check="option smtpchk EHLO proxy.example") as server:
        assert server.door.itself.wait(PATIENCE)
        # It takes it for one that is up.
        server.submit()
    assert [peer for peer, _ in server.door.messages] == [CLIENT]


def test_a_proxy_that_is_not_trusted(
    top: Path, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        proxied(top, authority, VERSIONS[1], proxied_from=["192.0.2.0/24"]) as server,
        pytest.raises(smtplib.SMTPConnectError) as failed,
    ):
        server.submit()
    assert failed.value.smtp_code == 421
    assert "a connection from 127.0.0.1" in caplog.text
