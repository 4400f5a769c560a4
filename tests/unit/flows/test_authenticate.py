"""Which mechanisms a session tries, one after the other, and what it makes of the server's answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from tests.helpers.driver import PASSWORD, USER, server_config
from tests.helpers.sasl import EVERY_KIND, constant, server_settings, session_options

from ehlo import (
    OPEN_TEST,
    OXSMTP_2008,
    Anonymous,
    AuthCause,
    AuthenticationFailed,
    ClientConnection,
    Credentials,
    External,
    HostFacts,
    Identity,
    Notice,
    NtHash,
    Opened,
    Password,
    Reply,
    ServerConnection,
    Session,
    StoredSecret,
    SubmissionPolicy,
    TLSInfo,
    TlsMode,
    Token,
    UserStore,
    nt_hash,
)
from ehlo.flows import Ask, hooks_of, open_session, serve
from ehlo.sasl import SERVER_MECHANISMS, SecretKind, standard_mechanisms
from ehlo.testing import ScriptedServer, drive, ehlo_reply, run
from ehlo.wire import base64

LOGIN = Password(USER, PASSWORD)
TLS = TLSInfo(
    version="TLSv1.3",
    cipher="X",
    verified=True,
    peer_certificate=b"certificate",
    peer_names=("carol@example.net",),
    tls_exporter=b"e" * 32,
)
TOKEN = "good.token-1"
QUIT = "C: QUIT\nS: 221 bye\n"
PLAIN = "AGFsaWNlAHdvbmRlcg=="


class Handler(UserStore):
    """Answers whatever a mechanism may ask."""

    def __init__(self, users: Any = None) -> None:
        super().__init__({USER: PASSWORD} if users is None else users)
        self.refused: list[tuple[str, str, int]] = []
        self.delay: list[str] = []

    def on_auth_token(self, session: Session, username: str, token: str, host: str, port: int) -> bool:
        assert host in ("mail.example", "")
        return token == TOKEN

    def on_auth_external(self, session: Session, authzid: str) -> str | None:
        assert session.tls is not None
        return session.tls.peer_names[0].partition("@")[0]

    def on_auth_authorize(self, session: Session, authcid: str, authzid: str) -> bool:
        return authzid == "boss"

    def on_auth_refused(self, session: Session, mechanism: str, reason: str, failures: int) -> None:
        self.refused.append((mechanism, reason, failures))


def session(
    credentials: Credentials,
    *,
    only: Iterable[str] | None = None,
    handler: Handler | None = None,
    policy: SubmissionPolicy = OXSMTP_2008,
    **options: Any,
) -> tuple[Opened, ServerConnection]:
    """Open a session with our own server, which offers everything that is not Kerberos."""
    handler = handler or Handler()
    names = [name for name in SERVER_MECHANISMS if not name.startswith("GSS")]
    settings = server_settings(
        passwords=True, secrets=handler.auth_secrets, tokens=True, certificates=True, token_scope="mail"
    )
    mechanisms = standard_mechanisms(settings, list(only) if only is not None else names)
    server = ServerConnection(server_config(policy=policy, mechanisms=mechanisms))
    client = ClientConnection()
    chosen = {"tls": TlsMode.STARTTLS, "auth": credentials} | options
    flow = open_session(client, session_options(**chosen))
    opened = drive(flow, serve(server, hooks_of(handler)), tls=TLS)
    return opened, server


EACH: list[tuple[str, Credentials, str]] = [
    *((name, LOGIN, USER) for name in SERVER_MECHANISMS if "SCRAM" in name),
    ("PLAIN", LOGIN, USER),
    ("LOGIN", LOGIN, USER),
    ("NTLM", LOGIN, USER),
    ("NTLM", NtHash(USER, nt_hash(PASSWORD)), USER),
    ("CRAM-MD5", LOGIN, USER),
    ("OAUTHBEARER", Token(USER, TOKEN), USER),
    ("XOAUTH2", Token(USER, TOKEN), USER),
    ("EXTERNAL", External(), "carol"),
]


@pytest.mark.clause("RFC4422-3.8a", "RFC4954-4aa", "RFC4422-3.3a")
@pytest.mark.parametrize(("name", "credentials", "user"), EACH)
@pytest.mark.parametrize("initial", [False, True])
def test_each_mechanism_over_both_connections(
    name: str, credentials: Credentials, user: str, initial: bool
) -> None:
    _, server = session(credentials, mechanisms=(name,), initial_response=initial)
    assert server.identity == Identity(user, user, name)


WRONG: list[tuple[str, Credentials]] = [
    *((name, Password(USER, "no")) for name, given, _ in EACH if isinstance(given, Password)),
    *((name, Password("nobody", PASSWORD)) for name, given, _ in EACH if isinstance(given, Password)),
    ("NTLM", NtHash(USER, bytes(16))),
    ("OAUTHBEARER", Token(USER, "bad")),
    ("XOAUTH2", Token(USER, "bad")),
    ("EXTERNAL", External("mallory")),
]


@pytest.mark.clause("RFC4954-6d", "RFC4954-9a")
@pytest.mark.parametrize(("name", "credentials"), WRONG)
def test_each_mechanism_with_a_wrong_secret(name: str, credentials: Credentials) -> None:
    handler = Handler()
    with pytest.raises(AuthenticationFailed) as caught:
        session(credentials, mechanisms=(name,), handler=handler)
    assert caught.value.cause is AuthCause.CREDENTIALS
    assert caught.value.reply == Reply(535, "Authentication credentials invalid", "5.7.8")
    assert not caught.value.temporary
    assert [mechanism for mechanism, _, _ in handler.refused] == [name]
    if isinstance(credentials, Token):
        assert caught.value.detail is not None
        assert caught.value.detail["scope"] == "mail"


@pytest.mark.clause("RFC4422-3.2a", "OXSMTP-3.1-3.3d", "RFC5802-6a")
def test_the_best_mechanism_is_chosen() -> None:
    assert session(LOGIN)[1].identity == Identity(USER, USER, "SCRAM-SHA-256-PLUS")
    in_clear = session(LOGIN, tls=TlsMode.NONE)[1].identity
    assert in_clear is not None
    assert in_clear.mechanism == "SCRAM-SHA-256"
    assert session(LOGIN, only=["LOGIN", "NTLM"])[1].identity == Identity(USER, USER, "LOGIN")
    assert session(LOGIN, only=["NTLM", "PLAIN"], tls=TlsMode.NONE)[1].identity == Identity(
        USER, USER, "NTLM"
    )
    assert session(Token(USER, TOKEN))[1].identity == Identity(USER, USER, "OAUTHBEARER")


@pytest.mark.parametrize(("authzid", "name"), [("boss", "SCRAM-SHA-256-PLUS"), ("boss", "PLAIN")])
def test_acting_as_another(authzid: str, name: str) -> None:
    _, server = session(Password(USER, PASSWORD, authzid), mechanisms=(name,))
    assert server.identity == Identity(USER, authzid, name)


# ---- one after the other ----


def auth(offered: str, dialogue: str, **keywords: Any) -> Opened:
    """Authenticate inside TLS against a script."""
    greeted = "S: 220 mail.example ESMTP\nC: EHLO a.example\n"
    script = greeted + ehlo_reply("mail.example", ("STARTTLS",)) + "\nC: STARTTLS\nS: 220 go\nC: <TLS>\n"
    script += "C: EHLO a.example\n" + ehlo_reply("mail.example", (f"AUTH {offered}",)) + "\n" + dialogue
    server = ScriptedServer(script)
    options = {"tls": TlsMode.STARTTLS, "auth": LOGIN} | keywords
    try:
        return run(open_session(ClientConnection(), session_options(**options)), server)
    finally:
        server.check_done()


SCRAM = "C: AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyP...\nS: 535 5.7.8 no\n"
SCRAM_1 = "C: AUTH SCRAM-SHA-1 biwsbj1hbGljZSxyP...\nS: 535 5.7.8 no\n"


@pytest.mark.clause("RFC4954-4x")
def test_after_a_refusal_what_settles_it() -> None:
    """There may be no SCRAM keys of this user: the password itself will tell, once."""
    auth("SCRAM-SHA-1 SCRAM-SHA-256 PLAIN", SCRAM + f"C: AUTH PLAIN {PLAIN}\nS: 235 ok\n")
    with pytest.raises(AuthenticationFailed) as caught:
        auth("SCRAM-SHA-256 PLAIN LOGIN NTLM", SCRAM + f"C: AUTH PLAIN {PLAIN}\nS: 535 no\n" + QUIT)
    assert caught.value.cause is AuthCause.CREDENTIALS


def test_at_most_one_second_chance() -> None:
    with pytest.raises(AuthenticationFailed):
        auth("SCRAM-SHA-256 SCRAM-SHA-1 NTLM", SCRAM + SCRAM_1 + QUIT)


def test_none_after_the_secret_itself_was_refused() -> None:
    for offered in ("PLAIN LOGIN NTLM", "PLAIN"):
        with pytest.raises(AuthenticationFailed):
            auth(offered, f"C: AUTH PLAIN {PLAIN}\nS: 535 no\n" + QUIT)


def test_none_outside_of_what_was_asked_for() -> None:
    with pytest.raises(AuthenticationFailed):
        auth("SCRAM-SHA-256 PLAIN", SCRAM + QUIT, mechanisms=("SCRAM-SHA-256",))


@pytest.mark.clause("RFC4954-6a")
def test_a_password_transition() -> None:
    refused = "C: AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyP...\nS: 432 4.7.12 A password transition is needed\n"
    auth("SCRAM-SHA-256 NTLM PLAIN", refused + f"C: AUTH PLAIN {PLAIN}\nS: 235 ok\n")
    with pytest.raises(AuthenticationFailed) as caught:
        auth("SCRAM-SHA-256 NTLM", refused + QUIT)
    assert caught.value.cause is AuthCause.TRANSITION
    assert caught.value.temporary
    again = f"C: AUTH PLAIN {PLAIN}\nS: 432 4.7.12 again\n"
    with pytest.raises(AuthenticationFailed):
        auth("SCRAM-SHA-256 PLAIN", refused + again + QUIT)


@pytest.mark.clause("RFC4954-6b", "RFC4954-6c", "RFC4954-6d", "RFC4954-6g", "RFC2554-4b", "RFC2554-6a")
@pytest.mark.clause("EXCH-reply-e", "NTLM-2.2.1.5a")
@pytest.mark.parametrize(
    ("line", "cause", "temporary"),
    [
        ("535 5.7.8 no", AuthCause.CREDENTIALS, False),
        ("535 no", AuthCause.CREDENTIALS, False),
        ("535 5.7.3 Authentication unsuccessful", AuthCause.CREDENTIALS, False),
        ("454 4.7.0 later", AuthCause.TEMPORARY, True),
        ("450 later", AuthCause.TEMPORARY, True),
        ("432 4.7.12 transition", AuthCause.TRANSITION, True),
        ("534 5.7.9 too weak", AuthCause.TOO_WEAK, False),
        ("538 encryption required", AuthCause.NEEDS_TLS, False),
        ("504 5.5.4 unknown", AuthCause.NO_MECHANISM, False),
        ("500 what?", AuthCause.OTHER, False),
        ("525 5.7.13 disabled", AuthCause.OTHER, False),
    ],
)
def test_each_reply_has_its_meaning(line: str, cause: AuthCause, temporary: bool) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        auth("LOGIN", f"C: AUTH LOGIN\nS: {line}\n" + QUIT)
    assert caught.value.cause is cause
    assert caught.value.temporary is temporary


def test_no_mechanism_at_all() -> None:
    for offered in ("", "X-SECRET"):
        with pytest.raises(AuthenticationFailed) as caught:
            auth(offered, QUIT)
        assert caught.value.cause is AuthCause.NO_MECHANISM


@pytest.mark.clause("RFC5802-5b", "RFC5802-5c")
def test_no_second_chance_for_a_server_that_proves_nothing() -> None:
    """Who does not know the keys must not be shown the password."""
    with pytest.raises(AuthenticationFailed) as caught:
        auth("SCRAM-SHA-256 PLAIN", "C: AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyP...\nS: 235 welcome\n" + QUIT)
    assert caught.value.cause is AuthCause.SERVER_NOT_PROVED
    few = "cj1hLHM9UVE9PSxpPTE="  # r=a,s=QQ==,i=1
    dialogue = f"C: AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyP...\nS: 334 {few}\nC: *\nS: 501 cancelled\n"
    with pytest.raises(AuthenticationFailed) as caught:
        auth("SCRAM-SHA-256 PLAIN", dialogue + QUIT)
    assert caught.value.cause is AuthCause.SERVER_NOT_PROVED


@pytest.mark.clause("RFC7628-3.2.3a", "XOAUTH2-client-b", "RFC7628-3.2.2b")
@pytest.mark.parametrize(("name", "answer"), [("OAUTHBEARER", "AQ=="), ("XOAUTH2", "")])
def test_the_error_turn_of_a_token(name: str, answer: str) -> None:
    said = "eyJzdGF0dXMiOiI0MDEifQ=="
    dialogue = f"C: AUTH {name} ...\nS: 334 {said}\nC: {answer}\nS: 535 5.7.8 no\n"
    with pytest.raises(AuthenticationFailed) as caught:
        auth(name, dialogue + QUIT, auth=Token(USER, TOKEN))
    assert caught.value.detail == {"status": "401"}
    assert caught.value.cause is AuthCause.CREDENTIALS


@pytest.mark.clause("RFC4954-4o", "SEC-INJ-cli-c")
def test_an_answer_that_the_server_made_too_long() -> None:
    """Its nonce comes back, and twelve thousand octets are the end of a line."""
    conn = ClientConnection()
    options = session_options(tls=TlsMode.NONE, auth=LOGIN, random=constant(b"a"))
    nonce = base64.encode(b"a" * 18) + b"x" * 9150
    challenge = base64.encode(b"r=" + nonce + b",s=c2FsdA==,i=4096").decode()
    script = "S: 220 x\nC: EHLO a.example\n" + ehlo_reply("mail.example", ("AUTH SCRAM-SHA-256",))
    script += f"\nC: AUTH SCRAM-SHA-256 ...\nS: 334 {challenge}\nC: *\nS: 501 cancelled\n" + QUIT
    with pytest.raises(AuthenticationFailed, match="does not fit") as caught:
        run(open_session(conn, options), ScriptedServer(script))
    assert caught.value.cause is AuthCause.SERVER_NOT_PROVED


@pytest.mark.clause("RFC4954-4o")
def test_a_token_that_no_line_holds() -> None:
    """Nothing is sent of it, and the session ends in good order."""
    with pytest.raises(AuthenticationFailed, match="do not fit") as caught:
        auth("XOAUTH2", QUIT, auth=Token(USER, "t" * 9200))
    assert caught.value.cause is AuthCause.CREDENTIALS
    long = base64.encode(f"user={USER}\1auth=Bearer {'t' * 9000}\1\1".encode()).decode()
    dialogue = f"C: AUTH XOAUTH2\nS: 334 \nC: {long}\nS: 235 ok\n"
    auth("XOAUTH2", dialogue, auth=Token(USER, "t" * 9000))


@pytest.mark.clause("RFC2554-4a")
def test_an_old_server_that_does_not_know_the_empty_initial_response() -> None:
    dialogue = "C: AUTH EXTERNAL =\nS: 501 what?\nC: AUTH EXTERNAL\nS: 334 \nC: \nS: 235 ok\n"
    auth("EXTERNAL", dialogue, auth=External())


# ---- secrets that are asked for ----


def answers(credentials: Credentials, reply: Callable[[], object], **options: Any) -> Opened:
    return session(credentials, **options)[0]


@pytest.mark.parametrize(
    "credentials",
    [Password(USER, lambda: PASSWORD), Token(USER, lambda: TOKEN)],
    ids=["password", "token"],
)
def test_a_secret_is_asked_for(credentials: Credentials) -> None:
    _, server = session(credentials)
    assert server.identity is not None
    assert server.identity.authcid == USER


def test_it_is_asked_for_by_the_one_action_that_can_wait() -> None:
    async def get_token() -> str:
        return TOKEN

    flow = open_session(
        ClientConnection(), session_options(auth=Token(USER, get_token), allow_cleartext_auth=True)
    )
    action = next(flow)
    for line in (b"220 x\r\n", b"250-x\r\n250 AUTH XOAUTH2\r\n"):
        action = flow.send(line)
    assert isinstance(action, Ask)
    assert action.question is get_token
    assert not action.logged
    sent = flow.send(TOKEN)
    assert getattr(sent, "data", b"").startswith(b"AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRo")


def test_nobody_is_asked_where_no_mechanism_would_do() -> None:
    def ask() -> str:
        raise AssertionError("not asked")

    with pytest.raises(AuthenticationFailed) as caught:
        session(Password(USER, ask), only=["EXTERNAL"])
    assert caught.value.cause is AuthCause.NO_MECHANISM


@pytest.mark.parametrize("error", [OSError("s3cret"), TimeoutError("s3cret"), ValueError("s3cret")])
def test_a_secret_that_cannot_be_had(error: Exception) -> None:
    def ask() -> str:
        raise error

    with pytest.raises(AuthenticationFailed, match=type(error).__name__) as caught:
        session(Token(USER, ask))
    assert caught.value.__cause__ is error
    assert "s3cret" not in str(caught.value)
    with pytest.raises(AuthenticationFailed):
        session(Token(USER, lambda: None))  # type: ignore[arg-type,return-value]


def test_slow_steps_are_asked_for() -> None:
    """SCRAM hashes thousands of times: not beside an event loop."""
    flow = open_session(ClientConnection(), session_options(auth=LOGIN))
    action = next(flow)
    for line in (b"220 x\r\n", b"250-x\r\n250 AUTH SCRAM-SHA-256\r\n"):
        action = flow.send(line)
    assert isinstance(action, Ask)
    assert action.blocking
    assert not action.logged
    initial = action.question()
    assert isinstance(initial, bytes)
    sent = flow.send(initial)
    assert getattr(sent, "data", b"").startswith(b"AUTH SCRAM-SHA-256 ")


# ---- what may be an attack ----


def offers(before: str, inside: str, **options: Any) -> tuple[Notice, ...]:
    script = "S: 220 mail.example ESMTP\nC: EHLO a.example\n"
    script += ehlo_reply("mail.example", ("STARTTLS", *([f"AUTH {before}"] if before else []))) + "\n"
    script += "C: STARTTLS\nS: 220 go\nC: <TLS>\nC: EHLO a.example\n"
    script += ehlo_reply("mail.example", (f"AUTH {inside}",)) + "\nC: AUTH ...\nS: 334 \nC: ...\n"
    script += "S: 334 UGFzc3dvcmQ6\nC: ...\nS: 235 ok\n"
    chosen = {"tls": TlsMode.STARTTLS, "auth": LOGIN, "mechanisms": ("LOGIN",)} | options
    server = ScriptedServer(script)
    opened = run(open_session(ClientConnection(), session_options(**chosen)), server)
    assert opened.facts == HostFacts(True, frozenset(inside.split()))
    return opened.notices


@pytest.mark.clause("RFC4422-6.1.2b", "RFC4954-3b")
@pytest.mark.parametrize(
    ("before", "inside", "notices"),
    [
        ("LOGIN", "LOGIN", ()),
        ("", "LOGIN NTLM", ()),
        ("NTLM", "NTLM PLAIN LOGIN EXTERNAL SCRAM-SHA-256-PLUS XOAUTH2", ()),
        ("NTLM", "NTLM LOGIN SCRAM-SHA-256", (Notice.MECHANISMS_HIDDEN,)),
        ("NTLM SCRAM-SHA-256", "NTLM LOGIN", (Notice.MECHANISMS_SHRUNK,)),
        ("NTLM", "LOGIN SCRAM-SHA-1", (Notice.MECHANISMS_HIDDEN, Notice.MECHANISMS_SHRUNK)),
    ],
)
def test_the_lists_before_and_inside_tls(before: str, inside: str, notices: tuple[Notice, ...]) -> None:
    assert offers(before, inside) == notices


def test_what_an_earlier_session_has_seen() -> None:
    known = HostFacts(True, frozenset({"LOGIN", "SCRAM-SHA-256"}))
    assert offers("", "LOGIN", known=known) == (Notice.MECHANISMS_GONE,)
    assert offers("", "LOGIN SCRAM-SHA-256 X", known=known) == ()


@pytest.mark.clause("RFC3207-6b")
def test_starttls_that_vanished() -> None:
    script = "S: 220 x\nC: EHLO a.example\nS: 250 x\n"
    for known, notices in ((HostFacts(True), (Notice.STARTTLS_GONE,)), (HostFacts(), ()), (None, ())):
        options = session_options(tls=TlsMode.OPPORTUNISTIC, known=known)
        opened = run(open_session(ClientConnection(), options), ScriptedServer(script))
        assert opened == Opened(HostFacts(), notices)


def test_asking_anew_after_authentication() -> None:
    again = "C: EHLO a.example\n" + ehlo_reply("mail.example", ("DSN", "AUTH"))
    dialogue = f"C: AUTH PLAIN {PLAIN}\nS: 235 ok\n" + again
    opened = auth("PLAIN", dialogue, ehlo_after_auth=True)
    assert opened.facts.mechanisms == {"PLAIN"}


# ---- ANONYMOUS ----


@pytest.mark.clause("RFC4505-2c")
@pytest.mark.parametrize(("policy", "code"), [(OXSMTP_2008, b"530 5.7.0"), (OPEN_TEST, b"250 2.1.0")])
def test_anonymous_is_no_authentication(policy: SubmissionPolicy, code: bytes) -> None:
    _, server = session(Anonymous("sirhc"), policy=policy)
    assert server.identity == Identity("anonymous", "anonymous", "ANONYMOUS", anonymous=True, trace="sirhc")
    mechanisms = standard_mechanisms(server_settings(), ["ANONYMOUS"])
    conn = ServerConnection(server_config(policy=policy, mechanisms=mechanisms))
    conn.receive_data(b"EHLO a\r\nAUTH ANONYMOUS =\r\nMAIL FROM:<a@x.org>\r\n")
    said = b""
    while "NEED_DATA" not in repr(event := conn.next_event()):
        if "Received" in repr(event) or "Opened" in repr(event):
            conn.accept()
    said = conn.data_to_send()
    assert said.splitlines()[-1].startswith(code)


# ---- stored forms ----


@pytest.mark.parametrize("kind", [kind for kind in EVERY_KIND if kind is not SecretKind.PASSWORD])
def test_the_stored_form_decides_on_the_mechanism(kind: SecretKind) -> None:
    handler = Handler({USER: StoredSecret.of(kind, PASSWORD, bytes(16))})
    name = {"nt-hash": "NTLM"}.get(kind.value, kind.value.upper())
    _, server = session(LOGIN, only=[name, "PLAIN"], handler=handler, mechanisms=(name,))
    assert server.identity == Identity(USER, USER, name)
    _, server = session(LOGIN, only=["PLAIN"], handler=handler)
    assert server.identity == Identity(USER, USER, "PLAIN")
