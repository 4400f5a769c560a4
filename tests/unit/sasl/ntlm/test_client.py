from __future__ import annotations

import socket
import struct
from typing import Any

import pytest
import spnego
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError
from tests.helpers.sasl import FIRST, HERE, client_context, constant, server_settings
from tests.unit.sasl.helpers import converse, settle
from tests.unit.sasl.ntlm import vectors
from tests.unit.sasl.ntlm.recorded import BY_CLIENT, server

from ehlo._errors import LocalProtocolError
from ehlo.sasl import (
    Challenge,
    ClientContext,
    Done,
    MechanismError,
    NtHash,
    NtlmClient,
    Password,
    Refuse,
    SecretKind,
    UserStore,
    nt_hash,
)
from ehlo.sasl.ntlm import acceptor, crypto, messages
from ehlo.sasl.ntlm.messages import AvId, Flag
from ehlo.wire import base64

CHALLENGE = base64.encode(BY_CLIENT["pyspnego to Samba"].challenge)
SECRET = "s3cret"
HASHES = "0" * 32 + ":" + "1" * 32


def client(username: str = "alice", password: str = SECRET, context: ClientContext = HERE) -> NtlmClient:
    return NtlmClient(Password(username, password), context)


@pytest.mark.clause("NTLM-3.1.5.1a", "NTLM-3.1.1.1a", "NTLM-2.2.1.6a")
@pytest.mark.parametrize("text", [b"", b"NTLM supported", b"=", CHALLENGE])
def test_the_first_challenge_is_not_read(text: bytes) -> None:
    who = client()
    assert who.initial() is None
    messages.parse_negotiate(who.respond(text))
    with pytest.raises(MechanismError):
        who.succeeded()
    message = messages.parse_authenticate(who.respond(CHALLENGE))
    assert (message.user, message.domain) == ("alice", "")
    who.succeeded()
    with pytest.raises(MechanismError):
        who.respond(CHALLENGE)


@pytest.mark.clause("NTLM-3.1.5.1b")
def test_after_an_initial_response_the_first_challenge_is_read() -> None:
    who = client(context=FIRST)
    negotiate = who.initial()
    assert negotiate is not None
    messages.parse_negotiate(negotiate)
    messages.parse_authenticate(who.respond(CHALLENGE))
    who = client(context=FIRST)
    who.initial()
    with pytest.raises(MechanismError):
        who.respond(b"")


@pytest.mark.clause("NTLM-3.1.5a", "NTLM-nlmp-a")
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"NTLM supported",
        base64.encode(b"NTLMSSP\0"),
        base64.encode(BY_CLIENT["curl"].negotiate),
        base64.encode(vectors.AUTHENTICATE),
        CHALLENGE[:64],
    ],
)
def test_a_bad_challenge(text: bytes) -> None:
    who = client()
    who.respond(b"")
    with pytest.raises(MechanismError) as caught:
        who.respond(text)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(MechanismError):
        who.succeeded()


@pytest.mark.parametrize("context", [HERE, FIRST])
@pytest.mark.parametrize("password", ["secret", HASHES, "", "pässwörd", "\U0001f511", "x" * 300])
def test_every_password_is_a_password(password: str, context: ClientContext) -> None:
    """One that looks like `LM:NT` hashes too, which pyspnego would take apart."""

    class OneUser(UserStore):
        def on_auth_secret(self, session: object, username: str, kind: SecretKind, domain: str) -> bytes:
            return nt_hash(password)

    assert isinstance(converse(client("alice", password, context), server(), OneUser({})), Done)
    step = converse(client("alice", password + "x", context), server(), OneUser({}))
    assert isinstance(step, Refuse)


@pytest.mark.clause("XLOGIN-2.2.2d")
@pytest.mark.parametrize(
    "credentials",
    [
        Password("", "s3cret"),
        Password("DOM\\", "s3cret"),
        Password("A\\B\\c", "s3cret"),
        Password("a\0b", "s3cret"),
        Password("a\nb", "s3cret"),
        Password("a\ud800", "s3cret"),
        pytest.param(Password("a" * 32_768, "s3cret"), id="long"),
        Password("alice", "s3cret", "boss"),
    ],
)
def test_credentials_that_ntlm_cannot_carry(credentials: Password) -> None:
    assert not NtlmClient.serves(credentials, HERE)
    with pytest.raises(LocalProtocolError) as caught:
        NtlmClient(credentials, HERE)
    assert "s3cret" not in str(caught.value)


def test_the_name_of_this_host_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "SECRET-HOST")
    who = client()
    who.respond(b"")
    assert messages.parse_authenticate(who.respond(CHALLENGE)).workstation == b""


