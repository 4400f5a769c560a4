"""The server's flow: hooks, exceptions, shutdown, what breaks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from tests.helpers.driver import PASSWORD, USER, server_config
from tests.helpers.sasl import HERE

from ehlo import (
    OXSMTP_2008,
    Envelope,
    Identity,
    Limits,
    Mailbox,
    Parameters,
    Reply,
    ServerConfig,
    ServerConnection,
    Session,
    State,
    UserStore,
    WireRecord,
)
from ehlo.flows import (
    Ask,
    Close,
    Exchange,
    Flow,
    Receive,
    Send,
    Shutdown,
    StartTLS,
    hooks_of,
    mechanisms_of,
    serve,
)
from ehlo.sasl import (
    Authorize,
    Done,
    FetchSecret,
    Need,
    Refuse,
    SecretKind,
    ServerMechanism,
    ServerSteps,
    VerifyExternal,
    VerifyPrincipal,
    VerifyToken,
    Work,
)
from ehlo.testing import FAKE_TLS, ScriptedClient, run

PLAIN = "AGFsaWNlAHdvbmRlcg=="
HELLO = "S: 220...\nC: EHLO a.example\n" + "S: 250-...\n" * 9 + "S: 250 SMTPUTF8\n"
QUIT = "C: QUIT\nS: 221...\n"
ENVELOPE = "C: MAIL FROM:<a@x.org>\nS: 250 2.1.0...\nC: RCPT TO:<b@x.org>\nS: 250 2.1.5...\n"
DATA = "C: DATA\nS: 354...\n"
MESSAGE = ENVELOPE + DATA + "C: hello\nC: .\n"
LOCAL = "451 4.3.0 Local error in processing"


def served(
    script: str, handler: object = None, config: ServerConfig | None = None, *, tls: bool = False
) -> ServerConnection:
    """Serve a scripted client, whose script must come to its end."""
    conn = ServerConnection(config or server_config())
    client = ScriptedClient(script)
    run(serve(conn, hooks_of(handler), peer="192.0.2.1", implicit_tls=tls), client)
    client.check_done()
    assert conn.state is State.CLOSED
    return conn


class Recorder:
    """Has every hook; answers None, and notes what it was asked."""

    def __init__(self, **answers: object) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.answers = answers
        self.sessions: set[Session] = set()

    def _call(self, name: str, session: Session, *arguments: object) -> object:
        self.sessions.add(session)
        self.calls.append((name, *arguments))
        answer = self.answers.get(name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def names(self) -> list[object]:
        return [call[0] for call in self.calls]

    def on_connect(self, session: Session) -> object:
        return self._call("on_connect", session)

    def on_hello(self, session: Session, name: str) -> object:
        return self._call("on_hello", session, name)

    def on_auth_password(self, session: Session, *arguments: object) -> object:
        return self._call("on_auth_password", session, *arguments)

    def on_auth_secret(self, session: Session, *arguments: object) -> object:
        return self._call("on_auth_secret", session, *arguments)

    def on_auth_authorize(self, session: Session, *arguments: object) -> object:
        return self._call("on_auth_authorize", session, *arguments)

    def on_mail(self, session: Session, *arguments: object) -> object:
        return self._call("on_mail", session, *arguments)

    def on_rcpt(self, session: Session, *arguments: object) -> object:
        return self._call("on_rcpt", session, *arguments)

    def on_data(self, session: Session, envelope: Envelope) -> object:
        return self._call("on_data", session, envelope)

    def on_message(self, session: Session, envelope: Envelope, content: bytes) -> object:
        return self._call("on_message", session, envelope, content)

    def on_vrfy(self, session: Session, text: str) -> object:
        return self._call("on_vrfy", session, text)

    def on_reset(self, session: Session) -> object:
        return self._call("on_reset", session)

    def on_quit(self, session: Session) -> object:
        return self._call("on_quit", session)


class Streaming(Recorder):
    def on_body(self, session: Session, data: bytes) -> object:
        return self._call("on_body", session, data)


# ---- hooks ----


@pytest.mark.clause("RFC5321-2.1a", "OXSMTP-3.2a", "RFC4409-3.1a", "RFC4409-3.2a")
def test_every_hook_is_called_with_what_it_needs() -> None:
    handler = Recorder(on_auth_password=True)
    script = (
        HELLO + f"C: AUTH PLAIN {PLAIN}\nS: 235...\nC: VRFY bob\nS: 252...\n" + MESSAGE + "S: 250 2.0.0...\n"
    )
    served(script + "C: HELP\nS: 214...\n" + QUIT, handler)
    a, b = Mailbox("a", "x.org"), Mailbox("b", "x.org")
    message = handler.calls[7][1]
    assert isinstance(message, Envelope)
    assert (message.reverse_path, [r.path for r in message.recipients]) == (a, [b])
    assert handler.calls == [
        ("on_connect",),
        ("on_hello", "a.example"),
        ("on_auth_password", USER, PASSWORD, ""),
        ("on_vrfy", "bob"),
        ("on_mail", a, Parameters()),
        ("on_rcpt", b, Parameters()),
        ("on_data", message),
        ("on_message", message, b"hello\r\n"),
        ("on_quit",),
    ]
    (session,) = handler.sessions
    assert session.peer == "192.0.2.1"
    assert session.client_name == "a.example"
    assert session.extended
    assert session.tls is None
    assert session.identity is not None
    assert session.identity.authcid == USER
    assert "192.0.2.1" in repr(session)


def test_without_any_hook_the_defaults_hold() -> None:
    served(HELLO + MESSAGE + "S: 250 2.0.0...\nC: VRFY x\nS: 252...\n" + QUIT, object())


def test_a_body_in_pieces() -> None:
    handler = Streaming()
    served(HELLO + MESSAGE + "S: 250...\n" + QUIT, handler)
    assert b"".join(call[1] for call in handler.calls if call[0] == "on_body") == b"hello\r\n"  # type: ignore[misc]
    assert handler.calls[-2][2] == b""


def test_each_message_begins_empty() -> None:
    handler = Recorder()
    twice = MESSAGE + "S: 250...\n" + ENVELOPE + DATA + "C: two\nC: .\nS: 250...\n"
    served(HELLO + twice + QUIT, handler)
    assert [call[2] for call in handler.calls if call[0] == "on_message"] == [b"hello\r\n", b"two\r\n"]


REPLIES = {
    "on_connect": ("S: 554 no\nC: EHLO a\nS: 503...\n", 554),
    "on_hello": ("S: 220...\nC: EHLO a\nS: 550 no\n", 550),
    "on_mail": (HELLO + "C: MAIL FROM:<a@x.org>\nS: 550 5.7.1 no\n", 550),
    "on_rcpt": (HELLO + "C: MAIL FROM:<a@x.org>\nS: 250...\nC: RCPT TO:<b@x.org>\nS: 550 5.7.1 no\n", 550),
    "on_data": (HELLO + ENVELOPE + "C: DATA\nS: 550 5.7.1 no\n", 550),
    "on_message": (HELLO + MESSAGE + "S: 550 5.7.1 no\n", 550),
    "on_vrfy": (HELLO + "C: VRFY x\nS: 550 5.7.1 no\n", 550),
}


@pytest.mark.clause("RFC4409-6.1a", "RFC4409-6.2a", "RFC4409-6.3a", "RFC4409-6.3c", "RFC5321-7.9a")
@pytest.mark.parametrize("hook", REPLIES)
def test_hooks_refuse_with_a_reply(hook: str) -> None:
    script, code = REPLIES[hook]
    served(script + QUIT, Recorder(**{hook: Reply(code, "no", None if code == 554 else "5.7.1")}))


FAILURES = {
    "on_connect": "S: 421 4.3.2...\n",
    "on_hello": "S: 220...\nC: EHLO a\nS: 451 Local...\n" + QUIT,
    "on_mail": HELLO + f"C: MAIL FROM:<a@x.org>\nS: {LOCAL}\n" + QUIT,
    "on_rcpt": HELLO + f"C: MAIL FROM:<a@x.org>\nS: 250...\nC: RCPT TO:<b@x.org>\nS: {LOCAL}\n" + QUIT,
    "on_data": HELLO + ENVELOPE + f"C: DATA\nS: {LOCAL}\n" + QUIT,
    "on_message": HELLO + MESSAGE + f"S: {LOCAL}\n" + QUIT,
    "on_vrfy": HELLO + f"C: VRFY x\nS: {LOCAL}\n" + QUIT,
}


def shown(conn_script: str, handler: object) -> str:
    """What went over the wire to the client."""
    records: list[WireRecord] = []
    conn = ServerConnection(server_config(), trace=records.append)
    client = ScriptedClient(conn_script)
    run(serve(conn, hooks_of(handler)), client)
    client.check_done()
    return "\n".join(map(str, records))


@pytest.mark.clause("SEC-INJ-both-a")
@pytest.mark.parametrize("hook", FAILURES)
@pytest.mark.parametrize(
    "wrong", [RuntimeError("my secret"), OSError("my secret"), 250, True, "250 ok", Reply(354, "my secret")]
)
def test_an_exception_or_a_wrong_answer_is_451_and_never_text_on_the_wire(hook: str, wrong: object) -> None:
    script = FAILURES[hook]
    if hook == "on_data" and isinstance(wrong, Reply):
        wrong = Reply(250, "my secret")
    assert "my secret" not in shown(script, Recorder(**{hook: wrong}))


@pytest.mark.parametrize("hook", ["on_reset", "on_quit"])
def test_an_exception_in_a_hook_that_is_only_told(hook: str) -> None:
    served(
        HELLO + "C: MAIL FROM:<a@x.org>\nS: 250...\nC: RSET\nS: 250...\n" + QUIT,
        Recorder(**{hook: ValueError()}),
    )


def test_an_exception_in_on_body() -> None:
    handler = Streaming(on_body=RuntimeError("disk"))
    script = HELLO + ENVELOPE + DATA + "C: one\nC: two\nC: .\n" + f"S: {LOCAL}\n"
    for sizes in (None, iter(lambda: 1, 0)):
        handler.calls.clear()
        client = ScriptedClient(script + QUIT)
        run(serve(ServerConnection(server_config()), hooks_of(handler)), client, sizes=sizes)
        client.check_done()
        assert handler.names.count("on_body") == 1
        assert "on_message" not in handler.names
        assert handler.names[-2:] == ["on_reset", "on_quit"]
    handler.answers.clear()
    served(HELLO + MESSAGE + "S: 250...\n" + QUIT, handler)


@pytest.mark.clause("RFC4954-6b")
@pytest.mark.parametrize("error", [RuntimeError("ldap"), OSError("ldap"), TimeoutError()])
def test_a_back_end_that_is_down_is_454(error: Exception) -> None:
    handler = Recorder(on_auth_password=error)
    served(HELLO + f"C: AUTH PLAIN {PLAIN}\nS: 454 4.7.0...\n" + QUIT, handler)


@pytest.mark.parametrize("answer", [None, False, 1, "yes", Reply(235, "yes")])
def test_only_true_lets_in(answer: object) -> None:
    served(HELLO + f"C: AUTH PLAIN {PLAIN}\nS: 535 5.7.8...\n" + QUIT, Recorder(on_auth_password=answer))


def test_without_the_hook_nobody_is_let_in() -> None:
    served(HELLO + f"C: AUTH PLAIN {PLAIN}\nS: 535 5.7.8...\n" + QUIT, object())


@pytest.mark.parametrize("answer", [b"short", "text", 5])
def test_a_secret_that_cannot_be_one_is_454_and_told_to_the_binding(answer: object) -> None:
    from ehlo import LocalProtocolError, Password  # noqa: PLC0415
    from ehlo.sasl import NtlmClient  # noqa: PLC0415
    from ehlo.wire import base64  # noqa: PLC0415

    client = NtlmClient(Password(USER, PASSWORD), HERE)
    flow = serve(ServerConnection(server_config()), hooks_of(Recorder(on_auth_secret=answer)))
    told: list[Exception] = []

    def _b64(data: bytes) -> bytes:
        return base64.encode(data) + b"\r\n"

    said: list[bytes] = []
    feed: Iterator[Callable[[], bytes]] = iter(
        [
            lambda: b"EHLO a\r\nAUTH NTLM\r\n",
            lambda: _b64(client.respond(b"")),
            lambda: _b64(client.respond(said[-1][4:-2])),
        ]
    )

    action = next(flow)
    with pytest.raises(StopIteration):  # noqa: PT012
        while True:
            match action:
                case Ask(question):
                    try:
                        value = question()
                    except LocalProtocolError as error:
                        told.append(error)
                        action = flow.throw(error)
                    else:
                        action = flow.send(value)
                case Send(data):
                    said.append(data)
                    action = flow.send(None)
                case Receive() | Exchange():
                    if isinstance(action, Exchange):
                        said.append(action.data)
                    make = next(feed, None)
                    action = flow.send(make() if make else b"")
                case _:
                    action = flow.send(None)
    assert said[-1].startswith(b"454 4.7.0 ")
    assert len(told) == 1


def test_ntlm_through_the_hooks() -> None:
    hooks = hooks_of(UserStore({USER: PASSWORD}))
    made = mechanisms_of(hooks, target="mail.example", random=os.urandom)
    assert {"SCRAM-SHA-256", "PLAIN", "LOGIN", "NTLM"} < set(made)
    assert list(mechanisms_of(hooks_of(object()), target="x", random=os.urandom)) == []


def test_what_a_handler_tells_of_its_secrets() -> None:
    class Store:
        auth_secrets = (SecretKind.SCRAM_SHA_256,)
        auth_iterations = 5000
        in_thread = ("on_auth_secret", "on_message")

        def on_auth_secret(self, session: Session, username: str, kind: SecretKind, domain: str) -> None:
            """Knows nobody."""

        def on_auth_kerberos(self, session: Session, principal: str) -> None:
            """Knows nobody, either."""

    hooks = hooks_of(Store())
    assert hooks.secrets == {SecretKind.SCRAM_SHA_256}
    assert hooks.scram_iterations == 5000
    assert hooks.in_thread == {"on_auth_secret", "on_message"}
    made = mechanisms_of(hooks, target="x", random=os.urandom, only=["SCRAM-SHA-256"])
    assert list(made) == ["SCRAM-SHA-256"]
    # Who says nothing of it knows NT hashes.
    assert hooks_of(Recorder(on_auth_secret=None)).secrets == {SecretKind.NT_HASH}
    assert hooks_of(object()).secrets == frozenset()


class Asking(ServerMechanism):
    """Asks one thing, and lets in whom the answer names."""

    name = "ASKING"
    need: Need

    def exchange(self, initial: bytes | None) -> ServerSteps:
        answer = yield self.need
        return Done(Identity(answer, answer, self.name)) if isinstance(answer, str) else Refuse("nobody")


@pytest.mark.parametrize(
    ("need", "hook", "arguments"),
    [
        (VerifyToken("u", "t", "h", 1), "on_auth_token", ("u", "t", "h", 1)),
        (VerifyExternal("boss"), "on_auth_external", ("boss",)),
        (VerifyPrincipal("a@B"), "on_auth_kerberos", ("a@B",)),
        (FetchSecret("u", SecretKind.PASSWORD, "D"), "on_auth_secret", ("u", SecretKind.PASSWORD, "D")),
        (Authorize("u", "boss"), "on_auth_authorize", ("u", "boss")),
    ],
)
@pytest.mark.parametrize("in_thread", [False, True])
def test_each_need_has_its_hook(
    need: Need, hook: str, arguments: tuple[object, ...], in_thread: bool
) -> None:
    asked: list[tuple[object, ...]] = []

    class Handler:
        def __init__(self) -> None:
            self.in_thread = {hook} if in_thread else set()
            setattr(self, hook, self.answer)

        def answer(self, session: Session, *given: object) -> str:
            asked.append(given)
            return "alice"

    kind = type("Mechanism", (Asking,), {"need": need})
    conn = ServerConnection(server_config(mechanisms={"ASKING": kind}))
    flow = serve(conn, hooks_of(Handler()))
    questions = asks(flow, b"EHLO a\r\nAUTH ASKING\r\nQUIT\r\n")
    assert asked == [arguments]
    assert [(question.blocking, question.logged) for question in questions] == [(in_thread, True)]
    assert conn.identity is not None
    # Without the hook the answer is no.
    conn = ServerConnection(server_config(mechanisms={"ASKING": kind}))
    assert asks(serve(conn, hooks_of(object())), b"EHLO a\r\nAUTH ASKING\r\nQUIT\r\n") == []
    assert conn.identity is None


def test_work_is_done_where_it_may_block() -> None:
    kind = type("Mechanism", (Asking,), {"need": Work(lambda: "alice")})
    conn = ServerConnection(server_config(mechanisms={"ASKING": kind}))
    (question,) = asks(serve(conn, hooks_of(object())), b"EHLO a\r\nAUTH ASKING\r\nQUIT\r\n")
    assert question.blocking
    assert not question.logged
    assert conn.identity == Identity("alice", "alice", "ASKING")


def asks(flow: Flow[None], data: bytes) -> list[Ask]:
    """Run a server's flow on these octets; what it asked."""
    asked: list[Ask] = []
    feed = iter([data])
    action = next(flow)
    while True:
        value: object = None
        if isinstance(action, Ask):
            asked.append(action)
            value = action.question()
        elif isinstance(action, Receive | Exchange):
            value = next(feed, b"")
        try:
            action = flow.send(value)
        except StopIteration:
            return asked


