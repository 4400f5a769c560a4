"""From a fresh connection to a ready session, against scripted servers."""

from __future__ import annotations

import pytest
from tests.helpers.driver import PASSWORD, USER, Server, server_config
from tests.helpers.sasl import session_options

from ehlo import (
    OXSMTP_2008,
    AuthenticationFailed,
    ClientConnection,
    ConnectionFailed,
    LocalProtocolError,
    Password,
    RemoteProtocolError,
    ServiceRefused,
    SessionError,
    State,
    TlsFailed,
    TlsMode,
)
from ehlo.flows import Close, Exchange, Receive, StartTLS, close, open_session
from ehlo.testing import EXCHANGE_2003, ScriptedServer, ehlo_reply, run

LOGIN = Password(USER, PASSWORD)
PLAIN = "AGFsaWNlAHdvbmRlcg=="


def opened(script: str, **keywords: object) -> ClientConnection:
    """Open a session against a script, which must come to its end."""
    conn = ClientConnection()
    server = ScriptedServer(script)
    try:
        run(open_session(conn, session_options(**keywords)), server)
    finally:
        server.check_done()
    return conn


GREETED = "S: 220 mail.example ESMTP\nC: EHLO a.example\n"


def ehlo(*lines: str) -> str:
    return "C: EHLO a.example\n" + ehlo_reply("mail.example", lines) + "\n"


def greeted(*lines: str) -> str:
    return "S: 220 mail.example ESMTP\n" + ehlo(*lines)


QUIT = "C: QUIT\nS: 221 bye\n"
STARTTLS = "C: STARTTLS\nS: 220 go\nC: <TLS>\n"
SECURE = greeted("STARTTLS") + STARTTLS


# ---- greeting and EHLO ----


@pytest.mark.clause("RFC5321-2.2.1c", "OXSMTP-3.1-4.3a")
def test_in_clear_and_without_authentication() -> None:
    conn = opened(greeted("SIZE 5"))
    assert conn.state is State.READY
    assert list(conn.capabilities) == ["SIZE"]


@pytest.mark.clause("RFC5321-3.1c", "RFC4409-7f", "RFC7504-3a")
@pytest.mark.parametrize(("code", "temporary"), [(554, False), (521, False), (450, True)])
def test_a_refused_greeting(code: int, temporary: bool) -> None:
    with pytest.raises(ServiceRefused) as caught:
        opened(f"S: {code} no service\n" + QUIT)
    assert caught.value.temporary is temporary
    assert caught.value.reply is not None
    assert caught.value.reply.code == code


@pytest.mark.clause("RFC5321-3.1c", "RFC5321-3.8d")
@pytest.mark.parametrize("script", ["S: 421 busy\n", GREETED + "S: 421 4.3.2 busy\n"])
def test_421_is_temporary_and_nothing_follows(script: str) -> None:
    with pytest.raises(ServiceRefused) as caught:
        opened(script)
    assert caught.value.temporary


@pytest.mark.clause("RFC1869-4.7a")
@pytest.mark.parametrize(
    "script",
    [
        "S: <close>",
        "S: 220-x\nS: <close>",
        GREETED + "S: <close>",
        GREETED + "S: 250-x\nS: <close>",
        "S: <silence>",
        GREETED + "S: <silence>",
        "S: <reset>",
        GREETED + "S: <reset>",
    ],
)
def test_a_connection_that_is_lost(script: str) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        opened(script)
    assert caught.value.temporary


@pytest.mark.parametrize(
    "script", ["S: hello\n", "S: 354 x\n", GREETED + "S: 250-a\nS: 251 b\n", GREETED + "S: 334 x\n"]
)
def test_a_server_that_speaks_something_else(script: str) -> None:
    with pytest.raises(RemoteProtocolError):
        opened(script)


@pytest.mark.clause("RFC5321-3.2b", "RFC5321-2.2.1b", "RFC1869-4.5a")
@pytest.mark.parametrize("code", [500, 501, 502, 504])
@pytest.mark.parametrize("tls", [TlsMode.NONE, TlsMode.OPPORTUNISTIC])
def test_helo_for_servers_that_know_no_ehlo(code: int, tls: TlsMode) -> None:
    conn = opened(GREETED + f"S: {code} what?\nC: HELO a.example\nS: 250 old.example\n", tls=tls)
    assert conn.state is State.READY
    assert not list(conn.capabilities)


