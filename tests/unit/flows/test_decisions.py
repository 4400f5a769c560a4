"""What a handler can decide beside yes and no: another path, the end of the session, whose sender it is."""

from __future__ import annotations

import attrs
import pytest
from tests.helpers.driver import ALICE, OPEN, server_config
from tests.helpers.served import (
    DATA,
    ENVELOPE,
    HELLO,
    LOCAL,
    MESSAGE,
    PLAIN,
    QUIT,
    Recorder,
    Streaming,
    served,
)

from ehlo import (
    OXSMTP_2008,
    RFC6409_STRICT,
    Body,
    Envelope,
    Identity,
    Limits,
    LocalProtocolError,
    Mailbox,
    Orcpt,
    Outcome,
    Parameters,
    Recipient,
    Reply,
    ServerConnection,
    Session,
    dsn,
)
from ehlo.flows import Ask, hooks_of, serve

MAIL = "C: MAIL FROM:<a@x.org>\n"
DENIED = "S: 550 5.7.1 Sender not authorized for this identity\n"
GOODBYE = Reply(421, "Not today", "4.7.0")
TO_B = "C: RCPT TO:<b@x.org>\n"

# ---- the end of the session ----

DISCONNECTS = {
    "on_connect": "",
    "on_hello": "S: 220...\nC: EHLO a.example\n",
    "on_auth_password": HELLO + f"C: AUTH PLAIN {PLAIN}\n",
    "on_mail": HELLO + MAIL,
    "on_rcpt": HELLO + MAIL + "S: 250...\n" + TO_B,
    "on_data": HELLO + ENVELOPE + "C: DATA\n",
    "on_message": HELLO + MESSAGE,
    "on_vrfy": HELLO + "C: VRFY x\n",
}


@pytest.mark.clause("RFC5321-3.8d")
@pytest.mark.parametrize("hook", DISCONNECTS)
def test_421_ends_the_session_at_each_hook(hook: str) -> None:
    handler = Recorder(**{hook: GOODBYE})
    served(DISCONNECTS[hook] + "S: 421 4.7.0 Not today\n", handler)
    assert handler.names[-1] == ("on_reset" if hook in ("on_rcpt", "on_data", "on_message") else hook)


def test_421_at_the_first_chunk_comes_behind_its_octets() -> None:
    script = HELLO + ENVELOPE + "C: BDAT 5\nC: abc\nS: 421 4.7.0 Not today\n"
    served(script, Recorder(on_data=GOODBYE))


# ---- another path ----


class Aliases(Recorder):
    """Replaces what it has another path for."""

    def __init__(self, **paths: object) -> None:
        super().__init__()
        self.paths = paths

    def on_mail(self, session: Session, *arguments: object) -> object:
        self._call("on_mail", session, *arguments)
        return self.paths.get("mail")

    def on_rcpt(self, session: Session, path: Mailbox, parameters: Parameters) -> object:  # type: ignore[override]
        self._call("on_rcpt", session, path, parameters)
        return self.paths.get(path.local)


def taken(handler: Recorder) -> Envelope:
    (envelope,) = [call[1] for call in handler.calls if call[0] == "on_message"]
    assert isinstance(envelope, Envelope)
    return envelope


@pytest.mark.clause("RFC4409-8.7a", "RFC4409-8.8a")
def test_another_path_is_in_the_envelope_and_the_first_one_beside_it() -> None:
    new, carol = Mailbox("new", "y.org"), Mailbox("carol", "y.org")
    handler = Aliases(mail=new, b=carol)
    served(
        HELLO + "C: MAIL FROM:<a@x.org> BODY=8BITMIME\nS: 250 2.1.0 Sender OK\n"
        "C: RCPT TO:<b@x.org> ORCPT=rfc822;z@z.org\nS: 250 2.1.5 Recipient OK\n"
        "C: RCPT TO:<d@x.org>\nS: 250 2.1.5 Recipient OK\n" + DATA + "C: hello\nC: .\nS: 250...\n" + QUIT,
        handler,
    )
    orcpt = Orcpt.of("z@z.org")
    assert taken(handler) == Envelope(
        new,
        Parameters([Body.EIGHT_BIT_MIME]),
        (
            Recipient(carol, Parameters([orcpt]), Mailbox("b", "x.org")),
            Recipient(Mailbox("d", "x.org")),
        ),
    )
    assert handler.calls[2][1] == Mailbox("a", "x.org")