@pytest.mark.clause("RFC4954-9a")
def test_a_refusal_is_told_before_the_client_hears_it() -> None:
    """Who wants to make a guesser wait does so in the hook: nothing leaves meanwhile."""

    class Handler(UserStore):
        told: list[tuple[str, str, int]]

        def on_auth_refused(self, session: Session, mechanism: str, reason: str, failures: int) -> None:
            self.told.append((mechanism, reason, failures))

    handler = Handler({})
    handler.told = []
    flow = serve(ServerConnection(server_config()), hooks_of(handler))
    feed = iter([f"EHLO a\r\nAUTH PLAIN {PLAIN}\r\n".encode()])
    said = b""
    action = next(flow)
    while not handler.told:
        value: object = None
        if isinstance(action, Ask):
            value = action.question()
        elif isinstance(action, Exchange):
            said += action.data
            value = next(feed)
        if not handler.told:
            action = flow.send(value)
    assert handler.told == [("PLAIN", "wrong user name or password", 1)]
    assert b"535" not in said
    after = flow.send(None)
    assert isinstance(after, Exchange)
    assert after.data.endswith(b"535 5.7.8 Authentication credentials invalid\r\n")


def test_a_misspelt_hook_in_a_thread() -> None:
    class Handler:
        in_thread = ("on_mial",)

    with pytest.raises(TypeError, match="in_thread"):
        hooks_of(Handler())