@pytest.mark.clause("RFC5321-3.2b", "SEC-TLS-cli-b", "RFC5321-4.2.1a", "RFC1869-4.5a")
@pytest.mark.parametrize(
    ("code", "keywords"),
    [(450, {}), (550, {}), (554, {}), (500, {"tls": TlsMode.STARTTLS}), (500, {"auth": LOGIN}), (503, {})],
)
def test_no_helo_otherwise(code: int, keywords: dict[str, object]) -> None:
    with pytest.raises(ServiceRefused) as caught:
        opened(GREETED + f"S: {code} no\n" + QUIT, **keywords)
    assert caught.value.temporary is (code < 500)


def test_helo_refused_too() -> None:
    with pytest.raises(ServiceRefused):
        opened(GREETED + "S: 500 no\nC: HELO a.example\nS: 550 no\n" + QUIT)


def test_what_becomes_of_quit_changes_nothing() -> None:
    for end in ("S: <close>", "S: <reset>", "S: <silence>", "S: 500 what?", "S: garbage", "S: 421 x"):
        with pytest.raises(ServiceRefused):
            opened(f"S: 554 no\nC: QUIT\n{end}\n")


# ---- TLS ----


@pytest.mark.clause(
    "OXSMTP-3.1-7c", "RFC3207-4.2e", "RFC3207-4.2d", "SEC-TLS-cli-c", "RFC3207-4d", "RFC3207-6b"
)
@pytest.mark.parametrize("tls", [TlsMode.STARTTLS, TlsMode.OPPORTUNISTIC])
def test_starttls(tls: TlsMode) -> None:
    conn = opened(SECURE + ehlo("PIPELINING"), tls=tls)
    assert conn.tls is not None
    assert list(conn.capabilities) == ["PIPELINING"]


@pytest.mark.clause("RFC4954-14b")
def test_the_name_to_verify_is_the_one_connected_to() -> None:
    conn = ClientConnection()
    flow = open_session(conn, session_options(tls=TlsMode.IMPLICIT))
    action = next(flow)
    assert isinstance(action, StartTLS)
    assert action.server_hostname == "mail.example"
    assert action.deadline is not None
    assert action.deadline.seconds == 60.0


@pytest.mark.clause("RFC8314-3a")
def test_implicit_tls() -> None:
    conn = opened("C: <TLS>\n" + greeted("STARTTLS", "DSN"), tls=TlsMode.IMPLICIT)
    assert conn.tls is not None


@pytest.mark.clause("SEC-TLS-cli-b", "RFC3207-6a", "RFC3207-4f", "RFC8314-5b")
def test_starttls_stripped() -> None:
    with pytest.raises(TlsFailed, match="does not offer"):
        opened(greeted("AUTH PLAIN") + QUIT, tls=TlsMode.STARTTLS, auth=LOGIN)


@pytest.mark.clause("SEC-TLS-cli-b", "RFC3207-4f")
@pytest.mark.parametrize("code", [454, 501, 502])
def test_starttls_refused(code: int) -> None:
    with pytest.raises(TlsFailed) as caught:
        opened(greeted("STARTTLS") + f"C: STARTTLS\nS: {code} no\n" + QUIT, tls=TlsMode.STARTTLS)
    assert caught.value.temporary is (code == 454)


@pytest.mark.clause("RFC3207-4f", "RFC3207-6b")
@pytest.mark.parametrize("rest", ["", "C: STARTTLS\nS: 454 no\n"])
def test_opportunistic_goes_on_in_clear(rest: str) -> None:
    offers = ("STARTTLS",) if rest else ()
    conn = opened(greeted(*offers) + rest, tls=TlsMode.OPPORTUNISTIC)
    assert conn.tls is None
    assert conn.state is State.READY


@pytest.mark.clause("RFC3207-4e")
@pytest.mark.parametrize(
    ("script", "tls"),
    [
        (greeted("STARTTLS") + "C: STARTTLS\nS: 220 go\nC: <no TLS>", mode)
        for mode in (TlsMode.STARTTLS, TlsMode.OPPORTUNISTIC)
    ]
    + [("C: <no TLS>", TlsMode.IMPLICIT)],
)
def test_a_handshake_that_fails_is_the_end_without_quit(script: str, tls: TlsMode) -> None:
    with pytest.raises(TlsFailed):
        opened(script, tls=tls)


