"""What the policy changes about AUTH: the Exchange preset, whom AUTH= is believed, what a channel permits."""

from __future__ import annotations

import attrs
import pytest
from tests.helpers.driver import MECHANISMS, OPEN, PASSWORD, USER, Server, server_config
from tests.helpers.sasl import EVERY_KIND, HERE, server_settings

from ehlo import (
    EVERY,
    EXCHANGE,
    OXSMTP_2008,
    AuthParam,
    HelloReceived,
    Identity,
    Mailbox,
    MailReceived,
    MtPriority,
    NtHash,
    Parameters,
    Ret,
    ServerConfig,
    ServerConnection,
    Size,
    SubmissionPolicy,
    TLSInfo,
    nt_hash,
)
from ehlo.sasl import Challenge, NtlmClient, ServerMechanism, ServerSteps, standard_mechanisms
from ehlo.wire import base64

BOUND = TLSInfo(version="TLSv1.3", cipher="X", tls_exporter=b"e" * 32)
CERTIFIED = attrs.evolve(BOUND, verified=True, peer_certificate=b"x", peer_names=("carol",))


def b64(data: bytes) -> str:
    return base64.encode(data).decode()


PLAIN = b64(f"\0{USER}\0{PASSWORD}".encode())
WRONG = b64(f"\0{USER}\0no".encode())


# ---- Exchange ----


def exchange(policy: SubmissionPolicy = EXCHANGE) -> Server:
    return Server(server_config(policy=policy), hello=False)


@pytest.mark.clause("EXCH-ehlo-d")
def test_the_old_line_beside_the_new_one() -> None:
    server = exchange()
    lines = server.say("EHLO a")
    assert "250-AUTH NTLM" in lines
    assert lines[-1] == "250 AUTH=NTLM"
    server.start_tls()
    assert server.say("EHLO a")[-1] == "250 AUTH=PLAIN LOGIN NTLM"
    assert not any("AUTH=" in line for line in exchange(OXSMTP_2008).say("EHLO a"))
    none = Server(server_config(policy=EXCHANGE, mechanisms={}), hello=False)
    assert not any("AUTH" in line for line in none.say("EHLO a"))


@pytest.mark.clause("EXCH-reply-a", "EXCH-reply-b", "EXCH-reply-c", "NTLM-2.2.1.4a")
def test_the_replies() -> None:
    server = exchange()
    server.say("EHLO a")
    assert server.one("MAIL FROM:<a@x.org>").startswith("530 5.7.57 Client was not authenticated")
    assert server.one("AUTH FOO") == "504 5.7.4 Unrecognized authentication type"
    server.start_tls()
    server.say("EHLO a")
    assert server.one(f"AUTH PLAIN {WRONG}") == "535 5.7.3 Authentication unsuccessful"


@pytest.mark.clause("OXSMTP18-2.2.1a", "OXSMTP18-4a", "NTLM-2.2.1.2a")
def test_prose_in_place_of_an_empty_challenge() -> None:
    server = exchange()
    server.say("EHLO a")
    assert server.one("auth ntlm") == "334 NTLM supported"
    client = NtlmClient(NtHash(USER, nt_hash(PASSWORD)), HERE)
    challenge = server.one(b64(client.respond(b"NTLM supported")))
    assert server.one(b64(client.respond(challenge[4:].encode()))) == "235 2.7.0 Authentication succeeded"
    server = exchange()
    server.say("EHLO a")
    server.start_tls()
    server.say("EHLO a")
    assert server.one("AUTH PLAIN") == "334 "
    assert exchange(OXSMTP_2008).say("EHLO a", "AUTH NTLM")[-1] == "334 "


@pytest.mark.clause("NTLM-1.7a")
@pytest.mark.parametrize("word", ["EHLO", "HELO", "ehlo", "EHLO "])
def test_hello_without_a_name(word: str) -> None:
    server = exchange()
    assert server.say(word)[-1].startswith("250 ")
    assert server.of(HelloReceived)[0].name == ""
    assert exchange(OXSMTP_2008).one(word) == "501 Syntax: EHLO hostname"
    assert exchange().one(f"{word.strip()} <>") == "501 Syntax: EHLO hostname"


# ---- AUTH= ----


def param(policy: SubmissionPolicy, text: str, *, authenticated: bool = True) -> AuthParam:
    identity = Identity(USER, USER, "PLAIN") if authenticated else None
    server = Server(server_config(policy=policy), identity=identity)
    assert server.one(f"MAIL FROM:<a@x.org> {text}").startswith("250 ")
    found = server.of(MailReceived)[0].parameters.get(AuthParam)
    assert found is not None
    return found


TRUSTING = attrs.evolve(OPEN, trust_submitter=True)
BOSS = Mailbox("boss", "x.org")


@pytest.mark.clause("RFC4954-5b", "RFC4954-5c", "RFC4954-5d", "RFC4954-5e")
@pytest.mark.parametrize(
    ("policy", "authenticated", "text", "mailbox", "submitter"),
    [
        (TRUSTING, True, "AUTH=boss@x.org", BOSS, BOSS),
        (TRUSTING, True, "AUTH=<>", None, None),
        (TRUSTING, False, "AUTH=boss@x.org", BOSS, None),
        (OPEN, True, "AUTH=boss@x.org", BOSS, None),
        (OPEN, False, "AUTH=<>", None, None),
    ],
)
def test_who_is_believed(
    policy: SubmissionPolicy,
    authenticated: bool,
    text: str,
    mailbox: Mailbox | None,
    submitter: Mailbox | None,
) -> None:
    """Untrusted, it is kept for the log and counts as `<>`."""
    found = param(policy, text, authenticated=authenticated)
    assert found.mailbox == mailbox
    assert found.submitter == submitter