def test_a_misspelt_hook() -> None:
    class Handler:
        def on_mial(self) -> None: ...

    with pytest.raises(TypeError, match="on_mial"):
        hooks_of(Handler())


# ---- the transaction is thrown away ----


@pytest.mark.clause("RFC5321-4.1.1.5b", "RFC5321-4.1.1.10c", "RFC5321-3.8b", "RFC5321-4.5.3.2.7a")
@pytest.mark.parametrize(
    ("end", "reply"),
    [
        ("C: <close>\n", ""),
        ("C: <reset>\n", ""),
        ("C: <silence>\n", "S: 421 4.4.2 Timeout, closing connection\n"),
        ("C: <shutdown>\n", "S: 421 4.3.2 Service not available, closing connection\n"),
    ],
)
@pytest.mark.parametrize(
    ("script", "reset"),
    [
        ("S: 220...\n", 0),
        (HELLO, 0),
        (HELLO + "C: AUTH LOGIN\nS: 334...\n", 0),
        (HELLO + "C: MAIL FROM:<a@x.org>\nS: 250...\n", 1),
        (HELLO + ENVELOPE, 1),
        (HELLO + ENVELOPE + DATA, 1),
        (HELLO + ENVELOPE + DATA + "C: half\n", 1),
        (HELLO + MESSAGE + "S: 250...\n", 0),
    ],
)
def test_the_end_in_every_state(script: str, reset: int, end: str, reply: str) -> None:
    handler = Recorder()
    served(script + end + reply, handler)
    assert handler.names.count("on_reset") == reset
    assert "on_quit" not in handler.names


