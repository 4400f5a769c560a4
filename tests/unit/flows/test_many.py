"""Many messages on one session: what is in flight, and whose reply is whose."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from tests.helpers.driver import OPEN
from tests.unit.flows.test_submit import ready, to

from ehlo import (
    EVERY,
    ClientConnection,
    ConnectionFailed,
    Envelope,
    Limits,
    LocalProtocolError,
    Mailbox,
    Newlines,
    Reply,
    ServerConfig,
    ServerConnection,
    Session,
    SessionOptions,
    Size,
    State,
    Submission,
    SubmissionFailed,
    SubmissionResult,
    TlsMode,
    envelope,
)
from ehlo.flows import (
    Close,
    Delivery,
    Exchange,
    Flow,
    Poll,
    close,
    hooks_of,
    open_session,
    serve,
    submit_many,
)
from ehlo.flows._chunks import CHUNK
from ehlo.testing import ScriptedServer, drive, run

BOTH, PIPELINING = ("PIPELINING", "CHUNKING"), ("PIPELINING",)
MODES = pytest.mark.parametrize("offers", [BOTH, PIPELINING, ("CHUNKING",), ()], ids=" ".join)


def message(number: int, *names: str, size: int = 0, **changes: object) -> Submission:
    content = b"%d\r\n" % number + b"x" * size
    return Submission(envelope=to(*(names or ("b",))), content=content, **changes)  # type: ignore[arg-type]


def told(found: Iterable[Delivery]) -> list[str]:
    """ "ok", "part", or what went wrong."""
    words = []
    for one in found:
        if isinstance(one, SubmissionResult):
            words.append("part" if one.refused else "ok")
        else:
            words.append(type(one).__name__)
    return words


class Server:
    """Refuses messages and recipients by name."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, list[str], bytes]] = []
        self.resets = 0

    def on_mail(self, session: Session, path: Mailbox | None, parameters: object) -> Reply | None:
        return Reply(550, "Not you", "5.7.1") if path is not None and path.local == "bad" else None

    def on_rcpt(self, session: Session, path: Mailbox, parameters: object) -> Reply | None:
        return Reply(550, "No such user", "5.1.1") if path.local.startswith("no") else None

    def on_message(self, session: Session, envelope: Envelope, content: bytes) -> Reply | None:
        names = [recipient.path.local for recipient in envelope.recipients]
        if "full" in names:
            return Reply(452, "Full", "4.2.2")
        self.taken.append((str(envelope.reverse_path), names, content.rstrip(b"x\r\n")))
        return None


def delivered(
    submissions: list[Submission], offers: tuple[str, ...], sizes: Iterable[int] | None = None
) -> tuple[list[Delivery], Server]:
    server = Server()
    extensions = tuple(
        x for x in EVERY if x.keyword not in ("PIPELINING", "CHUNKING", "BINARYMIME") or x.keyword in offers
    )
    config = ServerConfig(hostname="mail.example", policy=OPEN, extensions=extensions)
    conn = ClientConnection()
    options = SessionOptions(client_name="a.example", server_name="mail.example", tls=TlsMode.NONE)

    def client() -> Flow[list[Delivery]]:
        yield from open_session(conn, options)
        found = yield from submit_many(conn, submissions)
        assert conn.state is State.READY
        yield from close(conn)
        return found

    found = drive(client(), serve(ServerConnection(config), hooks_of(server)), sizes=sizes)
    return found, server


# ---- whose is what ----


@MODES
@pytest.mark.parametrize("sizes", [None, 1, 7])
def test_each_has_its_own_outcome(offers: tuple[str, ...], sizes: int | None) -> None:
    bad = Submission(envelope=envelope("bad@x.org", ["b@x.org"]), content=b"3\r\n")
    submissions = [
        message(0),
        message(1, "no", "b"),
        message(2, "no"),
        bad,
        message(4, "full"),
        message(5, "no1", "no2"),
        message(6),
        Submission(envelope=Envelope(None), content=b"7\r\n"),
        message(8, size=CHUNK),
        message(9),
    ]
    cuts = None if sizes is None else [sizes] * 2_000_000
    found, server = delivered(submissions, offers, cuts)
    refused = "SubmissionFailed"
    assert told(found) == [
        "ok", "part", refused, refused, refused, refused, "ok", "LocalProtocolError", "ok", "ok"
    ]  # fmt: skip
    assert [content for _, _, content in server.taken] == [b"0", b"1", b"6", b"8", b"9"]
    assert {sender for sender, _, _ in server.taken} == {"a@x.org"}
    assert [names for _, names, _ in server.taken] == [["b"]] * 5
    replies = [one.reply for one in found if isinstance(one, SubmissionFailed)]
    assert [reply and reply.code for reply in replies] == [550, 550, 452, 550]


