"""Messages that are submitted and stored, or refused."""

from __future__ import annotations

import io as stdlib_io
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from email.message import EmailMessage
from functools import partial
from typing import Any

import pytest
from tests.bindings.faces import Io
from tests.bindings.handlers import PASSWORD, RCPT, SENDER, AsyncSink, Sink
from tests.bindings.peers import greet, take_envelope
from tests.bindings.registry import ASYNC, add, scenario

import ehlo
from ehlo.extensions import session_limits

MESSAGE = b"Subject: test\r\n\r\nHello\r\n.\r\n..dots\r\n"
ENVELOPE: dict[str, Any] = {"sender": SENDER, "recipients": [RCPT]}


async def _authenticated(io: Io, mechanism: str, tls: str) -> None:
    sink = Sink()
    async with (
        io.serve(sink, implicit_tls=tls == "implicit") as server,
        io.connect(server.address, auth=PASSWORD, mechanisms=[mechanism], tls=tls) as client,
    ):
        assert client.tls is not None
        assert client.tls.verified
        result = await client.submit(MESSAGE, **ENVELOPE)
    assert [outcome.accepted for outcome in result.outcomes] == [True]
    assert sink.stored == [MESSAGE]
    assert sink.mechanisms == [mechanism]
    assert str(sink.envelopes[0].reverse_path) == SENDER
    assert [str(to.path) for to in sink.envelopes[0].recipients] == [RCPT]
    assert sink.calls[-1] == "quit"


for _mechanism in ("PLAIN", "LOGIN", "NTLM"):
    for _tls in ("starttls", "implicit"):
        add(f"{_mechanism}_{_tls}", partial(_authenticated, mechanism=_mechanism, tls=_tls))


async def _stores(io: Io, message: Any, expected: bytes, **options: Any) -> None:
    sink = Sink()
    async with io.serve_open(sink) as server, io.connect_open(server.address, **options) as client:
        await client.submit(message() if callable(message) else message, **ENVELOPE)
    assert sink.stored == [expected]


class _Unsized:
    """A file that has only `read`."""

    def __init__(self, data: bytes) -> None:
        self._file = stdlib_io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, 7))


def _second_half() -> stdlib_io.BytesIO:
    file = stdlib_io.BytesIO(b"left out\r\n" + MESSAGE)
    file.seek(10)
    return file