@pytest.mark.clause("RFC5321-4.1.1.10a")
def test_quit_in_a_transaction() -> None:
    handler = Recorder()
    served(HELLO + ENVELOPE + QUIT, handler)
    assert handler.names[-2:] == ["on_reset", "on_quit"]


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), BrokenPipeError()])
def test_a_client_that_does_not_take_its_replies(error: OSError) -> None:
    flow = serve(ServerConnection(server_config()), hooks_of(object()))
    action = next(flow)
    assert isinstance(action, Exchange)
    assert action.deadline is not None
    action = flow.throw(error)
    while isinstance(action, Send):
        action = flow.throw(error)
    assert isinstance(action, Close)
    with pytest.raises(StopIteration):
        flow.send(None)


# ---- TLS ----

STARTTLS = "C: STARTTLS\nS: 220 2.0.0...\n"


@pytest.mark.clause("RFC3207-4.2c", "RFC3207-4.2h")
def test_starttls() -> None:
    handler = Recorder()
    script = HELLO + STARTTLS + "C: <TLS>\nC: MAIL FROM:<a@x.org>\nS: 503...\nC: EHLO b.example\n"
    conn = served(script + "S: 250-...\n" * 8 + "S: 250 SMTPUTF8\n" + QUIT, handler)
    assert conn.tls == FAKE_TLS
    assert ("on_hello", "b.example") in handler.calls