def test_no_recipient_of_one_is_added_to_another() -> None:
    """The first transaction stays open on the server: its only recipient was refused."""
    found, server = delivered([message(0, "no"), message(1, "c"), message(2, "no"), message(3, "d")], BOTH)
    assert told(found) == ["SubmissionFailed", "ok", "SubmissionFailed", "ok"]
    assert [(names, content) for _, names, content in server.taken] == [(["c"], b"1"), (["d"], b"3")]


@MODES
def test_nothing_to_do(offers: tuple[str, ...]) -> None:
    conn = ready(*offers)
    assert run(submit_many(conn, []), ScriptedServer("")) == []
    assert conn.state is State.READY


# ---- what is in flight ----


def flights(
    conn: ClientConnection, submissions: list[Submission], answer: Callable[[bytes], bytes]
) -> list[bytes]:
    flow = submit_many(conn, submissions)
    sent: list[bytes] = []
    with pytest.raises(StopIteration) as stopped:  # noqa: PT012
        action = next(flow)
        while True:
            if action == Poll():
                action = flow.send(None)
                continue
            assert isinstance(action, Exchange)
            sent.append(action.data)
            action = flow.send(answer(action.data))
    assert set(told(stopped.value.value)) <= {"ok"}
    return sent


def _agree(data: bytes) -> bytes:
    lines = [line for line in data.split(b"\r\n") if line[:4].isupper() and line[:4].isalpha()]
    replies = b"".join(b"354 go\r\n" if line == b"DATA" else b"250 ok\r\n" for line in lines)
    return (b"250 ok\r\n" if data.startswith((b"0", b"1", b"2")) else b"") + replies


