"""Messages in chunks: against scripted servers, and against our own."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from tests.helpers.driver import OPEN
from tests.unit.flows.test_submit import MAIL, OK, rcpt, ready, submitted, to

from ehlo import (
    EVERY,
    Body,
    ConnectionFailed,
    Envelope,
    Limits,
    LocalProtocolError,
    Mail,
    Mailbox,
    Parameters,
    Rcpt,
    RemoteProtocolError,
    Reply,
    ServerConfig,
    ServerConnection,
    SessionOptions,
    State,
    Submission,
    SubmissionFailed,
    TlsMode,
    envelope,
)
from ehlo.client import ClientConnection
from ehlo.flows import (
    Close,
    Exchange,
    Flow,
    Poll,
    ReadBody,
    Receive,
    Send,
    close,
    hooks_of,
    open_session,
    serve,
    submit,
)
from ehlo.flows._chunks import CHUNK
from ehlo.testing import ScriptedServer, drive, run

BOTH = ("PIPELINING", "CHUNKING")
OFFERS = pytest.mark.parametrize("offers", [("CHUNKING",), BOTH], ids=["lock step", "one flight"])
HELLO = b"hello\r\n"
CHUNK_OF_HELLO = "C: BDAT 7 LAST\nC: hello\n"
CONTENT = [None, HELLO]
contents = pytest.mark.parametrize("content", CONTENT, ids=["streamed", "whole"])


def message(content: bytes | None = None, *locals_: str, **changes: object) -> Submission:
    changes.setdefault("envelope", to(*(locals_ or ("b",))))
    return Submission(content=content, **changes)  # type: ignore[arg-type]


def sent(action: object) -> bytes:
    """What a flow sends."""
    assert isinstance(action, Exchange | Send)
    return action.data


# ---- against scripts ----


@pytest.mark.clause("RFC3030-2d", "RFC3030-2c")
@contents
@OFFERS
def test_one_chunk(offers: tuple[str, ...], content: bytes | None) -> None:
    conn = ready(*offers)
    script = MAIL + OK + rcpt("b") + rcpt("c", "550 no") + CHUNK_OF_HELLO + "S: 250 2.0.0 queued\n"
    result = submitted(script, message(content, "b", "c"), conn=conn)
    assert [outcome.accepted for outcome in result.outcomes] == [True, False]
    assert result.reply == Reply(250, "queued", "2.0.0")
    assert conn.state is State.READY
    submitted(MAIL + OK + rcpt("b") + "C: BDAT 0 LAST\nS: 250 ok\n", message(b""), conn=conn)


@pytest.mark.clause("RFC3030-4.2a")
def test_a_message_is_one_write_and_one_read() -> None:
    flow = submit(ready(*BOTH), message(HELLO, "b", "c"))
    action = next(flow)
    assert isinstance(action, Exchange)
    assert action.data == (
        b"MAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nRCPT TO:<c@x.org>\r\nBDAT 7 LAST\r\nhello\r\n"
    )
    assert action.and_receive
    with pytest.raises(StopIteration):
        flow.send(b"250 ok\r\n" * 4)


@pytest.mark.clause("RFC3030-2n", "SEC-SMUG-out-c")
@pytest.mark.parametrize("content", [b"a\nb\r.\n", b"a\r\nb\r\n.\r\n", b"a\r\nb\r\n."])
def test_lines_are_made_whole_and_dots_are_left(content: bytes) -> None:
    script = MAIL + OK + rcpt("b") + "C: BDAT 9 LAST\nC: a\nC: b\nC: .\nS: 250 ok\n"
    submitted(script, message(content), offers=BOTH)
    submitted(script, message(None), offers=BOTH, body=[content[i : i + 1] for i in range(len(content))])


@contents
@OFFERS
def test_off(offers: tuple[str, ...], content: bytes | None) -> None:
    script = MAIL + OK + rcpt("b") + "C: DATA\nS: 354 go\nC: hello\nC: .\nS: 250 ok\n"
    submitted(script, message(content, chunking=False), offers=offers)


@pytest.mark.parametrize("code", [500, 501, 502, 503, 504])
@contents
@OFFERS
def test_back_to_data(offers: tuple[str, ...], content: bytes | None, code: int) -> None:
    """A server that offers BDAT and does not take it: once per connection."""
    conn = ready(*offers)
    refused = MAIL + OK + rcpt("b") + CHUNK_OF_HELLO + f"S: {code} what?\nC: RSET\nS: 250 ok\n"
    again = MAIL + OK + rcpt("b") + "C: DATA\nS: 354 go\nC: hello\nC: .\nS: 250 ok\n"
    assert submitted(refused + again, message(content), conn=conn).refused == ()
    assert submitted(again, message(content), conn=conn).refused == ()


def test_no_way_back_for_what_is_no_text() -> None:
    conn = ready(*BOTH, "8BITMIME", "BINARYMIME")
    flow = submit(conn, message(b"\n", binary=True))
    assert sent(next(flow)).endswith(b"BODY=BINARYMIME\r\nRCPT TO:<b@x.org>\r\nBDAT 1 LAST\r\n\n")
    assert flow.send(b"250 ok\r\n250 ok\r\n502 what?\r\n") == Exchange(b"RSET\r\n", conn.deadline)
    with pytest.raises(SubmissionFailed, match="502 what"):
        flow.send(b"250 ok\r\n")
    assert conn.state is State.READY


@pytest.mark.clause("RFC3030-2i")
@pytest.mark.parametrize("reply", ["552 5.3.4 too big", "451 4.3.0 later", "554 no"])
@OFFERS
def test_refused(offers: tuple[str, ...], reply: str) -> None:
    conn = ready(*offers)
    script = MAIL + OK + rcpt("b") + CHUNK_OF_HELLO + f"S: {reply}\nC: RSET\nS: 250 ok\n"
    with pytest.raises(SubmissionFailed) as caught:
        submitted(script, message(HELLO), conn=conn)
    assert str(caught.value.reply) == reply
    assert conn.state is State.READY


@pytest.mark.clause("RFC3030-2l")
def test_nobody_wants_it() -> None:
    """The octets went out with the envelope: the server reads them and refuses."""
    conn = ready(*BOTH)
    script = MAIL + OK + rcpt("b", "550 5.1.1 no") + CHUNK_OF_HELLO + "S: 503 no\nC: RSET\nS: 250 ok\n"
    with pytest.raises(SubmissionFailed) as caught:
        submitted(script, message(HELLO), conn=conn)
    assert str(caught.value.reply) == "550 5.1.1 no"
    assert conn.state is State.READY
    script = "C: MAIL FROM:<a@x.org>\nS: 550 no\n" + rcpt("b", "503 no") + CHUNK_OF_HELLO + "S: 503 no\n"
    with pytest.raises(SubmissionFailed):
        submitted(script, message(HELLO), conn=conn)
    assert conn.state is State.READY


def test_a_server_that_takes_what_is_for_nobody() -> None:
    script = MAIL + OK + rcpt("b", "550 5.1.1 no") + CHUNK_OF_HELLO + "S: 250 fine\nC: RSET\nS: 250 ok\n"
    with pytest.raises(SubmissionFailed) as caught:
        submitted(script, message(HELLO), offers=BOTH)
    assert [outcome.accepted for outcome in caught.value.result.outcomes] == [False]


@OFFERS
def test_in_lock_step_nothing_is_sent_to_nobody(offers: tuple[str, ...]) -> None:
    if offers == BOTH:
        script = MAIL + OK + rcpt("b", "550 no") + CHUNK_OF_HELLO + "S: 503 no\nC: RSET\nS: 250 ok\n"
    else:
        script = MAIL + OK + rcpt("b", "550 no") + "C: RSET\nS: 250 ok\n"
    with pytest.raises(SubmissionFailed):
        submitted(script, message(HELLO), offers=offers)


@pytest.mark.parametrize("content", [b"x" * 9, b"x" * 8, b"a\nb\ncd\r\n"], ids=["long", "no CRLF", "bare LF"])
@OFFERS
def test_longer_than_the_server_takes(offers: tuple[str, ...], content: bytes) -> None:
    """The length of a stream is known too late for MAIL: it must not go on as commands."""
    flow = submit(ready(*offers, "SIZE 9"), message())
    action = next(flow)
    answers = iter([content, b"", b"250 ok\r\n", b"250 ok\r\n"])
    while not isinstance(action, Close):
        assert not isinstance(action, Exchange | Send) or b"BDAT" not in action.data
        action = flow.send(next(answers))
    with pytest.raises(LocalProtocolError, match="more than the 9 octets"):
        flow.send(None)


@OFFERS
def test_as_long_as_the_server_takes(offers: tuple[str, ...]) -> None:
    conn = ready(*offers, "SIZE 9")
    for _ in range(2):
        script = MAIL + OK + rcpt("b") + "C: BDAT 9 LAST\nC: 1234567\nS: 250 2.0.0 queued\n"
        submitted(script, message(), body=b"1234567", conn=conn)


def test_all_chunks_count() -> None:
    conn = ready(*BOTH, "SIZE 9")
    conn.send(Mail(Mailbox("a", "x.org")))
    conn.send(Rcpt(Mailbox("b", "x.org")))
    conn.send_chunk(b"12345\r\n")
    with pytest.raises(LocalProtocolError, match="more than the 9 octets"):
        conn.send_chunk(b"8\r\n", last=True)
    assert conn.data_to_send().endswith(b"\r\nBDAT 7\r\n12345\r\n")


# ---- long messages ----

FIRST, SECOND = b"a" * (CHUNK - 2) + b"\r\n", b"b" * (CHUNK - 2) + b"\r\n"


def _long(conn: ClientConnection, content: bytes | None) -> Flow[object]:
    return submit(conn, message(content))


@pytest.mark.clause("RFC3030-2j", "RFC3030-2i")
def test_the_second_chunk_waits_for_the_first_and_the_others_do_not() -> None:
    conn = ready(*BOTH)
    flow = _long(conn, FIRST + SECOND * 2 + b"end\r\n")
    assert sent(next(flow)).endswith(b"BDAT %d\r\n" % CHUNK + FIRST)
    action = flow.send(b"250 ok\r\n" * 3)
    assert action == Send(b"BDAT %d\r\n" % CHUNK + SECOND, conn.deadline, and_receive=True)
    assert flow.send(None) == Poll()
    assert isinstance(flow.send(None), Send)
    assert flow.send(None) == Poll()
    assert sent(flow.send(b"250 ok\r\n")) == b"BDAT 5 LAST\r\nend\r\n"
    with pytest.raises(StopIteration):
        flow.send(b"250 ok\r\n250 2.0.0 queued\r\n")


@pytest.mark.clause("RFC3030-2i")
def test_no_chunk_after_one_that_failed() -> None:
    conn = ready(*BOTH)
    flow = _long(conn, FIRST + SECOND * 20)
    next(flow)
    flow.send(b"250 ok\r\n" * 3)
    assert flow.send(None) == Poll()
    action = flow.send(b"552 too big\r\n")
    assert action == Exchange(b"RSET\r\n", conn.deadline)
    with pytest.raises(SubmissionFailed, match="552 too big"):
        flow.send(b"250 ok\r\n")
    assert conn.state is State.READY


@pytest.mark.parametrize(
    "reply", [b"550 no\r\n" * 3, b"250 ok\r\n550 no\r\n503 no\r\n", b"250 ok\r\n250 ok\r\n552 no\r\n"]
)
def test_a_long_message_for_nobody_stops_after_the_first_chunk(reply: bytes) -> None:
    conn = ready(*BOTH)
    flow = _long(conn, FIRST * 50)
    next(flow)
    with pytest.raises(SubmissionFailed):  # noqa: PT012
        if isinstance(flow.send(reply), Exchange):
            flow.send(b"250 ok\r\n")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (b"421 4.3.2 going\r\n", "going"),
        (b"552 5.3.4 too big\r\n", "too big"),
        (b"250 ok\r\n552 5.3.4 too big\r\n", "too big"),
        (b"", "broke"),
    ],
)
def test_the_last_words_of_a_server_that_gives_up(words: bytes, error: str) -> None:
    conn = ready(*BOTH)
    flow = _long(conn, FIRST + SECOND * 20)
    next(flow)
    flow.send(b"250 ok\r\n" * 3)
    flow.send(None)
    flow.send(None)
    action = flow.throw(BrokenPipeError("gone"))
    with pytest.raises(ConnectionFailed, match=error) as caught:  # noqa: PT012
        assert isinstance(action, Receive)
        action = flow.send(words)
        while not isinstance(action, Close):
            action = flow.send(b"")
        flow.send(None)
    assert caught.value.temporary is (error != "too big")


def test_a_server_that_closes_between_chunks() -> None:
    conn = ready(*BOTH)
    flow = _long(conn, FIRST + SECOND * 20)
    next(flow)
    flow.send(b"250 ok\r\n" * 3)
    flow.send(None)
    assert flow.send(b"") == Close()
    with pytest.raises(ConnectionFailed):
        flow.send(None)


def test_a_reply_to_nothing() -> None:
    conn = ready(*BOTH)
    flow = submit(conn, message(HELLO))
    next(flow)
    assert flow.send(b"250 ok\r\n" * 2 + b"354 go\r\n") == Close()
    with pytest.raises(RemoteProtocolError):
        flow.send(None)


def test_many_recipients() -> None:
    """In groups; the chunk goes with the last, and only if there is somebody."""
    locals_ = [f"r{i}" for i in range(7)]
    for first, chunk in (("250 ok", True), ("550 no", False)):
        conn = ready(*BOTH, limits=Limits(pipeline=4))
        flow = submit(conn, message(HELLO, *locals_))
        assert sent(next(flow)).count(b"\r\n") == 4
        group = sent(flow.send(b"250 ok\r\n" + f"{first}\r\n".encode() * 3))
        assert group.endswith(b"hello\r\n") is chunk
        with pytest.raises((StopIteration, SubmissionFailed)):  # noqa: PT012
            action = flow.send(f"{first}\r\n".encode() * 4 + (b"250 ok\r\n" if chunk else b""))
            assert isinstance(action, Exchange)
            flow.send(b"250 ok\r\n")


# ---- what is no text ----


@pytest.mark.clause("RFC3030-3b", "RFC3030-3c", "SEC-SMUG-out-c")
@pytest.mark.parametrize(
    ("offers", "changes"),
    [
        (("8BITMIME", "BINARYMIME"), {}),
        (("CHUNKING", "8BITMIME"), {}),
        (("CHUNKING", "8BITMIME", "BINARYMIME"), {"chunking": False}),
    ],
)
def test_no_text_where_the_server_takes_none(offers: tuple[str, ...], changes: dict[str, bool]) -> None:
    conn = ready(*offers)
    with pytest.raises(LocalProtocolError, match="BINARYMIME"):
        submitted("", message(b"\0\n", binary=True, **changes), conn=conn)
    assert conn.state is State.READY


# ---- against our own server ----


class Taker:
    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def on_message(self, session: object, envelope: Envelope, content: bytes) -> None:
        self.messages.append(content)


def delivered(
    submission: Submission, bodies: Iterable[Iterable[bytes]] = (), sizes: Iterable[int] | None = None
) -> bytes:
    taker = Taker()
    config = ServerConfig(hostname="mail.example", policy=OPEN, extensions=EVERY)
    conn = ClientConnection()
    options = SessionOptions(client_name="a.example", server_name="mail.example", tls=TlsMode.NONE)

    def client() -> Flow[None]:
        yield from open_session(conn, options)
        yield from submit(conn, submission)
        yield from close(conn)

    drive(client(), serve(ServerConnection(config), hooks_of(taker)), bodies=bodies, sizes=sizes)
    (content,) = taker.messages
    return content


@pytest.mark.clause("RFC3030-3d")
@pytest.mark.parametrize("size", [0, 1, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("pipelining", [False, True])
def test_every_length(size: int, streamed: bool, binary: bool, pipelining: bool) -> None:
    content = (b"\r\n.x\0\r\n" * (size // 8 + 1))[: max(size - 2, 0)] + b"\r\n"[: min(size, 2)]
    if size == 1:
        content = b"x" if binary else b"\r\n"
    elif binary:
        # An empty header, and no line that a text has.
        content = (b"\n" + content.replace(b"\r", b"\xff"))[:size]
    submission = message(
        None if streamed else content, binary=binary, pipelining=pipelining, eight_bit=binary
    )
    pieces = [content[i : i + 50000] for i in range(0, len(content), 50000)] if streamed else []
    assert delivered(submission, [pieces]) == content


def test_any_cut() -> None:
    content = b"Subject: x\r\n\r\n" + b"..\r\n" * 100
    for sizes in ([1] * 10000, [7] * 10000):
        assert delivered(message(content), sizes=sizes) == content


# ---- SMTPUTF8 ----

EIGHT = ("8BITMIME", "SMTPUTF8")
HEADER = "Subject: é\r\n\r\nx\r\n".encode()


@pytest.mark.clause("RFC6531-3.4a", "RFC6531-3.4b", "RFC6531-3.1b")
@pytest.mark.parametrize(
    ("sender", "to_", "content", "needed"),
    [
        ("a@x.org", "b@x.org", b"Subject: x\r\n\r\nx\r\n", False),
        ("a@x.org", "b@x.org", "MIME-Version: 1.0\r\n\r\né\r\n".encode(), False),
        ("a@x.org", "b@x.org", HEADER, True),
        ("é@x.org", "b@x.org", b"x: y\r\n", True),
        ("a@x.org", "é@x.org", b"x: y\r\n", True),
        ("a@x.org", "b@é.org", b"x: y\r\n", True),
        ("a@xn--9ca.org", "b@x.org", b"x: y\r\n", False),
    ],
)
def test_utf8_is_declared_where_it_is_needed(sender: str, to_: str, content: bytes, needed: bool) -> None:
    conn = ready(*EIGHT, "PIPELINING")
    flow = submit(conn, Submission(envelope=envelope(sender, [to_]), content=content))
    mail, rcpt_line, *_ = sent(next(flow)).decode().split("\r\n")
    assert mail.startswith(f"MAIL FROM:<{sender}>")
    assert (" SMTPUTF8" in mail) is needed
    assert rcpt_line == f"RCPT TO:<{to_}>"


@pytest.mark.clause("RFC6531-3.2c", "RFC6531-3.2b", "RFC6409-6.5a")
def test_a_domain_has_another_form() -> None:
    pytest.importorskip("idna")
    script = "C: MAIL FROM:<a@xn--bcher-kva.example>\nS: 250 ok\nC: RCPT TO:<b@xn--9ca.org>\nS: 250 ok\n"
    conn = ready()
    given = envelope("a@Bücher.example", ["b@é.org"])
    result = submitted(script + "C: DATA\nS: 354 go\nC: hello\nC: .\nS: 250 ok\n", given, conn=conn)
    # The caller knows it by the name that was given.
    assert str(result.outcomes[0].recipient) == "b@é.org"


@pytest.mark.clause("RFC6531-3.2b")
@pytest.mark.parametrize(
    ("sender", "to_", "content"),
    [
        ("é@x.org", "b@x.org", b"x: y\r\n"),
        ("a@x.org", "é@x.org", b"x: y\r\n"),
        ("a@x.org", "b@\u2488.org", b"x: y\r\n"),
        ("a@x.org", "b@x.org", HEADER),
    ],
)
def test_what_has_no_other_form(sender: str, to_: str, content: bytes) -> None:
    pytest.importorskip("idna")
    conn = ready("8BITMIME", *BOTH)
    with pytest.raises(LocalProtocolError, match="SMTPUTF8"):
        submitted("", Submission(envelope=envelope(sender, [to_]), content=content), conn=conn)
    assert conn.state is State.READY


def test_a_header_that_is_no_utf8() -> None:
    conn = ready(*EIGHT)
    with pytest.raises(LocalProtocolError, match="no UTF-8"):
        submitted("", Submission(envelope=to("b"), content=b"Subject: \xe9\r\n\r\n"), conn=conn)


@pytest.mark.clause("RFC6531-3.2a", "RFC6531-3.6a")
def test_utf8_reaches_our_server() -> None:
    submission = Submission(envelope=envelope("é@x.org", ["jörg@bücher.example"]), content=HEADER)
    assert delivered(submission) == HEADER


# ---- parameters that the message may not go without ----


@pytest.mark.clause("RFC8689-4.2.1a")
def test_a_vital_parameter() -> None:
    from ehlo import RequireTls  # noqa: PLC0415

    conn = ready(*BOTH)
    given = Envelope(None, Parameters([RequireTls()]), to("b").recipients)
    with pytest.raises(LocalProtocolError, match="does not offer REQUIRETLS"):
        submitted("", given, conn=conn)
    assert conn.state is State.READY


def test_the_value_of_another_extension() -> None:
    conn = ready("8BITMIME")
    given = Envelope(None, Parameters([Body.BINARY_MIME]), to("b").recipients)
    with pytest.raises(LocalProtocolError, match="BINARYMIME"):
        run(submit(conn, Submission(envelope=given, content=b"x")), ScriptedServer(""))


# ---- what the server does not take as it is ----

EIGHT_BIT = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\né\r\n".encode()


@pytest.mark.clause("RFC6152-3c")
def test_eight_bits_are_encoded_by_choice() -> None:
    conn = ready(*BOTH)
    with pytest.raises(LocalProtocolError, match="8BITMIME"):
        submitted("", message(EIGHT_BIT), conn=conn)
    action = next(submit(conn, message(EIGHT_BIT, convert=True)))
    assert b"MAIL FROM:<a@x.org>\r\n" in sent(action)
    assert b"Content-Transfer-Encoding: base64\r\n" in sent(action)
    assert sent(action).endswith(b"\r\n\r\nw6kNCg==\r\n")
    # Where they are taken they are left.
    assert sent(next(submit(ready("8BITMIME", *BOTH), message(EIGHT_BIT, convert=True)))).endswith(EIGHT_BIT)


@pytest.mark.parametrize("offers", [BOTH, ("8BITMIME", *BOTH), ("8BITMIME", "BINARYMIME", "PIPELINING")])
def test_what_is_no_text_is_encoded_by_choice(offers: tuple[str, ...]) -> None:
    content = EIGHT_BIT.replace(b"text/plain; charset=utf-8", b"image/x-odd")[:-4] + b"\0\n\xff"
    octets = sent(next(submit(ready(*offers), message(content, binary=True, convert=True, chunking=False))))
    assert b"BINARYMIME" not in octets
    octets = sent(next(submit(ready(*BOTH), message(content, binary=True, convert=True))))
    assert octets.isascii()
    assert b"base64" in octets


def test_what_is_no_text_and_comes_in_pieces_is_encoded_by_choice() -> None:
    content = EIGHT_BIT.replace(b"text/plain; charset=utf-8", b"image/x-odd")[:-4] + b"\0\n\xff"
    flow = submit(ready("8BITMIME", *BOTH), message(binary=True, convert=True))
    assert isinstance(next(flow), ReadBody)
    assert isinstance(flow.send(content[:20]), ReadBody)
    assert isinstance(flow.send(content[20:]), ReadBody)
    octets = sent(flow.send(b""))
    assert octets == sent(next(submit(ready("8BITMIME", *BOTH), message(content, binary=True, convert=True))))
    assert b"base64" in octets


def test_what_may_not_be_changed_is_not_sent() -> None:
    conn = ready(*BOTH)
    signed = EIGHT_BIT.replace(b"text/plain; charset=utf-8", b"multipart/signed; boundary=b; protocol=x")
    content = signed[:-4] + "--b\r\n\r\né\r\n--b\r\n\r\nx\r\n--b--\r\n".encode()
    with pytest.raises(LocalProtocolError):
        submitted("", message(content, convert=True), conn=conn)
    assert conn.state is State.READY
