"""AUTH in the server role: base64, `=`, `*`, order, mechanisms on this channel, what is counted."""

from __future__ import annotations

import attrs
import pytest
from tests.helpers.driver import (
    ALICE,
    MECHANISMS,
    OPEN,
    PASSWORD,
    TLS,
    USER,
    Server,
    answer,
    server_config,
)
from tests.helpers.sasl import HERE, client_context

from ehlo import (
    OXSMTP_2008,
    PAUSED,
    Authenticated,
    AuthNeed,
    AuthRefused,
    Identity,
    Limits,
    LocalProtocolError,
    Password,
    Reply,
    State,
    VerifyPassword,
    nt_hash,
)
from ehlo.sasl import (
    Challenge,
    Done,
    NtlmClient,
    Refuse,
    ServerMechanism,
    ServerSteps,
)
from ehlo.wire import base64


def b64(data: bytes) -> str:
    return base64.encode(data).decode()


PLAIN = b64(f"\0{USER}\0{PASSWORD}".encode())
WRONG = b64(f"\0{USER}\0no".encode())
MAIL = "MAIL FROM:<a@x.org>"
OK = "235 2.7.0 Authentication succeeded"
INVALID = "535 5.7.8 Authentication credentials invalid"
BAD_BASE64 = "501 5.5.2 Invalid base64"
UNKNOWN = "504 5.5.4 Unrecognized authentication type"


@pytest.fixture
def server() -> Server:
    return Server()


def strict() -> Server:
    return Server(server_config(policy=OXSMTP_2008))


# ---- what is offered and taken ----


@pytest.mark.clause("RFC8314-4.1a", "RFC8314-4.1b")
@pytest.mark.clause("RFC4954-4y", "RFC4954-4z", "RFC4954-9b", "RFC4954-6f", "XLOGIN-5.1a", "OXSMTP-3.2-7d")
@pytest.mark.clause("RFC4954-3b", "RFC4954-4aa", "RFC3207-4.2f", "OXSMTP-3.2-3.2a", "OXSMTP-3.2-3.3b")
def test_cleartext_mechanisms_are_neither_offered_nor_taken_without_tls() -> None:
    server = strict()
    assert "250-AUTH NTLM" in server.say("EHLO a")
    for line in (f"AUTH PLAIN {PLAIN}", "AUTH PLAIN", "AUTH LOGIN", "auth login YWxpY2U="):
        assert server.one(line) == UNKNOWN
    # The credentials were not looked at.
    assert not server.of(AuthNeed)
    server.start_tls()
    assert "250-AUTH PLAIN LOGIN NTLM" in server.say("EHLO a")
    assert server.one(f"AUTH PLAIN {PLAIN}") == OK


@pytest.mark.clause("RFC4954-3a", "NTLM-2.2.1.8a")
def test_nothing_to_offer_means_no_line() -> None:
    server = Server(server_config(mechanisms={}), hello=False)
    assert not any("AUTH" in line for line in server.say("EHLO a"))
    assert server.one("AUTH NTLM") == UNKNOWN


@pytest.mark.clause("RFC4954-4d", "NTLM-2.2.1.8a", "RFC4422-3.1a")
@pytest.mark.parametrize("name", ["FOO", "CRAM-MD5", "PLAIN2", "=", "*", "\u00e9", "PLAIN\u00a0x", "X" * 300])
def test_unknown_mechanisms(server: Server, name: str) -> None:
    assert server.one(f"AUTH {name}") == UNKNOWN
    assert server.one(f"AUTH {name} {PLAIN}") == UNKNOWN


def test_a_missing_mechanism(server: Server) -> None:
    assert server.one("AUTH") == "501 5.5.4 Syntax error in parameters"


@pytest.mark.clause("RFC4954-8a", "RFC5321-2.4a")
@pytest.mark.parametrize("line", ["auth plain", "AUTH Plain", "Auth pLaIn"])
def test_names_in_any_letter_case(server: Server, line: str) -> None:
    assert server.one(f"{line} {PLAIN}") == OK


# ---- the exchanges ----