@pytest.mark.clause("RFC2920-3.1g")
def test_whole_messages_follow_each_other() -> None:
    sent = flights(ready(*BOTH), [message(i) for i in range(20)], _agree)
    assert len(sent) == 1
    assert sent[0].count(b"MAIL") == 20
    assert sent[0].count(b"RSET") == 19
    window = flights(ready(*BOTH), [message(i, size=CHUNK // 3) for i in range(9)], _agree)
    assert [data.count(b"MAIL") for data in window] == [2, 2, 2, 2, 1]
    narrow = flights(ready(*BOTH, limits=Limits(pipeline=8)), [message(i) for i in range(6)], _agree)
    assert [data.count(b"MAIL") for data in narrow] == [2, 2, 2]


@pytest.mark.clause("RFC2920-3.1b")
def test_the_next_envelope_follows_the_dot() -> None:
    sent = flights(ready(*PIPELINING), [message(i) for i in range(3)], _agree)
    envelope_ = b"MAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nDATA\r\n"
    following = b".\r\nRSET\r\n" + envelope_
    assert sent == [envelope_, b"0\r\n" + following, b"1\r\n" + following, b"2\r\n.\r\n"]


@pytest.mark.parametrize("last", [False, True], ids=["in the middle", "last"])
@pytest.mark.parametrize(
    ("offer", "newlines"),
    [("SIZE 9", Newlines.NORMALISE), ("X-NO", Newlines.REFUSE)],
    ids=["too long", "a bare newline"],
)
def test_a_body_that_cannot_be_sent_keeps_no_other_from_it(
    offer: str, newlines: Newlines, last: bool
) -> None:
    conn = ready(*BOTH, offer, newlines=newlines)
    # Of the length that the server is told of here, it would be taken.
    own = Submission(envelope=to("c", parameters=[Size(5)]), content=b"a\nb\r\n" * 3)
    good = Submission(envelope=to("b", parameters=[Size(3)]), content=b"0\r\n")
    word = " SIZE={}" if offer == "SIZE 9" else ""
    script = (
        f"C: MAIL FROM:<a@x.org>{word.format(3)}\nS: 250 ok\nC: RCPT TO:<b@x.org>\nS: 250 ok\n"
        "C: BDAT 3 LAST\nC: 0\nS: 250 2.0.0 queued\nC: RSET\nS: 250 ok\n"
    )
    bad = f"C: MAIL FROM:<a@x.org>{word.format(5)}\nS: 250 ok\nC: RCPT TO:<c@x.org>\nS: 250 ok\n"
    ending = "C: RSET\nS: 250 ok\n"
    server = ScriptedServer(script + bad + ending + ("" if last else script.removesuffix(ending)))
    found = run(submit_many(conn, [good, own] if last else [good, own, good]), server)
    server.check_done()
    assert told(found) == ["ok", "LocalProtocolError", "ok"][: len(found)]
    assert conn.state is State.READY


def test_by_choice_of_each() -> None:
    calm = flights(ready(*BOTH), [message(i, chunking=False) for i in range(2)], _agree)
    assert len(calm) == 3
    calmer = flights(ready(*BOTH), [message(i, chunking=False, pipelining=False) for i in range(2)], _agree)
    assert len(calmer) == 8


# ---- servers with ideas of their own ----


@pytest.mark.parametrize("code", [500, 503])
def test_back_to_data(code: int) -> None:
    def answer(data: bytes) -> bytes:
        lines = [line for line in data.split(b"\r\n") if line[:4].isupper() and line[:4].isalpha()]
        words = {b"BDAT": b"%d what?\r\n" % code, b"DATA": b"354 go\r\n"}
        replies = b"".join(words.get(line[:4], b"250 ok\r\n") for line in lines)
        return (b"250 ok\r\n" if data[:1].isdigit() else b"") + replies

    conn = ready(*BOTH)
    sent = flights(conn, [message(i) for i in range(3)], answer)
    assert not conn.can_chunk
    assert sum(data.count(b"DATA") for data in sent) == 3
    assert conn.state is State.READY


@pytest.mark.clause("RFC5321-3.8d")
@pytest.mark.parametrize("offers", [BOTH, PIPELINING], ids=" ".join)
def test_a_session_that_ends_with_the_reply_to_a_message(offers: tuple[str, ...]) -> None:
    """That one is not in doubt: it has its reply."""
    conn = ready(*offers)
    flow = submit_many(conn, [message(1), message(2)])
    assert isinstance(next(flow), Exchange)
    if offers == PIPELINING:
        flow.send(b"250 ok\r\n" * 2 + b"354 go\r\n")
        flow.send(b"421 4.3.2 going\r\n")
    else:
        flow.send(b"250 ok\r\n" * 2 + b"421 4.3.2 going\r\n")
    with pytest.raises(StopIteration) as stopped:
        flow.send(None)
    first, second = stopped.value.value
    assert isinstance(first, SubmissionFailed)
    assert str(first.reply) == "421 4.3.2 going"
    assert first.temporary
    assert not first.in_doubt
    assert isinstance(second, ConnectionFailed)


@MODES
@pytest.mark.clause("RFC5321-3.8d")
@pytest.mark.parametrize("end", [b"421 4.3.2 going\r\n", b""])
def test_a_session_that_ends(offers: tuple[str, ...], end: bytes) -> None:
    conn = ready(*offers)
    flow = submit_many(conn, [message(i) for i in range(4)])
    action = next(flow)
    with pytest.raises(StopIteration) as stopped:  # noqa: PT012
        if offers == BOTH:
            action = flow.send(b"250 ok\r\n" * 3)
        while not isinstance(action, Close):
            action = flow.send(end)
        while True:
            flow.send(None)
    found = stopped.value.value
    assert told(found)[1:] == ["ConnectionFailed"] * 3
    assert told(found)[0] == ("ok" if offers == BOTH else told(found)[0])
    assert all(isinstance(one, ConnectionFailed) and one.temporary for one in found[1:])
    assert conn.state is State.CLOSED
    # Those whose end was on its way: with CHUNKING all, else that of the body that was sent last, if any.
    in_doubt = [isinstance(one, ConnectionFailed) and one.in_doubt for one in found]
    assert in_doubt == ([False, True, True, True] if offers == BOTH else [False] * 4)


def test_the_envelope_behind_a_body_is_in_no_doubt() -> None:
    conn = ready(*PIPELINING)
    flow = submit_many(conn, [message(i) for i in range(3)])
    next(flow)
    action = flow.send(b"250 ok\r\n" * 2 + b"354 go\r\n")
    assert isinstance(action, Exchange)
    assert action.data.startswith(b"0\r\n.\r\nRSET\r\nMAIL")
    assert flow.send(b"") == Close()
    with pytest.raises(StopIteration) as stopped:
        flow.send(None)
    lost = stopped.value.value
    assert told(lost) == ["ConnectionFailed"] * 3
    assert [isinstance(one, ConnectionFailed) and one.in_doubt for one in lost] == [True, False, False]


def test_all_have_to_be_there() -> None:
    with pytest.raises(LocalProtocolError, match="each has to be there"):
        run(submit_many(ready(*BOTH), [Submission(envelope=to("b"))]), ScriptedServer(""))


def test_lmtp() -> None:
    class Boxes(Server):
        def on_message(self, session: Session, envelope: Envelope, content: bytes) -> list[Reply]:  # type: ignore[override]
            return [
                Reply(452, "Full") if recipient.path.local == "full" else Reply(250, "Stored")
                for recipient in envelope.recipients
            ]

    conn = ClientConnection(lmtp=True)
    options = SessionOptions(client_name="a.example", server_name="mail.example", tls=TlsMode.NONE)

    def client() -> Flow[list[Delivery]]:
        yield from open_session(conn, options)
        return (yield from submit_many(conn, [message(i, "b", "full", "c") for i in range(5)]))

    config = ServerConfig(hostname="mail.example", policy=OPEN, lmtp=True)
    found = drive(client(), serve(ServerConnection(config), hooks_of(Boxes())))
    assert told(found) == ["part"] * 5
    for one in found:
        assert isinstance(one, SubmissionResult)
        assert [outcome.accepted for outcome in one.outcomes] == [True, False, True]