async def _pieces(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


_CUT = [MESSAGE[:9], b"", MESSAGE[9:30], MESSAGE[30:]]
_KINDS: dict[str, tuple[Any, bytes]] = {
    "bytes": (MESSAGE, MESSAGE),
    "bytearray": (bytearray(MESSAGE), MESSAGE),
    "memoryview": (memoryview(MESSAGE), MESSAGE),
    "file": (lambda: stdlib_io.BytesIO(MESSAGE), MESSAGE),
    "file_from_the_middle": (_second_half, MESSAGE),
    "file_without_size": (lambda: _Unsized(MESSAGE), MESSAGE),
    "list": (_CUT, MESSAGE),
    "generator": (lambda: (piece for piece in _CUT), MESSAGE),
    "empty": (b"", b""),
    "no_pieces": ([], b""),
    "no_final_newline": (b"abc", b"abc\r\n"),
    "one_dot": (b".", b".\r\n"),
    "lone_dots": (b".\r\n.\r\n..\r\n", b".\r\n.\r\n..\r\n"),
    "dots_across_pieces": ([b"a\r", b"\n", b".", b"\r\n", b"."], b"a\r\n.\r\n.\r\n"),
    "bare_newlines": (b"a\nb\rc\r\n\n", b"a\r\nb\r\nc\r\n\r\n"),
    "eight_bit": ("Größe\r\n".encode(), "Größe\r\n".encode()),
}
for _name, (_message, _expected) in _KINDS.items():
    add(f"stores_{_name}", partial(_stores, message=_message, expected=_expected))

add(
    "stores_async_iterable",
    partial(_stores, message=lambda: _pieces(_CUT), expected=MESSAGE),
    bindings=ASYNC,
)


@scenario(bindings=("blocking",))
async def async_iterable_is_refused(io: Io) -> None:
    sink = Sink()
    async with io.serve_open(sink) as server, io.connect_open(server.address) as client:
        with pytest.raises(ehlo.LocalProtocolError):
            await client.submit(_pieces(_CUT), **ENVELOPE)
        await client.submit(MESSAGE, **ENVELOPE)
    assert sink.stored == [MESSAGE]
    assert sink.calls.count("mail") == 1


def _email(attachment: int = 0) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Grüße <user@example.com>"
    message["To"] = 'Bob <bob@example.net>, "Lee, Ann" <ann@example.net>'
    message["Cc"] = "bob@example.net"
    message["Bcc"] = "Secret <secret@example.net>"
    message["Subject"] = "Größe"
    message.set_content("Übergröße\n.\n", cte="8bit")
    if attachment:
        message.add_attachment(b"x" * attachment, maintype="application", subtype="octet-stream")
    return message


@scenario()
async def email_message(io: Io) -> None:
    sink = Sink()
    message = _email()
    async with io.serve_open(sink) as server, io.connect_open(server.address) as client:
        result = await client.submit(message)
        await client.submit(_email(2_000_000), recipients=[RCPT])
    expected = ["bob@example.net", "ann@example.net", "secret@example.net"]
    assert [str(outcome.recipient) for outcome in result.outcomes] == expected
    assert [str(to.path) for to in sink.envelopes[0].recipients] == expected
    assert [str(to.path) for to in sink.envelopes[1].recipients] == [RCPT]
    assert all(str(envelope.reverse_path) == SENDER for envelope in sink.envelopes)
    assert all(b"secret@" not in stored for stored in sink.stored)
    assert "Übergröße\r\n.\r\n".encode() in sink.stored[0]
    assert len(sink.stored[1]) > 2_000_000
    assert message["Bcc"] == "Secret <secret@example.net>"


@scenario()
async def email_message_without_8bitmime(io: Io) -> None:
    received: list[bytes] = []

    def play(peer: Any) -> None:
        greet(peer, b"250-mail.test\r\n250 PIPELINING\r\n")
        take_envelope(peer)
        received.append(peer.until(b"\r\n.\r\n"))
        peer.send(b"250 2.0.0 OK\r\n")
        assert peer.line() == b"QUIT"
        peer.send(b"221 2.0.0 Bye\r\n")

    async with io.scripted(play) as address, io.connect_open(address) as client:
        with pytest.raises(ehlo.LocalProtocolError, match="8BITMIME"):
            await client.submit("Größe".encode(), **ENVELOPE)
        await client.submit(_email())
    assert len(received) == 1
    assert received[0].isascii()
    assert b"Content-Transfer-Encoding: base64" in received[0] or b"quoted-printable" in received[0]


@scenario()
async def wrong_messages_cost_nothing(io: Io) -> None:
    sink = Sink()
    async with (
        io.serve_open(sink) as server,
        io.connect_open(server.address, newlines="refuse") as client,
    ):
        for wrong in ("text", 5, b"a\nb", b"a\rb"):
            with pytest.raises(ehlo.LocalProtocolError):
                await client.submit(wrong, **ENVELOPE)
        for envelope in (
            {"sender": "a\r\nRCPT TO:<x@y.z>", "recipients": [RCPT]},
            {"sender": SENDER, "recipients": ["a b@c.d"]},
            {"sender": SENDER, "recipients": []},
            {"sender": SENDER, "recipients": RCPT},
            {"sender": SENDER},
            {"recipients": [RCPT]},
        ):
            with pytest.raises(ehlo.LocalProtocolError):
                await client.submit(MESSAGE, **envelope)
        with pytest.raises(TypeError, match="recipient"):
            await client.submit(MESSAGE, recipient=RCPT)
        await client.submit(MESSAGE, **ENVELOPE)
    assert sink.stored == [MESSAGE]
    assert sink.calls.count("mail") == 1


async def _breaks_in_the_middle(
    io: Io, message: Any, error: type[Exception], *, chunking: bool = False
) -> None:
    sink = Sink()
    async with io.serve_open(sink) as server:
        async with io.connect_open(server.address, newlines="refuse", chunking=chunking) as client:
            with pytest.raises(error):
                await client.submit(message(), **ENVELOPE)
            with pytest.raises(ehlo.LocalProtocolError):
                await client.submit(MESSAGE, **ENVELOPE)
        await io.until(lambda: "reset" in sink.calls)
        async with io.connect_open(server.address) as client:
            await client.submit(MESSAGE, **ENVELOPE)
    assert sink.stored == [MESSAGE]


def _failing(size: int = 100_000) -> Iterator[bytes]:
    yield b"\r\n" + b"x" * size
    raise OSError("the disk is gone")


async def _failing_async(size: int = 100_000) -> AsyncIterator[bytes]:
    yield b"\r\n" + b"x" * size
    raise OSError("the disk is gone")


_LOCAL = ehlo.LocalProtocolError
for _name, _message, _error in (
    ("bare_newline", lambda: iter([b"\r\nabc\r\n", b"a\nb"]), _LOCAL),
    ("failing_iterable", _failing, OSError),
    ("text", lambda: iter([b"\r\n", "text"]), _LOCAL),
    ("numbers", lambda: iter([b"\r\n", 2, 3]), _LOCAL),
):
    add(f"{_name}_in_the_middle", partial(_breaks_in_the_middle, message=_message, error=_error))
add(
    "failing_async_iterable_in_the_middle",
    partial(_breaks_in_the_middle, message=_failing_async, error=OSError),
    bindings=ASYNC,
)
_MORE_THAN_A_CHUNK = 300_000
add(
    "failing_iterable_between_chunks",
    partial(
        _breaks_in_the_middle,
        message=partial(_failing, _MORE_THAN_A_CHUNK),
        error=OSError,
        chunking=True,
    ),
)
add(
    "failing_async_iterable_between_chunks",
    partial(
        _breaks_in_the_middle,
        message=partial(_failing_async, _MORE_THAN_A_CHUNK),
        error=OSError,
        chunking=True,
    ),
    bindings=ASYNC,
)


@scenario()
async def what_fails_before_the_first_chunk_costs_nothing(io: Io) -> None:
    sink = Sink()
    async with io.serve_open(sink) as server, io.connect_open(server.address) as client:
        for message, error in ((_failing(), OSError), (iter(["text"]), ehlo.LocalProtocolError)):
            with pytest.raises(error):
                await client.submit(message, **ENVELOPE)
        await client.submit(MESSAGE, **ENVELOPE)
    assert sink.stored == [MESSAGE]
    assert sink.calls.count("mail") == 1


@scenario()
async def chunks_and_what_is_no_text(io: Io) -> None:
    sink = Sink()
    octets = bytes(range(256)) * 3000
    async with io.serve_open(sink, extensions=ehlo.EVERY) as server:
        async with io.connect_open(server.address) as client:
            await client.submit(b"\n" + octets, binary=True, **ENVELOPE)
            await client.submit(iter([b"\n", octets]), binary=True, **ENVELOPE)
        async with io.connect_open(server.address, chunking=False) as client:
            with pytest.raises(ehlo.LocalProtocolError, match="BINARYMIME"):
                await client.submit(octets, binary=True, **ENVELOPE)
            await client.submit(MESSAGE, **ENVELOPE)
    assert sink.stored == [b"\n" + octets] * 2 + [MESSAGE]


@scenario()
async def many_messages(io: Io) -> None:
    sink = Sink()
    bodies = [b"%d\r\n" % number + b"x" * 20_000 for number in range(40)]
    bad = {"sender": SENDER, "recipients": ["bad@example.com"]}
    for chunking in (True, False):
        sink.stored.clear()
        async with (
            io.serve_open(sink) as server,
            io.connect_open(server.address, chunking=chunking) as client,
        ):
            messages = [(body, ENVELOPE) for body in bodies]
            found = await client.submit_many([*messages[:20], (MESSAGE, bad), *messages[20:]])
            with pytest.raises(ehlo.LocalProtocolError, match="bytes or an email"):
                await client.submit_many([(MESSAGE, ENVELOPE), (iter([MESSAGE]), ENVELOPE)])
            await client.submit(MESSAGE, **ENVELOPE)
        assert isinstance(found.pop(20), ehlo.SubmissionFailed)
        assert all(isinstance(one, ehlo.SubmissionResult) for one in found)
        assert sink.stored == [*(body + b"\r\n" for body in bodies), MESSAGE]


@scenario()
async def sessions_that_take_so_many_messages(io: Io) -> None:
    sink = Sink()
    limits = session_limits(ehlo.SessionLimits(mail_max=3, rcpt_max=2))
    recipients = [f"{name}@example.net" for name in "abc"]
    async with (
        io.serve_open(sink, extensions=(*ehlo.STANDARD, limits)) as server,
        io.connect_open(server.address) as client,
    ):
        for _ in range(5):
            await client.submit(MESSAGE, **ENVELOPE)
        result = await client.submit(MESSAGE, sender=SENDER, recipients=recipients)
        # The second half of it would need another session: so it says.
        assert [outcome.accepted for outcome in result.outcomes] == [True, True, False]
        assert result.temporary
        found = await client.submit_many([(MESSAGE, ENVELOPE)] * 8)
        assert all(isinstance(one, ehlo.SubmissionResult) for one in found)
    assert len(sink.stored) == 14
    assert sink.calls.count("quit") == 5


@scenario()
async def parameters_of_extensions(io: Io) -> None:
    sink = Sink()
    async with (
        io.serve_open(sink, extensions=ehlo.EVERY) as server,
        io.connect_open(server.address) as client,
    ):
        result = await client.submit(MESSAGE, parameters=[ehlo.MtPriority(-3)], **ENVELOPE)
        assert result.dropped == ()
        with pytest.raises(ehlo.LocalProtocolError, match="REQUIRETLS"):
            # Not offered in clear.
            await client.submit(MESSAGE, parameters=[ehlo.RequireTls()], **ENVELOPE)
        with pytest.raises(ehlo.LocalProtocolError, match="repeated"):
            await client.submit(MESSAGE, parameters=[ehlo.MtPriority(3), ehlo.MtPriority(4)], **ENVELOPE)
    assert sink.envelopes[0].parameters.get(ehlo.MtPriority) == ehlo.MtPriority(-3)


@scenario()
async def text_is_refused_before_anything_is_sent(io: Io) -> None:
    sink = Sink()
    wrong: list[Any] = ["text", ["text"], [b"", 5], stdlib_io.StringIO("text"), 5]
    async with io.serve_open(sink) as server, io.connect_open(server.address) as client:
        for message in wrong:
            with pytest.raises(ehlo.LocalProtocolError, match=r"octets|message"):
                await client.submit(message, **ENVELOPE)
        assert "mail" not in sink.calls
        await client.submit(MESSAGE, **ENVELOPE)
    assert sink.stored == [MESSAGE]


@scenario()
async def refusals(io: Io) -> None:
    sink = Sink()
    async with io.serve_open(sink) as server:
        for pipelining in (True, False):
            async with io.connect_open(server.address, pipelining=pipelining) as client:
                to = ["bad1@example.net", RCPT, "bad2@example.net"]
                result = await client.submit(MESSAGE, sender=SENDER, recipients=to)
                assert [outcome.accepted for outcome in result.outcomes] == [False, True, False]
                assert result.outcomes[0].reply is not None
                assert result.outcomes[0].reply.code == 550
                with pytest.raises(ehlo.SubmissionFailed) as failed:
                    await client.submit(MESSAGE, sender=SENDER, recipients=to[::2])
                assert [outcome.accepted for outcome in failed.value.result.outcomes] == [False, False]
                assert not failed.value.temporary
                for number in range(3):
                    await client.submit(b"%d\r\n" % number, sender=None, recipients=[RCPT])
    assert sink.stored == [MESSAGE, b"0\r\n", b"1\r\n", b"2\r\n"] * 2
    assert [len(envelope.recipients) for envelope in sink.envelopes] == [1] * 8
    assert sink.envelopes[1].reverse_path is None


@scenario()
async def await_connect_and_close(io: Io) -> None:
    sink = Sink()
    async with io.serve_open(sink) as server:
        client = await io.connect_open(server.address)
        await client.submit(MESSAGE, **ENVELOPE)
        await client.close()
        await io.until(lambda: "quit" in sink.calls)
        # Again, for nothing.
        await client.close()
        with pytest.raises(ehlo.LocalProtocolError):
            await client.submit(MESSAGE, **ENVELOPE)
    assert sink.calls == ["connect", "hello client.test", "mail", "quit"]


@scenario(bindings=ASYNC)
async def async_hooks(io: Io) -> None:
    sink = AsyncSink()
    async with (
        io.serve(sink) as server,
        io.connect(server.address, auth=PASSWORD, mechanisms=["PLAIN"]) as client,
    ):
        for _ in range(3):
            await client.submit(MESSAGE, **ENVELOPE)
    assert sink.stored == [MESSAGE] * 3


@scenario(limit=30)
async def twenty_megabytes(io: Io) -> None:
    sink = Sink()
    message = bytes(range(32, 127)) * 200 + b"\r\n"
    message = (message[:70] + b"\r\n.\r\n" + message) * (20_000_000 // (len(message) + 75))
    async with io.serve(sink, policy=ehlo.OPEN_TEST) as server:
        for tls in ("none", "starttls"):
            with tempfile.TemporaryFile() as file:
                file.write(message)
                file.seek(0)
                async with io.connect(server.address, tls=tls) as client:
                    result = await client.submit(file, **ENVELOPE)
            assert result.reply is not None
            assert result.reply.code == 250
    assert len(sink.stored) == 2
    assert all(stored == message for stored in sink.stored), "the message is another one"


@scenario(limit=30)
async def fifty_at_once(io: Io) -> None:
    sink = Sink()

    async def one(number: int) -> None:
        async with io.connect(server.address, auth=PASSWORD, mechanisms=["PLAIN"]) as client:
            for part in range(2):
                await client.submit(b"%d.%d\r\n" % (number, part), **ENVELOPE)

    async with io.serve(sink) as server:
        await io.together(*(one(number) for number in range(50)))
    assert sorted(sink.stored) == sorted(b"%d.%d\r\n" % (n, part) for n in range(50) for part in range(2))


@scenario()
async def ipv6(io: Io) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("there is no IPv6 loopback")
    sink = Sink()
    async with io.serve_open(sink, host="::1") as server:
        assert server.address[0] == "::1"
        async with io.connect_open(server.address, client_name=None) as client:
            await client.submit(MESSAGE, **ENVELOPE)
    assert sink.stored == [MESSAGE]


@scenario(bindings=ASYNC)
async def cancelled_submission(io: Io) -> None:
    sink = Sink()
    sent = threading.Event()

    class Endless:
        def __aiter__(self) -> AsyncIterator[bytes]:
            return self

        async def __anext__(self) -> bytes:
            if sent.is_set():
                await io.sleep(100)
            sent.set()
            return b"\r\n" + b"x" * 100_000

    async with io.serve_open(sink) as server:

        async def submit() -> None:
            async with io.connect_open(server.address, chunking=False) as client:
                await client.submit(Endless(), **ENVELOPE)

        await io.cancel_when(sent.is_set, submit())
        await io.until(lambda: "reset" in sink.calls)
    assert sink.stored == []
    assert "quit" not in sink.calls


@scenario(bindings=ASYNC)
async def cancelled_while_waiting(io: Io) -> None:
    ended = threading.Event()
    waiting = threading.Event()

    def play(peer: Any) -> None:
        greet(peer)
        peer.line()
        waiting.set()
        peer.ended()
        ended.set()

    async with io.scripted(play) as address:

        async def submit() -> None:
            async with io.connect_open(address) as client:
                await client.submit(MESSAGE, **ENVELOPE)

        await io.cancel_when(waiting.is_set, submit())
        await io.until(ended.is_set)