@pytest.mark.clause("RFC4954-4h", "RFC4954-4e", "RFC4954-4ae", "OXSMTP-3.2-3.3a")
def test_plain_in_two_steps(server: Server) -> None:
    assert server.one("AUTH PLAIN") == "334 "
    assert server.conn.state is State.AUTH
    assert server.one(PLAIN) == OK
    (done,) = server.of(Authenticated)
    assert done.identity == Identity(USER, USER, "PLAIN")
    assert server.conn.identity == done.identity


@pytest.mark.clause(
    "XLOGIN-3.2.5.1a", "XLOGIN-3.2.5.1b", "XLOGIN-3.2.5.2a", "XLOGIN-3.2.5.3a", "XLOGIN-2.2.2b"
)
@pytest.mark.clause("XLOGIN-2.2.2c")
def test_login_in_both_forms(server: Server) -> None:
    assert server.one("AUTH LOGIN") == "334 VXNlcm5hbWU6"
    assert server.one(b64(b"nobody")) == "334 UGFzc3dvcmQ6"
    assert server.one(b64(b"guess")) == INVALID
    assert server.one(f"AUTH LOGIN {b64(USER.encode())}") == "334 UGFzc3dvcmQ6"
    assert server.one(b64(PASSWORD.encode())) == OK


@pytest.mark.clause("OXSMTP-3.2-7e", "NTLM-2.2.1.2a", "NTLM-2.2.1.3a", "NTLM-3.2.5.2a", "NTLM-nlmp-f")
@pytest.mark.clause("NTLM-3.2.5.1a", "OXSMTP18-4a")
@pytest.mark.parametrize("initial", [True, False])
def test_ntlm(initial: bool) -> None:
    server = strict()
    context = client_context(initial_response=initial)
    client = NtlmClient(Password(USER, PASSWORD), context)
    first = client.initial()
    if first is None:
        assert server.one("AUTH NTLM") == "334 "
        first = client.respond(b"")
        challenge = server.one(b64(first))
    else:
        challenge = server.one(f"AUTH NTLM {b64(first)}")
    assert challenge.startswith("334 TlRMTVNTUAAC")
    assert server.one(b64(client.respond(challenge[4:].encode()))) == OK
    assert server.conn.identity == Identity(USER, USER, "NTLM")
    # No security layer, no reset: the session goes on.
    assert server.one(MAIL).startswith("250 2.1.0")


@pytest.mark.clause("NTLM-2.2.1.4a")
def test_ntlm_with_a_wrong_password() -> None:
    server = strict()
    client = NtlmClient(Password(USER, "wrong"), HERE)
    server.one("AUTH NTLM")
    challenge = server.one(b64(client.respond(b"")))
    assert server.one(b64(client.respond(challenge[4:].encode()))) == INVALID
    assert server.conn.identity is None
    assert server.one(MAIL).startswith("530 ")


@pytest.mark.clause("NTLM-nlmp-a", "NTLM-3.2.5.2b")
def test_ntlm_out_of_order_is_malformed() -> None:
    server = strict()
    assert server.one("AUTH NTLM") == "334 "
    assert server.one(b64(b"NTLMSSP\0\3\0\0\0" + bytes(60))) == "501 5.5.2 Malformed authentication data"


@pytest.mark.clause("RFC4954-4g", "XLOGIN-3.2.5a", "NTLM-3.2.5a")
@pytest.mark.parametrize("lines", [["AUTH PLAIN"], ["AUTH LOGIN"], ["AUTH LOGIN", "YWxpY2U="], ["AUTH NTLM"]])
def test_cancel(server: Server, lines: list[str]) -> None:
    server.say(*lines)
    assert server.one("*") == "501 5.7.0 Authentication cancelled"
    assert server.conn.state is State.READY
    assert server.conn.identity is None
    assert server.one(f"AUTH PLAIN {PLAIN}") == OK


@pytest.mark.clause("RFC4954-4l", "RFC4954-4n", "XLOGIN-3.2.5a")
@pytest.mark.parametrize(
    "text",
    [
        "=AAA",
        "A",
        "AA",
        "AAA",
        "AAA=A",
        "AA=A",
        "A===",
        "AGFs aWNl",
        "AGFs\tYWNl",
        "AGFs-_==",
        "é",
        "AAB=",
        "**",
        "* ",
        "====",
        PLAIN + "=",
        PLAIN[:-2],
        " " + PLAIN,
        PLAIN + " ",
    ],
)
def test_bad_base64(server: Server, text: str) -> None:
    server.say("AUTH PLAIN")
    assert server.one(text) == BAD_BASE64
    assert server.conn.state is State.READY
    assert server.one("NOOP").startswith("250 ")
    assert not server.of(AuthNeed)