@pytest.mark.clause("RFC3207-4e")
def test_a_handshake_that_fails() -> None:
    served(HELLO + STARTTLS + "C: <no TLS>\n")
    served("C: <no TLS>\n", tls=True)


@pytest.mark.parametrize("error", [Shutdown(), TimeoutError(), ConnectionResetError()])
def test_the_end_in_a_handshake(error: Exception) -> None:
    handler = Recorder()
    flow = serve(ServerConnection(server_config()), hooks_of(handler), implicit_tls=True)
    action = next(flow)
    assert isinstance(action, StartTLS)
    assert action.server_hostname is None
    assert action.deadline is not None
    assert flow.throw(error) == Close()
    assert handler.calls == []


def test_implicit_tls() -> None:
    conn = served("C: <TLS>\nS: 220...\nC: STARTTLS\nS: 503...\n" + QUIT, tls=True)
    assert conn.tls == FAKE_TLS


@pytest.mark.clause("SEC-TLS-srv-a", "SEC-TLS-srv-b")
def test_injection_behind_starttls_is_answered_and_closed() -> None:
    handler = Recorder()
    # Both lines are there before the first is read.
    script = HELLO + "C: STARTTLS\nC: EHLO injected\nS: 421 4.7.0...\n"
    served(script, handler)
    assert ("on_hello", "injected") not in handler.calls