@pytest.mark.clause("RFC6409-6.5a")
def test_an_address_that_others_do_not_take_becomes_a_known_equivalent() -> None:
    handler = Aliases(**{"j\u00f6rg": Mailbox("joerg", "x.org")})
    served(
        HELLO
        + "C: MAIL FROM:<a@x.org> SMTPUTF8\nS: 250...\nC: RCPT TO:<j\u00f6rg@x.org>\nS: 250...\n"
        + DATA
        + "C: .\nS: 250...\n"
        + QUIT,
        handler,
    )
    (recipient,) = taken(handler).recipients
    assert (str(recipient.path), str(recipient.original)) == ("joerg@x.org", "j\u00f6rg@x.org")


def test_the_null_sender_can_be_replaced_and_each_transaction_begins_anew() -> None:
    handler = Aliases(mail=Mailbox("a", "y.org"), b=Mailbox("c", "y.org"))
    null = "C: MAIL FROM:<>\nS: 250...\n"
    served(
        HELLO
        + null
        + "C: RSET\nS: 250...\n"
        + null
        + TO_B
        + "S: 250...\n"
        + DATA
        + "C: .\nS: 250...\n"
        + QUIT,
        handler,
    )
    envelope = taken(handler)
    assert envelope.reverse_path == Mailbox("a", "y.org")
    assert [recipient.path for recipient in envelope.recipients] == [Mailbox("c", "y.org")]


@pytest.mark.parametrize(
    "path",
    [Mailbox("a>\r\nRSET", "x.org"), Mailbox("a", "x y"), Mailbox("a", ""), Mailbox("\u00fc", "x.org")],
)
def test_a_path_that_cannot_stand_there_is_451(path: Mailbox) -> None:
    served(HELLO + MAIL + f"S: {LOCAL}\n" + QUIT, Recorder(on_mail=path))
    script = HELLO + MAIL + "S: 250...\n" + TO_B + f"S: {LOCAL}\nC: DATA\nS: 554...\n"
    served(script + QUIT, Recorder(on_rcpt=path))


@pytest.mark.parametrize("hook", ["on_hello", "on_data", "on_message", "on_vrfy"])
def test_a_path_where_there_is_none_is_451(hook: str) -> None:
    reply = "S: 451 Local...\n" if hook == "on_hello" else f"S: {LOCAL}\n"
    served(DISCONNECTS[hook] + reply + QUIT, Recorder(**{hook: Mailbox("a", "x.org")}))


def test_only_paths_can_be_replaced() -> None:
    conn = ServerConnection(server_config())
    conn.next_event()
    with pytest.raises(LocalProtocolError):
        conn.accept_as(Mailbox("a", "x.org"))
    conn.accept()
    assert conn.data_to_send().startswith(b"220 ")


# ---- whose sender it is ----


class Owner(Recorder):
    def on_sender(self, session: Session, *arguments: object) -> object:
        return self._call("on_sender", session, *arguments)


@pytest.mark.clause("RFC4409-6.1a", "RFC4409-3.2a")
@pytest.mark.parametrize("answer", [True, False, None, 1, "yes", Mailbox("a", "x.org")])
def test_only_true_permits_a_sender(answer: object) -> None:
    handler = Owner(on_sender=answer)
    permitted = answer is True
    served(HELLO + MAIL + ("S: 250...\n" if permitted else DENIED) + QUIT, handler, identity=ALICE)
    assert handler.calls[2] == ("on_sender", ALICE, Mailbox("a", "x.org"))
    assert ("on_mail" in handler.names) is permitted


def test_a_hook_of_rights_that_fails_is_451() -> None:
    handler = Owner(on_sender=RuntimeError("ldap"))
    served(HELLO + MAIL + f"S: {LOCAL}\n" + QUIT, handler, identity=ALICE)
    assert "on_mail" not in handler.names


@pytest.mark.clause("RFC4409-3.2c", "RFC6409-3.2a", "OXSMTP-3.2-4.3b")
@pytest.mark.parametrize(
    ("path", "identity"),
    [
        ("", ALICE),
        ("a@x.org", None),
        ("a@x.org", Identity("anonymous", "anonymous", "ANONYMOUS", anonymous=True)),
    ],
)
def test_the_null_sender_is_everybodys_and_who_is_nobody_has_no_rights_to_check(
    path: str, identity: Identity | None
) -> None:
    config = server_config(policy=attrs.evolve(OPEN, enforce_submission_rights=True))
    handler = Owner(on_sender=False)
    served(HELLO + f"C: MAIL FROM:<{path}>\nS: 250...\n" + QUIT, handler, config, identity=identity)
    assert "on_sender" not in handler.names


