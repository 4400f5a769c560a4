"""The client role: what may be sent when, replies by class and by count, hostile servers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.helpers.driver import TLS, Client, state_of
from tests.helpers.linear import grows_linearly
from tests.helpers.splits import every_cut, ways

from ehlo import (
    NEED_DATA,
    PAUSED,
    STANDARD,
    Auth,
    AuthChallenge,
    AuthFailed,
    AuthSucceeded,
    Body,
    BodyWanted,
    ClientConnection,
    Command,
    ConnectionClosed,
    Data,
    Disconnecting,
    Ehlo,
    EhloReceived,
    EndOfData,
    Expn,
    GreetingReceived,
    Helo,
    Help,
    Limits,
    LocalProtocolError,
    Mail,
    Mailbox,
    Newlines,
    Noop,
    Notify,
    Parameters,
    Quit,
    Rcpt,
    RemoteProtocolError,
    Reply,
    ReplyReceived,
    Rset,
    Size,
    StartTls,
    State,
    TlsReady,
    Vrfy,
    Wait,
)
from ehlo.extensions import AUTH, SIZE
from ehlo.testing import EXCHANGE_2003, EXCHANGE_ONLINE

A, B = Mailbox("a", "x.org"), Mailbox("b", "x.org")
MAIL, RCPT = Mail(A), Rcpt(B)
EVERYTHING = ("PIPELINING", "SIZE 1000", "STARTTLS", "AUTH PLAIN LOGIN NTLM", "8BITMIME", "DSN")


def ready(*offers: str, conn: ClientConnection | None = None) -> Client:
    """A session after EHLO."""
    client = Client(conn or ClientConnection())
    assert client.hear("220 mail.example ESMTP") == [GreetingReceived(Reply(220, "mail.example ESMTP"))]
    client.conn.send(Ehlo("a.example"))
    assert client.wire() == b"EHLO a.example\r\n"
    lines = ("mail.example", *offers)
    (event,) = client.hear(*[f"250-{line}" for line in lines[:-1]], f"250 {lines[-1]}")
    assert isinstance(event, EhloReceived)
    client.events.clear()
    return client


def in_body(*offers: str, mail: Mail = MAIL, conn: ClientConnection | None = None) -> Client:
    client = ready("PIPELINING", *offers, conn=conn)
    for command in (mail, RCPT, Data()):
        client.conn.send(command)
    assert isinstance(client.hear("250 ok", "250 ok", "354 go")[-1], BodyWanted)
    client.wire()
    return client


def refuses(client: Client, *commands: Command) -> None:
    for command in commands:
        with pytest.raises(LocalProtocolError):
            client.conn.send(command)
    assert client.wire() == b""


ALL = (
    Ehlo("a"),
    Helo("a"),
    StartTls(),
    Auth("PLAIN"),
    MAIL,
    RCPT,
    Data(),
    Rset(),
    Noop(),
    Vrfy("x"),
    Expn("x"),
)
ALL_COMMANDS: tuple[Command, ...] = (*ALL, Help(), Quit())


# ---- legality ----


@pytest.mark.clause("RFC5321-4.3.1b")
def test_nothing_before_the_greeting() -> None:
    client = Client()
    refuses(client, *ALL_COMMANDS)
    assert client.conn.state is State.GREETING


@pytest.mark.clause("RFC5321-4.1.4a", "RFC5321-3.3e", "OXSMTP-3.1b")
@pytest.mark.parametrize(
    ("prepare", "legal"),
    [
        ([], "EHLO STARTTLS AUTH HELO MAIL RSET NOOP VRFY EXPN HELP QUIT"),
        ([MAIL], "EHLO HELO RCPT RSET NOOP VRFY EXPN HELP QUIT"),
        ([MAIL, RCPT], "EHLO HELO RCPT DATA RSET NOOP VRFY EXPN HELP QUIT"),
    ],
)
def test_what_may_be_sent_in_each_state(prepare: list[Command], legal: str) -> None:
    for command in ALL_COMMANDS:
        client = ready(*EVERYTHING)
        for step in prepare:
            client.conn.send(step)
            client.hear("250 ok")
        client.wire()
        if command.verb.value in legal.split():
            client.conn.send(command)
            assert client.wire().endswith(b"\r\n")
        else:
            refuses(client, command)


@pytest.mark.clause("RFC5321-3.1c")
@pytest.mark.parametrize("code", [554, 421, 450, 521])
def test_after_a_refused_greeting_only_quit_is_left(code: int) -> None:
    client = Client()
    assert client.hear(f"{code} no service") == (
        [GreetingReceived(Reply(code, "no service"))]
        if code != 421
        else [GreetingReceived(Reply(421, "no service")), ConnectionClosed()]
    )
    refuses(client, *(command for command in ALL_COMMANDS if command != Quit()))
    if code == 421:
        refuses(client, Quit())
    else:
        client.conn.send(Quit())
        assert client.wire() == b"QUIT\r\n"


@pytest.mark.clause("RFC2920-3.1a", "RFC5321-4.3.1a", "OXSMTP-1.7a")
def test_without_pipelining_each_reply_is_waited_for() -> None:
    client = ready("SIZE")
    client.conn.send(MAIL)
    assert client.wire() == b"MAIL FROM:<a@x.org>\r\n"
    refuses(client, RCPT, Rset(), Noop(), Quit())
    client.hear("250 ok")
    client.conn.send(RCPT)
    assert client.conn.in_flight == 1


@pytest.mark.clause("RFC2920-3.1b", "RFC4954-4ac", "RFC3207-4i")
@pytest.mark.parametrize("last", [Ehlo("a"), Data(), Vrfy("x"), Expn("x"), Quit(), Noop(), Help(), Helo("a")])
def test_what_ends_a_group(last: Command) -> None:
    client = ready(*EVERYTHING)
    for command in (MAIL, RCPT, last):
        client.conn.send(command)
    assert client.wire().count(b"\r\n") == 3
    refuses(client, *ALL_COMMANDS)


@pytest.mark.parametrize("last", [StartTls(), Auth("PLAIN", b"x")])
def test_what_ends_a_group_outside_a_transaction(last: Command) -> None:
    client = ready(*EVERYTHING)
    client.conn.send(Rset())
    client.conn.send(last)
    client.wire()
    refuses(client, *ALL_COMMANDS)


@pytest.mark.clause("RFC2920-3.1b")
def test_mail_rcpt_and_rset_anywhere_in_a_group() -> None:
    client = ready(*EVERYTHING)
    for command in (Rset(), MAIL, RCPT, RCPT, Rset(), MAIL, RCPT, Data()):
        client.conn.send(command)
    assert client.conn.in_flight == 8
    assert client.wire().split(b"\r\n")[0] == b"RSET"


def test_a_group_is_judged_as_if_all_of_it_succeeds() -> None:
    client = ready(*EVERYTHING)
    client.conn.send(MAIL)
    refuses_mail = pytest.raises(LocalProtocolError, match="mail")
    with refuses_mail:
        client.conn.send(MAIL)
    with pytest.raises(LocalProtocolError):
        client.conn.send(Data())
    client.conn.send(RCPT)
    client.conn.send(Data())
    # What came to pass counts once the group is over.
    client.hear("550 no", "503 no", "503 no")
    assert client.conn.state is State.READY
    client.wire()
    refuses(client, RCPT, Data())
    client.conn.send(MAIL)


@pytest.mark.clause("RFC4954-4b", "RFC4954-4c")
def test_auth_once_and_outside_a_transaction() -> None:
    client = ready(*EVERYTHING)
    client.conn.send(Auth("PLAIN", b"x"))
    client.hear("235 ok")
    assert client.conn.authenticated
    client.wire()
    refuses(client, Auth("PLAIN", b"x"))
    client.conn.send(Ehlo("a"))
    client.hear("250-x", "250 AUTH PLAIN")
    client.wire()
    refuses(client, Auth("PLAIN", b"x"))


def test_auth_and_starttls_must_be_offered() -> None:
    client = ready("PIPELINING")
    refuses(client, Auth("PLAIN"), StartTls())


@pytest.mark.clause("RFC4954-4i")
def test_an_initial_response_must_fit_in_a_command_line() -> None:
    client = ready(*EVERYTHING)
    refuses(client, Auth("PLAIN", bytes(400)))
    client.conn.send(Auth("PLAIN", bytes(372)))
    assert len(client.wire()) <= 512


@pytest.mark.clause("RFC5321-4.1.1.3b", "RFC3461-5.2.2a", "OXSMTP-3.1-7a")
@pytest.mark.parametrize(
    "command", [Mail(A, Parameters([Size(1)])), Mail(A, Parameters([Body.EIGHT_BIT_MIME]))]
)
def test_parameters_only_of_what_is_offered(command: Command) -> None:
    refuses(ready("PIPELINING"), command)
    client = ready("SIZE", "8BITMIME")
    client.conn.send(command)
    client.hear("250 ok")
    refuses_rcpt = Rcpt(B, Parameters([Notify.NEVER]))
    client.wire()
    refuses(client, refuses_rcpt)


@pytest.mark.clause("SEC-INJ-cli-a")
def test_an_argument_that_cannot_be_written_sends_nothing() -> None:
    client = ready(*EVERYTHING)
    refuses(client, Mail(Mailbox("a", "x.org>\r\nRSET")), Vrfy("x\r\nQUIT"), Ehlo("a\nb"), Auth("P\r\nQUIT"))
    assert client.conn.in_flight == 0
    client.conn.send(MAIL)


def test_the_end_of_data_is_no_command() -> None:
    client = in_body()
    with pytest.raises(LocalProtocolError):
        client.conn.send(EndOfData())


# ---- replies ----


@pytest.mark.clause("RFC5321-4.2b", "RFC5321-4.2c", "RFC5321-3.4b", "EXCH-reply-e", "OXSMTP-3.1-4.1a")
@pytest.mark.clause("OXSMTP-3.1-3.2a")
@pytest.mark.parametrize("code", [250, 251, 299, 450, 452, 499, 500, 530, 550, 551, 552, 554, 599])
def test_a_reply_of_any_code_is_data(code: int) -> None:
    client = ready()
    client.conn.send(MAIL)
    assert client.hear(f"{code} text") == [ReplyReceived(MAIL, Reply(code, "text"))]
    assert client.conn.state is (State.MAIL if code < 300 else State.READY)


@pytest.mark.clause("RFC2920-3.1c", "RFC2920-3.1f", "RFC5321-4.2.1b", "RFC2034-4g", "RFC2034-4h")
def test_replies_are_matched_by_counting() -> None:
    client = ready(*EVERYTHING)
    commands = (MAIL, RCPT, Rcpt(A), Data())
    for command in commands:
        client.conn.send(command)
    octets = (
        b"250-2.1.0 DATA\r\n250 2.1.0 x\r\n550-5.1.1 no\r\n550-5.1.1 354 go\r\n550 5.1.1 such\r\n"
        b"250\r\n354 5.0.0 x\r\n"
    )
    expected = [
        ReplyReceived(MAIL, Reply(250, ("DATA", "x"), "2.1.0")),
        ReplyReceived(RCPT, Reply(550, ("no", "354 go", "such"), "5.1.1")),
        ReplyReceived(Rcpt(A), Reply(250, "")),
        BodyWanted(Reply(354, "5.0.0 x")),
    ]
    assert client.feed(octets) == expected
    for pieces in (*ways(octets), *every_cut(octets)):
        client = ready(*EVERYTHING)
        for command in commands:
            client.conn.send(command)
        assert [event for piece in pieces if piece for event in client.feed(piece)] == expected, pieces


@pytest.mark.clause("RFC5321-4.2e", "SEC-INJ-both-b")
@pytest.mark.parametrize(
    "line",
    [
        "",
        "25",
        "2500",
        "250x",
        "600 x",
        "199 x",
        "abc",
        " 250 x",
        "25² x",
        "250-a\r\n251 b",
        "250-a\r\n250",
        "\n250 x",
        "250 a\nb",
        "250 a\rb",
        "354 x",
        "334 x",
        "-250",
        "2 50",
        "250\t",
    ],
)
def test_what_is_no_reply_ends_the_session(line: str) -> None:
    client = ready()
    client.conn.send(MAIL)
    if line == "250-a\r\n250":
        assert client.hear(line) == [ReplyReceived(MAIL, Reply(250, ("a", "")))]
        return
    with pytest.raises(RemoteProtocolError) as caught:
        client.hear(line)
    assert caught.value.reply_hint is None
    assert client.feed(b"250 ok\r\n") == [ConnectionClosed()]
    client.wire()
    refuses(client, *ALL_COMMANDS)


@pytest.mark.clause("SEC-INJ-cli-c", "SEC-INJ-srv-b")
@pytest.mark.parametrize(
    "chunk", [b"x" * 1000, b"250-" + b"x" * 20 + b"\r\n", b"250-\r\n", b"250-" + b"x" * 9000 + b"\r\n"]
)
def test_endless_replies_hit_a_bound(chunk: bytes) -> None:
    client = ready()
    client.conn.send(MAIL)
    received = 0
    with pytest.raises(RemoteProtocolError):  # noqa: PT012
        while received < 10_000_000:
            received += len(chunk)
            client.feed(chunk)
    assert received < 100_000


@pytest.mark.clause("RFC5321-4.5.3.1.5a")
def test_text_that_is_not_ascii_is_kept() -> None:
    client = ready()
    client.conn.send(MAIL)
    (event,) = client.feed(b"550 caf\xc3\xa9 \xff\x00\r\n")
    assert isinstance(event, ReplyReceived)
    assert event.reply.lines == ("café \udcff\x00",)
    assert str(event.reply).isprintable() or "\udcff" in str(event.reply)


@pytest.mark.clause("OXSMTP-3.1b")
@pytest.mark.parametrize("code", [220, 250, 354, 334, 450, 550])
def test_a_reply_that_nobody_asked_for(code: int) -> None:
    with pytest.raises(RemoteProtocolError):
        ready().hear(f"{code} surprise")


@pytest.mark.parametrize("early", ["250 ok", "550 no", "25", "250-ok", "354 go"])
def test_a_reply_before_its_command(early: str) -> None:
    # It came with the reply before and must not pass for the reply to what is sent now.
    client = Client()
    client.hear("220 x")
    client.conn.send(Ehlo("a.example"))
    client.conn.receive_data(b"250 x\r\n" + early.encode())
    assert isinstance(client.conn.next_event(), EhloReceived)
    if early == "250-ok":
        client.conn.receive_data(b"\r\n")
        assert client.conn.next_event() is NEED_DATA
    client.conn.send(MAIL)
    rest = {"25": "0 ok\r\n", "250-ok": "250 ok\r\n"}.get(early, "\r\n")
    with pytest.raises(RemoteProtocolError):
        client.feed(rest.encode())


@pytest.mark.clause("SEC-INJ-both-c")
@pytest.mark.parametrize("behind", ["nonsense\r\n", "250 x\r\n"])
def test_nothing_behind_a_421_for_a_greeting_is_read(behind: str) -> None:
    client = Client()
    assert client.feed(f"421 busy\r\n{behind}".encode()) == [
        GreetingReceived(Reply(421, "busy")),
        ConnectionClosed(),
    ]


def test_a_421_before_its_command_is_a_farewell() -> None:
    client = Client()
    client.hear("220 x")
    client.conn.send(Ehlo("a.example"))
    client.conn.receive_data(b"250 x\r\n421 4.4.2 idle\r\n")
    client.conn.next_event()
    client.conn.send(MAIL)
    assert client.conn.next_event() == Disconnecting(Reply(421, "idle", "4.4.2"))


@pytest.mark.clause("EXCH-reply-f", "RFC5321-3.8d")
@pytest.mark.parametrize("prepare", [[], [MAIL], [MAIL, RCPT]])
def test_an_unsolicited_421(prepare: list[Command]) -> None:
    client = ready()
    for command in prepare:
        client.conn.send(command)
        client.hear("250 ok")
    assert client.hear("421 4.4.2 Connection timed out") == [
        Disconnecting(Reply(421, "Connection timed out", "4.4.2")),
        ConnectionClosed(),
    ]
    client.wire()
    refuses(client, *ALL_COMMANDS)


@pytest.mark.clause("RFC5321-3.8d")
def test_421_to_a_command_ends_the_session() -> None:
    client = ready(*EVERYTHING)
    client.conn.send(MAIL)
    client.conn.send(RCPT)
    client.wire()
    assert client.hear("421 busy", "250 ok") == [ReplyReceived(MAIL, Reply(421, "busy")), ConnectionClosed()]
    refuses(client, *ALL_COMMANDS)


@pytest.mark.clause("OXSMTP-3.1b")
@pytest.mark.parametrize("code", [334, 354, 399])
@pytest.mark.parametrize(
    "command", [Ehlo("a"), Helo("a"), StartTls(), MAIL, Rset(), Noop(), Vrfy("x"), Quit()]
)
def test_3yz_in_the_wrong_place(command: Command, code: int) -> None:
    client = ready(*EVERYTHING)
    client.conn.send(command)
    with pytest.raises(RemoteProtocolError):
        client.hear(f"{code} go")


@pytest.mark.clause("RFC5321-3.3d")
@pytest.mark.parametrize("code", [220, 235, 250])
def test_2yz_to_data(code: int) -> None:
    client = ready(*EVERYTHING)
    for command in (MAIL, RCPT, Data()):
        client.conn.send(command)
    with pytest.raises(RemoteProtocolError):
        client.hear("250 ok", "250 ok", f"{code} ok")


@pytest.mark.clause("RFC2920-3.1d")
def test_a_354_although_nobody_was_accepted() -> None:
    client = ready(*EVERYTHING)
    for command in (MAIL, RCPT, Data()):
        client.conn.send(command)
    client.wire()
    client.hear("250 ok", "550 no", "354 go")
    assert client.conn.state is State.BODY
    client.conn.end_body()
    assert client.wire() == b".\r\n"
    client.hear("554 no valid recipients")
    assert state_of(client.conn) is State.READY


@pytest.mark.parametrize("greeting", ["354 go", "334 x"])
def test_a_greeting_of_3yz(greeting: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Client().hear(greeting)


def test_a_greeting_of_several_lines() -> None:
    assert Client().hear("220-a", "220-b", "220 c") == [GreetingReceived(Reply(220, ("a", "b", "c")))]


# ---- capabilities ----


@pytest.mark.clause(
    "EXCH-ehlo-a", "EXCH-ehlo-b", "EXCH-ehlo-c", "RFC5321-4.1.1.1d", "RFC1870-3a", "NTLM-2.2.1.1a"
)
def test_exchange_2003() -> None:
    capabilities = ready(*EXCHANGE_2003).conn.capabilities
    assert set(capabilities.offer(AUTH)) == {"GSSAPI", "NTLM", "LOGIN"}
    assert "8BITMIME" in capabilities
    assert capabilities.offer(SIZE) is None
    assert "SIZE" in capabilities
    assert capabilities.words("X-EXPS") == ("GSSAPI", "NTLM", "LOGIN")
    assert capabilities.name == "mail.example"
    assert "OK" in capabilities
    assert "MAIL.EXAMPLE" not in capabilities


def test_exchange_online() -> None:
    client = ready(*EXCHANGE_ONLINE)
    assert client.conn.capabilities.offer(AUTH) == ("LOGIN", "XOAUTH2")
    assert client.conn.capabilities.offer(SIZE) == 157286400
    assert client.conn.can_pipeline


@pytest.mark.clause("RFC5321-4.1.1.1f", "RFC5321-2.2.1b", "OXSMTP-1.7a")
def test_after_helo_there_is_nothing() -> None:
    client = ready(*EVERYTHING)
    client.conn.send(Helo("a.example"))
    (event,) = client.hear("250-old.example", "250 PIPELINING")
    assert isinstance(event, EhloReceived)
    assert not list(client.conn.capabilities)
    assert not client.conn.can_pipeline
    client.wire()
    refuses(client, Mail(A, Parameters([Size(1)])), StartTls(), Auth("PLAIN"))


@pytest.mark.clause("RFC4954-3b", "OXSMTP-1.7a")
def test_only_the_last_ehlo_counts() -> None:
    client = ready(*EVERYTHING)
    client.conn.send(Ehlo("a"))
    client.hear("250-x", "250 SIZE")
    assert list(client.conn.capabilities) == ["SIZE"]
    client.conn.send(Ehlo("a"))
    client.hear("550 no")
    assert list(client.conn.capabilities) == ["SIZE"]


def test_an_extension_the_caller_left_out_is_not_used() -> None:
    conn = ClientConnection(extensions=tuple(x for x in STANDARD if x.keyword != "SIZE"))
    refuses(ready("SIZE", conn=conn), Mail(A, Parameters([Size(1)])))


# ---- STARTTLS ----


@pytest.mark.clause("RFC3207-4.2d", "RFC3207-4d", "RFC3207-4.2g", "SEC-TLS-cli-c", "RFC3207-4.2e")
def test_starttls_forgets_everything() -> None:
    client = ready(*EVERYTHING)
    client.conn.send(Auth("PLAIN", b"x"))
    client.hear("235 ok")
    client.conn.send(StartTls())
    assert client.hear("220 go") == [TlsReady()]
    assert client.conn.next_event() is PAUSED
    client.wire()
    refuses(client, *ALL_COMMANDS)
    client.conn.start_tls_done(TLS)
    assert client.conn.state is State.HELLO
    assert client.conn.tls == TLS
    assert not client.conn.authenticated
    assert not list(client.conn.capabilities)
    refuses(client, StartTls(), Auth("PLAIN"), MAIL)
    client.conn.send(Ehlo("a"))
    client.hear("250-x", "250-STARTTLS", "250 AUTH PLAIN")
    client.wire()
    # A server that offers it again inside is not believed.
    refuses(client, StartTls())


@pytest.mark.clause("SEC-TLS-cli-a")
@pytest.mark.parametrize("glued", ["250-AUTH PLAIN\r\n", "2", "\r\n", "\x16\x03\x01", "x" * 65536])
def test_plaintext_behind_220(glued: str) -> None:
    client = ready(*EVERYTHING)
    client.conn.send(StartTls())
    with pytest.raises(RemoteProtocolError):
        client.feed(b"220 go\r\n" + glued.encode())
    with pytest.raises(LocalProtocolError):
        client.conn.start_tls_done(TLS)


@pytest.mark.clause("SEC-TLS-cli-a")
def test_plaintext_in_a_later_segment() -> None:
    client = ready(*EVERYTHING)
    client.conn.send(StartTls())
    client.hear("220 go")
    with pytest.raises(RemoteProtocolError):
        client.conn.receive_data(b"250-AUTH PLAIN\r\n")
    assert isinstance(client.conn.next_event(), ConnectionClosed)


@pytest.mark.clause("SEC-TLS-cli-a", "SEC-TLS-cli-d")
def test_a_220_before_starttls_was_sent() -> None:
    client = Client()
    client.hear("220 x")
    client.conn.send(Ehlo("a"))
    client.conn.receive_data(b"250-x\r\n250 STARTTLS\r\n220 go\r\n")
    client.conn.next_event()
    client.conn.send(StartTls())
    with pytest.raises(RemoteProtocolError):
        client.conn.next_event()


@pytest.mark.parametrize("code", [454, 501, 502])
def test_a_refused_starttls_changes_nothing(code: int) -> None:
    client = ready(*EVERYTHING)
    client.conn.send(StartTls())
    assert client.hear(f"{code} no") == [ReplyReceived(StartTls(), Reply(code, "no"))]
    assert client.conn.state is State.READY
    assert client.conn.can_pipeline


def test_the_stream_ends_in_the_handshake() -> None:
    client = ready(*EVERYTHING)
    client.conn.send(StartTls())
    client.hear("220 go")
    assert client.feed(b"") == [ConnectionClosed()]


def test_implicit_tls() -> None:
    client = Client()
    client.conn.start_tls_done(TLS)
    assert client.conn.tls == TLS
    client.hear("220 x")
    with pytest.raises(LocalProtocolError):
        client.conn.start_tls_done(TLS)
    plain = Client()
    plain.conn.receive_data(b"220 x\r\n")
    with pytest.raises(LocalProtocolError):
        plain.conn.start_tls_done(TLS)


# ---- AUTH ----


@pytest.mark.clause("RFC4954-4a", "RFC4954-4f", "NTLM-3.1.1.1a", "OXSMTP18-2.2.1b")
@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("334 ", b""),
        ("334", b""),
        ("334 VXNlcm5hbWU6", b"VXNlcm5hbWU6"),
        ("334 NTLM supported", b"NTLM supported"),
        ("334 2.0.0 x", b"2.0.0 x"),
        ("334 " + "A" * 12000, b"A" * 12000),
    ],
)
def test_challenges_are_raw(line: str, text: bytes) -> None:
    client = ready(*EVERYTHING)
    client.conn.send(Auth("LOGIN"))
    assert client.wire() == b"AUTH LOGIN\r\n"
    assert client.hear(line) == [AuthChallenge(text)]
    assert client.conn.next_event() is PAUSED
    refuses(client, *ALL_COMMANDS)
    client.conn.auth_respond(b"alice")
    assert client.wire() == b"YWxpY2U=\r\n"
    assert client.hear("334 ") == [AuthChallenge(b"")]
    client.conn.auth_respond(b"")
    assert client.wire() == b"\r\n"
    assert client.hear("235 2.7.0 ok") == [AuthSucceeded(Reply(235, "ok", "2.7.0"))]
    assert client.conn.state is State.READY
    assert client.conn.authenticated


@pytest.mark.clause("NTLM-3.1.5a", "RFC4954-4x")
def test_cancel() -> None:
    client = ready(*EVERYTHING)
    client.conn.send(Auth("NTLM"))
    client.wire()
    client.hear("334 ")
    client.conn.auth_cancel()
    assert client.wire() == b"*\r\n"
    with pytest.raises(LocalProtocolError):
        client.conn.auth_cancel()
    assert client.hear("501 5.7.0 cancelled") == [AuthFailed(Reply(501, "cancelled", "5.7.0"))]
    client.conn.send(Auth("PLAIN", b"x"))


@pytest.mark.clause("NTLM-2.2.1.5a", "RFC4954-6d", "RFC4954-6g")
@pytest.mark.parametrize("code", [432, 454, 500, 504, 534, 535, 538])
def test_auth_that_fails(code: int) -> None:
    client = ready(*EVERYTHING)
    client.conn.send(Auth("PLAIN", b"x"))
    assert client.hear(f"{code} no") == [AuthFailed(Reply(code, "no"))]
    assert not client.conn.authenticated
    client.conn.send(MAIL)


def test_no_answer_without_a_challenge() -> None:
    client = ready(*EVERYTHING)
    with pytest.raises(LocalProtocolError):
        client.conn.auth_respond(b"x")
    client.conn.send(Auth("PLAIN", b"x"))
    with pytest.raises(LocalProtocolError):
        client.conn.auth_respond(b"x")


def test_a_response_that_is_too_long() -> None:
    client = ready(*EVERYTHING)
    client.conn.send(Auth("PLAIN"))
    client.wire()
    client.hear("334 ")
    with pytest.raises(LocalProtocolError):
        client.conn.auth_respond(bytes(12286 // 4 * 3 + 3))
    client.conn.auth_respond(bytes(9210))
    assert len(client.wire()) <= 12288


def test_a_challenge_of_several_lines() -> None:
    client = ready(*EVERYTHING)
    client.conn.send(Auth("PLAIN"))
    with pytest.raises(RemoteProtocolError):
        client.hear("334-x", "334 y")


@pytest.mark.parametrize("glued", ["235 ok", "535 no", "334 x"])
def test_a_reply_glued_behind_a_challenge(glued: str) -> None:
    client = ready(*EVERYTHING)
    client.conn.send(Auth("PLAIN"))
    client.conn.receive_data(f"334 \r\n{glued}\r\n".encode())
    client.conn.next_event()
    client.conn.auth_respond(b"secret")
    with pytest.raises(RemoteProtocolError):
        client.conn.next_event()
    assert not client.conn.authenticated


# ---- the body ----


@pytest.mark.clause(
    "RFC5321-4.5.2b", "RFC5321-4.1.1.4b", "SEC-SMUG-out-a", "SEC-SMUG-out-b", "RFC5321-2.3.8b"
)
@pytest.mark.parametrize(
    ("pieces", "sent"),
    [
        ([], b".\r\n"),
        ([b"text"], b"text\r\n.\r\n"),
        ([b"text\r\n"], b"text\r\n.\r\n"),
        ([b".", b"\r\n", b".x\r\n"], b"..\r\n..x\r\n.\r\n"),
        ([b"a\n.\nb"], b"a\r\n..\r\nb\r\n.\r\n"),
        ([b"a\r", b".\r"], b"a\r\n..\r\n.\r\n"),
        ([b"a\r", b"\n.", b"\r\n"], b"a\r\n..\r\n.\r\n"),
        ([b"a\n.\r\nMAIL FROM:<e@x.org>\r\n"], b"a\r\n..\r\nMAIL FROM:<e@x.org>\r\n.\r\n"),
    ],
)
def test_bodies(pieces: list[bytes], sent: bytes) -> None:
    client = in_body()
    for piece in pieces:
        client.conn.send_body(piece)
    client.conn.end_body()
    assert client.wire() == sent
    refuses_more = pytest.raises(LocalProtocolError)
    with refuses_more:
        client.conn.send_body(b"x")
    with pytest.raises(LocalProtocolError):
        client.conn.end_body()
    assert client.hear("250 2.0.0 queued") == [ReplyReceived(EndOfData(), Reply(250, "queued", "2.0.0"))]
    assert client.conn.state is State.READY


@pytest.mark.clause("RFC5321-3.3d")
@pytest.mark.parametrize("prepare", [[], [MAIL], [MAIL, RCPT], [MAIL, RCPT, Data()]])
def test_no_body_before_354(prepare: list[Command]) -> None:
    client = ready(*EVERYTHING)
    for command in prepare:
        client.conn.send(command)
    client.wire()
    with pytest.raises(LocalProtocolError):
        client.conn.send_body(b"x")
    with pytest.raises(LocalProtocolError):
        client.conn.end_body()
    assert client.wire() == b""


def test_each_body_begins_a_line() -> None:
    client = in_body()
    client.conn.send_body(b"no end of line")
    client.conn.end_body()
    client.hear("250 ok")
    for command in (MAIL, RCPT, Data()):
        client.conn.send(command)
    client.hear("250 ok", "250 ok", "354 go")
    client.wire()
    client.conn.send_body(b".x\r\n")
    assert client.wire() == b"..x\r\n"


@pytest.mark.clause("RFC5321-2.4d")
def test_octets_over_127_must_be_declared() -> None:
    client = in_body("8BITMIME")
    with pytest.raises(LocalProtocolError):
        client.conn.send_body(b"caf\xe9")
    assert client.wire() == b""
    client = in_body("8BITMIME", mail=Mail(A, Parameters([Body.EIGHT_BIT_MIME])))
    client.conn.send_body(b"caf\xe9")
    assert client.wire() == b"caf\xe9"
    client.conn.end_body()
    client.hear("250 ok")
    # The next message begins without the promise, and without the octets.
    for command in (MAIL, RCPT, Data()):
        client.conn.send(command)
    client.hear("250 ok", "250 ok", "354 go")
    client.conn.send_body(b"cafe")
    with pytest.raises(LocalProtocolError):
        client.conn.send_body(b"caf\xe9")


@pytest.mark.clause("SEC-SMUG-out-a", "RFC5321-2.3.8b")
@pytest.mark.parametrize("body", [b"a\nb", b"a\rb", b"\n"])
def test_bare_newlines_can_be_refused(body: bytes) -> None:
    client = in_body(conn=ClientConnection(newlines=Newlines.REFUSE))
    with pytest.raises(LocalProtocolError):
        client.conn.send_body(body)
    assert client.wire() == b""


@pytest.mark.parametrize("code", [450, 552, 554, 421])
def test_a_server_that_gives_up_in_the_middle(code: int) -> None:
    client = in_body()
    client.conn.send_body(b"half")
    assert client.hear(f"{code} no") == [Disconnecting(Reply(code, "no")), ConnectionClosed()]
    with pytest.raises(LocalProtocolError):
        client.conn.end_body()


@pytest.mark.parametrize("code", [250, 354])
def test_a_success_in_the_middle_is_none(code: int) -> None:
    client = in_body()
    client.conn.send_body(b"half")
    with pytest.raises(RemoteProtocolError):
        client.hear(f"{code} ok")


def test_a_success_that_came_before_the_end_is_none() -> None:
    client = ready(*EVERYTHING)
    for command in (MAIL, RCPT, Data()):
        client.conn.send(command)
    client.conn.receive_data(b"250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n")
    for _ in range(3):
        client.conn.next_event()
    client.conn.send_body(b"text\r\n")
    client.conn.end_body()
    with pytest.raises(RemoteProtocolError):
        client.conn.next_event()


def test_the_next_message_may_follow_before_the_last_reply() -> None:
    client = in_body()
    client.conn.end_body()
    for command in (MAIL, RCPT, Data()):
        client.conn.send(command)
    events = client.hear("250 queued", "250 ok", "250 ok", "354 go")
    assert [event.command for event in events if isinstance(event, ReplyReceived)] == [
        EndOfData(),
        MAIL,
        RCPT,
    ]
    assert client.conn.state is State.BODY


# ---- deadlines ----


@pytest.mark.clause("RFC5321-4.5.3.2a", "RFC5321-4.5.3.2b", "OXSMTP-3.1.2a")
def test_deadlines() -> None:
    def now() -> tuple[Wait, float]:
        deadline = client.conn.deadline
        assert deadline is not None
        return deadline.wait, deadline.seconds

    client = Client()
    assert now() == (Wait.GREETING, 300.0)
    client = ready(*EVERYTHING)
    client.conn.send(StartTls())
    assert now() == (Wait.REPLY, 300.0)
    client.hear("220 go")
    assert now() == (Wait.HANDSHAKE, 60.0)
    client = ready(*EVERYTHING)
    client.conn.send(MAIL)
    assert now() == (Wait.REPLY, 300.0)
    client.conn.send(RCPT)
    client.conn.send(Data())
    first = client.conn.deadline
    client.feed(b"250 o")
    assert client.conn.deadline is first
    client.feed(b"k\r\n")
    assert client.conn.deadline is not first
    assert now() == (Wait.REPLY, 300.0)
    client.feed(b"250 ok\r\n")
    assert now() == (Wait.DATA_START, 120.0)
    client.feed(b"354 ok\r\n")
    assert now() == (Wait.BLOCK, 180.0)
    block = client.conn.deadline
    client.conn.send_body(b"x")
    assert client.conn.deadline is not block
    client.conn.end_body()
    assert now() == (Wait.FINAL_REPLY, 600.0)
    client.feed(b"250 ok\r\n")
    client.conn.send(Quit())
    assert now() == (Wait.QUIT, 10.0)
    client.feed(b"221 bye\r\n")
    assert client.conn.deadline is None


@pytest.mark.clause("SEC-INJ-cli-c")
def test_continuation_lines_earn_no_time() -> None:
    client = ready()
    client.conn.send(MAIL)
    first = client.conn.deadline
    for _ in range(20):
        client.feed(b"250-x\r\n")
        assert client.conn.deadline is first


# ---- the end ----

SESSION = (
    "220 x\r\n250-x\r\n250-PIPELINING\r\n250 AUTH LOGIN\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 ok\r\n"
    "250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n221 bye\r\n"
)


def play(pieces: list[bytes]) -> list[object]:
    """A whole session over replies that come in these pieces; the events."""
    client = Client()
    events: list[object] = []

    def group() -> None:
        for command in (MAIL, RCPT, Data()):
            client.conn.send(command)

    script: list[Callable[[], None]] = [
        lambda: client.conn.send(Ehlo("a")),
        lambda: client.conn.send(Auth("LOGIN")),
        lambda: client.conn.auth_respond(b"alice"),
        lambda: client.conn.auth_respond(b"wonder"),
        group,
        lambda: None,
        lambda: None,
        client.conn.end_body,
        lambda: client.conn.send(Quit()),
        lambda: None,
    ]
    steps = iter(script)
    for piece in pieces:
        client.conn.receive_data(piece)
        while True:
            event = client.conn.next_event()
            if event is NEED_DATA:
                break
            events.append(event)
            if isinstance(event, ConnectionClosed):
                return events
            next(steps)()
    return events


def test_a_session_octet_by_octet() -> None:
    octets = [b"%c" % octet for octet in SESSION.encode()]
    events = play(octets)
    assert [type(event).__name__ for event in events] == [
        "GreetingReceived",
        "EhloReceived",
        "AuthChallenge",
        "AuthChallenge",
        "AuthSucceeded",
        "ReplyReceived",
        "ReplyReceived",
        "BodyWanted",
        "ReplyReceived",
        "ReplyReceived",
        "ConnectionClosed",
    ]


@pytest.mark.clause("SEC-INJ-both-b", "RFC5321-3.8c")
@pytest.mark.parametrize("cut", range(0, len(SESSION), 3))
def test_the_stream_may_end_at_every_octet(cut: int) -> None:
    whole = play([b"%c" % octet for octet in SESSION.encode()])
    for end in range(cut, min(cut + 3, len(SESSION))):
        events = play([*(b"%c" % octet for octet in SESSION.encode()[:end]), b""])
        assert events[-1] == ConnectionClosed()
        assert events[:-1] == whole[: len(events) - 1]


@pytest.mark.clause("SEC-INJ-both-c")
def test_after_quit_nothing_is_looked_at() -> None:
    client = ready()
    client.conn.send(Quit())
    client.wire()
    assert client.hear("221 bye", "500 what") == [
        ReplyReceived(Quit(), Reply(221, "bye")),
        ConnectionClosed(),
    ]
    assert client.feed(b"\xff\xff\r\n") == [ConnectionClosed()]
    refuses(client, *ALL_COMMANDS)


def test_after_the_stream_ended_nothing_can_be_sent() -> None:
    client = ready(*EVERYTHING)
    assert client.feed(b"") == [ConnectionClosed()]
    refuses(client, *ALL_COMMANDS)


# ---- work ----


def test_replies_to_a_group_in_linear_time() -> None:
    def prepare(count: int) -> Callable[[], object]:
        client = ready(*EVERYTHING)
        client.conn.send(MAIL)
        for _ in range(count):
            client.conn.send(RCPT)
        octets = b"250 2.1.0 ok\r\n" * (count + 1)
        return lambda: client.feed(octets)

    grows_linearly(prepare, 1000)


def test_replies_in_one_octet_feeds_in_linear_time() -> None:
    def prepare(count: int) -> Callable[[], object]:
        client = ready(conn=ClientConnection(limits=Limits(reply_line=10**7, reply_octets=10**7)))
        client.conn.send(MAIL)
        octets = [b"%c" % octet for octet in b"250-" + b"x" * count]

        def run() -> None:
            for octet in octets:
                client.conn.receive_data(octet)
                client.conn.next_event()

        return run

    grows_linearly(prepare, 8000)


def test_small_pieces_of_a_body_in_linear_time() -> None:
    def prepare(count: int) -> Callable[[], object]:
        client = in_body()

        def run() -> bytes:
            for _ in range(count):
                client.conn.send_body(b"ab\r")
                client.conn.send_body(b"\n.")
            return client.wire()

        return run

    grows_linearly(prepare, 4000)