# ---- the last octets ----


def last_close(script: str) -> Close:
    flow = serve(ServerConnection(server_config(limits=Limits(errors=0))), hooks_of(object()))
    client = ScriptedClient(script)
    seen: list[object] = []

    def watched() -> Flow[None]:
        value: object = None
        while True:
            try:
                action = flow.send(value)
            except StopIteration:
                return
            seen.append(action)
            value = yield action

    run(watched(), client)
    client.check_done()
    assert isinstance(seen[-1], Close)
    return seen[-1]


def test_the_last_reply_is_not_lost_to_unread_octets() -> None:
    assert last_close("S: 220...\nC: FOO\nS: 421...\n").linger > 0
    assert last_close("S: 220...\nC: <close>\n").linger == 0
    # Who says QUIT sends nothing behind it.
    assert last_close("S: 220...\n" + QUIT).linger == 0


@pytest.mark.clause("SEC-INJ-srv-c")
def test_too_many_errors() -> None:
    config = server_config(limits=Limits(errors=2))
    served("S: 220...\n" + "C: FOO\n" * 3 + "S: 500...\nS: 500...\nS: 421 4.7.0...\n", config=config)


@pytest.mark.clause("OXSMTP-3.2-4.3a")
def test_the_profile() -> None:
    conn = ServerConfig(hostname="mail.example", policy=OXSMTP_2008)
    script = (
        "S: 220...\nC: EHLO a\n"
        + "S: 250-...\n" * 7
        + "S: 250 SMTPUTF8\nC: MAIL FROM:<a@x.org>\nS: 530 5.7.0...\n"
    )
    served(script + QUIT, config=conn)


@pytest.mark.parametrize(
    ("answer", "reply", "resets"),
    [
        (None, "250 2.0.0...", 0),
        (Reply(250, "kept", "2.6.0"), "250 2.6.0 kept", 0),
        (Reply(554, "no", "5.6.0"), "554 5.6.0 no", 1),
        (OSError("disk"), LOCAL, 1),
        ("nonsense", LOCAL, 1),
    ],
)
def test_what_was_kept_of_a_message_goes_when_it_is_refused(answer: object, reply: str, resets: int) -> None:
    handler = Recorder(on_message=answer)
    served("S: 220...\n" + HELLO.removeprefix("S: 220...\n") + MESSAGE + f"S: {reply}\n" + QUIT, handler)
    assert handler.names.count("on_reset") == resets
    if resets:
        assert handler.names.index("on_reset") > handler.names.index("on_message")