def test_a_handshake_out_of_time_is_temporary() -> None:
    flow = open_session(ClientConnection(), session_options(tls=TlsMode.IMPLICIT))
    next(flow)
    assert flow.throw(TimeoutError()) == Close()
    with pytest.raises(TlsFailed) as caught:
        flow.send(None)
    assert caught.value.temporary


@pytest.mark.clause("SEC-TLS-cli-a")
def test_a_reply_glued_behind_220() -> None:
    with pytest.raises(RemoteProtocolError):
        opened(greeted("STARTTLS") + "C: STARTTLS\nS: 220 go\nS: 250-AUTH PLAIN\n", tls=TlsMode.STARTTLS)


@pytest.mark.clause("SEC-TLS-cli-b", "SEC-TLS-cli-d", "RFC8314-5b", "RFC8314-5.2b")
def test_nothing_of_value_leaves_before_tls() -> None:
    sent = b""
    flow = open_session(ClientConnection(), session_options(tls=TlsMode.STARTTLS, auth=LOGIN))
    replies = iter([b"220 x\r\n", b"250-x\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n", b"235 welcome\r\n"])
    action = next(flow)
    while not isinstance(action, StartTLS):
        if isinstance(action, Exchange):
            sent += action.data
        action = flow.send(next(replies))
    # The 235 did not stand in for TLS.
    assert sent == b"EHLO a.example\r\nSTARTTLS\r\n"


# ---- AUTH ----


def auth(offered: str, dialogue: str, **keywords: object) -> ClientConnection:
    """Authenticate inside TLS."""
    script = SECURE + ehlo(f"AUTH {offered}") + dialogue
    return opened(script, **{"tls": TlsMode.STARTTLS, "auth": LOGIN} | keywords)


@pytest.mark.clause("OXSMTP-3.1-3.3a", "RFC4954-4aa", "RFC4954-14a", "OXSMTP-3.1-7b")
def test_plain_inside_tls() -> None:
    assert auth("NTLM LOGIN PLAIN", f"C: AUTH PLAIN {PLAIN}\nS: 235 ok\n").authenticated


@pytest.mark.clause("OXSMTP-3.1-3.3b", "OXSMTP-3.1-3.3d", "XLOGIN-2.2.2d")
def test_login_inside_tls() -> None:
    dialogue = (
        "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: YWxpY2U=\nS: 334 UGFzc3dvcmQ6\nC: d29uZGVy\nS: 235 ok\n"
    )
    assert auth("GSSAPI login", dialogue).authenticated


@pytest.mark.clause("OXSMTP-3.1-3.3c", "OXSMTP-3.1-3.3d", "OXSMTP18-4a")
def test_ntlm_in_clear_against_our_server() -> None:
    from ehlo.flows import hooks_of, serve  # noqa: PLC0415
    from ehlo.sasl import UserStore  # noqa: PLC0415
    from ehlo.testing import drive  # noqa: PLC0415

    server = Server(server_config(policy=OXSMTP_2008), hello=False)
    conn = ClientConnection()
    fresh = server.conn.__class__(server.conn.config)
    drive(
        open_session(conn, session_options(auth=LOGIN)), serve(fresh, hooks_of(UserStore({USER: PASSWORD})))
    )
    assert conn.authenticated
    assert fresh.identity is not None
    assert fresh.identity.mechanism == "NTLM"


@pytest.mark.clause("NTLM-3.1.5.1a", "NTLM-3.1.5a", "RFC4954-4m", "OXSMTP18-2.2.1b", "RFC4954-9c")
def test_a_bad_challenge_is_cancelled() -> None:
    dialogue = "C: AUTH NTLM\nS: 334 ntlm supported\nC: TlRMTVNTUAABAAAA...\nS: 334 bm90IG50bG0=\nC: *\n"
    with pytest.raises(AuthenticationFailed, match="NTLM"):
        auth("NTLM", dialogue + "S: 501 5.7.0 cancelled\n" + QUIT)


