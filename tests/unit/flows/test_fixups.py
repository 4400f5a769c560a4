"""Messages that a server mends and refuses on their way to the handler."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count, repeat

import attrs
import pytest
from tests.helpers.driver import ALICE, OPEN, server_config
from tests.helpers.served import DATA, ENVELOPE, HELLO, LOCAL, QUIT, Recorder, Streaming, served

from ehlo import (
    Envelope,
    Identity,
    Limits,
    MessagePolicy,
    Reply,
    ServerConnection,
    Session,
)
from ehlo.flows import Fixups, hooks_of, serve
from ehlo.policy import Fixup
from ehlo.testing import ScriptedClient, run

NOW = 1_700_000_000.0
TOKEN = "000102030405060708090a0b"


def fixups(policy: MessagePolicy | None = None) -> Fixups:
    return Fixups(
        policy=policy or MessagePolicy(),
        clock=lambda: NOW,
        random=lambda size: bytes(range(size)),
        utc_offset=lambda timestamp: 60 if timestamp == NOW else 0,
    )


def script(*lines: str) -> str:
    return HELLO + ENVELOPE + DATA + "".join(f"C: {line}\n" for line in lines) + "C: .\n"


class Keeping(Recorder):
    """Notes what the session says of each message, too."""

    def __init__(self, **answers: object) -> None:
        super().__init__(**answers)
        self.changes: list[tuple[Fixup, ...]] = []

    def on_message(self, session: Session, envelope: Envelope, content: bytes) -> object:
        self.changes.append(session.fixups)
        return super().on_message(session, envelope, content)

    @property
    def content(self) -> bytes:
        (found,) = [call[2] for call in self.calls if call[0] == "on_message"]
        assert isinstance(found, bytes)
        return found


class Pieces(Keeping):
    """The same with the pieces of `on_body`."""

    def on_body(self, session: Session, data: bytes) -> object:
        return self._call("on_body", session, data)

    @property
    def content(self) -> bytes:
        assert super().content == b""
        return b"".join(call[1] for call in self.calls if call[0] == "on_body")  # type: ignore[misc]


RECEIVED = (
    "Received: from a.example ([192.0.2.1])\r\n\tby mail.example with {with_} id " + TOKEN + "\r\n\tfor "
    "<b@x.org>;\r\n\tTue, 14 Nov 2023 23:13:20 +0100\r\n"
)
ADDED = f"Date: Tue, 14 Nov 2023 23:13:20 +0100\r\nMessage-ID: <{TOKEN}@mail.example>\r\n"


@pytest.mark.clause(
    "RFC5321-4.4a", "RFC5321-4.4b", "RFC5321-4.4e", "RFC4409-8.2a", "RFC4409-8.3a", "OXSMTP-3.2b"
)
@pytest.mark.parametrize("kind", [Keeping, Pieces])
@pytest.mark.parametrize("sizes", [None, 1, 7])
def test_what_a_message_lacks_is_added(kind: type[Keeping], sizes: int | None) -> None:
    handler = kind()
    client = ScriptedClient(script("Subject: x", "", "body", "..", "") + "S: 250 2.0.0...\n" + QUIT)
    flow = serve(ServerConnection(server_config()), hooks_of(handler), peer="192.0.2.1", fixups=fixups())
    run(flow, client, sizes=None if sizes is None else repeat(sizes))
    client.check_done()
    received = RECEIVED.format(with_="ESMTP")
    assert handler.content.decode() == f"{received}Subject: x\r\n{ADDED}\r\nbody\r\n.\r\n\r\n"
    assert handler.changes == [(Fixup.DATE, Fixup.MESSAGE_ID, Fixup.RECEIVED)]


@pytest.mark.parametrize("kind", [Keeping, Pieces])
@pytest.mark.parametrize(
    ("lines", "kept"),
    [((), ADDED), (("Subject: x",), "Subject: x\r\n" + ADDED), (("", "x"), ADDED + "\r\nx\r\n")],
)
def test_messages_without_header_or_body(kind: type[Keeping], lines: tuple[str, ...], kept: str) -> None:
    handler = kind()
    served(script(*lines) + "S: 250...\n" + QUIT, handler, fixups=fixups())
    assert handler.content.decode() == RECEIVED.format(with_="ESMTP") + kept


@pytest.mark.clause("RFC3848-1a", "RFC4954-7a", "RFC5321-4.4f", "RFC4505-2c", "RFC6531-3.7.3a")
@pytest.mark.parametrize(
    ("hello", "mail", "identity", "with_"),
    [
        ("S: 220...\nC: HELO a.example\nS: 250...\n", "", None, "SMTP"),
        (HELLO, "", None, "ESMTP"),
        (HELLO, "", ALICE, "ESMTPA"),
        (HELLO, " SMTPUTF8", ALICE, "UTF8SMTPA"),
        (HELLO, "", Identity("anonymous", "anonymous", "ANONYMOUS", anonymous=True), "ESMTP"),
    ],
)
def test_how_a_message_came(hello: str, mail: str, identity: Identity | None, with_: str) -> None:
    handler = Keeping()
    begin = hello + f"C: MAIL FROM:<a@x.org>{mail}\nS: 250...\nC: RCPT TO:<b@x.org>\nS: 250...\n"
    served(begin + DATA + "C: .\nS: 250...\n" + QUIT, handler, identity=identity, fixups=fixups())
    assert handler.content.decode() == RECEIVED.format(with_=with_) + ADDED


@pytest.mark.clause("RFC3848-1a", "RFC8314-3a")
def test_a_message_within_tls() -> None:
    handler = Keeping()
    # Within TLS there is no line that offers it.
    inside = "C: <TLS>\n" + script().replace("S: 250-...\n", "", 1)
    served(inside + "S: 250...\n" + QUIT, handler, tls=True, fixups=fixups())
    assert b" with ESMTPS id " in handler.content


LMTP = attrs.evolve(server_config(), lmtp=True)
TO_TWO = HELLO.replace("EHLO", "LHLO") + ENVELOPE + "C: RCPT TO:<c@x.org>\nS: 250...\n" + DATA


@pytest.mark.clause("RFC3848-1a", "RFC5321-4.4c", "RFC5321-7.2a")
def test_a_message_by_lmtp_for_two() -> None:
    handler = Keeping()
    served(TO_TWO + "C: .\nS: 250...\nS: 250...\n" + QUIT, handler, LMTP, fixups=fixups())
    assert b" with LMTP id " in handler.content
    assert b"for <" not in handler.content


@pytest.mark.clause("RFC2033-4.2b")
def test_a_refusal_by_lmtp_is_one_for_each() -> None:
    handler = Keeping()
    no = "S: 554 5.6.0 From field is missing\n"
    policy = fixups(MessagePolicy(require_from=True))
    served(TO_TWO + "C: x: y\nC: .\n" + no + no + QUIT, handler, LMTP, fixups=policy)
    assert handler.names[-2:] == ["on_reset", "on_quit"]


@pytest.mark.clause("RFC4409-8.1a")
@pytest.mark.parametrize(
    ("name", "sender"), [("me@x.org", b"Sender: <me@x.org>\r\n"), ("me", b""), ("a@x.org", b"")]
)
def test_sender_is_the_identity_that_is_an_address(name: str, sender: bytes) -> None:
    handler = Keeping()
    policy = fixups(MessagePolicy(received=False, date=False, message_id=False, sender=True))
    said = script("From: a@x.org", "") + "S: 250...\n" + QUIT
    served(said, handler, identity=Identity("x", name, "PLAIN"), fixups=policy)
    assert handler.content == b"From: a@x.org\r\n" + sender + b"\r\n"


@pytest.mark.clause("RFC6409-8a")
def test_without_fixups_messages_stay_as_they_are() -> None:
    handler = Keeping()
    served(script("x") + "S: 250...\n" + QUIT, handler)
    assert (handler.content, handler.changes) == (b"x\r\n", [()])


@pytest.mark.clause("RFC4409-8.5a", "RFC6409-8.6a")
def test_a_handler_gets_what_it_may_sign_or_encrypt_as_it_goes_out() -> None:
    stored: list[bytes] = []

    class Signer:
        def on_message(self, session: Session, envelope: Envelope, content: bytes) -> None:
            stored.append(b"DKIM-Signature: b=%d\r\n%b" % (len(content), content))

    served(script("Subject: x") + "S: 250...\n" + QUIT, Signer(), fixups=fixups())
    signature, _, rest = stored[0].partition(b"\r\n")
    assert signature == b"DKIM-Signature: b=%d" % len(rest)
    assert rest.decode() == RECEIVED.format(with_="ESMTP") + "Subject: x\r\n" + ADDED


def test_each_message_has_a_fixer_of_its_own() -> None:
    handler = Keeping()
    tokens = count(1)
    policy = Fixups(
        policy=MessagePolicy(), clock=lambda: NOW, random=lambda size: bytes([next(tokens)]) * size
    )
    message = ENVELOPE + DATA + "C: Date: x\nC: \nC: x\nC: .\n"
    served(HELLO + message + "S: 250...\n" + message + "S: 250...\n" + QUIT, handler, fixups=policy)
    first, second = [call[2] for call in handler.calls if call[0] == "on_message"]
    assert isinstance(first, bytes)
    assert isinstance(second, bytes)
    assert b"id 0101" in first
    assert second == first.replace(b"01" * 12, b"02" * 12)
    assert b" +0000\r\n" in first


# ---- refusals ----


@pytest.mark.parametrize("kind", [Keeping, Pieces])
@pytest.mark.parametrize("sizes", [None, 1, 7])
@pytest.mark.parametrize("bdat", [False, True])
def test_a_refusal_comes_at_the_true_end_and_the_session_goes_on(
    kind: type[Keeping], sizes: int | None, bdat: bool
) -> None:
    handler = kind()
    message = "C: X: \0\nC: \nC: RSET\nC: MAIL FROM:<>\n"
    octets = len("X: \0\r\n\r\nRSET\r\nMAIL FROM:<>\r\n")
    begin = HELLO + ENVELOPE + (f"C: BDAT {octets} LAST\n" if bdat else DATA)
    end = "S: 554 5.6.0 NUL in the message\n" + ENVELOPE + DATA + "C: fine: yes\nC: .\nS: 250...\n" + QUIT
    client = ScriptedClient(begin + message + ("" if bdat else "C: .\n") + end)
    conn = ServerConnection(server_config())
    flow = serve(conn, hooks_of(handler), fixups=fixups(MessagePolicy(refuse_nul=True)))
    run(flow, client, sizes=None if sizes is None else repeat(sizes))
    client.check_done()
    assert handler.names.count("on_message") == 1
    assert handler.names.count("on_reset") == 1
    assert b"fine: yes\r\n" in handler.content


@pytest.mark.parametrize("sizes", [None, 1])
def test_what_is_only_seen_at_the_end_is_refused_there(sizes: int | None) -> None:
    handler = Pieces()
    policy = fixups(MessagePolicy(refuse_long_lines=True, check_syntax=True))
    client = ScriptedClient(script("X: y", "no field") + "S: 554 5.6.0 A line of the header...\n" + QUIT)
    flow = serve(ServerConnection(server_config()), hooks_of(handler), fixups=policy)
    run(flow, client, sizes=None if sizes is None else repeat(sizes))
    client.check_done()
    assert "on_body" not in handler.names
    assert "on_message" not in handler.names


@pytest.mark.parametrize("lines", [("X: y",), ("X: y", "", "body")])
def test_a_handler_that_fails_at_a_mended_piece(lines: tuple[str, ...]) -> None:
    handler = Streaming(on_body=RuntimeError("disk"))
    served(script(*lines) + f"S: {LOCAL}\n" + QUIT, handler, fixups=fixups())
    assert "on_message" not in handler.names
    assert handler.names[-2:] == ["on_reset", "on_quit"]


@pytest.mark.parametrize("end", ["C: <reset>\n", "C: <close>\n"])
def test_a_message_that_breaks_off(end: str) -> None:
    handler = Pieces()
    served(HELLO + ENVELOPE + DATA + "C: X: y\nC: \nC: half\n" + end, handler, fixups=fixups())
    assert handler.names[-1] == "on_reset"
    assert "on_message" not in handler.names


# ---- bad input ----

STRICT = MessagePolicy(
    check_syntax=True,
    require_from=True,
    refuse_bad_addresses=True,
    refuse_repeated=True,
    refuse_raw_header=True,
    refuse_nul=True,
    refuse_long_lines=True,
    refuse_unqualified=True,
)
FROM = b"From: a@x.org\r\n"
ENDLESS = b"X-Header: and on it goes\r\n" * 10_000
BAD = {
    "header without end": (ENDLESS, b"552 5.3.4 "),
    "header of no lines": (b"x" * 300_000, b"554 5.6.0 "),
    "header line of 10 MB": (b"X: " + b"x" * 10_000_000 + b"\r\n\r\n", b"554 5.6.0 "),
    "From of 10 MB in folds": (b"From: a@x.org" + b",\r\n a@x.org" * 1_000_000 + b"\r\n\r\n", b"552 5.3.4 "),
    "no From": (b"To: a@x.org\r\n\r\nFrom: a@x.org\r\n", b"554 5.6.0 "),
    "several From": (FROM + FROM + b"\r\n", b"554 5.6.0 "),
    "From without an address": (b"From: Alice Liddell\r\n\r\n", b"554 5.6.0 "),
    "unqualified address": (FROM + b"To: b@host\r\n\r\n", b"554 5.6.0 "),
    "NUL in the header": (FROM + b"X: \0\r\n\r\n", b"554 5.6.0 "),
    "NUL in the body": (FROM + b"\r\n\0\r\n", b"554 5.6.0 "),
    "line over 998 in the header": (FROM + b"X: " + b"x" * 996 + b"\r\n\r\n", b"554 5.6.0 "),
    "line over 998 in the body": (FROM + b"\r\n" + b"x" * 999 + b"\r\n", b"554 5.6.0 "),
    "8-bit header": (FROM + "Subject: gr\u00fcn\r\n\r\n".encode(), b"554 5.6.9 "),
    "8-bit garbage": (bytes(range(128, 256)) * 50, b"554 5.6.0 "),
    "8-bit garbage in lines": (b"\r\n".join([bytes(range(128, 256))] * 50) + b"\r\n", b"554 5.6.0 "),
    "no header at all": (b"Hello,\r\nhow are you?\r\n", b"554 5.6.0 "),
    "bare newlines": (FROM + b"\r\nHello\nyou\r\n", b"554 5.6.0 "),
    "loop": (FROM + b"Received: x\r\n" * 101 + b"\r\n", b"554 5.4.6 "),
    "8-bit body": (FROM + "\r\ngr\u00fcn\r\n".encode(), b"250 2.0.0 "),
    "nothing wrong": (FROM + b"\r\n" + b"x" * 998 + b"\r\n", b"250 2.0.0 "),
}
SESSION = b"EHLO a\r\nMAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\r\n"


class Raw:
    """A client that sends octets, and hears what is said to the last of them."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = iter(pieces)
        self.heard = b""

    def send(self, data: bytes) -> None:
        self.heard += data

    def receive(self, most: int) -> bytes:
        return next(self._pieces, b"")

    def poll(self) -> None:
        return None

    def start_tls(self, received: bytes) -> None:
        raise AssertionError

    def close(self) -> None:
        pass

    def stuck(self) -> AssertionError:
        return AssertionError("nothing more can happen")