@pytest.mark.clause("NTLM-nlmp-d", "NTLM-nlmp-e")
def test_what_the_proof_covers() -> None:
    who = client(context=client_context(channel_bindings={"tls-server-end-point": b"x"}))
    who.respond(b"")
    message = messages.parse_authenticate(who.respond(CHALLENGE))
    pairs = messages.parse_client_blob(message.nt_response).av_pairs
    assert pairs[AvId.TARGET_NAME].decode("utf-16-le") == "SMTPSVC/mail.example"
    assert len(pairs[AvId.CHANNEL_BINDINGS]) == 16
    assert messages.parse_client_blob(message.nt_response).announces_mic
    assert message.mic_at == 72


def test_more_target_information_than_an_answer_can_hold() -> None:
    """The pairs go back to the server, in a field whose length has two octets."""
    for octets, fits in ((65_000, True), (65_500, False)):
        who = client()
        who.respond(b"")
        told = messages.ServerChallenge(Flag.UNICODE | Flag.TARGET_INFO, bytes(8), "", {20: bytes(octets)})
        challenge = base64.encode(messages.write_challenge(told))
        if fits:
            assert messages.parse_authenticate(who.respond(challenge)).user == "alice"
            continue
        with pytest.raises(MechanismError, match="more target information"):
            who.respond(challenge)


def test_secrets_are_not_shown() -> None:
    who = client()
    who.respond(b"")
    who.respond(CHALLENGE)
    assert "s3cret" not in repr(who)
    assert "s3cret" not in repr(vars(who))


# ---- what is computed ----


def answered(challenge: bytes, **context: Any) -> messages.Authenticate:
    given = {"random": constant(b"\xaa"), "clock": lambda: -messages.EPOCH} | context
    who = client("Domain\\User", "Password", client_context(**given))
    who.respond(b"")
    return messages.parse_authenticate(who.respond(base64.encode(challenge)))


def simple_challenge(flags: Flag, pairs: dict[int, bytes] | None = None) -> bytes:
    return messages.write_challenge(
        messages.ServerChallenge(flags, vectors.SERVER_CHALLENGE, "Server", pairs or {})
    )


@pytest.mark.clause("NTLM-nlmp-b")
def test_the_published_old_answers() -> None:
    """[MS-NLMP] 4.2.2.2.1, without the LM hash, and 4.2.3.2 with extended session security."""
    message = answered(simple_challenge(Flag.UNICODE), allow_ntlmv1=True)
    assert message.nt_response.hex() == "67c43011f30298a2ad35ece64f16331c44bdbed927841f94"
    assert message.lm_response == message.nt_response
    flags = Flag.UNICODE | Flag.EXTENDED_SESSION_SECURITY
    message = answered(simple_challenge(flags), allow_ntlmv1=True)
    assert message.nt_response.hex() == "7537f803ae367128ca458204bde7caf81e97ed2683267232"
    assert message.lm_response.hex() == "aa" * 8 + "00" * 16


@pytest.mark.clause("NTLM-nlmp-b")
@pytest.mark.parametrize(
    ("pairs", "allow"),
    [({}, False), ({AvId.NB_DOMAIN_NAME: b"D\0"}, False), ({AvId.NB_DOMAIN_NAME: b"D\0"}, True)],
)
def test_the_new_form_wherever_it_may_be_known(pairs: dict[int, bytes], allow: bool) -> None:
    flags = Flag.UNICODE | (Flag.TARGET_INFO if pairs else Flag(0))
    message = answered(simple_challenge(flags, pairs), allow_ntlmv1=allow)
    blob = messages.parse_client_blob(message.nt_response)
    assert set(blob.av_pairs) >= set(pairs)
    assert not blob.announces_mic


def test_the_published_new_answer() -> None:
    """[MS-NLMP] 4.2.4: its blob has no more than the server's pairs, so the parts are compared."""
    key = crypto.ntowf_v2(vectors.NT_HASH, "User", "Domain")
    message = answered(vectors.CHALLENGE)
    blob = message.nt_response[16:]
    assert message.nt_response[:16] == crypto.nt_proof(key, vectors.SERVER_CHALLENGE, blob)
    assert blob[:28] == vectors.BLOB[:28]
    # LMv2, which the publication has, too.
    assert message.lm_response.hex() == "86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa"
    base_key = crypto.session_base_key(key, message.nt_response[:16])
    assert message.session_key == crypto.rc4(base_key, b"\xaa" * 16)
    assert (message.user, message.domain) == ("User", "Domain")


def test_clock_and_randomness_are_the_contexts() -> None:
    once, again = (answered(vectors.CHALLENGE) for _ in range(2))
    assert once == again
    other = answered(vectors.CHALLENGE, random=constant(b"b"))
    assert other.nt_response != once.nt_response
    later = answered(vectors.CHALLENGE, clock=lambda: 1.5)
    assert later.nt_response[16:][8:16] == struct.pack("<Q", (1 + messages.EPOCH) * 10**7)


