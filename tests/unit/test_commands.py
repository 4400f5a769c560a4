"""Commands as values, and the lines that they become."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehlo import (
    STANDARD,
    Auth,
    AuthParam,
    Bdat,
    Body,
    Burl,
    Command,
    Data,
    Ehlo,
    EndOfData,
    EnvId,
    Expn,
    Helo,
    Help,
    LocalProtocolError,
    Mail,
    Mailbox,
    Noop,
    Notify,
    Orcpt,
    Parameters,
    Quit,
    Rcpt,
    Ret,
    Rset,
    Size,
    StartTls,
    Verb,
    Vrfy,
    XClient,
    XClientCommand,
)
from ehlo._commands import _WRITERS, Writable, render_command
from ehlo.wire.address import AddressError, render_path

A = Mailbox("a", "x.org")
WRITABLE = Writable.of(STANDARD)


@pytest.mark.clause("RFC5321-2.4c", "RFC5321-4.1.1.2b", "RFC5321-4.1.1b", "XLOGIN-2.2.2a", "RFC4954-4a")
@pytest.mark.clause("RFC5321-4.1.1.1a", "RFC5321-2.4b", "RFC5321-4.1.2f", "RFC5321-3.3h", "RFC5321-2.3.11a")
@pytest.mark.clause("NTLM-2.2.1.1a", "NTLM-2.2.3a", "RFC4954-5a")
@pytest.mark.parametrize(
    ("command", "line"),
    [
        (Ehlo("a.example"), b"EHLO a.example"),
        (Ehlo("[192.0.2.1]"), b"EHLO [192.0.2.1]"),
        (Helo("a.example"), b"HELO a.example"),
        (StartTls(), b"STARTTLS"),
        (Auth("login"), b"AUTH LOGIN"),
        (Auth("PLAIN", b""), b"AUTH PLAIN ="),
        (Auth("LOGIN", b"alice"), b"AUTH LOGIN YWxpY2U="),
        (Auth("NTLM", bytes(300)), b"AUTH NTLM " + b"A" * 400),
        (Mail(None), b"MAIL FROM:<>"),
        (Mail(A), b"MAIL FROM:<a@x.org>"),
        (Mail(Mailbox("MiXed", "X.org")), b"MAIL FROM:<MiXed@X.org>"),
        (Mail(A, Parameters([Size(5), Body.EIGHT_BIT_MIME])), b"MAIL FROM:<a@x.org> SIZE=5 BODY=8BITMIME"),
        (Mail(A, Parameters([Ret.HDRS, EnvId("QQ=14")])), b"MAIL FROM:<a@x.org> RET=HDRS ENVID=QQ+3D14"),
        (Mail(A, Parameters([AuthParam(None)])), b"MAIL FROM:<a@x.org> AUTH=<>"),
        (Mail(A, Parameters([AuthParam(Mailbox("e=c", "x.org"))])), b"MAIL FROM:<a@x.org> AUTH=e+3Dc@x.org"),
        (Rcpt(A), b"RCPT TO:<a@x.org>"),
        (Rcpt(Mailbox("Postmaster", "")), b"RCPT TO:<Postmaster>"),
        (Rcpt(Mailbox("a b", "x.org")), b'RCPT TO:<"a b"@x.org>'),
        (
            Rcpt(A, Parameters([Notify.SUCCESS | Notify.DELAY, Orcpt.of("b+c@y.org")])),
            b"RCPT TO:<a@x.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bc@y.org",
        ),
        (Data(), b"DATA"),
        (Rset(), b"RSET"),
        (Noop(), b"NOOP"),
        (Vrfy("alice"), b"VRFY alice"),
        (Expn("list"), b"EXPN list"),
        (Vrfy("alic\xe9", utf8=True), "VRFY alic\xe9 SMTPUTF8".encode()),
        (Expn("list", utf8=True), b"EXPN list SMTPUTF8"),
        (Burl("imap://mail.example/x;uid=1"), b"BURL imap://mail.example/x;uid=1"),
        (Burl("imap://mail.example/x;uid=1", last=True), b"BURL imap://mail.example/x;uid=1 LAST"),
        (XClientCommand(XClient(name="a.example", login="al")), b"XCLIENT NAME=a.example LOGIN=al"),
        (Help(), b"HELP"),
        (Help("MAIL"), b"HELP MAIL"),
        (Quit(), b"QUIT"),
    ],
)
def test_lines(command: Command, line: bytes) -> None:
    assert render_command(command, WRITABLE) == line + b"\r\n"


EVIL = ["\r\nRSET", "\nRSET", "\r", "\0", "\x0b", "\x7f"]


@pytest.mark.clause("SEC-INJ-cli-a", "SEC-INJ-cli-b", "RFC5321-2.3.8b")
@pytest.mark.parametrize("evil", [*EVIL, "> RCPT TO:<x@y.org", " SIZE=1", ">", "<", "\ud800"])
def test_nothing_can_be_injected(evil: str) -> None:
    commands: list[Command] = [
        Ehlo(f"a{evil}"),
        Helo(f"a.example{evil}"),
        Ehlo(f"[192.0.2.1]{evil}"),
        Auth(f"PLAIN{evil}"),
        Mail(Mailbox("a", f"x.org{evil}")),
        Rcpt(Mailbox("a", f"x.org{evil}")),
        Rcpt(Mailbox("postmaster", evil)),
        Rcpt(A, Parameters([Orcpt("rfc822", "a", f"rfc822;a{evil}")])),
        Rcpt(A, Parameters([Orcpt(f"rfc822{evil}", "a", f"rfc822{evil};a")])),
    ]
    if evil in EVIL:
        commands += [Burl(f"imap://x{evil}"), XClientCommand(XClient(login=f"x{evil}"))]
        commands += [Vrfy(evil), Expn(f"x{evil}"), Help(evil), Mail(Mailbox(f"a{evil}", "x.org"))]
        commands += [Rcpt(Mailbox(f'a" {evil}', "x.org"))]
    for command in commands:
        with pytest.raises(LocalProtocolError):
            render_command(command, WRITABLE)


@pytest.mark.clause("SEC-INJ-cli-b")
@pytest.mark.parametrize("local", ["a>b", "a b", "a<", 'a"b', "a\\", "@", "a,b:c"])
def test_odd_local_parts_are_quoted(local: str) -> None:
    line = render_command(Mail(Mailbox(local, "x.org")), WRITABLE).decode()
    assert line.startswith('MAIL FROM:<"')
    assert line.endswith('"@x.org>\r\n')


@pytest.mark.clause("SEC-INJ-cli-a")
@pytest.mark.parametrize("value", [*EVIL, "", "x" * 101, "é", "\u2028"])
def test_values_that_are_no_envid(value: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        EnvId(value)


@pytest.mark.clause("RFC5321-2.3.5a", "RFC5321-4.1.2g", "RFC5321-4.5.3.1a")
@pytest.mark.parametrize(
    "command",
    [
        Ehlo(""),
        Ehlo("a b"),
        Ehlo("a_b"),
        Ehlo("é.example"),
        Ehlo("[1.2.3]"),
        Auth(""),
        Auth("X" * 21),
        Mail(Mailbox("é\x80", "x.org")),
        Rcpt(Mailbox("a", "é .org")),
        Rcpt(Mailbox("a" * 65, "x.org")),
        Rcpt(Mailbox("a", "d" * 256)),
        Rcpt(Mailbox("somebody", "")),
        Mail(A, Parameters([Size(1), Notify.NEVER])),
        Rcpt(A, Parameters([Notify.NEVER | Notify.DELAY])),
        Rcpt(A, Parameters([object()])),
        EndOfData(),
    ],
)
def test_commands_that_cannot_be_written(command: Command) -> None:
    with pytest.raises(LocalProtocolError):
        render_command(command, WRITABLE)


@pytest.mark.clause("RFC5321-4.1.1.3b")
def test_parameters_need_their_extension() -> None:
    mail = Mail(A, Parameters([Size(5)]))
    assert b"SIZE=5" in render_command(mail, WRITABLE)
    with pytest.raises(LocalProtocolError):
        render_command(mail, Writable.of(x for x in STANDARD if x.keyword != "SIZE"))


def test_every_command_has_a_verb_of_its_own() -> None:
    kinds = [kind for kind in Command.__args__ if kind not in (Bdat, Burl)]
    verbs = [*(kind.verb for kind in kinds), Bdat(1).verb, Burl("x:y").verb]
    assert len(set(verbs)) == len(verbs)
    assert {Bdat(1, last=True).verb, Burl("x:y", last=True).verb} == {Verb.END_OF_DATA}
    assert set(Verb) - set(verbs) == {Verb.CONNECT, Verb.HANDSHAKE, Verb.NONE}


def test_every_verb_has_a_writer() -> None:
    verbs = {command.verb for command in get_args(Command) if command not in (Bdat, Burl)}
    assert set(_WRITERS) == verbs | {Verb.BDAT, Verb.BURL}


@given(
    local=st.sampled_from(["a", "A", "a b", "a>", "", "postmaster", "a.b", "a\r\n", "\xe9", '"'])
    | st.text(max_size=4),
    domain=st.sampled_from(["x.org", "X.org", "", "[192.0.2.1]", "x>", "-x", "x y"]) | st.text(max_size=4),
)
def test_a_remembered_path_is_what_would_be_rendered(local: str, domain: str) -> None:
    path = Mailbox(local, domain)
    for _ in range(2):
        for command, start in ((Mail(path), "MAIL FROM:"), (Rcpt(path), "RCPT TO:")):
            try:
                expected = f"{start}{render_path(path, utf8=True)}\r\n".encode()
            except AddressError:
                with pytest.raises(LocalProtocolError):
                    render_command(command, WRITABLE)
            else:
                assert render_command(command, WRITABLE) == expected


def test_the_letter_case_of_a_domain_is_not_remembered_from_another() -> None:
    lower, upper = Mailbox("a", "x.org"), Mailbox("a", "X.ORG")
    assert lower == upper
    assert render_command(Rcpt(lower), WRITABLE) == b"RCPT TO:<a@x.org>\r\n"
    assert render_command(Rcpt(upper), WRITABLE) == b"RCPT TO:<a@X.ORG>\r\n"
