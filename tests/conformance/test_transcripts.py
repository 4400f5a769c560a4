"""The dialogues of the specification notes (c), by number, in both roles and at any cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat

import pytest
from tests.helpers.driver import OPEN, PASSWORD, USER, server_config
from tests.helpers.sasl import session_options

from ehlo import (
    OXSMTP_2008,
    AuthenticationFailed,
    ClientConnection,
    ConnectionFailed,
    Mailbox,
    Password,
    RemoteProtocolError,
    Reply,
    ServerConnection,
    ServiceRefused,
    SessionOptions,
    State,
    Submission,
    SubmissionFailed,
    SubmissionPolicy,
    SubmissionResult,
    TlsMode,
    UserStore,
    envelope,
)
from ehlo.extensions import AUTH, EIGHT_BIT_MIME, SIZE
from ehlo.flows import Flow, close, hooks_of, open_session, serve, submit
from ehlo.testing import EXCHANGE_2003, ScriptedClient, ScriptedServer, drive, ehlo_reply, run

LOGIN = Password(USER, PASSWORD)
EHLO = "S: 220...\nC: EHLO a.example\n" + "S: 250-...\n" * 9 + "S: 250 SMTPUTF8\n"
QUIT = "C: QUIT\nS: 221...\n"
MAIL = "C: MAIL FROM:<a@x.org>\nS: 250 2.1.0...\n"
RCPT = "C: RCPT TO:<ok@x.org>\nS: 250 2.1.5...\n"
PLAIN = "AGFsaWNlAHdvbmRlcg=="
NEGOTIATE = "TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAGAbEdAAAADw=="


class Handler(UserStore):
    """Knows alice; has no mailbox called no."""

    def __init__(self) -> None:
        super().__init__({USER: PASSWORD})
        self.messages: list[bytes] = []

    def on_rcpt(self, session: object, path: Mailbox, parameters: object) -> Reply | None:
        return Reply(550, "No such user", "5.1.1") if path.local == "no" else None

    def on_message(self, session: object, envelope: object, content: bytes) -> None:
        self.messages.append(content)


def cuts() -> Iterator[Iterable[int] | None]:
    yield None
    for size in (1, 2, 3, 7, 50):
        yield repeat(size)


# ---- what our server answers ----

SERVER: dict[str, tuple[SubmissionPolicy, str]] = {
    "2 NTLM with an initial response, another mechanism allowed": (
        OPEN,
        f"C: AUTH NTLM {NEGOTIATE}\nS: 334 TlRMTVNTUAAC...\nC: *\nS: 501 5.7.0...\nC: AUTH LOGIN\n"
        f"S: 334 VXNlcm5hbWU6\n"
        "C: *\nS: 501 5.7.0...\n",
    ),
    "4 cancelled": (
        OPEN,
        f"C: AUTH NTLM {NEGOTIATE}\nS: 334 TlRMTVNTUAAC...\nC: *\nS: 501 5.7.0 Authentication cancelled\n"
        + MAIL,
    ),
    "5 LOGIN": (
        OPEN,
        "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: YWxpY2U=\nS: 334 UGFzc3dvcmQ6\nC: d29uZGVy\n"
        "S: 235 2.7.0...\n",
    ),
    "6 LOGIN with the user name as initial response": (
        OPEN,
        "C: AUTH LOGIN YWxpY2U=\nS: 334 UGFzc3dvcmQ6\nC: d3Jvbmc=\nS: 535 5.7.8...\n"
        "C: AUTH LOGIN YWxpY2U=\nS: 334 UGFzc3dvcmQ6\nC: d29uZGVy\nS: 235 2.7.0...\n",
    ),
    "7 PLAIN with": (OPEN, f"C: AUTH PLAIN {PLAIN}\nS: 235 2.7.0...\n"),
    "7 PLAIN without": (OPEN, f"C: AUTH PLAIN\nS: 334 \nC: {PLAIN}\nS: 235 2.7.0...\n"),
    "8 cancel and bad base64": (
        OPEN,
        "C: AUTH PLAIN\nS: 334 \nC: *\nS: 501 5.7.0...\nC: AUTH PLAIN =AAA\nS: 501 5.5.2...\n"
        "C: AUTH FOO\nS: 504 5.5.4...\n",
    ),
    "14 pipelined, one refused": (
        OPEN,
        MAIL
        + RCPT
        + "C: RCPT TO:<no@x.org>\nS: 550 5.1.1...\nC: DATA\nS: 354...\nC: hi\nC: .\nS: 250 2.0.0...\n",
    ),
    "15 pipelined, all refused": (
        OPEN,
        MAIL + "C: RCPT TO:<no@x.org>\nS: 550 5.1.1...\nC: DATA\nS: 554 5.5.1 No valid recipients\nC: RSET\n"
        "S: 250...\n",
    ),
    "16 BDAT": (
        OPEN,
        MAIL
        + RCPT
        + "C: BDAT 5\nC: abc\nS: 250 2.0.0 5 octets received\nC: BDAT 3 LAST\nC: x\nS: 250 2.0.0...\n",
    ),
    "17 DSN": (
        OPEN,
        "C: MAIL FROM:<a@x.org> RET=HDRS ENVID=QQ+3D14\nS: 250...\n"
        "C: RCPT TO:<b+c@y.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+2Bc@y.org\nS: 250...\n"
        "C: RCPT TO:<b@y.org> NOTIFY=NEVER,DELAY\nS: 501 5.5.4...\nC: RSET\nS: 250...\n"
        "C: MAIL FROM:<a@x.org> ENVID=a ENVID=b\nS: 501 5.5.4...\n",
    ),
    "26 a second AUTH": (OPEN, f"C: AUTH PLAIN {PLAIN}\nS: 235...\nC: AUTH PLAIN\nS: 503 5.5.1...\n"),
    "26 AUTH in a transaction": (OPEN, MAIL + f"C: AUTH PLAIN {PLAIN}\nS: 503 5.5.1...\n" + RCPT),
}


def answered(script: str, policy: SubmissionPolicy = OPEN) -> None:
    for sizes in cuts():
        client = ScriptedClient(script)
        conn = ServerConnection(server_config(policy=policy))
        run(serve(conn, hooks_of(Handler())), client, sizes=sizes)
        client.check_done()
        assert conn.state is State.CLOSED


@pytest.mark.parametrize("name", SERVER)
def test_server(name: str) -> None:
    policy, script = SERVER[name]
    answered(EHLO + script + QUIT, policy)


@pytest.mark.clause("OXSMTP-3.2-4.3a")
def test_11_authentication_required() -> None:
    hello = EHLO.replace("S: 250-...\n" * 7, "S: 250-...\n" * 7)
    answered(
        hello + "C: MAIL FROM:<a@example.org>\nS: 530 5.7.0 Authentication required\n"
        "C: RCPT TO:<b@x.org>\nS: 503 5.5.1...\n" + QUIT,
        OXSMTP_2008,
    )


@pytest.mark.clause("RFC3207-4.2c", "RFC3207-4.2f")
def test_12_starttls_reset() -> None:
    inside = (
        "C: STARTTLS\nS: 220 2.0.0...\nC: <TLS>\nC: MAIL FROM:<a@x.org>\nS: 503 5.5.1...\nC: EHLO a\n"
        "S: 250-mail.example\nS: 250-PIPELINING\nS: 250-SIZE...\nS: 250-AUTH PLAIN LOGIN NTLM\n"
        "S: 250-ENHANCEDSTATUSCODES\nS: 250-8BITMIME\nS: 250-DSN\nS: 250-CHUNKING\n"
        "S: 250 SMTPUTF8\nC: STARTTLS\nS: 503 5.5.1...\n"
    )
    client = ScriptedClient(EHLO + inside + QUIT)
    run(serve(ServerConnection(server_config(policy=OXSMTP_2008)), hooks_of(Handler())), client)
    client.check_done()


def test_3_ntlm_not_offered() -> None:
    class Nobody:
        pass

    config = server_config(mechanisms={})
    client = ScriptedClient(
        "S: 220...\nC: EHLO a\n"
        + "S: 250-...\n" * 8
        + "S: 250 SMTPUTF8\nC: AUTH NTLM\nS: 504 5.5.4...\n"
        + QUIT
    )
    run(serve(ServerConnection(config), hooks_of(Nobody())), client)
    client.check_done()


@pytest.mark.clause("SEC-TLS-srv-a")
def test_13_injection() -> None:
    conn = ServerConnection(server_config())
    client = ScriptedClient(EHLO + "C: STARTTLS\nC: EHLO x\nS: 421 4.7.0...\n")
    run(serve(conn, hooks_of(Handler())), client)
    client.check_done()


@pytest.mark.clause("SEC-SMUG-in-f")
def test_24_smuggling() -> None:
    handler = Handler()
    conn = ServerConnection(server_config())
    flow = serve(conn, hooks_of(handler))
    client = ScriptedClient(
        EHLO
        + MAIL
        + RCPT
        + "C: DATA\nS: 354...\nC: x\n"
        + QUIT.replace("C: QUIT\n", "C: .\nS: 554 5.6.0...\nC: QUIT\n")
    )
    original = client._steps
    for step in list(original):
        if step.text == "x":
            place = original.index(step)
            original[place] = type(step)(
                "C", "x\n.\r\nMAIL FROM:<e@x.org>\r\nRCPT TO:<v@x.org>\r\nDATA\r\nevil"
            )
    run(flow, client)
    client.check_done()
    assert handler.messages == []


# ---- what our client does ----


def session(
    conn: ClientConnection, how: SessionOptions, *submissions: Submission
) -> Flow[list[SubmissionResult]]:
    yield from open_session(conn, how)
    results = []
    for submission in submissions:
        results.append((yield from submit(conn, submission)))
    yield from close(conn)
    return results


ONE = Submission(envelope=envelope("a@x.org", ["ok@x.org"]))
HELLO = "S: 220 x\nC: EHLO a.example\n"
SENT = "C: MAIL FROM:<a@x.org>\nS: 250 ok\nC: RCPT TO:<ok@x.org>\nS: 250 ok\n"
BYE = "C: QUIT\nS: 221 bye\n"


def played(script: str, *submissions: Submission, body: bytes = b"hi\r\n", **keywords: object) -> None:
    failures: list[Exception | None] = []
    for sizes in cuts():
        server = ScriptedServer(script)
        try:
            run(
                session(ClientConnection(), session_options(**keywords), *submissions),
                server,
                bodies=[body] * 2,
                sizes=sizes,
            )
        except Exception as error:
            server.check_done()
            failures.append(error)
        else:
            server.check_done()
            failures.append(None)
    # However it was cut, the same came of it.
    assert len({type(failure) for failure in failures}) == 1
    if failures[0] is not None:
        raise failures[0]


@pytest.mark.clause("OXSMTP18-2.2.1b", "NTLM-3.1.5.3a", "OXSMTP18-4a")
def test_1_ntlm_without_initial_response() -> None:
    from tests.unit.sasl.ntlm.recorded import BY_CLIENT  # noqa: PLC0415

    from ehlo.wire import base64  # noqa: PLC0415

    challenge = base64.encode(next(iter(BY_CLIENT.values())).challenge).decode()
    script = (
        HELLO
        + ehlo_reply("x", ["AUTH NTLM"])
        + "\nC: AUTH NTLM\nS: 334 ntlm supported\nC: TlRMTVNTUAABAAAA...\n"
        f"S: 334 {challenge}\nC: TlRMTVNTUAADAAAA...\nS: 235 2.7.0 Authentication successful\n"
    )
    played(script + BYE, auth=LOGIN)


@pytest.mark.clause("RFC2920-3.1d")
def test_15_hostile_354() -> None:
    script = (
        HELLO
        + ehlo_reply("x", ["PIPELINING"])
        + "\nC: MAIL FROM:<a@x.org>\nS: 250 ok\nC: RCPT TO:<ok@x.org>\n"
    )
    with pytest.raises(SubmissionFailed) as caught:
        played(script + "S: 550 5.1.1 no\nC: DATA\nS: 354 go\nC: .\nS: 554 5.5.1 none\n", ONE)
    assert caught.value.result.accepted == ()


@pytest.mark.clause("RFC5321-3.8d")
def test_19_421_at_ehlo() -> None:
    with pytest.raises(ServiceRefused) as caught:
        played(HELLO + "S: 421 4.3.2 Service not available\n", ONE)
    assert caught.value.temporary


@pytest.mark.clause("EXCH-reply-f", "RFC5321-3.8c")
def test_20_421_at_any_time() -> None:
    script = HELLO + "S: 250 x\nC: MAIL FROM:<a@x.org>\nS: 250 ok\n"
    with pytest.raises((ConnectionFailed, SubmissionFailed)) as caught:
        played(script + "C: RCPT TO:<ok@x.org>\nS: 421 4.4.2 idle\n", ONE)
    assert caught.value.temporary
    between = "C: RCPT TO:<ok@x.org>\nS: 250 ok\nC: DATA\nS: 354 go\nC: hi\nC: .\nS: 421 4.4.2 idle\n"
    with pytest.raises(SubmissionFailed) as caught:
        played(script + between, ONE)
    assert caught.value.temporary


@pytest.mark.clause("RFC5321-3.2b")
def test_21_helo_fallback() -> None:
    script = HELLO + "S: 500 5.5.1 what\nC: HELO a.example\nS: 250 old.example\n" + SENT
    played(
        script + "C: DATA\nS: 354 go\nC: hi\nC: .\nS: 250 ok\n" + BYE,
        Submission(envelope=ONE.envelope, size=4),
    )


@pytest.mark.clause("RFC5321-3.1c")
@pytest.mark.parametrize(
    "script", ["S: 554 5.7.1 No service\n" + BYE, "S: 521 no mail here\nC: QUIT\nS: <close>\n"]
)
def test_22_refused_greetings(script: str) -> None:
    with pytest.raises(ServiceRefused) as caught:
        played(script)
    assert not caught.value.temporary


@pytest.mark.clause("EXCH-ehlo-a", "EXCH-ehlo-b")
def test_23_exchange_2003() -> None:
    for sizes in cuts():
        conn = ClientConnection()
        server = ScriptedServer(HELLO + ehlo_reply("exchange.example", EXCHANGE_2003))
        run(open_session(conn, session_options()), server, sizes=sizes)
        assert set(conn.capabilities.offer(AUTH)) == {"GSSAPI", "NTLM", "LOGIN"}
        assert conn.capabilities.offer(SIZE) is None
        assert conn.capabilities.supports(EIGHT_BIT_MIME)


@pytest.mark.clause("SEC-TLS-cli-a")
def test_13_injection_at_the_client() -> None:
    script = HELLO + "S: 250-x\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nS: 250-AUTH PLAIN\n"
    server = ScriptedServer(script)
    with pytest.raises(RemoteProtocolError):
        run(session(ClientConnection(), session_options(tls=TlsMode.STARTTLS)), server)
    server.check_done()


# ---- both ----


@pytest.mark.clause("OXSMTP-3.1a", "OXSMTP-3.2a", "OXSMTP-2.1a", "RFC5321-4.5.2d", "OXSMTP-3.1-3.1a")
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "NTLM"])
@pytest.mark.parametrize("tls", [TlsMode.STARTTLS, TlsMode.IMPLICIT])
def test_a_whole_session(tls: TlsMode, mechanism: str) -> None:
    wanted = envelope(
        "a@x.org", ["ok@x.org", "no@x.org"], notify="success,failure", ret="hdrs", envid="QQ=14"
    )
    for sizes in cuts():
        handler = Handler()
        server = ServerConnection(server_config(policy=OXSMTP_2008))
        how = session_options(tls=tls, auth=LOGIN, mechanisms=(mechanism,))
        bodies = [b".hidden\r\n..\r\nno newline", b""]
        results = drive(
            session(ClientConnection(), how, Submission(envelope=wanted, size=25), ONE),
            serve(server, hooks_of(handler), implicit_tls=tls is TlsMode.IMPLICIT),
            bodies=bodies,
            sizes=sizes,
        )
        assert [[outcome.accepted for outcome in result.outcomes] for result in results] == [
            [True, False],
            [True],
        ]
        assert results[0].dropped == ()
        assert handler.messages == [b".hidden\r\n..\r\nno newline\r\n", b""]
        assert server.identity is not None
        assert server.identity.mechanism == mechanism


@pytest.mark.clause("RFC4954-9c", "NTLM-2.2.1.4a")
def test_2_a_wrong_password() -> None:
    how = session_options(auth=Password(USER, "wrong"))
    with pytest.raises(AuthenticationFailed) as caught:
        drive(
            session(ClientConnection(), how, ONE),
            serve(ServerConnection(server_config(policy=OXSMTP_2008)), hooks_of(Handler())),
        )
    assert caught.value.reply is not None
    assert caught.value.reply.code == 535