def test_the_servers_clock_wins() -> None:
    message = answered(base64.decode(CHALLENGE))
    blob = messages.parse_client_blob(message.nt_response)
    assert message.nt_response[16:][8:16] == blob.av_pairs[AvId.TIMESTAMP]
    assert blob.announces_mic
    assert message.lm_response == bytes(24)


@pytest.mark.parametrize("username", ["alice@example.net", "alice"])
def test_a_upn_stays_whole(username: str) -> None:
    who = client(username)
    who.respond(b"")
    message = messages.parse_authenticate(who.respond(CHALLENGE))
    assert (message.user, message.domain) == (username, "")


def test_a_hash_in_place_of_the_password() -> None:
    for credentials, end in (
        (NtHash("alice", nt_hash("secret")), Done),
        (NtHash("DOM\\bob", nt_hash("hunter2")), Done),
        (NtHash("alice", bytes(16)), Refuse),
    ):
        assert isinstance(converse(NtlmClient(credentials, HERE), server()), end)
        assert NtlmClient.serves(credentials, HERE)
    assert not NtlmClient.serves(NtHash("", bytes(16)), HERE)
    assert "fade" not in repr(NtHash("alice", bytes.fromhex("fade" * 8)))
    for wrong in (b"", bytes(15), bytes(17)):
        with pytest.raises(LocalProtocolError):
            NtHash("alice", wrong)


def test_a_name_that_grows_in_upper_case() -> None:
    """Windows keeps `ß`; both roles do."""
    assert isinstance(converse(client("straße", "secret"), server()), Done)


def test_names_beyond_ascii_need_unicode() -> None:
    who = client("straße")
    who.respond(b"")
    with pytest.raises(MechanismError):
        who.respond(base64.encode(simple_challenge(Flag.OEM)))
    who = client("alice")
    who.respond(b"")
    assert messages.parse_authenticate(who.respond(base64.encode(simple_challenge(Flag.OEM)))).user == "alice"


def test_a_time_stamp_of_another_length() -> None:
    who = client()
    who.respond(b"")
    with pytest.raises(MechanismError):
        who.respond(
            base64.encode(simple_challenge(Flag.UNICODE | Flag.TARGET_INFO, {AvId.TIMESTAMP: bytes(7)}))
        )


# ---- pyspnego as the server ----


@pytest.mark.clause("NTLM-nlmp-b", "NTLM-nlmp-d", "NTLM-nlmp-e")
@pytest.mark.parametrize("password", ["secret", "wrong"])
@pytest.mark.parametrize("level", ["3", "0"])
@pytest.mark.parametrize("binding", [None, b"x", b"y"])
def test_the_server_of_pyspnego(
    password: str, level: str, binding: bytes | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    users = tmp_path / "users"
    users.write_text("DOM:alice:secret\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(users))
    monkeypatch.setenv("LM_COMPAT_LEVEL", level)
    theirs = spnego.server(
        protocol="ntlm",
        options=spnego.NegotiateOptions.use_ntlm,
        channel_bindings=GssChannelBindings(application_data=b"tls-server-end-point:x"),
    )
    bindings = {} if binding is None else {"tls-server-end-point": binding}
    who = client("DOM\\alice", password, client_context(channel_bindings=bindings))
    challenge = theirs.step(who.respond(b""))
    assert challenge is not None
    answer = who.respond(base64.encode(challenge))
    if password == "secret" and binding != b"y":
        theirs.step(answer)
        assert theirs.complete
    else:
        with pytest.raises(SpnegoError):
            theirs.step(answer)


@pytest.mark.parametrize("allow", [True, False])
def test_the_client_of_pyspnego_against_both_of_ours(allow: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LM_COMPAT_LEVEL", "0")
    theirs = spnego.client("alice", "secret", protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
    ours = server(v1=allow)
    step = ours.start(theirs.step())
    assert isinstance(step, Challenge)
    step = settle(ours, ours.respond(theirs.step(step.data) or b""))
    assert isinstance(step, Done if allow else Refuse)


@pytest.mark.parametrize("allow", [True, False])
@pytest.mark.parametrize("password", ["secret", "wrong"])
def test_both_roles_by_the_old_form(allow: bool, password: str) -> None:
    """Our own server always has target information, so the old form is asked for by hand."""
    who = client("alice", password, client_context(allow_ntlmv1=True))
    who.respond(b"")
    message = messages.parse_authenticate(
        who.respond(base64.encode(simple_challenge(Flag.UNICODE | Flag.EXTENDED_SESSION_SECURITY)))
    )
    assert len(message.nt_response) == 24
    assert (acceptor._policy(message, server_settings(allow_ntlmv1=allow)) is None) is allow
    proved = acceptor.verify_v1(vectors.SERVER_CHALLENGE, message, nt_hash("secret")) is None
    assert proved is (password == "secret")
