from __future__ import annotations

from typing import Literal

import attrs
import pytest

from ehlo.extensions import Body
from ehlo.policy import (
    OPEN_TEST,
    OXSMTP_2008,
    BareNewlines,
    SubmissionPolicy,
    check_data,
    check_mail,
    check_rcpt,
)
from ehlo.wire.address import Mailbox, parse_forward_path, parse_reverse_path
from ehlo.wire.reply import Reply

STRICT = OXSMTP_2008
LAX = SubmissionPolicy(require_qualified_domains=False)


def told(reply: Reply | None) -> tuple[int, str] | None:
    return None if reply is None else (reply.code, str(reply.enhanced))


@pytest.mark.clause("RFC4409-4.2a", "OXSMTP-3.2-4.2a", "RFC2821-4.1.2a", "RFC6531-3.5a")
@pytest.mark.parametrize(
    ("text", "mail", "rcpt"),
    [
        ("a@b.example", None, None),
        ("a@b.c.d", None, None),
        ("a@localhost", (554, "5.1.8"), (554, "5.1.2")),
        ("a@b", (554, "5.1.8"), (554, "5.1.2")),
        ("postmaster@b", (554, "5.1.8"), (554, "5.1.2")),
        ("postmaster@b.example", None, None),
        ("a@[192.0.2.1]", None, None),
        ("a@[IPv6:::1]", None, None),
        ("a@[x:y]", None, None),
        ('"a.b"@c', (554, "5.1.8"), (554, "5.1.2")),
        ("@x.y:a@b", (554, "5.1.8"), (554, "5.1.2")),
        ("é@b.example", (550, "5.6.7"), (553, "5.6.7")),
        ("a@é.example", (550, "5.6.7"), (553, "5.6.7")),
        ("é@b", (550, "5.6.7"), (553, "5.6.7")),
    ],
)
def test_paths(text: str, mail: tuple[int, str] | None, rcpt: tuple[int, str] | None) -> None:
    reverse, forward = parse_reverse_path(text, utf8=True), parse_forward_path(text, utf8=True)
    assert told(check_mail(STRICT, reverse)) == mail
    assert told(check_rcpt(STRICT, forward)) == rcpt
    assert told(check_mail(LAX, reverse)) == (mail if "é" in text else None)
    assert told(check_rcpt(LAX, forward)) == (rcpt if "é" in text else None)


@pytest.mark.clause("OXSMTP-3.2-4.1a", "OXSMTP-3.2-4.2a")
@pytest.mark.parametrize("code", [550, 554])
def test_the_general_code(code: Literal[550, 554]) -> None:
    policy = SubmissionPolicy(rejection_code=code)
    assert told(check_mail(policy, Mailbox("a", "b"))) == (code, "5.1.8")
    assert told(check_rcpt(policy, Mailbox("a", "b"))) == (code, "5.1.2")


@pytest.mark.clause("RFC4409-3.2c", "RFC6409-3.2a")
def test_the_null_sender() -> None:
    for policy in (STRICT, LAX, OPEN_TEST):
        assert check_mail(policy, None) is None


@pytest.mark.clause("RFC5321-2.3.5b", "RFC5321-4.1.1.3c")
@pytest.mark.parametrize("text", ["postmaster", "PostMaster"])
def test_postmaster_needs_no_domain(text: str) -> None:
    assert check_rcpt(STRICT, parse_forward_path(text)) is None
    assert told(check_rcpt(STRICT, Mailbox("root", ""))) == (554, "5.1.2")


@pytest.mark.clause("SEC-SMUG-in-c", "RFC5321-2.4e")
@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("eight", [False, True])
@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("require", [False, True])
def test_data(bare: bool, eight: bool, declared: bool, keep: bool, require: bool) -> None:
    policy = SubmissionPolicy(
        bare_newlines=BareNewlines.KEEP if keep else BareNewlines.REFUSE, require_8bitmime=require
    )
    body = Body.EIGHT_BIT_MIME if declared else None
    refusal = check_data(policy, bare_newline=bare, eight_bit=eight, declared=body)
    if bare and not keep:
        assert told(refusal) == (554, "5.6.0")
    elif eight and require and not declared:
        assert told(refusal) == (554, "5.6.1")
    else:
        assert refusal is None


@pytest.mark.clause("SEC-SMUG-in-d")
def test_a_bare_newline_may_end_the_session() -> None:
    policy = SubmissionPolicy(bare_newlines=BareNewlines.CLOSE)
    assert told(check_data(policy, bare_newline=True, eight_bit=False, declared=None)) == (421, "4.7.0")
    assert check_data(policy, bare_newline=False, eight_bit=False, declared=None) is None


@pytest.mark.clause("OXSMTP-A-a", "RFC4954-4z")
def test_the_defaults_are_the_profile() -> None:
    policy = SubmissionPolicy()
    assert {field.name: getattr(policy, field.name) for field in attrs.fields(SubmissionPolicy)} == {
        "require_auth": True,
        "require_tls": False,
        "allow_cleartext_auth": False,
        "require_qualified_domains": True,
        "rejection_code": 554,
        "trust_submitter": False,
        "legacy_auth_line": False,
        "auth_prose": False,
        "hello_without_name": False,
        "bad_credentials": Reply(535, "Authentication credentials invalid", "5.7.8"),
        "authentication_required": Reply(530, "Authentication required", "5.7.0"),
        "unknown_mechanism": Reply(504, "Unrecognized authentication type", "5.5.4"),
        "bare_newlines": BareNewlines.REFUSE,
        "require_8bitmime": False,
    }


def test_refusals_repeat_nothing() -> None:
    for check in (check_mail, check_rcpt):
        for mailbox in (Mailbox("s3cret", "s3cret"), Mailbox("s3crét", "s3cret")):
            refusal = check(STRICT, mailbox)
            assert refusal is not None
            assert "s3cr" not in str(refusal)
