"""One message on an open session, against scripted servers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs
import pytest

from ehlo import (
    AuthParam,
    Body,
    ClientConnection,
    ConnectionFailed,
    Ehlo,
    Envelope,
    EnvId,
    LocalProtocolError,
    Mailbox,
    Newlines,
    Outcome,
    Parameters,
    Recipient,
    RemoteProtocolError,
    Reply,
    Ret,
    Size,
    State,
    Submission,
    SubmissionFailed,
    SubmissionResult,
    envelope,
    recipient,
)
from ehlo.flows import Close, Exchange, Flow, Poll, ReadBody, Receive, Send, submit
from ehlo.flows._source import PIECE, Source
from ehlo.testing import ScriptedServer, run

PIPELINING = ("PIPELINING",)
OK = "S: 250 ok\n"
MAIL = "C: MAIL FROM:<a@x.org>\n"
BODY = "C: hello\nC: .\n"


def ready(*offers: str, **keywords: object) -> ClientConnection:
    conn = ClientConnection(**keywords)  # type: ignore[arg-type]
    conn.receive_data(b"220 x\r\n")
    conn.next_event()
    conn.send(Ehlo("a.example"))
    lines = ("mail.example", *offers)
    conn.receive_data("".join(f"250-{line}\r\n" for line in lines).encode() + b"250 X-END\r\n")
    conn.next_event()
    conn.data_to_send()
    return conn


def to(*locals_: str, **keywords: object) -> Envelope:
    return envelope("a@x.org", [f"{local}@x.org" for local in locals_], **keywords)  # type: ignore[arg-type]


def rcpt(local: str, reply: str = "250 ok") -> str:
    return f"C: RCPT TO:<{local}@x.org>\nS: {reply}\n"


def submitted(
    script: str,
    message: Envelope | Submission | None = None,
    *,
    offers: Iterable[str] = PIPELINING,
    body: bytes | Iterable[bytes] = b"hello\r\n",
    conn: ClientConnection | None = None,
) -> SubmissionResult:
    server = ScriptedServer(script)
    message = message or to("b")
    submission = message if isinstance(message, Submission) else Submission(envelope=message)
    try:
        return run(submit(conn or ready(*offers), submission), server, bodies=[body])
    finally:
        server.check_done()


BOTH = pytest.mark.parametrize("offers", [(), PIPELINING], ids=["lock step", "one flight"])


# ---- it works ----


@pytest.mark.clause("OXSMTP-3.1a", "RFC5321-3.3e", "RFC5321-4.5.4.1b", "RFC2920-3.1c")
@BOTH
def test_a_message(offers: tuple[str, ...]) -> None:
    conn = ready(*offers)
    script = MAIL + OK + rcpt("b") + rcpt("c", "251 will forward") + "C: DATA\nS: 354 go\n" + BODY
    result = submitted(script + "S: 250 2.0.0 queued as 7\n", to("b", "c"), conn=conn)
    assert [outcome.accepted for outcome in result.outcomes] == [True, True]
    assert result.reply == Reply(250, "queued as 7", "2.0.0")
    assert result.refused == ()
    assert conn.state is State.READY
    # The next one goes the same way.
    submitted(MAIL + OK + rcpt("b") + "C: DATA\nS: 354 go\nC: .\nS: 250 ok\n", conn=conn, body=b"")


@pytest.mark.clause("RFC4954-5f")
@pytest.mark.parametrize("trusted", [False, True])
def test_who_submitted_first_is_handed_on_as_far_as_it_is_believed(trusted: bool) -> None:
    got = AuthParam(Mailbox("boss", "x.org"), trusted=trusted)
    shown = "boss@x.org" if trusted else "<>"
    script = f"C: MAIL FROM:<a@x.org> AUTH={shown}\n" + OK + rcpt("b") + "C: DATA\nS: 354 go\n" + BODY
    handed_on = to("b", submitter=got.submitter or "")
    result = submitted(script + "S: 250 ok\n", handed_on, offers=(*PIPELINING, "AUTH PLAIN"))
    assert result.dropped == ()


@pytest.mark.clause("RFC5321-4.3.1a", "RFC2920-3.1a")
def test_flights() -> None:
    def flights(conn: ClientConnection, *, pipelining: bool = True) -> list[bytes]:
        replies = {b"DATA": b"354 go\r\n", b".": b"250 ok\r\n"}
        flow = submit(conn, Submission(envelope=to("b", "c"), pipelining=pipelining))
        sent: list[bytes] = []
        body = iter([b"hello\r\n", b""])
        action = next(flow)
        with pytest.raises(StopIteration):  # noqa: PT012
            while True:
                match action:
                    case Exchange(data):
                        sent.append(data)
                        lines = sent[-1].split(b"\r\n")[:-1]
                        action = flow.send(b"".join(replies.get(line, b"250 ok\r\n") for line in lines))
                    case ReadBody():
                        action = flow.send(next(body))
                    case Poll():
                        action = flow.send(None)
                    case _:
                        raise AssertionError(action)
        return sent

    envelope_ = b"MAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nRCPT TO:<c@x.org>\r\nDATA\r\n"
    assert flights(ready(*PIPELINING)) == [envelope_, b"hello\r\n.\r\n"]
    for conn, pipelining in ((ready(), True), (ready(*PIPELINING), False)):
        sent = flights(conn, pipelining=pipelining)
        assert b"".join(sent[:-1]) == envelope_
        assert len(sent) == 5


@pytest.mark.clause("RFC2920-3.1g", "RFC5321-4.5.3.1.8b")
def test_a_group_is_bounded() -> None:
    from ehlo import Limits  # noqa: PLC0415

    conn = ready(*PIPELINING, limits=Limits(pipeline=10))
    names = [f"r{i}" for i in range(25)]
    script = MAIL + OK + "".join(rcpt(name) for name in names) + "C: DATA\nS: 354 go\n" + BODY + OK
    server = ScriptedServer(script)
    flow = submit(conn, Submission(envelope=to(*names)))
    most = 0

    def watched() -> Flow[SubmissionResult]:
        value: object = None
        while True:
            try:
                action = flow.send(value)
            except StopIteration as stop:
                result: SubmissionResult = stop.value
                return result
            nonlocal most
            most = max(most, conn.in_flight)
            value = yield action

    result = run(watched(), server, bodies=[b"hello\r\n"])
    server.check_done()
    assert len(result.accepted) == 25
    assert most == 10


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ([b"a", b"b\r\n", b".\r\n"], "C: ab\nC: ..\n"),
        ([b"a\nb"], "C: a\nC: b\n"),
        ([], ""),
        ([b"."], "C: ..\n"),
        ([b"a\r", b"\n", b".\r", b"\nb"], "C: a\nC: ..\nC: b\n"),
    ],
)
@pytest.mark.clause("OXSMTP-3.1-8a", "RFC5321-4.5.2b", "RFC5321-4.1.1.4b")
def test_bodies(body: list[bytes], lines: str) -> None:
    script = MAIL + OK + rcpt("b") + f"C: DATA\nS: 354 go\n{lines}C: .\n" + OK
    assert submitted(script, body=body).accepted


# ---- refusals ----


@pytest.mark.clause(
    "RFC2920-3.1e", "OXSMTP-3.1-3.2a", "RFC5321-4.2.1a", "RFC5321-4.5.3.1.10b", "RFC5321-3.4b"
)
@BOTH
def test_each_recipient_has_an_outcome_of_its_own(offers: tuple[str, ...]) -> None:
    script = (
        MAIL
        + OK
        + rcpt("ok")
        + rcpt("no", "550 5.1.1 no such user")
        + rcpt("later", "450 4.2.1 busy")
        + rcpt("many", "552 too many")
        + rcpt("full", "552 5.2.2 full")
        + rcpt("moved", "551 5.1.6 elsewhere")
        + "C: DATA\nS: 354 go\n"
        + BODY
        + OK
    )
    result = submitted(script, to("ok", "no", "later", "many", "full", "moved"), offers=offers)
    assert [(o.recipient.local, o.accepted, o.temporary) for o in result.outcomes] == [
        ("ok", True, False),
        ("no", False, False),
        ("later", False, True),
        ("many", False, True),
        ("full", False, False),
        ("moved", False, False),
    ]
    assert result.outcomes[1].reply == Reply(550, "no such user", "5.1.1")
    assert result.temporary
    assert [outcome.recipient.local for outcome in result.accepted] == ["ok"]


@pytest.mark.clause("RFC2920-3.1d", "RFC1870-6.2a")
def test_all_refused_in_one_flight() -> None:
    script = MAIL + OK + rcpt("b", "550 no") + rcpt("c", "451 later") + "C: DATA\nS: 554 none\nC: RSET\n" + OK
    conn = ready(*PIPELINING)
    with pytest.raises(SubmissionFailed) as caught:
        submitted(script, to("b", "c"), conn=conn)
    codes = [outcome.reply.code for outcome in caught.value.result.outcomes if outcome.reply]
    assert codes == [550, 451]
    assert caught.value.temporary
    assert conn.state is State.READY


def test_all_refused_in_lock_step() -> None:
    conn = ready()
    with pytest.raises(SubmissionFailed) as caught:
        submitted(MAIL + OK + rcpt("b", "550 no") + "C: RSET\n" + OK, conn=conn)
    assert not caught.value.temporary
    assert conn.state is State.READY


@pytest.mark.clause("RFC2920-3.1d")
@pytest.mark.parametrize("final", ["554 none", "250 delivered to nobody"])
def test_a_354_although_all_were_refused(final: str) -> None:
    script = MAIL + OK + rcpt("b", "550 no") + f"C: DATA\nS: 354 go\nC: .\nS: {final}\n"
    conn = ready(*PIPELINING)
    with pytest.raises(SubmissionFailed) as caught:
        submitted(script, conn=conn)
    assert caught.value.result.accepted == ()
    assert caught.value.reply == Reply(550, "no")
    assert conn.state is State.READY


@pytest.mark.parametrize("end", ["S: <close>", "S: <reset>", "S: <silence>", "S: 421 bye", "S: garbage"])
@pytest.mark.parametrize("asked", ["S: 554 none\nC: RSET\n", "S: 354 go\nC: .\n"])
def test_what_comes_after_all_were_refused_changes_nothing(asked: str, end: str) -> None:
    with pytest.raises(SubmissionFailed) as caught:
        submitted(MAIL + OK + rcpt("b", "550 no") + "C: DATA\n" + asked + end)
    assert not caught.value.temporary


@pytest.mark.clause("RFC1870-6.2a", "RFC5321-4.5.4.1a")
@pytest.mark.parametrize(("code", "temporary"), [(552, False), (452, True), (530, False), (451, True)])
def test_a_refused_sender(code: int, temporary: bool) -> None:
    conn = ready(*PIPELINING)
    script = MAIL + f"S: {code} 4.0.0 no\n" + rcpt("b", "503 x") + "C: DATA\nS: 503 x\n"
    with pytest.raises(SubmissionFailed) as caught:
        submitted(script, conn=conn)
    (outcome,) = caught.value.result.outcomes
    assert outcome.reply is not None
    assert outcome.reply.code == code
    if code != 552:
        assert caught.value.temporary is temporary
    # It is not remembered.
    submitted(MAIL + OK + rcpt("b") + "C: DATA\nS: 354 go\n" + BODY + OK, conn=conn)


def test_a_refused_sender_in_lock_step_is_asked_no_more() -> None:
    with pytest.raises(SubmissionFailed):
        submitted(MAIL + "S: 550 no\n", offers=())


@pytest.mark.clause("RFC2920-3.1d")
@BOTH
def test_data_refused(offers: tuple[str, ...]) -> None:
    conn = ready(*offers)
    with pytest.raises(SubmissionFailed) as caught:
        submitted(MAIL + OK + rcpt("b") + "C: DATA\nS: 451 4.3.0 later\nC: RSET\n" + OK, conn=conn)
    (outcome,) = caught.value.result.outcomes
    assert outcome.reply == Reply(451, "later", "4.3.0")
    assert outcome.temporary
    assert conn.state is State.READY


@pytest.mark.clause("RFC1870-6.2a", "RFC5321-4.2.5b")
@pytest.mark.parametrize("code", [452, 552, 554])
def test_the_message_refused(code: int) -> None:
    conn = ready(*PIPELINING)
    with pytest.raises(SubmissionFailed) as caught:
        submitted(MAIL + OK + rcpt("b") + "C: DATA\nS: 354 go\n" + BODY + f"S: {code} 5.3.4 no\n", conn=conn)
    assert caught.value.reply is not None
    assert caught.value.reply.code == code
    assert conn.state is State.READY


# ---- lost connections ----


@pytest.mark.clause("RFC5321-3.8c", "RFC5321-3.8d")
@pytest.mark.parametrize("end", ["S: <close>", "S: <reset>", "S: <silence>"])
@pytest.mark.parametrize(
    "script",
    [
        MAIL,
        MAIL + OK + "C: RCPT TO:<b@x.org>\n",
        MAIL + OK + rcpt("b") + "C: DATA\n",
        MAIL + OK + rcpt("b") + "C: DATA\nS: 354 go\n" + BODY,
        MAIL + OK + rcpt("b") + "C: DATA\nS: 354 go\n" + BODY + "S: 250-half\n",
    ],
)
def test_a_lost_connection_is_temporary(script: str, end: str) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        submitted(script + end, offers=())
    assert caught.value.temporary
    # With the end of the data on its way, the server may have taken the message.
    assert caught.value.in_doubt == (BODY in script)


@pytest.mark.parametrize(
    ("last", "in_doubt"),
    [("S: 250 ok\n" * 2 + "S: <close>", True), ("S: 421 4.3.2 going\n", False), ("S: what?\n", True)],
)
def test_a_chunk_that_ends_the_message_leaves_it_in_doubt(last: str, in_doubt: bool) -> None:
    script = f"C: MAIL FROM:<a@x.org>\nC: RCPT TO:<b@x.org>\nC: BDAT 7 LAST\nC: hello\n{last}"
    message = Submission(envelope=to("b"), content=b"hello\r\n")
    with pytest.raises((ConnectionFailed, RemoteProtocolError, SubmissionFailed)) as caught:
        submitted(script, message, offers=("PIPELINING", "CHUNKING"))
    assert caught.value.in_doubt == in_doubt


@pytest.mark.clause("RFC5321-3.8c")
@pytest.mark.parametrize("error", [ConnectionResetError("gone"), TimeoutError(), OSError("odd")])
def test_an_error_at_every_action(error: OSError) -> None:
    def actions(fail_at: int) -> tuple[int, list[object]]:
        conn = ready(*PIPELINING)
        flow = submit(conn, Submission(envelope=to("b")))
        replies = iter([b"250 ok\r\n", b"250 ok\r\n354 go\r\n", b"250 ok\r\n"])
        body = iter([b"hello\r\n", b""])
        seen: list[object] = [next(flow)]
        count = 0
        while True:
            action = seen[-1]
            if isinstance(action, Close):
                seen.append(flow.send(None))
            elif not isinstance(action, ReadBody | Poll) and count == fail_at:
                count += 1
                seen.append(flow.throw(error))
            elif fail_at < count:
                # Whatever it tries then fails as well.
                seen.append(flow.throw(error))
            else:
                count += not isinstance(action, ReadBody | Poll)
                match action:
                    case ReadBody():
                        seen.append(flow.send(next(body)))
                    case Receive() | Exchange():
                        seen.append(flow.send(next(replies)))
                    case _:
                        seen.append(flow.send(None))

    for fail_at in range(3):
        with pytest.raises(ConnectionFailed) as caught:
            actions(fail_at)
        assert caught.value.temporary
    with pytest.raises(StopIteration):
        actions(99)


def closes(flow: Flow[SubmissionResult], *answers: object) -> list[object]:
    """The actions of a flow that is answered so; an exception is thrown into it."""
    seen: list[object] = [next(flow)]
    for answer in answers:
        seen.append(flow.throw(answer) if isinstance(answer, Exception) else flow.send(answer))
    return seen


@pytest.mark.clause("RFC5321-3.8d")
def test_421_to_a_recipient() -> None:
    script = MAIL + OK + rcpt("ok") + rcpt("late", "421 4.3.2 going down")
    with pytest.raises(SubmissionFailed) as caught:
        submitted(script, to("ok", "late", "never"), offers=())
    assert [(o.recipient.local, o.temporary) for o in caught.value.result.outcomes] == [
        ("ok", True),
        ("late", True),
        ("never", True),
    ]


@pytest.mark.clause("RFC5321-3.8d")
@pytest.mark.parametrize(("code", "temporary"), [(421, True), (452, True), (552, False)])
def test_last_words_in_the_middle_of_a_message(code: int, temporary: bool) -> None:
    flow = submit(ready(*PIPELINING), Submission(envelope=to("b")))
    answers = [b"250 ok\r\n250 ok\r\n354 go\r\n", b"x" * PIECE, ConnectionResetError("gone")]
    seen = closes(flow, *answers)
    assert isinstance(seen[-1], Receive)
    assert flow.send(f"{code} 4.4.2 too slow\r\n".encode()) == Close()
    with pytest.raises(ConnectionFailed, match="too slow") as caught:
        flow.send(None)
    assert caught.value.temporary is temporary
    assert caught.value.reply is not None


def test_a_success_that_the_connection_did_not_outlive() -> None:
    flow = submit(ready(*PIPELINING), Submission(envelope=to("b")))
    closes(flow, b"250 ok\r\n250 ok\r\n354 go\r\n", b"", None, ConnectionResetError("gone"))
    assert flow.send(b"250 queued\r\n") == Close()
    with pytest.raises(ConnectionFailed) as caught:
        flow.send(None)
    assert caught.value.temporary


@pytest.mark.parametrize("last", [b"", TimeoutError(), ConnectionResetError("x")])
def test_no_last_words(last: bytes | OSError) -> None:
    flow = submit(ready(*PIPELINING), Submission(envelope=to("b")))
    closes(flow, b"250 ok\r\n250 ok\r\n354 go\r\n", b"x" * PIECE, ConnectionResetError("gone"))
    action = flow.throw(last) if isinstance(last, OSError) else flow.send(last)
    assert action == Close()
    with pytest.raises(ConnectionFailed, match="gone") as caught:
        flow.send(None)
    assert caught.value.temporary


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 3 * PIECE])
def test_octets_in_memory_go_in_blocks(size: int) -> None:
    content = (b"x" * 98 + b"\r\n") * (size // 100 + 1)
    flow = submit(ready(*PIPELINING), Submission(envelope=to("b"), content=content[:size]))
    action: object = next(flow)
    action = flow.send(b"250 ok\r\n250 ok\r\n354 go\r\n")
    sent = b""
    while not isinstance(action, Exchange):
        if isinstance(action, Send):
            assert action.and_receive
            sent += action.data
        action = flow.send(None)
    sent += action.data
    assert sent.endswith(b"\r\n.\r\n" if size else b".\r\n")
    assert sent.startswith(content[:size])
    assert len(action.data) <= PIECE + 5
    with pytest.raises(StopIteration):
        flow.send(b"250 ok\r\n")


def test_a_refusal_between_blocks_is_heard() -> None:
    flow = submit(ready(*PIPELINING), Submission(envelope=to("b"), content=b"x" * (2 * PIECE)))
    closes(flow, b"250 ok\r\n250 ok\r\n354 go\r\n")
    assert flow.send(b"552 too much\r\n") == Close()
    with pytest.raises(ConnectionFailed, match="too much"):
        flow.send(None)


@pytest.mark.clause("RFC5321-4.2a")
@pytest.mark.parametrize(
    ("early", "error", "reply"),
    [
        (b"250 queued\r\n", RemoteProtocolError, None),
        (b"250-half of one\r\n", RemoteProtocolError, None),
        (b"552 too much\r\n", ConnectionFailed, 552),
        (b"421 going down\r\n", ConnectionFailed, 421),
        (b"", ConnectionFailed, None),
    ],
)
@pytest.mark.parametrize("pieces", [0, 1])
def test_a_reply_before_the_end_of_the_data_is_no_reply_to_it(
    early: bytes, error: type[Exception], reply: int | None, pieces: int
) -> None:
    flow = submit(ready(*PIPELINING), Submission(envelope=to("b")))
    closes(flow, b"250 ok\r\n250 ok\r\n354 go\r\n", *[b"text\r\n", None] * pieces)
    assert flow.send(b"") == Poll()
    action = flow.send(early)
    if early.startswith(b"250-"):
        # The rest of it comes later: what began too early is not made good by that.
        assert isinstance(action, Exchange)
        action = flow.send(b"250 and the rest\r\n")
    assert action == Close()
    with pytest.raises(error) as caught:
        flow.send(None)
    if reply is not None:
        assert isinstance(caught.value, ConnectionFailed)
        assert caught.value.reply is not None
        assert caught.value.reply.code == reply


def test_an_unsolicited_421_between_data_and_the_final_reply() -> None:
    script = MAIL + OK + rcpt("b") + "C: DATA\nS: 354 go\n" + BODY + "S: 421 4.4.2 idle\n"
    with pytest.raises(SubmissionFailed) as caught:
        submitted(script)
    assert caught.value.temporary


@pytest.mark.parametrize(
    "script", [MAIL + "S: 354 go\n", MAIL + "S: what\n", MAIL + OK + rcpt("b", "250 x\nS: 250 x\nS: 250 y")]
)
def test_a_server_out_of_step(script: str) -> None:
    with pytest.raises(RemoteProtocolError):
        submitted(script, offers=())


# ---- the caller's message ----


def blocks(*pieces: bytes) -> list[int | str]:
    """What is done with these pieces of a message: the sizes that are written, and the reads."""
    flow = submit(ready(*PIPELINING), Submission(envelope=to("b")))
    next(flow)
    action = flow.send(b"250 ok\r\n250 ok\r\n354 go\r\n")
    left = iter(pieces)
    done: list[int | str] = []
    while not isinstance(action, Exchange):
        match action:
            case ReadBody():
                done.append("read")
                action = flow.send(next(left, b""))
            case Poll():
                action = flow.send(None)
            case Send(data):
                done.append(len(data))
                action = flow.send(None)
            case _:
                raise AssertionError(action)
    done.append(len(action.data))
    return done


def test_the_last_piece_leaves_with_the_end_of_the_data() -> None:
    line = b"hello\r\n"
    whole = b"x" * (PIECE - 2) + b"\r\n"
    assert blocks() == ["read", 3]
    assert blocks(line) == ["read", "read", 7 + 3]
    # Never more than one piece waits, however short they are.
    assert blocks(line, line, line) == ["read", "read", 7, "read", 7, "read", 7 + 3]
    assert blocks(whole, line) == ["read", PIECE, "read", "read", 7 + 3]
    assert blocks(line, whole) == ["read", "read", 7, PIECE, "read", 3]
    assert blocks(b"\r", b"\n") == ["read", "read", "read", 2 + 3]


@pytest.mark.parametrize(
    "error", [ValueError("bad"), FileNotFoundError("no file"), TimeoutError("slow disk")]
)
@pytest.mark.parametrize("pieces", [0, 1, 2])
def test_a_message_that_cannot_be_read_is_not_sent_by_half(error: Exception, pieces: int) -> None:
    def body() -> Iterator[bytes]:
        yield from [b"half\r\n"] * pieces
        raise error

    conn = ready(*PIPELINING)
    script = MAIL + OK + rcpt("b") + "C: DATA\nS: 354 go\n" + "C: half\n" * (pieces - 1)
    with pytest.raises(type(error)) as caught:
        submitted(script, body=body(), conn=conn)
    assert caught.value is error


@pytest.mark.clause("RFC5321-2.4d", "RFC5321-2.3.8b")
@pytest.mark.parametrize("body", [b"caf\xe9\r\n", b"bare\nnewline\r\n"])
def test_a_message_that_may_not_be_sent_closes_the_connection(body: bytes) -> None:
    conn = ready(*PIPELINING, newlines=Newlines.REFUSE)
    flow = submit(conn, Submission(envelope=to("b"), eight_bit=False))
    closes(flow, b"250 ok\r\n250 ok\r\n354 go\r\n")
    assert flow.send(body) == Poll()
    assert flow.send(None) == Close()
    with pytest.raises(LocalProtocolError):
        flow.send(None)


@pytest.mark.parametrize(
    "message",
    [
        Envelope(None, recipients=(Recipient(Mailbox("b", "x.org>\r\nQUIT")),)),
        Envelope(None, recipients=(Recipient(Mailbox("b", "x.org")), Recipient(Mailbox("a b>", "x y")))),
        Envelope(Mailbox("a", ""), recipients=(Recipient(Mailbox("b", "x.org")),)),
    ],
)
@pytest.mark.clause("SEC-INJ-cli-a", "OXSMTP-3.1-5.1a")
def test_an_envelope_that_cannot_be_written_sends_nothing(message: Envelope) -> None:
    flow = submit(ready(*PIPELINING), Submission(envelope=message))
    assert next(flow) == Close()
    with pytest.raises(LocalProtocolError):
        flow.send(None)


def test_what_cannot_be_submitted_at_all() -> None:
    with pytest.raises(LocalProtocolError, match="no recipients"):
        next(submit(ready(), Submission(envelope=Envelope(None))))
    with pytest.raises(LocalProtocolError, match="not ready"):
        next(submit(ClientConnection(), Submission(envelope=to("b"))))


# ---- parameters ----

DSN = {"notify": ["success", "failure"], "ret": "hdrs", "envid": "QQ=14"}


@pytest.mark.clause("OXSMTP-3.1-7a", "RFC3461-4.2c", "RFC3461-4c", "RFC3461-5.2.1a")
def test_dsn_parameters() -> None:
    script = (
        "C: MAIL FROM:<a@x.org> RET=HDRS ENVID=QQ+3D14\n"
        + OK
        + "C: RCPT TO:<b@x.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@x.org\n"
        + OK
        + "C: DATA\nS: 354 go\n"
        + BODY
        + OK
    )
    assert submitted(script, to("b", **DSN), offers=("DSN",)).dropped == ()


@pytest.mark.clause("RFC3461-5.2.2a", "OXSMTP-3.1-7a", "RFC5321-4.1.1.3b")
def test_dsn_parameters_that_are_not_offered_are_dropped_and_told() -> None:
    result = submitted(MAIL + OK + rcpt("b") + "C: DATA\nS: 354 go\n" + BODY + OK, to("b", **DSN), offers=())
    assert result.dropped == ("RET", "ENVID", "NOTIFY", "ORCPT")


def test_a_parameter_in_the_wrong_place() -> None:
    message = attrs.evolve(to("b"), parameters=Parameters([recipient("b@x.org", notify="never").parameters]))
    with pytest.raises(LocalProtocolError):
        next(submit(ready("DSN"), Submission(envelope=message)))


@pytest.mark.clause("RFC1870-6a", "RFC1870-3a")
@pytest.mark.parametrize(
    ("offer", "parameter"), [("SIZE 100", " SIZE=7"), ("SIZE", " SIZE=7"), ("SIZE 0", " SIZE=7"), ("DSN", "")]
)
def test_the_size_is_declared(offer: str, parameter: str) -> None:
    script = f"C: MAIL FROM:<a@x.org>{parameter}\n" + OK + rcpt("b") + "C: DATA\nS: 354 go\n" + BODY + OK
    submitted(script, Submission(envelope=to("b"), size=7), offers=(offer,))


@pytest.mark.clause("RFC1870-6a")
@pytest.mark.parametrize(
    ("content", "parameters"),
    [
        (b"hello\r\n", " SIZE=7"),
        (b"hello", " SIZE=7"),
        (b"a\nb\n", " SIZE=6"),
        ("MIME-Version: 1.0\r\n\r\né\r\n".encode(), " SIZE=25 BODY=8BITMIME"),
    ],
)
def test_what_the_octets_tell_of_themselves(content: bytes, parameters: str) -> None:
    lines = "".join(f"C: {line}\n" for line in content.decode().splitlines())
    script = (
        f"C: MAIL FROM:<a@x.org>{parameters}\n" + OK + rcpt("b") + f"C: DATA\nS: 354 go\n{lines}C: .\n" + OK
    )
    submitted(script, Submission(envelope=to("b"), content=content), offers=("SIZE", "8BITMIME"))


def test_a_message_over_the_announced_size_is_not_sent() -> None:
    with pytest.raises(LocalProtocolError, match="7 octets"):
        next(submit(ready("SIZE 6"), Submission(envelope=to("b"), content=b"hello")))
    with pytest.raises(LocalProtocolError, match="101"):
        next(submit(ready("SIZE 100"), Submission(envelope=to("b"), size=101)))
    # Unless the caller has said a size of its own.
    own = attrs.evolve(to("b"), parameters=Parameters([Size(5)]))
    assert isinstance(next(submit(ready("SIZE 100"), Submission(envelope=own, size=101))), Exchange)


@pytest.mark.clause("RFC5321-2.4d")
@pytest.mark.parametrize(
    ("eight_bit", "offers", "parameter"),
    [
        (True, ("8BITMIME",), " BODY=8BITMIME"),
        (None, ("8BITMIME",), " BODY=8BITMIME"),
        (False, ("8BITMIME",), ""),
        (None, (), ""),
        (False, (), ""),
    ],
)
def test_8bitmime(eight_bit: bool | None, offers: tuple[str, ...], parameter: str) -> None:
    script = f"C: MAIL FROM:<a@x.org>{parameter}\n" + OK + rcpt("b")
    script += "C: DATA\nS: 354 go\nC: MIME-Version: 1.0\nC: \nC: hello\nC: .\n" + OK
    message = Submission(envelope=to("b"), eight_bit=eight_bit)
    submitted(script, message, offers=offers, body=b"MIME-Version: 1.0\r\n\r\nhello\r\n")


# Octets over 127 in the body, and the header says nothing of them; or the field is not in the header.
NOT_MIME = ["Subject: x\r\n\r\né\r\n", "\r\nMIME-Version: 1.0\r\n\r\né\r\n"]
MIME_FIELDS = ["MIME-Version: 1.0", "Subject: x\r\nmime-version : 1.0", "Subject: é"]


@pytest.mark.clause("RFC5321-2.4f")
@pytest.mark.parametrize("text", NOT_MIME)
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("eight_bit", [None, True])
def test_what_is_not_mime_is_not_declared_8bitmime(text: str, streamed: bool, eight_bit: bool | None) -> None:
    conn = ready("8BITMIME")
    content = None if streamed else text.encode()
    flow = submit(conn, Submission(envelope=to("b"), content=content, eight_bit=eight_bit))
    with pytest.raises(LocalProtocolError, match="is not MIME"):
        run(flow, ScriptedServer(""), bodies=[text.encode()])
    # Nothing was sent, and the session is as good as before.
    assert conn.state is State.READY
    assert conn.data_to_send() == b""


@pytest.mark.clause("RFC5321-2.4f")
@pytest.mark.parametrize("field", MIME_FIELDS)
@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_mime_is_declared_8bitmime(field: str, streamed: bool) -> None:
    text = f"{field}\r\n\r\né\r\n"
    parameters = " BODY=8BITMIME" + ("" if field.isascii() or streamed else " SMTPUTF8")
    lines = "".join(f"C: {line}\n" for line in text.splitlines())
    script = f"C: MAIL FROM:<a@x.org>{parameters}\n" + OK + rcpt("b")
    script += f"C: DATA\nS: 354 go\n{lines}C: .\n" + OK
    message = Submission(envelope=to("b"), content=None if streamed else text.encode())
    # Cut anywhere: the field is found all the same.
    pieces = [octet.encode() for octet in text]
    submitted(script, message, offers=("8BITMIME", "SMTPUTF8"), body=pieces if streamed else b"")


@pytest.mark.clause("RFC5321-2.4f")
def test_what_is_not_mime_shows_octets_over_127_too_late() -> None:
    conn = ready("8BITMIME")
    server = ScriptedServer(MAIL + OK + rcpt("b") + "C: DATA\nS: 354 go\n")
    flow = submit(conn, Submission(envelope=to("b")))
    with pytest.raises(LocalProtocolError, match="not declared 8BITMIME"):
        run(flow, server, bodies=[[b"Subject: x\r\n\r\n" + b"y" * PIECE, "é".encode()]])
    assert conn.state is not State.READY


@pytest.mark.clause("RFC5321-2.4f")
@pytest.mark.parametrize("offers", [("8BITMIME",), ()], ids=["8BITMIME", "7 bit"])
@pytest.mark.parametrize("size", [None, 1, 5, 20, 1000], ids=str)
def test_what_is_not_mime_can_be_converted(offers: tuple[str, ...], size: int | None) -> None:
    """RFC 1428: it becomes MIME, of a charset that nobody knows, also where it comes in pieces."""
    content = "Subject: x\r\n\r\né\r\n".encode()
    script = (
        MAIL + OK + rcpt("b") + "C: DATA\nS: 354 go\nC: Subject: x\nC: Content-Transfer-Encoding: base64\n"
        "C: MIME-Version: 1.0\nC: Content-Type: text/plain; charset=unknown-8bit\nC: \nC: w6kNCg==\nC: .\n"
        + OK
    )
    whole = content if size is None else None
    pieces = [content[at : at + (size or 1)] for at in range(0, len(content), size or 1)]
    one = Submission(envelope=to("b"), content=whole, convert=True)
    submitted(script, one, offers=offers, body=pieces)


@pytest.mark.clause("RFC6152-3c")
def test_what_need_not_be_converted_is_read_in_pieces() -> None:
    """What is MIME goes as it is where 8BITMIME is offered: a piece is sent before the next one is read."""
    action = next(submit(ready("8BITMIME"), Submission(envelope=to("b"), eight_bit=False, convert=True)))
    assert isinstance(action, Exchange)
    flow = submit(ready("8BITMIME"), Submission(envelope=to("b"), convert=True))
    assert isinstance(next(flow), ReadBody)
    action = flow.send("MIME-Version: 1.0\r\n\r\né".encode())
    assert isinstance(action, Exchange)
    assert action.data == b"MAIL FROM:<a@x.org> BODY=8BITMIME\r\n"


def test_what_cannot_be_read_to_be_converted_leaves_the_session_as_it_was() -> None:
    conn = ready()
    flow = submit(conn, Submission(envelope=to("b"), convert=True))
    assert isinstance(next(flow), ReadBody)
    assert isinstance(flow.send(b"Subject: x\r\n"), ReadBody)
    with pytest.raises(OSError, match="unreadable"):
        flow.throw(OSError("unreadable"))
    assert conn.state is State.READY


@pytest.mark.parametrize("piece", [b"Subject: x\r\n\r\nhello\r\n", b"x" * PIECE])
def test_a_piece_that_has_the_header_is_not_copied(piece: bytes) -> None:
    source = Source(None)
    flow = source.start()
    assert isinstance(next(flow), ReadBody)
    with pytest.raises(StopIteration) as stop:
        flow.send(piece)
    assert stop.value.value is piece
    with pytest.raises(StopIteration) as stop:
        next(source.piece())
    assert stop.value.value is piece


@pytest.mark.clause("RFC6152-3c")
@pytest.mark.parametrize("offers", [("8BITMIME",), ()])
def test_what_comes_in_pieces_can_be_converted(offers: tuple[str, ...]) -> None:
    pieces = [b"Subject: x\r\n", b"\r\n", "é\r\n".encode()]
    script = (
        MAIL + OK + rcpt("b") + "C: DATA\nS: 354 go\nC: Subject: x\nC: Content-Transfer-Encoding: base64\n"
        "C: MIME-Version: 1.0\nC: Content-Type: text/plain; charset=unknown-8bit\nC: \nC: w6kNCg==\nC: .\n"
        + OK
    )
    for known in (None, True):
        submission = Submission(envelope=to("b"), convert=True, eight_bit=known)
        submitted(script, submission, offers=offers, body=pieces)


@pytest.mark.parametrize(
    ("offers", "start", "said"),
    [
        (("8BITMIME",), b"MIME-Version: 1.0\r\n\r\n", "C: MAIL FROM:<a@x.org> BODY=8BITMIME\n"),
        (("8BITMIME",), b"Subject: x\r\n\r\n", MAIL),
        ((), b"Subject: x\r\n\r\n", MAIL),
    ],
    ids=["MIME", "not MIME", "not offered"],
)
def test_what_comes_in_pieces_and_needs_no_conversion_stays_as_it_is(
    offers: tuple[str, ...], start: bytes, said: str
) -> None:
    body = start.decode().replace("\r\n", "\n").replace("\n", "\nC: ")
    script = said + OK + rcpt("b") + f"C: DATA\nS: 354 go\nC: {body}hello\nC: .\n" + OK
    submission = Submission(envelope=to("b"), convert=True)
    submitted(script, submission, offers=offers, body=[start, b"hello\r\n"])


def test_what_comes_in_pieces_and_cannot_be_read_leaves_the_session_as_it_was() -> None:
    conn = ready()
    flow = submit(conn, Submission(envelope=to("b"), convert=True))
    assert isinstance(next(flow), ReadBody)
    with pytest.raises(OSError, match="gone"):
        flow.throw(OSError("gone"))
    assert conn.is_ready
    assert conn.data_to_send() == b""


def test_the_word_of_the_caller_stands() -> None:
    """Who hands on repeats what the sender said of the octets."""
    own = attrs.evolve(to("b"), parameters=Parameters([Body.EIGHT_BIT_MIME]))
    action = next(submit(ready("8BITMIME"), Submission(envelope=own, content="\r\né".encode(), convert=True)))
    assert isinstance(action, Exchange)
    assert action.data == b"MAIL FROM:<a@x.org> BODY=8BITMIME\r\n"


def test_8bit_where_it_is_not_offered_is_not_sent() -> None:
    with pytest.raises(LocalProtocolError, match="8BITMIME"):
        next(submit(ready(), Submission(envelope=to("b"), eight_bit=True)))
    own = attrs.evolve(to("b"), parameters=Parameters([Body.SEVEN_BIT, Ret.FULL, EnvId("x")]))
    action = next(submit(ready("8BITMIME"), Submission(envelope=own)))
    assert isinstance(action, Exchange)
    assert action.data == b"MAIL FROM:<a@x.org> BODY=7BIT\r\n"


def test_a_submission_that_is_given_up_leaves_no_session_for_the_next() -> None:
    conn = ready(*PIPELINING)
    flow = submit(conn, Submission(envelope=to("b"), content=b"hello\r\n"))
    next(flow)
    assert conn.in_flight
    flow.close()
    assert conn.state is State.CLOSED


# ---- outcomes ----


@pytest.mark.clause("RFC5321-4.5.3.1.10b", "RFC5321-4.2.1a", "EXCH-reply-e")
@pytest.mark.parametrize(
    ("accepted", "reply", "temporary"),
    [
        (True, Reply(250, "ok"), False),
        (True, None, False),
        (False, None, True),
        (False, Reply(450, "x"), True),
        (False, Reply(421, "x", "4.3.2"), True),
        (False, Reply(452, "x", "4.3.1"), True),
        (False, Reply(550, "x"), False),
        (False, Reply(550, "x", "5.7.60"), False),
        (False, Reply(552, "x"), True),
        (False, Reply(552, "x", "5.5.3"), True),
        (False, Reply(552, "x", "5.2.2"), False),
        (False, Reply(552, "x", "5.3.4"), False),
    ],
)
def test_which_outcomes_are_temporary(accepted: bool, reply: Reply | None, temporary: bool) -> None:
    assert Outcome(Mailbox("b", "x.org"), accepted, reply).temporary is temporary
