"""What a policy does to a session: postmaster, the return path, domains that it completes."""

from __future__ import annotations

import attrs
import pytest
from tests.helpers.driver import ALICE, OPEN, Server, server_config

from ehlo import (
    EVERY,
    OPEN_TEST,
    OXSMTP_2008,
    RFC6409_STRICT,
    Identity,
    MailReceived,
    RcptReceived,
    ServerConfig,
    SubmissionPolicy,
)

AUTH_FIRST = "530 5.7.0 Authentication required"
NOBODY = Identity("anonymous", "anonymous", "ANONYMOUS", anonymous=True)


def with_policy(policy: SubmissionPolicy, identity: Identity | None = None) -> Server:
    return Server(server_config(policy=policy), identity=identity)


WAIVED = attrs.evolve(OXSMTP_2008, postmaster_without_auth=True)


@pytest.mark.clause("RFC4409-6.4a", "RFC5321-2.3.5b")
@pytest.mark.parametrize("identity", [None, NOBODY])
@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("postmaster", True),
        ("PostMaster", True),
        ("postmaster@mail.example", True),
        ("POSTMASTER@MAIL.EXAMPLE", True),
        ("postmaster@other.example", False),
        ("bob@mail.example", False),
        ("postmaster@other", False),
    ],
)
def test_postmaster_is_for_everybody_where_the_policy_says_so(
    identity: Identity | None, path: str, taken: bool
) -> None:
    server = with_policy(WAIVED, identity)
    assert server.one("MAIL FROM:<a@x.org>").startswith("250 ")
    reply = server.one(f"RCPT TO:<{path}>")
    assert reply == "250 2.1.5 Recipient OK" if taken else reply[:4] in ("530 ", "554 ")
    assert server.one("DATA").startswith("354 " if taken else "554 5.5.1 ")


def test_postmaster_with_others_is_for_postmaster_alone() -> None:
    server = with_policy(WAIVED)
    replies = server.say("MAIL FROM:<a@x.org>", "RCPT TO:<bob@x.org>", "RCPT TO:<postmaster>", "VRFY bob")
    assert [replies[0][:3], *replies[1:]] == ["250", AUTH_FIRST, "250 2.1.5 Recipient OK", AUTH_FIRST]
    assert [event.forward_path.local for event in server.of(RcptReceived)] == ["postmaster"]


@pytest.mark.clause("RFC4409-4.3a")
def test_without_the_waiver_mail_is_530() -> None:
    assert with_policy(OXSMTP_2008).one("MAIL FROM:<a@x.org>") == AUTH_FIRST
    assert with_policy(WAIVED, ALICE).say("MAIL FROM:<a@x.org>", "RCPT TO:<bob@x.org>")[-1][:3] == "250"


@pytest.mark.clause("RFC4409-3.2b", "RFC4409-3.2c")
@pytest.mark.parametrize("identity", [None, NOBODY, ALICE])
@pytest.mark.parametrize("require", [False, True])
def test_the_null_sender_of_somebody_unknown(identity: Identity | None, require: bool) -> None:
    policy = attrs.evolve(OPEN, require_return_path=require)
    reply = with_policy(policy, identity).one("MAIL FROM:<>")
    refused = require and identity is not ALICE
    assert reply == ("550 5.1.7 No return path can be determined" if refused else "250 2.1.0 Sender OK")
    assert with_policy(policy, identity).one("MAIL FROM:<a@x.org>").startswith("250 ")


@pytest.mark.clause("RFC4409-4.2a", "RFC4409-4.2c")
@pytest.mark.parametrize("parameters", ["", " BODY=8BITMIME"])
def test_a_single_label_is_completed(parameters: str) -> None:
    policy = attrs.evolve(OPEN, qualify_with="x.example")
    server = with_policy(policy)
    for _ in range(2):
        # The second time by what was remembered of the first.
        replies = server.say(
            f"MAIL FROM:<a@host>{parameters}",
            "RCPT TO:<b@host>",
            "RCPT TO:<c@y.org>",
            "RCPT TO:<postmaster>",
            "RSET",
        )
        assert [reply[:3] for reply in replies] == ["250"] * 5
    assert [str(event.reverse_path) for event in server.of(MailReceived)] == ["a@host.x.example"] * 2
    paths = ["b@host.x.example", "c@y.org", "postmaster"]
    assert [str(event.forward_path) for event in server.of(RcptReceived)] == paths * 2
    assert with_policy(OPEN).one("MAIL FROM:<a@host>").startswith("554 5.1.8 ")


@pytest.mark.clause("RFC4409-3.1b", "OXSMTP-3.2-3.1a")
def test_submission_and_relay_side_by_side_with_one_set_up() -> None:
    submission = server_config(policy=OXSMTP_2008)
    relay: ServerConfig = attrs.evolve(submission, policy=OPEN_TEST)
    assert Server(submission).one("MAIL FROM:<a@x.org>") == AUTH_FIRST
    assert Server(relay).one("MAIL FROM:<a@x.org>").startswith("250 ")


@pytest.mark.clause("RFC6409-7c")
@pytest.mark.parametrize("word", ["CONPERM", "CONNEG"])
def test_content_negotiation_is_never_offered(word: str) -> None:
    server = Server(attrs.evolve(server_config(), extensions=EVERY), hello=False)
    assert not any(word in line for line in server.say("EHLO a"))
    assert server.one(f"MAIL FROM:<a@x.org> {word}").startswith("555 5.5.4 ")


@pytest.mark.clause("RFC4409-4.3a", "RFC5321-2.4e")
def test_the_strict_preset_step_by_step() -> None:
    server = with_policy(RFC6409_STRICT)
    assert server.one("MAIL FROM:<a@x.org>") == "530 5.7.0 Must issue a STARTTLS command first"
    server.start_tls()
    server.say("EHLO a")
    assert server.one("MAIL FROM:<a@x.org>") == AUTH_FIRST
    assert server.one("AUTH PLAIN AGFsaWNlAHdvbmRlcg==").startswith("235 ")
    server.say("MAIL FROM:<a@x.org>", "RCPT TO:<b@x.org>", "DATA")
    assert server.one("\u00fc\r\n.") == "554 5.6.1 8-bit data without BODY=8BITMIME"
    server.say("MAIL FROM:<a@x.org> BODY=8BITMIME", "RCPT TO:<b@x.org>", "DATA")
    assert server.one("\u00fc\r\n.").startswith("250 ")