@pytest.mark.clause("RFC4954-4l", "RFC4954-4n")
@pytest.mark.parametrize("text", ["=AAA", "A", "x x", "====", "*", "AAB="])
def test_bad_base64_in_the_initial_response(server: Server, text: str) -> None:
    assert server.one(f"AUTH PLAIN {text}") == BAD_BASE64
    assert server.conn.state is State.READY


class Echo(ServerMechanism):
    """Tells whether an initial response came, and whether it was empty."""

    name = "ECHO"

    def exchange(self, initial: bytes | None) -> ServerSteps:
        said = initial
        if initial is None:
            said = yield Challenge(b"none")
        return Refuse(f"{initial!r} {said!r}")


class First(Echo):
    name = "FIRST"
    server_first = True

    def exchange(self, initial: bytes | None) -> ServerSteps:
        yield Challenge(b"")
        return Done(Identity("x", "x", self.name))


ODD = server_config(mechanisms={"ECHO": Echo, "FIRST": First})


@pytest.mark.clause("RFC4954-4j")
def test_an_empty_initial_response_is_not_none() -> None:
    server = Server(ODD)
    assert server.one("AUTH ECHO =") == INVALID
    assert server.one("AUTH ECHO") == f"334 {b64(b'none')}"
    # [notes b5] an empty line is data.
    assert server.one("") == INVALID
    server.say("AUTH ECHO")
    assert server.one("=") == BAD_BASE64
    assert [event.reason for event in server.of(AuthRefused)] == ["b'' b''", "None b''"]


@pytest.mark.clause("RFC4954-4k")
def test_no_initial_response_where_the_server_speaks_first() -> None:
    server = Server(ODD)
    assert server.one("AUTH FIRST =") == "501 5.7.0 No initial response for this mechanism"
    assert server.one("AUTH FIRST AAAA").startswith("501 5.7.0 ")
    assert server.conn.state is State.READY
    assert server.one("AUTH FIRST") == "334 "
    assert server.one("") == OK


def test_malformed_data_is_no_guess(server: Server) -> None:
    assert server.one(f"AUTH PLAIN {b64(b'x')}") == "501 5.5.2 Malformed authentication data"


@pytest.mark.clause("RFC4954-4ad", "SEC-INJ-both-b")
def test_lines_of_an_exchange_are_never_commands(server: Server) -> None:
    # QUIT and NOOP are base64 by chance: a name and a password that are not UTF-8.
    assert server.say("AUTH LOGIN", "QUIT", "NOOP", "RSET") == [
        "334 VXNlcm5hbWU6",
        "334 UGFzc3dvcmQ6",
        "501 5.5.2 Malformed authentication data",
        "250 2.0.0 Reset",
    ]
    assert not server.closed


@pytest.mark.clause("RFC4954-4ad", "RFC2920-3.2h")
def test_commands_behind_auth_with_an_initial_response_wait_for_it() -> None:
    server = Server(server_config(policy=attrs.evolve(OPEN, require_auth=True)))
    assert [line[:3] for line in server.say(f"AUTH PLAIN {PLAIN}", MAIL)] == ["235", "250"]
    server = Server(server_config(policy=attrs.evolve(OPEN, require_auth=True)))
    assert [line[:3] for line in server.say(f"AUTH PLAIN {WRONG}", MAIL)] == ["535", "530"]


# ---- order ----


@pytest.mark.clause("RFC4954-4b")
def test_a_second_auth(server: Server) -> None:
    server.say(f"AUTH PLAIN {PLAIN}")
    for line in ("AUTH PLAIN", f"AUTH PLAIN {PLAIN}", "AUTH FOO", "AUTH"):
        assert server.one(line) == "503 5.5.1 Bad sequence of commands"
    # EHLO does not undo it [notes b8].
    server.say("EHLO again")
    assert server.conn.identity is not None
    assert server.one("AUTH PLAIN").startswith("503 ")


