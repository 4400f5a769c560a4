"""What `ehlo serve` asks of senders, and what it does to messages."""

from __future__ import annotations

import contextlib
from email import message_from_bytes
from pathlib import Path

import pytest
from tests.bindings.programs import ALICE, BOB, CAROL, MESSAGE, PASSWORD, SENDER, USER, one_line, run, serving

import ehlo
from ehlo_io import client_context


@pytest.mark.clause("OXSMTP-3.2b", "RFC4409-8.2a", "RFC4409-8.3a", "RFC5321-4.4a", "RFC6409-8a")
def test_messages_get_what_they_lack(tmp_path: Path) -> None:
    complete = b"Date: Fri, 21 Nov 1997 09:55:06 -0600\r\nMessage-ID: <1@client.example>\r\n" + MESSAGE
    with serving(*USER, "--maildir", tmp_path, "--hostname", "mail.local.example") as program:
        with program.connect(auth=ALICE) as client:
            client.submit(MESSAGE, sender=SENDER, recipients=[BOB])
            client.submit(complete, sender=SENDER, recipients=[CAROL])
            with pytest.raises(ehlo.SubmissionFailed, match=r"552 5\.3\.4 "):
                client.submit(b"x: y\r\n" * 30_000, sender=SENDER, recipients=[BOB])
        assert program.end() == 0
    stored = [path.read_bytes() for path in (tmp_path / "new").iterdir()]
    mended, untouched = sorted(stored, key=lambda octets: octets.endswith(complete))
    fields = ["Return-Path", "Received", "Subject", "Date", "Message-ID"]
    assert message_from_bytes(mended).keys() == fields
    assert message_from_bytes(mended)["Message-ID"].endswith("@mail.local.example>")
    added = message_from_bytes(untouched.removesuffix(complete))
    assert added.keys() == ["Return-Path", "Received"]
    assert "with ESMTPA id " in added["Received"]


ADDRESSES = {
    "unqualified": b"To: bob\r\n",
    "one label": b"From: alice@local\r\n",
    "no address": b"From: Alice Liddell\r\n",
}


@pytest.mark.clause("RFC4409-4.2b", "RFC4409-5.1b", "RFC4409-5.1d")
@pytest.mark.parametrize(
    ("options", "refused"),
    [(USER, set(ADDRESSES)), ((*USER, "--no-fixups"), set()), (("--preset", "open-test"), set())],
)
def test_who_alters_messages_answers_for_the_addresses_in_them(
    options: tuple[str, ...], refused: set[str]
) -> None:
    with serving(*options) as program:
        with program.connect(auth=ALICE if "--user" in options else None) as client:
            for what, field in ADDRESSES.items():
                expected = (
                    pytest.raises(ehlo.SubmissionFailed, match=r"554 5\.6\.0 ")
                    if what in refused
                    else contextlib.nullcontext()
                )
                with expected:
                    client.submit(field + MESSAGE, sender=SENDER, recipients=[BOB])
        assert program.end() == 0
    assert program.out.count("octets") == len(ADDRESSES) - len(refused)


@pytest.mark.clause("RFC4409-6.1a")
def test_who_may_send_as_what() -> None:
    rights = ("--sender", f"alice:{SENDER}", "--sender", "ALICE:@lists.local.example")
    with serving(*USER, *rights) as program:
        with program.connect(auth=ALICE) as client:
            for sender in (SENDER, "x@lists.local.example", None):
                client.submit(MESSAGE, sender=sender, recipients=[BOB])
            with pytest.raises(ehlo.SubmissionFailed, match=r"550 5\.7\.1 "):
                client.submit(MESSAGE, sender=CAROL, recipients=[BOB])
        assert program.end() == 0


@pytest.mark.clause("RFC4409-6.1a", "RFC4409-4.3a")
def test_the_strict_preset(tmp_path: Path) -> None:
    line = one_line(run("serve", "--port", "0", *USER, "--preset", "rfc6409-strict"))
    assert line == "the policy requires TLS and there is no TLS context"
    ca = tmp_path / "ca.pem"
    options = ("--user", f"{SENDER}:{PASSWORD}", "--self-signed", "--write-ca", ca)
    with serving(*options, "--preset", "rfc6409-strict") as program:
        context = client_context(str(ca))
        account = ehlo.Password(SENDER, PASSWORD)
        with program.connect(
            tls="starttls", context=context, server_name="localhost", auth=account
        ) as client:
            client.submit(MESSAGE, sender=SENDER, recipients=[BOB])
            with pytest.raises(ehlo.SubmissionFailed, match=r"550 5\.7\.1 "):
                client.submit(MESSAGE, sender=CAROL, recipients=[BOB])
        assert program.end() == 0


@pytest.mark.parametrize("text", ["alice", "alice:", "alice:carol", "alice:@", "alice:a b@c.example"])
def test_senders_that_are_none(text: str) -> None:
    line = one_line(run("serve", "--port", "0", *USER, "--sender", text))
    assert line.startswith("--sender is NAME:ADDRESS")