@pytest.mark.parametrize("end", ["S: 235 welcome", "S: 250 x"])
def test_a_success_before_the_credentials_is_none(end: str) -> None:
    with pytest.raises(AuthenticationFailed):
        auth("LOGIN", f"C: AUTH LOGIN\n{end}\n" + QUIT)
    with pytest.raises(AuthenticationFailed):
        auth("NTLM", f"C: AUTH NTLM\n{end}\n" + QUIT)


def test_endless_challenges_are_cancelled() -> None:
    dialogue = "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: YWxpY2U=\nS: 334 UGFzc3dvcmQ6\nC: d29uZGVy\n"
    "S: 334 UGFzc3dvcmQ6\nC: *\n"
    with pytest.raises(AuthenticationFailed):
        auth("LOGIN", dialogue + "S: 501 x\n" + QUIT)


@pytest.mark.clause("RFC4954-6d", "RFC4954-9c", "RFC5321-4.2.1a")
def test_wrong_credentials_end_the_session_without_another_guess() -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        auth("PLAIN LOGIN NTLM", f"C: AUTH PLAIN {PLAIN}\nS: 535 5.7.8 no\n" + QUIT)
    assert not caught.value.temporary
    assert caught.value.reply is not None
    assert caught.value.reply.code == 535


@pytest.mark.clause("RFC4954-6b")
@pytest.mark.parametrize("code", [454, 432])
def test_a_temporary_failure_is_no_wrong_password(code: int) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        auth("PLAIN", f"C: AUTH PLAIN {PLAIN}\nS: {code} 4.7.0 later\n" + QUIT)
    assert caught.value.temporary


@pytest.mark.clause("RFC4954-4x", "RFC4954-6c", "RFC4954-6g", "NTLM-3.1.5.2a")
@pytest.mark.parametrize("code", [504, 534, 538])
def test_another_mechanism_where_this_one_will_not_do(code: int) -> None:
    dialogue = f"C: AUTH PLAIN {PLAIN}\nS: {code} no\nC: AUTH LOGIN\nS: 334 \nC: YWxpY2U=\nS: 334 \n"
    dialogue += "C: d29uZGVy\nS: 235 ok\n"
    assert auth("PLAIN LOGIN", dialogue).authenticated


def test_no_mechanism_left() -> None:
    with pytest.raises(AuthenticationFailed):
        auth("PLAIN", f"C: AUTH PLAIN {PLAIN}\nS: 504 no\n" + QUIT)


@pytest.mark.clause("RFC4954-4h")
def test_501_to_an_initial_response_is_tried_once_in_two_steps() -> None:
    again = f"C: AUTH PLAIN {PLAIN}\nS: 501 no IR\nC: AUTH PLAIN\nS: 334 \nC: {PLAIN}\n"
    assert auth("PLAIN", again + "S: 235 ok\n").authenticated
    with pytest.raises(AuthenticationFailed):
        auth("PLAIN", again + "S: 501 no\n" + QUIT)


@pytest.mark.clause("RFC4954-4i")
def test_an_initial_response_that_does_not_fit_waits_for_the_challenge() -> None:
    long = Password("a" * 200, "b" * 300)
    dialogue = "C: AUTH PLAIN\nS: 334 \nC: AGFhYWFh...\nS: 235 ok\n"
    assert auth("PLAIN", dialogue, auth=long).authenticated


@pytest.mark.clause("RFC4954-14a", "RFC4954-9c", "XLOGIN-5.1a")
def test_no_password_in_clear() -> None:
    with pytest.raises(AuthenticationFailed, match="without TLS"):
        opened(greeted("AUTH PLAIN LOGIN") + QUIT, auth=LOGIN)
    conn = opened(
        greeted("AUTH PLAIN") + f"C: AUTH PLAIN {PLAIN}\nS: 235 ok\n", auth=LOGIN, allow_cleartext_auth=True
    )
    assert conn.authenticated


@pytest.mark.clause("RFC4954-14a", "RFC8314-5a", "RFC8314-3.3b")
def test_tls_without_a_verified_certificate_protects_no_password() -> None:
    conn = ClientConnection()
    flow = open_session(conn, session_options(tls=TlsMode.IMPLICIT, auth=LOGIN))
    next(flow)
    from ehlo import TLSInfo  # noqa: PLC0415

    action = flow.send(TLSInfo(version="TLSv1.3", cipher="X", verified=False))
    replies = iter([b"220 x\r\n", b"250-x\r\n250 AUTH PLAIN\r\n", b"221 bye\r\n"])
    sent = b""
    with pytest.raises(AuthenticationFailed, match="verified certificate"):  # noqa: PT012
        while True:
            if isinstance(action, Exchange):
                sent += action.data
            action = flow.send(next(replies) if isinstance(action, Exchange | Receive) else None)
    assert sent == b"EHLO a.example\r\nQUIT\r\n"