@pytest.mark.clause("RFC4954-4c")
def test_auth_in_a_transaction(server: Server) -> None:
    server.say(MAIL)
    assert server.one(f"AUTH PLAIN {PLAIN}") == "503 5.5.1 Bad sequence of commands"
    assert server.one("RCPT TO:<b@x.org>").startswith("250 2.1.5")
    assert server.one(f"AUTH PLAIN {PLAIN}") == "503 5.5.1 Bad sequence of commands"
    assert server.one("DATA").startswith("354")


@pytest.mark.clause("RFC3207-4.2c", "SEC-TLS-srv-c")
def test_authentication_does_not_survive_starttls(server: Server) -> None:
    server.say(f"AUTH PLAIN {PLAIN}")
    assert server.conn.identity is not None
    server.start_tls()
    assert server.conn.identity is None
    server.say("EHLO a")
    assert server.one(f"AUTH PLAIN {PLAIN}") == OK


@pytest.mark.clause("RFC4409-7o", "XLOGIN-3.2.5.2a", "RFC5248-3a")
def test_an_unknown_user_and_a_wrong_password_look_alike(server: Server) -> None:
    unknown = b64(b"\0nobody\0wonder")
    assert server.one(f"AUTH PLAIN {unknown}") == server.one(f"AUTH PLAIN {WRONG}") == INVALID


def test_acting_as_another_is_refused_unless_the_application_says_otherwise(server: Server) -> None:
    other = b64(f"bob\0{USER}\0{PASSWORD}".encode())
    assert server.one(f"AUTH PLAIN {other}") == INVALID

    def yes(event: AuthNeed) -> None:
        need = event.need
        server.conn.auth_answer(answer(need) if isinstance(need, VerifyPassword) else True)

    server.decisions[AuthNeed] = yes
    assert server.one(f"AUTH PLAIN {other}") == OK
    assert server.conn.identity == Identity(USER, "bob", "PLAIN")


# ---- needs ----


@pytest.mark.clause("RFC2920-3.2h")
def test_a_need_holds_everything_back(server: Server) -> None:
    server.decisions[AuthNeed] = None
    assert server.say(f"AUTH PLAIN {PLAIN}", "NOOP") == []
    assert server.last is PAUSED
    (event,) = server.of(AuthNeed)
    assert (event.need, event.mechanism) == (VerifyPassword(USER, PASSWORD, ""), "PLAIN")
    assert server.conn.deadline is None
    with pytest.raises(LocalProtocolError):
        server.conn.accept()
    server.conn.auth_answer(True)
    # The event comes before what is behind it runs.
    assert isinstance(server.conn.next_event(), Authenticated)
    with pytest.raises(LocalProtocolError):
        server.conn.auth_answer(True)
    assert server.pump().decode().split("\r\n") == [OK, "250 2.0.0 OK", ""]


@pytest.mark.parametrize("value", [None, False, 0, 1, "yes", object()])
def test_only_true_is_yes(server: Server, value: object) -> None:
    server.decisions[AuthNeed] = None
    server.say(f"AUTH PLAIN {PLAIN}")
    server.conn.auth_answer(value)
    assert server.pump().decode() == INVALID + "\r\n"
    assert server.conn.identity is None


@pytest.mark.clause("RFC4954-6b", "NTLM-3.2.5.2b")
@pytest.mark.parametrize("lines", [[f"AUTH PLAIN {PLAIN}"], ["AUTH PLAIN", PLAIN]])
def test_a_back_end_that_is_down(server: Server, lines: list[str]) -> None:
    server.decisions[AuthNeed] = None
    server.say(*lines)
    server.conn.auth_refuse()
    assert server.pump() == b"454 4.7.0 Temporary authentication failure\r\n"
    assert server.conn.state is State.READY
    assert server.conn.identity is None
    del server.decisions[AuthNeed]
    assert server.one(f"AUTH PLAIN {PLAIN}") == OK