def cut(octets: bytes, size: int) -> Iterator[bytes]:
    return (octets[start : start + size] for start in range(0, len(octets), size))


def answered(
    message: bytes, pieces: Iterable[bytes], handler: object, policy: MessagePolicy = STRICT
) -> list[bytes]:
    conn = ServerConnection(server_config(policy=OPEN, limits=Limits(errors=3)))
    raw = Raw(SESSION, b"DATA\r\n", *pieces, b"NOOP\r\n")
    run(serve(conn, hooks_of(handler), fixups=fixups(policy)), raw)
    return raw.heard.partition(b"\r\n354 ")[2].split(b"\r\n")[1:-1]


@pytest.mark.clause(
    "RFC4409-6.3a", "RFC4409-6.3b", "RFC4409-5.1b", "RFC4409-5.1d", "RFC6409-6.5a", "RFC6531-3.2b"
)
@pytest.mark.clause("RFC4409-4.2b", "RFC4409-8b", "RFC6532-3.4a", "RFC5321-6.3a", "SEC-SMUG-in-b")
@pytest.mark.parametrize("size", [65536, 3001])
@pytest.mark.parametrize("kind", [Keeping, Pieces])
@pytest.mark.parametrize("what", BAD)
def test_bad_input_has_a_defined_reply(what: str, kind: type[Keeping], size: int) -> None:
    message, reply = BAD[what]
    end = b".\r\n" if message.endswith(b"\r\n") else b"\r\n.\r\n"
    handler = kind()
    replies = answered(message, cut(message + end, size), handler)
    assert len(replies) == 2, replies
    assert replies[0].startswith(reply), replies
    # The session goes on: what was refused was read to its end.
    assert replies[1] == b"250 2.0.0 OK"
    taken = reply.startswith(b"250")
    assert ("on_message" in handler.names) is taken
    assert ("on_reset" in handler.names) is not taken
    if taken:
        assert handler.content.endswith(message.partition(b"\r\n")[2])


def test_by_default_only_what_nobody_can_hold_or_what_loops_is_refused() -> None:
    refused = {
        what
        for what, (message, _) in BAD.items()
        if not answered(message, [message + b"\r\n.\r\n"], Keeping(), MessagePolicy())[0].startswith(b"250")
    }
    assert refused == {
        "header without end",
        "header of no lines",
        "header line of 10 MB",
        "From of 10 MB in folds",
        "bare newlines",
        "loop",
    }


def test_a_refusal_of_the_handler_is_its_own() -> None:
    handler = Keeping(on_message=Reply(550, "No", "5.7.1"))
    served(script("X: y") + "S: 550 5.7.1 No\n" + QUIT, handler, fixups=fixups())
    assert handler.names[-2:] == ["on_reset", "on_quit"]