def test_the_other_parameters_stay() -> None:
    server = Server(server_config(policy=TRUSTING), identity=Identity(USER, USER, "PLAIN"))
    server.say("MAIL FROM:<a@x.org> SIZE=7 AUTH=boss@x.org RET=HDRS")
    assert len(server.of(MailReceived)[0].parameters) == 3


@pytest.mark.clause("RFC6710-4.1b", "RFC6710-4.1c")
@pytest.mark.parametrize(
    ("authenticated", "text", "value", "reply"),
    [
        (False, "3", 0, "250 2.3.6 Sender OK, MT-PRIORITY is 0 now"),
        (False, "0", 0, "250 2.1.0 Sender OK"),
        (False, "-3", -3, "250 2.1.0 Sender OK"),
        (True, "3", 3, "250 2.1.0 Sender OK"),
    ],
)
def test_a_high_priority_is_for_those_who_are_known(
    authenticated: bool, text: str, value: int, reply: str
) -> None:
    config = ServerConfig(hostname="mail.example", policy=OPEN, extensions=EVERY)
    server = Server(config, identity=Identity(USER, USER, "PLAIN") if authenticated else None)
    assert server.one(f"MAIL FROM:<a@x.org> SIZE=7 MT-PRIORITY={text} RET=HDRS") == reply
    (mail,) = server.of(MailReceived)
    assert mail.parameters == Parameters([Size(7), MtPriority(value), Ret.HDRS])


# ---- what the channel permits ----


def everything() -> Server:
    settings = server_settings(passwords=True, secrets=EVERY_KIND, tokens=True, certificates=True)
    config = server_config(policy=OXSMTP_2008, mechanisms=standard_mechanisms(settings))
    return Server(config, hello=False)


def offered(server: Server) -> list[str]:
    (line,) = (line for line in server.say("EHLO a") if line[4:9] == "AUTH ")
    return line[9:].split()


@pytest.mark.clause(
    "RFC5802-6a", "RFC4422-A-c", "RFC7628-3a", "XOAUTH2-both-a", "RFC4954-3b", "RFC4422-6.1.2a"
)
def test_the_offer_depends_on_the_channel() -> None:
    server = everything()
    assert offered(server) == ["SCRAM-SHA-256", "SCRAM-SHA-1", "NTLM"]
    for refused in ("SCRAM-SHA-256-PLUS", "EXTERNAL", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN"):
        assert server.one(f"AUTH {refused} QQ==")[:9] == "504 5.5.4"
    inside = ["SCRAM-SHA-256", "SCRAM-SHA-1", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN", "NTLM"]
    server.start_tls(TLSInfo(version="TLSv1.3", cipher="X"))
    assert offered(server) == inside
    server = everything()
    server.say("EHLO a")
    server.start_tls(BOUND)
    assert offered(server) == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", *inside]
    server = everything()
    server.say("EHLO a")
    server.start_tls(CERTIFIED)
    assert offered(server)[:2] == ["EXTERNAL", "SCRAM-SHA-256-PLUS"]


@pytest.mark.parametrize(
    "info",
    [
        attrs.evolve(CERTIFIED, verified=False),
        attrs.evolve(CERTIFIED, peer_certificate=None),
    ],
)
def test_a_certificate_that_proves_nothing(info: TLSInfo) -> None:
    server = everything()
    server.say("EHLO a")
    server.start_tls(info)
    assert "EXTERNAL" not in offered(server)


def test_offers_are_made_once_for_each_kind_of_channel() -> None:
    made: list[bool] = []

    class Counting(ServerMechanism):
        name = "COUNTING"

        def usable(self) -> bool:
            made.append(self.context.tls)
            return True

        def exchange(self, initial: bytes | None) -> ServerSteps:
            yield Challenge(b"")
            raise AssertionError("nobody answers")

    config = server_config(mechanisms={"COUNTING": Counting})
    for _ in range(3):
        server = Server(config)
        server.start_tls(BOUND)
        assert offered(server) == ["COUNTING"]
    assert made == [False, True]


def test_mechanisms_see_what_was_offered() -> None:
    seen: list[tuple[str, ...]] = []

    class Looking(ServerMechanism):
        name = "LOOKING"

        def exchange(self, initial: bytes | None) -> ServerSteps:
            seen.append(self.context.offered)
            yield Challenge(b"")
            raise AssertionError("nobody answers")

    server = Server(server_config(mechanisms={"LOOKING": Looking, **MECHANISMS}))
    server.one("AUTH LOOKING")
    assert seen == [("LOOKING", "PLAIN", "LOGIN", "NTLM")]


@pytest.mark.clause("RFC4505-2c")
def test_anonymous_identities_are_not_believed() -> None:
    anonymous = Identity("anonymous", "anonymous", "ANONYMOUS", anonymous=True)
    config = server_config(policy=attrs.evolve(TRUSTING, require_auth=True))
    conn = ServerConnection(config, identity=anonymous)
    conn.receive_data(b"EHLO a\r\nMAIL FROM:<a@x.org> AUTH=boss@x.org\r\nVRFY boss\r\n")
    while "Pause" not in type(conn.next_event()).__name__:
        conn.accept()
    assert b"\r\n530 5.7.0 Authentication required\r\n530 5.7.0" in conn.data_to_send()