@pytest.mark.clause("RFC4954-6a", "RFC4954-6c")
def test_other_refusals_of_the_application(server: Server) -> None:
    server.decisions[AuthNeed] = None
    server.say(f"AUTH PLAIN {PLAIN}")
    server.conn.auth_refuse(Reply(534, "Too weak for you", "5.7.9"))
    assert server.pump() == b"534 5.7.9 Too weak for you\r\n"


def test_auth_that_cannot_be_decided_cannot_go_on_for_ever() -> None:
    server = Server(server_config(limits=Limits(errors=3)))
    server.decisions[AuthNeed] = None
    for code in ("454", "454", "454", "421"):
        server.say(f"AUTH PLAIN {PLAIN}")
        server.conn.auth_refuse()
        assert server.pump().decode()[:3] == code
    assert server.closed


def test_an_answer_that_cannot_be_one_still_gets_the_client_a_reply() -> None:
    server = strict()
    client = NtlmClient(Password(USER, PASSWORD), HERE)
    server.one("AUTH NTLM")
    challenge = server.one(b64(client.respond(b"")))
    server.decisions[AuthNeed] = None
    assert server.say(b64(client.respond(challenge[4:].encode())), "NOOP") == []
    with pytest.raises(LocalProtocolError):
        server.conn.auth_answer(nt_hash(PASSWORD)[:15])
    assert [line[:9] for line in server.pump().decode().split("\r\n")] == ["454 4.7.0", "250 2.0.0", ""]
    assert server.conn.identity is None


# ---- limits ----


@pytest.mark.clause("RFC4954-9a", "SEC-INJ-srv-b")
def test_guessing_ends_in_421(server: Server) -> None:
    for _ in range(3):
        assert server.one(f"AUTH PLAIN {WRONG}") == INVALID
    assert server.one(f"AUTH PLAIN {WRONG}") == "421 4.7.0 Too many authentication failures"
    assert [event.failures for event in server.of(AuthRefused)] == [1, 2, 3, 4]
    assert server.closed


def test_failures_are_counted_through_starttls(server: Server) -> None:
    for _ in range(3):
        server.say(f"AUTH PLAIN {WRONG}")
    server.start_tls()
    server.say("EHLO a")
    assert server.one(f"AUTH PLAIN {WRONG}")[:3] == "421"


def test_cancelling_for_ever_ends_in_421(server: Server) -> None:
    codes = [server.say("AUTH PLAIN", "*")[-1][:3] for _ in range(21)]
    assert codes == ["501"] * 20 + ["421"]


@pytest.mark.clause("RFC4954-4o", "SEC-INJ-srv-b")
def test_lines_up_to_the_limit_are_read(server: Server) -> None:
    text = b64(bytes(9000))
    server.say("AUTH PLAIN")
    # 12288 octets with CRLF; it is three NULs too many, but no line too long.
    assert server.one((text * 2)[: 12288 - 4]) == "501 5.5.2 Malformed authentication data"
    assert server.one("AUTH PLAIN " + (text * 2)[:12272]) == "501 5.5.2 Malformed authentication data"


@pytest.mark.clause("RFC4954-4p", "SEC-INJ-srv-b")
@pytest.mark.parametrize("length", [12287, 20000, 100000])
def test_longer_lines_are_read_to_their_end_and_refused(server: Server, length: int) -> None:
    server.say("AUTH PLAIN")
    assert server.say("A" * length, "NOOP") == [
        "500 5.5.6 Authentication line too long",
        "250 2.0.0 OK",
    ]
    assert server.conn.state is State.READY


def test_a_line_without_end_closes(server: Server) -> None:
    server.say("AUTH PLAIN")
    for _ in range(20):
        server.feed(b"A" * 65536)
    assert server.closed
    assert not server.of(AuthNeed)


@pytest.mark.clause("OXSMTP-3.2-4.3a", "RFC4954-9a")
def test_with_an_identity_from_outside_auth_is_still_open() -> None:
    server = Server(server_config(policy=OXSMTP_2008), identity=ALICE)
    server.start_tls(TLS)
    server.say("EHLO a")
    assert server.one(f"AUTH PLAIN {WRONG}") == INVALID
    assert server.conn.identity == ALICE


def test_the_mechanisms_are_those_of_the_profile() -> None:
    assert list(MECHANISMS) == ["PLAIN", "LOGIN", "NTLM"]