@pytest.mark.clause("RFC4954-9c")
@pytest.mark.parametrize("offers", [(), ("AUTH",), ("AUTH GSSAPI X-SECRET",)])
def test_nothing_in_common(offers: tuple[str, ...]) -> None:
    with pytest.raises(AuthenticationFailed):
        opened(greeted(*offers) + QUIT, auth=LOGIN)


def test_the_callers_choice_of_mechanisms() -> None:
    dialogue = "C: AUTH LOGIN\nS: 334 \nC: YWxpY2U=\nS: 334 \nC: d29uZGVy\nS: 235 ok\n"
    assert auth("PLAIN LOGIN", dialogue, mechanisms=("LOGIN",)).authenticated
    with pytest.raises(AuthenticationFailed):
        auth("PLAIN LOGIN", QUIT, mechanisms=("NTLM",))


@pytest.mark.clause("EXCH-ehlo-a", "EXCH-ehlo-b")
def test_exchange_2003_is_given_ntlm_in_clear() -> None:
    dialogue = "C: AUTH NTLM\nS: 334 NTLM supported\nC: TlRMTVNTUAABAAAA...\nS: 454 4.7.0 later\n"
    with pytest.raises(AuthenticationFailed) as caught:
        opened(greeted(*EXCHANGE_2003) + dialogue + QUIT, auth=LOGIN)
    assert caught.value.temporary


@pytest.mark.parametrize("end", ["S: <close>", "S: <reset>", "S: <silence>", "S: 421 bye"])
@pytest.mark.parametrize("said", ["", "S: 334 VXNlcm5hbWU6\nC: YWxpY2U=\n"])
def test_a_connection_that_is_lost_in_auth(said: str, end: str) -> None:
    with pytest.raises(SessionError) as caught:
        auth("LOGIN", "C: AUTH LOGIN\n" + said + end)
    assert caught.value.temporary


# ---- the caller's mistakes ----


@pytest.mark.parametrize(
    "keywords",
    [
        {"client_name": "a b"},
        {"client_name": "a.example\r\nQUIT"},
        {"auth": ("alice", "x")},
        {"mechanisms": ("PLAIN", "PLIAN")},
    ],
)
def test_options_that_could_never_work(keywords: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError, match=next(iter(keywords))):
        session_options(**keywords)


@pytest.mark.parametrize("keywords", [{"auth": Password("a\0b", "x"), "allow_cleartext_auth": True}])
def test_a_wrong_argument_closes_the_connection(keywords: dict[str, object]) -> None:
    conn = ClientConnection()
    flow = open_session(conn, session_options(**keywords))
    replies = iter([b"220 x\r\n", b"250-x\r\n250 AUTH PLAIN\r\n"])
    seen: list[object] = [next(flow)]
    with pytest.raises(LocalProtocolError):  # noqa: PT012
        while True:
            seen.append(flow.send(next(replies) if isinstance(seen[-1], Exchange | Receive) else None))
    assert seen[-1] == Close()


# ---- close ----


@pytest.mark.clause("RFC5321-4.1.1.10b")
@pytest.mark.parametrize(
    "end",
    [
        "S: 221 bye",
        "S: <close>",
        "S: <reset>",
        "S: <silence>",
        "S: 500 what",
        "S: 354 go",
        "S: garbage",
        "S: 421 x",
        "S: 221-a\nS: <close>",
        "S: 250 odd",
    ],
)
def test_whatever_becomes_of_quit(end: str) -> None:
    conn = opened(greeted())
    server = ScriptedServer(f"C: QUIT\n{end}")
    run(close(conn), server)
    server.check_done()


def test_no_quit_on_a_session_that_is_over_or_waits() -> None:
    from ehlo import Noop  # noqa: PLC0415

    conn = opened(greeted())
    conn.send(Noop())
    assert list(close(conn)) == [Close()]
    assert list(close(ClientConnection())) == [Close()]
