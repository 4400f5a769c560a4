"""The server role: default replies, the order of checks, decisions, transactions, the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import attrs
import pytest
from tests.helpers.driver import ALICE, OPEN, TLS, Server, server_config, state_of

from ehlo import (
    NEED_DATA,
    OPEN_TEST,
    OXSMTP_2008,
    PAUSED,
    STANDARD,
    AuthParam,
    Body,
    BodyStarted,
    ConnectionClosed,
    ConnectionOpened,
    EnvId,
    HelloReceived,
    HelpReceived,
    Limits,
    LocalProtocolError,
    Mailbox,
    MailReceived,
    MessageReceived,
    Notify,
    Orcpt,
    QuitReceived,
    RcptReceived,
    Recipient,
    Reply,
    Ret,
    ServerConfig,
    ServerConnection,
    ServerEvent,
    Size,
    State,
    TransactionReset,
    VrfyReceived,
)

MAIL, RCPT = "MAIL FROM:<a@x.org>", "RCPT TO:<b@x.org>"


def opened(**keywords: object) -> Server:
    """A session after EHLO."""
    return Server(server_config(**keywords))  # type: ignore[arg-type]


# ---- the greeting ----


@pytest.mark.clause("RFC5321-4.3.2a", "RFC2034-4a", "RFC5321-3.1d")
def test_the_greeting_has_no_enhanced_code() -> None:
    assert Server(hello=False).greeting == b"220 mail.example ESMTP ready\r\n"


@pytest.mark.clause("RFC5321-3.1d")
def test_the_text_of_the_greeting_is_configurable() -> None:
    config = attrs.evolve(server_config(), greeting="hi")
    assert Server(config, hello=False).greeting == b"220 mail.example hi\r\n"


@pytest.mark.clause("RFC5321-3.1a", "RFC5321-3.1b")
def test_after_a_refused_greeting_only_quit_is_left() -> None:
    server = Server(decisions={ConnectionOpened: Reply(554, "no service")}, hello=False)
    assert server.greeting == b"554 no service\r\n"
    for line in ("EHLO a", "NOOP", "RSET", MAIL, "AUTH PLAIN", "STARTTLS", "FOO", "ETRN x", "VRFY x"):
        # [RFC2034-4a] no enhanced code in any reply to EHLO.
        assert server.one(line).startswith("503 Bad" if line == "EHLO a" else "503 5.5.1 "), line
    assert server.conn.state is State.REFUSED
    assert server.one("QUIT") == "221 2.0.0 mail.example closing connection"


def test_a_refused_greeting_inside_tls_is_503_all_the_same() -> None:
    conn = ServerConnection(server_config())
    conn.start_tls_done(TLS)
    assert conn.next_event() == ConnectionOpened()
    conn.reject(Reply(554, "no service"))
    conn.data_to_send()
    conn.receive_data(b"EHLO a\r\n")
    assert conn.next_event() is NEED_DATA
    assert conn.data_to_send().startswith(b"503 ")


@pytest.mark.clause("RFC5321-7.8a")
def test_a_greeting_of_421_ends_the_session() -> None:
    server = Server(decisions={ConnectionOpened: Reply(421, "busy", "4.3.2")}, hello=False)
    assert server.greeting == b"421 4.3.2 busy\r\n"
    assert server.events == [ConnectionOpened(), ConnectionClosed()]


@pytest.mark.clause("RFC5321-4.3.1c")
def test_an_early_talker_does_not_break_the_session() -> None:
    conn = ServerConnection(server_config())
    conn.receive_data(b"EHLO a\r\n")
    assert conn.next_event() == ConnectionOpened()
    assert conn.next_event() is PAUSED
    conn.accept()
    assert conn.next_event() == HelloReceived("a", True)


# ---- EHLO and HELO ----


@pytest.mark.clause("RFC5321-4.1.1.1c", "RFC5321-4.1.1.1e", "RFC3461-3a", "RFC2034-4f", "RFC2920-2a")
@pytest.mark.clause("RFC4409-7a", "RFC4409-7b", "RFC4409-7d", "RFC4409-7e", "RFC4409-7j", "RFC4409-7k")
@pytest.mark.clause("OXSMTP-3.2-7a", "OXSMTP-3.2-7b", "OXSMTP-3.2-7c", "OXSMTP-3.2-7e", "RFC4409-7l")
@pytest.mark.clause("RFC5321-2.2.2a", "RFC4409-7c", "RFC6409-7a", "RFC4409-7g", "RFC4954-3a", "RFC1870-3a")
def test_ehlo_lists_what_there_is() -> None:
    server = Server(server_config(policy=OXSMTP_2008), hello=False)
    assert server.say("EHLO client.example") == [
        "250-mail.example",
        "250-PIPELINING",
        "250-SIZE 67108864",
        "250-STARTTLS",
        "250-AUTH NTLM",
        "250-ENHANCEDSTATUSCODES",
        "250-8BITMIME",
        "250-DSN",
        "250-CHUNKING",
        "250 SMTPUTF8",
    ]
    assert server.conn.client_name == "client.example"
    assert server.conn.extended


@pytest.mark.clause("RFC5321-2.2.1a")
def test_ehlo_without_extensions_is_one_line() -> None:
    config = attrs.evolve(server_config(), extensions=())
    assert Server(config, hello=False).say("EHLO a") == ["250 mail.example"]


@pytest.mark.clause("RFC1870-3a")
def test_without_a_bound_size_is_zero() -> None:
    server = Server(server_config(limits=Limits(message_size=None)), hello=False)
    assert "250-SIZE 0" in server.say("EHLO a")


@pytest.mark.clause("RFC5321-2.2.1b", "RFC5321-3.2a", "RFC5321-4.1.1.1f")
def test_helo_is_one_line_and_enables_no_extension() -> None:
    server = Server(hello=False)
    assert server.say("HELO client.example") == ["250 mail.example"]
    assert not server.conn.extended
    assert server.one(f"{MAIL} SIZE=5").startswith("555 5.5.4 ")
    assert server.one(MAIL).startswith("250 2.1.0 ")
    assert server.one(f"{RCPT} NOTIFY=NEVER").startswith("555 5.5.4 ")


@pytest.mark.clause("RFC2034-4e")
def test_enhanced_codes_are_sent_after_helo_too() -> None:
    server = Server(hello=False)
    server.say("HELO client.example")
    assert server.one(MAIL) == "250 2.1.0 Sender OK"


@pytest.mark.clause("RFC5321-4.3.2a", "RFC2034-4a")
@pytest.mark.parametrize("argument", ["", " ", " a\u00e9.example", " a/b", " " + "x" * 256, " <a>", ' "a"'])
@pytest.mark.parametrize("verb", ["EHLO", "HELO"])
def test_a_hello_without_a_name_is_501(verb: str, argument: str) -> None:
    server = Server(hello=False)
    assert server.one(verb + argument) == "501 Syntax: EHLO hostname"
    assert server.conn.state is State.HELLO


@pytest.mark.clause("RFC5321-4.1.1.1b", "RFC5321-4.1.4e", "RFC2821-4.1.1.1a")
@pytest.mark.parametrize("name", ["a", "host_1.local", "[192.0.2.1]", "[IPv6:::1]", "192.0.2.1", "a b c"])
def test_any_name_will_do(name: str) -> None:
    server = Server(hello=False)
    assert server.say(f"EHLO {name}")[-1].startswith("250 ")
    assert server.conn.client_name == name.split(maxsplit=1)[0]


@pytest.mark.clause("RFC5321-7.9a", "RFC5321-4.1.4d")
def test_a_refused_ehlo_changes_nothing() -> None:
    server = opened()
    server.say(MAIL, RCPT)
    server.decisions[HelloReceived] = Reply(550, "Access denied", "5.7.1")
    assert server.one("EHLO other.example") == "550 Access denied"
    assert server.one("EHLO <") == "501 Syntax: EHLO hostname"
    assert server.conn.client_name == "client.example"
    assert server.one("DATA").startswith("354")
    assert not server.of(TransactionReset)


@pytest.mark.clause("RFC5321-4.1.4c", "RFC5321-4.1.1.1g")
@pytest.mark.parametrize("line", ["EHLO again.example", "HELO again.example"])
def test_an_accepted_hello_resets_the_transaction(line: str) -> None:
    server = opened()
    server.say(MAIL, RCPT, line)
    assert server.events[-1] == TransactionReset()
    assert server.one("DATA").startswith("503 5.5.1 ")
    assert server.one(MAIL).startswith("250 ")


# ---- order [notes b9] ----


@pytest.mark.clause("RFC5321-4.1.4b", "RFC5321-3.3e", "RFC3207-4.2c")
@pytest.mark.parametrize("line", [MAIL, RCPT, "DATA", "AUTH PLAIN", "STARTTLS"])
def test_before_ehlo_is_503(line: str) -> None:
    server = Server(hello=False)
    assert server.one(line) == "503 5.5.1 Send EHLO first"


@pytest.mark.clause("RFC5321-4.1.4f", "RFC5321-3.5.3a")
def test_what_needs_no_ehlo() -> None:
    server = Server(hello=False)
    assert server.one("NOOP") == "250 2.0.0 OK"
    assert server.one("RSET") == "250 2.0.0 Reset"
    assert server.one("HELP").startswith("214 2.0.0 ")
    assert server.one("VRFY a").startswith("252 2.5.0 ")
    assert server.one("EXPN a").startswith("502 5.5.1 ")


@pytest.mark.clause("RFC5321-3.3b", "RFC5321-3.3e")
def test_rcpt_without_mail() -> None:
    assert opened().one(RCPT) == "503 5.5.1 Need MAIL first"


@pytest.mark.clause("RFC5321-3.3c", "RFC2920-3.2b", "RFC2920-3.2c")
def test_data_without_recipients() -> None:
    server = opened(policy=attrs.evolve(OXSMTP_2008, require_auth=False))
    assert server.one("DATA") == "503 5.5.1 Need MAIL first"
    server.say(MAIL)
    assert server.one("DATA") == "503 5.5.1 Need RCPT first"
    assert server.one("RCPT TO:<b@unqualified>").startswith("554 5.1.2 ")
    assert server.one("DATA") == "554 5.5.1 No valid recipients"
    assert server.conn.state is State.MAIL
    server.say("RSET", MAIL)
    # What was tried in the transaction before does not count.
    assert server.one("DATA") == "503 5.5.1 Need RCPT first"


@pytest.mark.clause("RFC5321-4.1.4g", "RFC5321-3.3a")
def test_nested_mail() -> None:
    server = opened()
    server.say(MAIL, RCPT)
    assert server.one("MAIL FROM:<other@x.org>") == "503 5.5.1 A transaction is open already"
    server.say("DATA", "hello", ".")
    (message,) = server.of(MessageReceived)
    assert message.envelope.reverse_path == Mailbox("a", "x.org")


@pytest.mark.clause("OXSMTP-3.2-4.3a", "RFC4409-4.3a", "RFC4954-6e", "RFC2554-6b")
def test_mail_without_authentication_is_530_and_starts_nothing() -> None:
    server = opened(policy=OXSMTP_2008)
    assert server.one(MAIL) == "530 5.7.0 Authentication required"
    # What is wrong with the argument is not looked at.
    assert server.one("MAIL FROM:<") == "530 5.7.0 Authentication required"
    assert server.one(RCPT).startswith("503 5.5.1 ")
    assert server.one("DATA").startswith("503 5.5.1 ")
    assert server.one("VRFY a").startswith("530 5.7.0 ")
    assert server.one("EXPN a").startswith("530 5.7.0 ")
    for line in ("NOOP", "RSET", "HELP", "HELO a"):
        assert server.one(line)[0] == "2"
    assert not server.of(MailReceived)


@pytest.mark.clause("OXSMTP-3.2-4.3a", "RFC4409-3.2c", "RFC6409-3.2a")
def test_the_null_sender_needs_authentication_like_any_other() -> None:
    assert opened(policy=OXSMTP_2008).one("MAIL FROM:<>").startswith("530 5.7.0 ")
    assert Server(server_config(policy=OXSMTP_2008), identity=ALICE).one("MAIL FROM:<>").startswith("250 ")


@pytest.mark.clause("OXSMTP-3.2-4.3b")
@pytest.mark.parametrize("policy", [OPEN, OPEN_TEST, attrs.evolve(OXSMTP_2008, require_auth=False)])
@pytest.mark.parametrize("parameter", ["", " AUTH=<>", " AUTH=c+40x.org", " BODY=8BITMIME SIZE=1"])
@pytest.mark.parametrize("path", ["<a@x.org>", "<>"])
def test_without_required_authentication_mail_is_never_refused_for_want_of_it(
    policy: object, parameter: str, path: str
) -> None:
    server = opened(policy=policy)
    assert server.one(f"MAIL FROM:{path}{parameter}") == "250 2.1.0 Sender OK"


@pytest.mark.clause("RFC4409-3.3a")
def test_an_identity_from_outside() -> None:
    server = Server(server_config(policy=OXSMTP_2008), identity=ALICE)
    assert server.conn.identity == ALICE
    assert server.one(MAIL).startswith("250 ")
    # It was not said by the client, so TLS does not take it back; nor does it close the way to AUTH.
    server.say("RSET")
    server.start_tls()
    assert server.conn.identity == ALICE
    server.say("EHLO a")
    assert server.one("AUTH PLAIN AGFsaWNlAHdvbmRlcg==").startswith("235 ")
    assert server.conn.identity is not None
    assert server.conn.identity.mechanism == "PLAIN"
    assert server.one("AUTH PLAIN AGFsaWNlAHdvbmRlcg==").startswith("503 5.5.1 ")
    assert server.one(MAIL).startswith("250 ")


@pytest.mark.clause("RFC3207-4g", "RFC3207-4h", "RFC3207-6a")
def test_tls_required() -> None:
    policy = attrs.evolve(OXSMTP_2008, require_tls=True, allow_cleartext_auth=True)
    server = opened(policy=policy)
    for line in (MAIL, RCPT, "DATA", "AUTH PLAIN", "VRFY a", "EXPN a", "HELP"):
        assert server.one(line) == "530 5.7.0 Must issue a STARTTLS command first", line
    for line in ("NOOP", "RSET", "HELO a"):
        assert server.one(line).startswith("250"), line
    server.say("EHLO a")
    server.start_tls()
    # No EHLO was seen: sequence comes first.
    assert server.one(MAIL).startswith("503 5.5.1 ")
    server.say("EHLO a")
    assert server.one(MAIL).startswith("530 5.7.0 Authentication")


def test_tls_required_and_no_ehlo_yet_is_503() -> None:
    policy = attrs.evolve(OXSMTP_2008, require_tls=True)
    assert Server(server_config(policy=policy), hello=False).one(MAIL).startswith("503 5.5.1 ")


# ---- verbs ----


@pytest.mark.clause("RFC5321-4.2.4a", "RFC5321-F.6a", "RFC4409-7c", "RFC6409-7a")
@pytest.mark.parametrize("verb", ["ETRN", "ATRN", "TURN", "SEND", "SOML", "SAML", "BURL", "etrn"])
def test_known_and_not_implemented(verb: str) -> None:
    assert opened().one(f"{verb} x") == "502 5.5.1 Command not implemented"


@pytest.mark.clause("RFC5321-4.2.4a", "RFC5321-2.3.8c")
@pytest.mark.parametrize(
    "line", ["FOO", "XEXCH50 1 2", "GET / HTTP/1.1", "", " ", " NOOP", "EHLOa", "CONNECT"]
)
def test_unknown_commands(line: str) -> None:
    assert opened().one(line) == "500 5.5.1 Command not recognized"


@pytest.mark.clause("RFC5321-2.4a")
@pytest.mark.parametrize(
    "line", ["ehlo a", "eHlO a", "mail from:<a@x.org>", "Noop", "rSeT", "vrfy a", "hElp"]
)
def test_verbs_in_any_letter_case(line: str) -> None:
    assert opened().say(line)[-1][0] == "2"


@pytest.mark.clause("RFC5321-2.4a")
def test_keywords_in_any_letter_case() -> None:
    server = opened()
    assert server.one("mail FROM:<a@x.org> size=5 Body=8bitmime").startswith("250 ")
    assert server.one("rcpt to:<b@x.org> notify=Success").startswith("250 ")


@pytest.mark.clause("RFC5321-4.1.1a")
@pytest.mark.parametrize("line", ["NOOP  ", "RSET ", MAIL + "   ", "QUIT ", "HELP "])
def test_trailing_space_is_tolerated(line: str) -> None:
    assert opened().one(line)[0] == "2"


@pytest.mark.clause("RFC5321-4.1.1b")
@pytest.mark.parametrize("line", ["RSET x", "QUIT now", "DATA x"])
def test_arguments_where_none_belong(line: str) -> None:
    server = opened()
    server.say(MAIL, RCPT)
    assert server.one(line) == "501 5.5.4 Command takes no argument"
    assert server.conn.state is State.RCPT


@pytest.mark.clause("RFC5321-4.1.1.9a")
def test_noop_ignores_its_argument() -> None:
    server = opened()
    server.say(MAIL)
    assert server.one("NOOP whatever it is") == "250 2.0.0 OK"
    assert server.conn.state is State.MAIL


@pytest.mark.clause("RFC5321-4.1.1.5a")
def test_rset_undoes_the_transaction_and_nothing_else() -> None:
    server = opened()
    server.start_tls()
    server.say("EHLO b.example", "AUTH PLAIN AGFsaWNlAHdvbmRlcg==", MAIL, RCPT)
    assert server.one("RSET") == "250 2.0.0 Reset"
    assert server.events[-1] == TransactionReset()
    assert server.conn.client_name == "b.example"
    assert server.conn.tls == TLS
    assert server.conn.identity is not None
    assert server.one("RSET") == "250 2.0.0 Reset"
    assert len(server.of(TransactionReset)) == 1


@pytest.mark.clause("RFC5321-3.5.1a", "RFC5321-7.3a", "RFC5321-3.5.3a", "RFC5321-4.3.2d")
def test_vrfy() -> None:
    server = opened()
    assert server.one("VRFY alice") == "252 2.5.0 Cannot verify, will attempt delivery"
    assert server.one("VRFY") == "501 5.5.4 Syntax error in parameters"
    server.decisions[VrfyReceived] = Reply(250, "Alice <alice@x.org>", "2.1.5")
    assert server.one("VRFY alice") == "250 2.1.5 Alice <alice@x.org>"
    server.decisions[VrfyReceived] = Reply(550, "No such user", "5.1.1")
    assert server.one("VRFY eve") == "550 5.1.1 No such user"
    assert [event.text for event in server.of(VrfyReceived)] == ["alice", "alice", "eve"]


@pytest.mark.clause("RFC5321-3.5.2b")
def test_expn_is_not_there() -> None:
    server = Server(hello=False)
    assert not any("EXPN" in line for line in server.say("EHLO a"))
    assert server.one("EXPN list") == "502 5.5.1 Command not implemented"


@pytest.mark.clause("RFC5321-4.1.1.8a")
def test_help() -> None:
    server = opened()
    assert server.one("HELP").startswith("214 2.0.0 ")
    server.decisions[HelpReceived] = Reply(504, "No help on that", "5.5.4")
    assert server.one("HELP MAIL") == "504 5.5.4 No help on that"
    assert [event.topic for event in server.of(HelpReceived)] == ["", "MAIL"]


# ---- paths ----


@pytest.mark.clause("RFC4409-5.1a", "RFC4409-5.1c", "RFC5321-4.1.2b", "RFC5321-4.1.2c", "RFC5321-4.1.4h")
@pytest.mark.parametrize(
    "path",
    [
        "",
        "a@x.org",
        "<a@x.org",
        "a@x.org>",
        "<.a@x.org>",
        "<a.@x.org>",
        "<a..b@x.org>",
        "<a b@x.org>",
        "<@x.org>",
        "<a@>",
        "<a@-x.org>",
        "<a@x_y.org>",
        "<a@[300.1.1.1]>",
        "<a@[IPv6:zz]>",
        "<a@x.org>x",
        "<a@#123>",
        f"<{'a' * 65}@x.org>",
        f"<a@{'b' * 256}>",
        '<"a@x.org>',
        "<<a@x.org>>",
        "<a@x.org>SIZE=3",
    ],
)
def test_bad_paths(path: str) -> None:
    server = opened()
    assert server.one(f"MAIL FROM:{path}") == "501 5.1.7 Bad sender address syntax"
    assert server.conn.state is State.READY
    server.say(MAIL)
    assert server.one(f"RCPT TO:{path}") == "501 5.1.3 Bad recipient address syntax"
    assert state_of(server.conn) is State.MAIL


def test_keywords_of_paths_are_needed() -> None:
    server = opened()
    assert server.one("MAIL TO:<a@x.org>").startswith("501 5.1.7 ")
    assert server.one("MAIL <a@x.org>").startswith("501 5.1.7 ")
    server.say(MAIL)
    assert server.one("RCPT FROM:<a@x.org>").startswith("501 5.1.3 ")
    assert server.one("RCPT TO:<>").startswith("501 5.1.3 ")


@pytest.mark.clause("RFC5321-4.1.2a")
def test_the_space_behind_the_colon_is_tolerated() -> None:
    server = opened()
    assert server.one("MAIL FROM: <a@x.org>").startswith("250 ")
    assert server.one("RCPT TO:  <a@x.org>").startswith("250 ")


@pytest.mark.clause("RFC5321-2.3.5b", "RFC5321-4.1.1.3c", "RFC5321-4.5.1b")
@pytest.mark.parametrize("spelling", ["postmaster", "Postmaster", "POSTMASTER"])
def test_postmaster_needs_no_domain(spelling: str) -> None:
    server = opened()
    server.say(MAIL)
    assert server.one(f"RCPT TO:<{spelling}>").startswith("250 2.1.5 ")
    (rcpt,) = server.of(RcptReceived)
    assert rcpt.forward_path.is_postmaster


@pytest.mark.clause("RFC5321-3.3i", "RFC5321-2.4b", "RFC5321-2.3.11a", "RFC5321-4.1.2d")
@pytest.mark.parametrize(
    ("path", "mailbox"),
    [
        ("<@a.org,@b.org:MixedCase@X.org>", Mailbox("MixedCase", "X.org")),
        ('<"a>b c@d"@x.org>', Mailbox("a>b c@d", "x.org")),
        ("<a+b@[192.0.2.1]>", Mailbox("a+b", "[192.0.2.1]")),
        ("<a@[ipv6:::1]>", Mailbox("a", "[ipv6:::1]")),
    ],
)
def test_paths_as_the_application_sees_them(path: str, mailbox: Mailbox) -> None:
    server = opened()
    server.say(f"MAIL FROM:{path} SIZE=9", f"RCPT TO:{path}")
    (mail,), (rcpt,) = server.of(MailReceived), server.of(RcptReceived)
    assert mail.reverse_path == rcpt.forward_path == mailbox
    assert rcpt.forward_path.local == mailbox.local
    assert mail.parameters.get(Size) == Size(9)


@pytest.mark.clause("OXSMTP-3.2-4.2a", "RFC4409-4.2a", "RFC5321-2.3.5c", "RFC4409-4.1a")
@pytest.mark.parametrize("code", [550, 554])
def test_unqualified_domains(code: Literal[550, 554]) -> None:
    server = opened(policy=attrs.evolve(OXSMTP_2008, require_auth=False, rejection_code=code))
    assert server.one("MAIL FROM:<a@nickname>").startswith(f"{code} 5.1.8 ")
    assert server.one(MAIL).startswith("250")
    assert server.one("RCPT TO:<a@nickname>").startswith(f"{code} 5.1.2 ")
    assert server.one("RCPT TO:<a@[192.0.2.1]>").startswith("250")


@pytest.mark.clause("RFC5321-4.1.2g", "RFC6531-3.3a", "RFC6531-3.5c")
def test_addresses_that_are_not_ascii() -> None:
    server = opened()
    assert server.one("MAIL FROM:<jörg@x.org>").startswith("550 5.6.7 ")
    server.say(MAIL)
    assert server.one("RCPT TO:<ü@x.org>").startswith("553 5.6.7 ")
    assert server.feed(b"RCPT TO:<\xff@x.org>\r\n").startswith(b"501 5.1.3 ")


# ---- parameters ----


@pytest.mark.clause("RFC5321-4.1.1.11a")
@pytest.mark.parametrize("parameter", ["FOO", "FOO=1", "REQUIRETLS", "NOTIFY=NEVER", "HOLDFOR=5", "X-A=b"])
def test_unknown_parameters(parameter: str) -> None:
    server = opened()
    assert server.one(f"{MAIL} {parameter}") == "555 5.5.4 Unsupported parameter"
    server.say(MAIL)
    wrong = parameter if parameter != "NOTIFY=NEVER" else "RET=FULL"
    assert server.one(f"{RCPT} {wrong}") == "555 5.5.4 Unsupported parameter"


@pytest.mark.clause("RFC5321-4.1.2i", "RFC1870-3b", "RFC3461-4.5a", "RFC3461-5.1c", "RFC3461-4.3b")
@pytest.mark.clause("RFC4954-5g", "RFC3461-4.4a", "RFC3461-4b")
@pytest.mark.parametrize(
    "parameters",
    [
        "SIZE",
        "SIZE=",
        "SIZE=-1",
        "SIZE=a",
        "SIZE=" + "1" * 21,
        "SIZE=1 SIZE=2",
        "=1",
        "SIZE==1",
        "BODY=9BIT",
        "RET=SOME",
        "RET",
        "ENVID=",
        "ENVID=a ENVID=b",
        "ENVID=+zz",
        "ENVID=" + "x" * 101,
        "AUTH=<",
        "AUTH=+4",
        "B@D",
    ],
)
def test_bad_mail_parameters(parameters: str) -> None:
    server = opened()
    assert server.one(f"{MAIL} {parameters}") == "501 5.5.4 Bad parameter"
    assert server.conn.state is State.READY


@pytest.mark.clause("RFC3461-4.1a", "RFC3461-5.1a", "RFC3461-4.5a", "RFC3461-4.2a")
@pytest.mark.parametrize(
    "parameters",
    [
        "NOTIFY",
        "NOTIFY=",
        "NOTIFY=NEVER,DELAY",
        "NOTIFY=SOON",
        "NOTIFY=SUCCESS,",
        "NOTIFY=DELAY NOTIFY=NEVER",
        "ORCPT=a@x.org",
        "ORCPT=rfc822;",
        "ORCPT=rfc822;a+2",
        "ORCPT=;a",
        "ORCPT=rfc822;" + "a" * 500,
    ],
)
def test_bad_rcpt_parameters(parameters: str) -> None:
    server = opened()
    server.say(MAIL)
    assert server.one(f"{RCPT} {parameters}") == "501 5.5.4 Bad parameter"
    assert server.conn.state is State.MAIL


@pytest.mark.clause("OXSMTP-3.2-7a", "RFC3461-5.1b", "RFC3461-5.1d", "RFC4954-5a", "RFC4954-5b")
def test_typed_parameters_reach_the_application() -> None:
    server = opened()
    line = f"{MAIL} SIZE=500 BODY=8BITMIME RET=HDRS ENVID=QQ+3D14 AUTH=e+3Dmc2@x.org"
    assert server.one(line) == "250 2.1.0 Sender OK"
    line = f"{RCPT} NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+2Bc@y.org"
    assert server.one(line) == "250 2.1.5 Recipient OK"
    server.say("RCPT TO:<c@x.org>", "DATA", ".")
    (message,) = server.of(MessageReceived)
    mail = message.envelope.parameters
    assert mail.get(Size) == Size(500)
    assert mail.get(Body) is Body.EIGHT_BIT_MIME
    assert mail.get(Ret) is Ret.HDRS
    assert mail.get(EnvId) == EnvId("QQ=14")
    assert mail.get(AuthParam) == AuthParam(Mailbox("e=mc2", "x.org"))
    first, second = message.envelope.recipients
    assert first.parameters.get(Notify) == Notify.SUCCESS | Notify.FAILURE
    orcpt = first.parameters.get(Orcpt)
    assert orcpt is not None
    assert (orcpt.type, orcpt.address, orcpt.raw) == ("rfc822", "b+c@y.org", "rfc822;b+2Bc@y.org")
    # [RFC3461-4.3a] absent stays absent.
    assert second == Recipient(Mailbox("c", "x.org"))


@pytest.mark.clause("RFC3461-4.2b", "RFC3461-5.4a", "RFC3461-4.4a")
def test_the_longest_dsn_parameters_fit() -> None:
    server = opened()
    assert server.one(f"{MAIL} RET=FULL ENVID={'x' * 100}").startswith("250 ")
    path = f"<{'l' * 64}@{'d' * 60}.{'d' * 60}.{'d' * 60}.x.org>"
    line = f"RCPT TO:{path} NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;{'a' * 493}"
    assert server.one(line).startswith("250 ")


@pytest.mark.clause("RFC1870-6.1a", "RFC1870-7a", "RFC1870-6.1c", "RFC1870-6b", "RFC1870-6.3a")
def test_declared_sizes() -> None:
    server = opened(limits=Limits(message_size=1000))
    assert server.one(f"{MAIL} SIZE=1001") == "552 5.3.4 Message size exceeds limit"
    assert server.one(f"{MAIL} SIZE={'9' * 20}") == "552 5.3.4 Message size exceeds limit"
    assert server.one(f"{MAIL} SIZE=10").startswith("250 ")
    server.say(RCPT, "DATA")
    # More than declared and less than the maximum is taken, and the end is where the dot is.
    assert server.one("x" * 900 + "\r\n.").startswith("250 2.0.0 ")


# ---- decisions ----


def undecided(server: Server, kind: type, line: str) -> ServerEvent:
    server.decisions[kind] = None
    assert server.say(line) == []
    assert server.last is PAUSED
    event = server.events[-1]
    assert type(event) is kind
    return event


@pytest.mark.clause("RFC2920-3.2h", "RFC2920-3.2a", "RFC2920-3.2e", "RFC2920-3.2f")
def test_a_decision_holds_back_what_is_behind_it() -> None:
    server = opened()
    server.decisions[MailReceived] = None
    assert server.say(MAIL, RCPT, "NOOP", "FOO") == []
    assert server.last is PAUSED
    assert not server.of(RcptReceived)
    assert server.feed(b"RSET\r\n") == b""
    server.conn.reject(Reply(550, "not you", "5.7.1"))
    assert server.pump().split(b"\r\n") == [
        b"550 5.7.1 not you",
        b"503 5.5.1 Need MAIL first",
        b"250 2.0.0 OK",
        b"500 5.5.1 Command not recognized",
        b"250 2.0.0 Reset",
        b"",
    ]


@pytest.mark.clause("RFC2920-3.2a", "RFC2920-3.2e", "RFC5321-4.2a")
def test_replies_to_a_group_leave_in_one_write() -> None:
    server = opened()
    assert [line[:3] for line in server.say("RSET", MAIL, RCPT, RCPT, "DATA")] == ["250"] * 4 + ["354"]


@pytest.mark.clause("RFC2034-4b", "RFC5321-4.3.2c")
def test_354_has_no_enhanced_code() -> None:
    server = opened()
    server.say(MAIL, RCPT)
    assert server.one("DATA") == "354 End data with <CR><LF>.<CR><LF>"


@pytest.mark.clause("RFC5321-4.3.1d")
@pytest.mark.parametrize(
    ("kind", "line", "good", "bad"),
    [
        (HelloReceived, "EHLO x", 250, 354),
        (MailReceived, MAIL, 250, 354),
        (VrfyReceived, "VRFY x", 251, 334),
    ],
)
def test_replies_of_a_class_the_command_cannot_have(kind: type, line: str, good: int, bad: int) -> None:
    server = opened()
    undecided(server, kind, line)
    with pytest.raises(LocalProtocolError, match=str(bad)):
        server.conn.reply(Reply(bad, "x"))
    with pytest.raises(LocalProtocolError):
        server.conn.reject(Reply(good, "x"))
    assert server.conn.data_to_send() == b""
    server.conn.reply(Reply(good, "x"))
    assert server.pump().startswith(b"%d " % good)


def test_data_is_not_accepted_with_250() -> None:
    server = opened()
    server.say(MAIL, RCPT)
    undecided(server, BodyStarted, "DATA")
    with pytest.raises(LocalProtocolError):
        server.conn.reply(Reply(250, "x"))
    server.conn.reject(Reply(451, "later"))
    assert server.pump() == b"451 4.0.0 later\r\n"
    assert server.conn.state is State.RCPT


@pytest.mark.parametrize(
    "decide",
    [
        lambda conn: conn.accept(),
        lambda conn: conn.reject(Reply(550, "no")),
        lambda conn: conn.reply(Reply(250, "yes")),
        lambda conn: conn.auth_answer(True),
        lambda conn: conn.auth_refuse(),
        lambda conn: conn.refuse_body(Reply(550, "no")),
        lambda conn: conn.start_tls_done(TLS),
    ],
)
def test_decisions_that_are_not_due(decide: Callable[[ServerConnection], None]) -> None:
    server = opened()
    with pytest.raises(LocalProtocolError):
        decide(server.conn)
    assert server.conn.data_to_send() == b""
    assert server.one("NOOP").startswith("250 ")


def test_a_question_about_credentials_is_not_decided_by_a_reply() -> None:
    from ehlo import AuthNeed  # noqa: PLC0415

    server = opened()
    undecided(server, AuthNeed, "AUTH PLAIN AGFsaWNlAHdvbmRlcg==")
    for decide in (server.conn.accept, lambda: server.conn.reject(Reply(550, "no"))):
        with pytest.raises(LocalProtocolError):
            decide()
    with pytest.raises(LocalProtocolError):
        server.conn.auth_refuse(Reply(235, "yes"))
    server.conn.auth_answer(True)
    assert server.pump().startswith(b"235 ")


@pytest.mark.clause("RFC2034-4a", "RFC2034-4c", "RFC2034-4d")
def test_replies_without_an_enhanced_code_get_one() -> None:
    server = opened()
    server.decisions[MailReceived] = Reply(550, ("no", "really"))
    assert server.say(MAIL) == ["550-5.0.0 no", "550 5.0.0 really"]
    server.decisions[MailReceived] = Reply(452, "later", "4.3.1")
    assert server.say(MAIL) == ["452 4.3.1 later"]
    server.decisions[HelloReceived] = Reply(550, "no", "5.7.1")
    assert server.say("EHLO a") == ["550 no"]


@pytest.mark.clause("SEC-INJ-srv-a")
def test_text_of_the_application_cannot_forge_a_reply() -> None:
    server = opened()
    server.decisions[MailReceived] = Reply(550, "no\r\n250 yes\n\x1b[31m\x00\u2028é", "5.7.1")
    answer = server.feed(f"{MAIL}\r\n".encode())
    assert answer.isascii()
    assert [line[:4] for line in answer.split(b"\r\n")[:-1]] == [b"550-", b"550-", b"550 "]
    assert b"\x1b" not in answer
    assert b"\x00" not in answer
    assert b"\n" not in answer.replace(b"\r\n", b"")


@pytest.mark.clause("SEC-INJ-srv-a")
@pytest.mark.parametrize(
    "line", ["FOO secret-word", "MAIL FROM:<secret-word", "EHLO secret-word/", "VRFY secret-word"]
)
def test_what_the_client_said_never_comes_back(line: str) -> None:
    assert "secret-word" not in "".join(opened().say(line))


@pytest.mark.clause("RFC5321-3.4a", "RFC4409-6.1a", "RFC4409-6.2a", "RFC5321-4.1.1.3a", "RFC5321-4.3.2b")
def test_refused_recipients_leave_the_list_unchanged() -> None:
    def decide(event: RcptReceived) -> Reply:
        local = event.forward_path.local
        return Reply(550, "no", "5.1.1") if local == "no" else Reply(251, "will forward", "2.1.5")

    server = Server(decisions={RcptReceived: decide})
    lines = server.say(MAIL, "RCPT TO:<ok@x.org>", "RCPT TO:<no@x.org>", "RCPT TO:<also@x.org>", "DATA", ".")
    assert [line[:3] for line in lines] == ["250", "251", "550", "251", "354", "250"]
    (message,) = server.of(MessageReceived)
    assert [r.path.local for r in message.envelope.recipients] == ["ok", "also"]


@pytest.mark.clause("RFC5321-4.1.1.2a", "RFC5321-4.1.1.4d", "RFC5321-3.3a")
def test_each_transaction_begins_anew() -> None:
    server = opened()
    for sender in ("a", "b"):
        server.say(f"MAIL FROM:<{sender}@x.org> RET=FULL", f"RCPT TO:<{sender}@y.org>", "DATA", sender, ".")
    server.say("MAIL FROM:<>", RCPT, "DATA", ".")
    first, second, third = (message.envelope for message in server.of(MessageReceived))
    assert [str(r.path) for r in first.recipients] == ["a@y.org"]
    assert [str(r.path) for r in second.recipients] == ["b@y.org"]
    assert third.reverse_path is None
    assert len(third.parameters) == 0
    assert server.body == b"a\r\nb\r\n"


# ---- the end ----


@pytest.mark.clause("RFC5321-4.1.1.10a", "SEC-INJ-both-c")
def test_nothing_behind_quit_is_looked_at() -> None:
    server = opened()
    assert server.say("QUIT", "NOOP", "FOO") == ["221 2.0.0 mail.example closing connection"]
    assert server.events[-2:] == [QuitReceived(), ConnectionClosed()]
    assert server.feed(b"NOOP\r\n") == b""
    assert server.conn.deadline is None
    assert isinstance(server.conn.next_event(), ConnectionClosed)
    server.conn.close()
    assert server.conn.data_to_send() == b""


@pytest.mark.clause("RFC5321-4.1.1.10a")
def test_quit_in_a_transaction_throws_it_away() -> None:
    server = opened()
    server.say(MAIL, RCPT, "QUIT")
    assert server.events[-3:] == [TransactionReset(), QuitReceived(), ConnectionClosed()]


STEPS = ["EHLO a", "AUTH LOGIN", "YWxpY2U=", "d29uZGVy", MAIL, RCPT, "DATA", "Subject: x\r\n\r\ntext"]


@pytest.mark.clause("RFC5321-4.1.1.5b", "RFC5321-4.1.1.10c", "SEC-INJ-both-b")
@pytest.mark.parametrize("cut", range(len("".join(f"{step}\r\n" for step in STEPS)) + 1))
def test_the_stream_may_end_at_every_octet(cut: int) -> None:
    octets = "".join(f"{step}\r\n" for step in STEPS).encode()[:cut]
    server = Server(hello=False)
    server.feed(octets)
    in_transaction = server.conn.state in (State.MAIL, State.RCPT, State.BODY)
    server.feed(b"")
    assert server.events[-1] == ConnectionClosed()
    assert server.of(TransactionReset) == ([TransactionReset()] if in_transaction else [])
    assert not server.of(MessageReceived)
    assert server.closed


def test_what_came_before_the_end_of_the_stream_is_answered() -> None:
    server = Server()
    server.conn.receive_data(f"NOOP\r\n{MAIL}\r\n{RCPT}\r\nDATA\r\nx\r\n.\r\nNOOP".encode())
    server.conn.receive_data(b"")
    assert [line[:3] for line in server.pump().split(b"\r\n")] == [b"250"] * 3 + [b"354", b"250", b""]
    assert len(server.of(MessageReceived)) == 1


def test_octets_behind_the_end_of_the_stream_are_the_callers_mistake() -> None:
    conn = ServerConnection(server_config())
    conn.receive_data(b"")
    with pytest.raises(LocalProtocolError):
        conn.receive_data(b"x")


def test_a_stream_that_ends_before_the_greeting() -> None:
    conn = ServerConnection(server_config())
    conn.receive_data(b"")
    assert conn.next_event() == ConnectionOpened()
    conn.accept()
    assert conn.next_event() == ConnectionClosed()


PREPARED: dict[State, list[str]] = {
    State.HELLO: [],
    State.READY: ["EHLO a"],
    State.AUTH: ["EHLO a", "AUTH LOGIN"],
    State.MAIL: ["EHLO a", MAIL],
    State.RCPT: ["EHLO a", MAIL, RCPT],
    State.BODY: ["EHLO a", MAIL, RCPT, "DATA", "half a mess"],
}


@pytest.mark.clause("RFC5321-3.8b", "RFC5321-4.5.3.1.9a", "RFC5321-3.8a")
@pytest.mark.parametrize("state", PREPARED)
def test_shutdown_in_every_state(state: State) -> None:
    server = Server(hello=False)
    server.say(*PREPARED[state])
    assert server.conn.state is state
    server.conn.close()
    assert server.pump() == b"421 4.3.2 Service not available, closing connection\r\n"
    assert bool(server.of(TransactionReset)) == (state in (State.MAIL, State.RCPT, State.BODY))
    assert server.closed


def test_closing_while_a_decision_is_due() -> None:
    server = opened()
    server.say(MAIL)
    undecided(server, RcptReceived, RCPT)
    server.conn.close(None)
    assert server.pump() == b""
    assert server.events[-2:] == [TransactionReset(), ConnectionClosed()]
    with pytest.raises(LocalProtocolError):
        server.conn.accept()


def test_only_421_ends_a_session_from_this_side() -> None:
    server = opened()
    with pytest.raises(LocalProtocolError):
        server.conn.close(Reply(550, "go away"))
    assert server.one("NOOP").startswith("250")


@pytest.mark.clause("RFC5321-3.8d", "RFC5321-3.8b")
@pytest.mark.parametrize("kind", [MailReceived, RcptReceived, BodyStarted, MessageReceived])
def test_the_application_ends_the_session_with_a_421(kind: type) -> None:
    server = opened()
    server.decisions[kind] = Reply(421, "enough", "4.3.2")
    lines = server.say(MAIL, RCPT, "DATA", "text", ".", "NOOP")
    assert lines[-1] == "421 4.3.2 enough"
    assert server.closed
    assert bool(server.of(TransactionReset)) == (kind is not MailReceived)


# ---- the configuration ----


@pytest.mark.parametrize("name", ["", "a b", "a\r\nb", "x_y.example", "[1.2.3]", "é.example"])
def test_host_names_that_cannot_stand_in_a_greeting(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        ServerConfig(hostname=name)


def test_texts_that_cannot_stand_in_a_greeting() -> None:
    with pytest.raises(LocalProtocolError):
        ServerConfig(hostname="a.example", greeting="hi\r\n250 there")


@pytest.mark.clause("RFC5321-4.5.3.1.4a", "RFC4954-3c", "RFC1870-3c", "RFC3461-5.4a")
def test_the_line_limit_grows_with_the_extensions() -> None:
    small = Limits(command_line=512)
    plain = attrs.evolve(server_config(limits=small), extensions=())
    assert plain.command_limit == 512
    grown = attrs.evolve(plain, extensions=STANDARD).command_limit
    assert grown >= 512 + 500 + 26 + 107
    assert grown >= 1036
    assert attrs.evolve(server_config(), mechanisms={}).line_limit == 4096
    assert server_config().line_limit == 12288


@pytest.mark.clause("RFC5321-4.5.3.1.4a")
def test_no_configuration_goes_below_512() -> None:
    config = attrs.evolve(server_config(limits=Limits(command_line=10)), extensions=())
    assert config.command_limit == 512


@pytest.mark.clause("OXSMTP-A-a", "OXSMTP-3.2a", "OXSMTP-3.2-3.1a")
def test_the_default_policy_is_the_profile() -> None:
    config = ServerConfig(hostname="mail.example")
    assert config.policy is OXSMTP_2008
    assert config.policy.require_auth
    assert config.policy.require_qualified_domains
    assert not config.policy.allow_cleartext_auth