@pytest.mark.clause("RFC4409-6.1a")
@pytest.mark.parametrize(
    ("name", "enforce", "reply"),
    [
        ("A@X.org", True, "S: 250...\n"),
        ("b@x.org", True, DENIED),
        ("a", True, DENIED),
        ("a", False, "S: 250...\n"),
    ],
)
def test_without_the_hook_an_identity_owns_what_it_is(name: str, enforce: bool, reply: str) -> None:
    config = server_config(policy=attrs.evolve(OPEN, enforce_submission_rights=enforce))
    served(HELLO + MAIL + reply + QUIT, object(), config, identity=Identity(name, name, "PLAIN"))


def test_the_refusal_is_the_policys() -> None:
    refusal = Reply(554, "Not yours", "5.7.0")
    config = server_config(policy=attrs.evolve(OPEN, sender_not_permitted=refusal))
    served(HELLO + MAIL + "S: 554 5.7.0 Not yours\n" + QUIT, Owner(on_sender=False), config, identity=ALICE)


@pytest.mark.clause("RFC4409-3.2a")
def test_what_is_refused_may_depend_on_who_submits() -> None:
    class Relay:
        def on_rcpt(self, session: Session, path: Mailbox, parameters: Parameters) -> Reply | None:
            return None if session.identity else Reply(550, "Relay denied", "5.7.1")

    begin = HELLO + MAIL + "S: 250...\n" + TO_B
    served(begin + "S: 550 5.7.1 Relay denied\n" + QUIT, Relay())
    served(begin + "S: 250...\n" + QUIT, Relay(), identity=ALICE)


@pytest.mark.clause("RFC4409-3.2d")
def test_a_message_may_be_taken_and_bounced_instead_of_refused() -> None:
    carriers: list[Envelope] = []

    class Bouncer:
        def on_message(self, session: Session, envelope: Envelope, content: bytes) -> None:
            failures = [
                Outcome(recipient.path, False, Reply(550, "No such user", "5.1.1"))
                for recipient in envelope.recipients
            ]
            (report,) = dsn.reports_wanted(envelope, failures)
            assert report.action is dsn.Action.FAILED
            carriers.append(dsn.report_envelope(envelope))

    served(HELLO + MESSAGE + "S: 250...\n" + QUIT, Bouncer())
    (carrier,) = carriers
    assert carrier.reverse_path is None
    assert [str(recipient.path) for recipient in carrier.recipients] == ["a@x.org"]


# ---- the greeting ----

PAUSE = server_config(limits=Limits(greet_pause=5.0))


@pytest.mark.parametrize(
    ("script", "names"),
    [
        ("C: <silence>\n" + HELLO + QUIT, ["on_connect", "on_hello", "on_quit"]),
        ("C: EHLO a.example\nS: 554 Command before the greeting\nS: 503...\n" + QUIT, ["on_quit"]),
        ("C: <close>\nS: 220...\n", ["on_connect"]),
        ("C: <reset>\n", []),
        ("C: <shutdown>\nS: 421 4.3.2...\n", []),
    ],
)
def test_who_speaks_before_the_greeting(script: str, names: list[str]) -> None:
    handler = Recorder()
    served(script, handler, PAUSE)
    assert handler.names == names


# ---- time ----


@pytest.mark.clause("RFC6409-5.3a", "RFC6409-5.3b")
@pytest.mark.parametrize("seconds", [300.0, 1.0, None])
def test_each_question_says_how_long_it_may_take(seconds: float | None) -> None:
    limits = Limits() if seconds == 300.0 else Limits(hook_timeout=seconds)
    flow = serve(ServerConnection(server_config(limits=limits)), hooks_of(Recorder()))
    action = next(flow)
    assert isinstance(action, Ask)
    assert action.timeout == seconds


@pytest.mark.clause("RFC6409-5.3a")
@pytest.mark.parametrize("hook", ["on_sender", "on_mail", "on_rcpt", "on_data", "on_message"])
def test_a_hook_whose_time_is_over_is_451(hook: str) -> None:
    handler = Owner(**({"on_sender": True} | {hook: TimeoutError()}))
    script = DISCONNECTS["on_mail" if hook == "on_sender" else hook]
    served(script + f"S: {LOCAL}\n" + QUIT, handler, identity=ALICE)


def test_a_piece_of_the_body_whose_time_is_over() -> None:
    served(HELLO + MESSAGE + f"S: {LOCAL}\n" + QUIT, Streaming(on_body=TimeoutError()))


def test_the_strict_preset_with_a_user_who_is_an_address() -> None:
    policy = attrs.evolve(RFC6409_STRICT, require_tls=False)
    me = Identity("a@x.org", "a@x.org", "PLAIN")
    served(HELLO + MAIL + "S: 250...\n" + QUIT, object(), server_config(policy=policy), identity=me)
    assert OXSMTP_2008.enforce_submission_rights is False
