from __future__ import annotations

import struct

import attrs
import pytest
from tests.helpers.sasl import NOW, client_context, server_settings
from tests.unit.sasl.helpers import STORE, converse, settle
from tests.unit.sasl.ntlm import vectors
from tests.unit.sasl.ntlm.recorded import BY_CLIENT, RECORDED, Recorded, server

from ehlo._errors import LocalProtocolError
from ehlo.sasl import (
    Challenge,
    Done,
    FetchSecret,
    Identity,
    NtlmClient,
    NtlmServer,
    Password,
    Refuse,
    SecretKind,
    ServerContext,
    Step,
    UserStore,
    nt_hash,
)
from ehlo.sasl.ntlm import acceptor, crypto, messages
from ehlo.sasl.ntlm.messages import AvId, Flag
from ehlo.wire import base64

KIND = "tls-server-end-point"
WRONG = Refuse("wrong user name or password")
BINDING = bytes(range(32))
RIGHT = "secret"
SECRET = nt_hash(RIGHT)


def client(username: str = "alice", password: str = RIGHT, binding: bytes | None = None) -> NtlmClient:
    bindings = {} if binding is None else {KIND: binding}
    return NtlmClient(Password(username, password), client_context(channel_bindings=bindings))


def dialogue(who: NtlmClient, with_server: NtlmServer) -> bytes:
    """The client's AUTHENTICATE; the server is left waiting for it."""
    assert with_server.start(None) == Challenge(b"")
    step = with_server.respond(who.respond(b""))
    assert isinstance(step, Challenge)
    return who.respond(base64.encode(step.data))


@attrs.frozen
class Proof:
    """An AUTHENTICATE made to measure, with a right proof for the secret unless told otherwise."""

    user: str = "alice"
    domain: str = ""
    flags: Flag = Flag.UNICODE | Flag.NTLM
    pairs: tuple[tuple[int, bytes], ...] = ()
    key: bytes = SECRET
    session_key: bytes = b""

    def token(self, challenge: bytes) -> bytes:
        blob = b"\1\1" + bytes(26) + messages.write_av_pairs(dict(self.pairs)) + bytes(4)
        owf = crypto.ntowf_v2(self.key, self.user, self.domain)
        proof = crypto.nt_proof(owf, challenge[24:32], blob)
        return messages.write_authenticate(
            messages.Authenticate(
                flags=self.flags,
                lm_response=bytes(24),
                nt_response=proof + blob,
                domain=self.domain,
                user=self.user,
                workstation=b"",
                session_key=self.session_key,
                mic_at=None,
            )
        )


def present(proof: Proof, to: NtlmServer, store: UserStore = STORE) -> Step:
    step = to.start(messages.write_negotiate(proof.flags))
    assert isinstance(step, Challenge)
    return settle(to, to.respond(proof.token(step.data)), store)


@pytest.mark.clause("NTLM-nlmp-c")
def test_the_published_exchange() -> None:
    message = messages.parse_authenticate(vectors.AUTHENTICATE)
    blob = messages.parse_client_blob(message.nt_response)
    exchange = acceptor.Exchange(b"", vectors.CHALLENGE)
    verify = acceptor.verify
    assert verify(exchange, vectors.AUTHENTICATE, message, blob, vectors.NT_HASH) is None
    assert verify(exchange, vectors.AUTHENTICATE, message, blob, bytes(16)) == WRONG.reason


@pytest.mark.clause("NTLM-nlmp-b", "NTLM-nlmp-c", "NTLM-nlmp-d")
@pytest.mark.parametrize("recorded", RECORDED, ids=lambda each: each.client)
def test_recorded_exchanges(recorded: Recorded) -> None:
    """As they were, with the challenge of the other server: MIC and all."""
    message = messages.parse_authenticate(recorded.authenticate)
    outcome = acceptor._policy(message, server_settings())
    if outcome is None:
        blob = messages.parse_client_blob(message.nt_response)
        exchange = acceptor.Exchange(recorded.negotiate, recorded.challenge)
        secret = nt_hash(recorded.password)
        outcome = acceptor.verify(exchange, recorded.authenticate, message, blob, secret)
    assert (outcome or "accepted") == recorded.outcome


@pytest.mark.clause("NTLM-3.2.5.2a")
@pytest.mark.parametrize("name", [each.client for each in RECORDED if "pyspnego" not in each.client])
def test_recorded_clients_without_a_mic_against_the_whole_server(name: str) -> None:
    recorded = BY_CLIENT[name]
    ours = server(recorded.nonce)
    assert isinstance(ours.start(recorded.negotiate), Challenge)
    step = settle(ours, ours.respond(recorded.authenticate))
    if recorded.outcome == "accepted":
        assert step == Done(Identity(recorded.user, recorded.user, "NTLM"))
    else:
        assert step == Refuse(recorded.outcome)


@pytest.mark.clause("NTLM-2.2.1.2a", "NTLM-3.2.5.1a")
def test_the_first_step() -> None:
    ours = server()
    assert ours.start(None) == Challenge(b"")
    negotiate = BY_CLIENT["curl"].negotiate
    step = ours.respond(negotiate)
    assert step == server().start(negotiate)
    assert isinstance(step, Challenge)
    assert messages.parse_challenge(step.data).server_challenge == vectors.SERVER_CHALLENGE


@pytest.mark.clause("NTLM-nlmp-a", "NTLM-3.2.5.2b")
@pytest.mark.parametrize("token", [b"", b"NTLMSSP\0", vectors.CHALLENGE, vectors.AUTHENTICATE, b"x" * 40])
def test_not_a_negotiate(token: bytes) -> None:
    late = server()
    late.start(None)
    for step in (server().start(token), late.respond(token)):
        assert isinstance(step, Refuse)
        assert step.malformed


@pytest.mark.clause("NTLM-nlmp-a", "NTLM-3.2.5.2b")
@pytest.mark.parametrize("token", [b"", vectors.CHALLENGE, vectors.AUTHENTICATE[:-1], b"x" * 90])
def test_not_an_authenticate(token: bytes) -> None:
    ours = server()
    ours.start(BY_CLIENT["curl"].negotiate)
    step = ours.respond(token)
    assert isinstance(step, Refuse)
    assert step.malformed


@pytest.mark.parametrize(
    ("recorded", "names"),
    [("curl", Flag.OEM), ("pyspnego to Samba", Flag.UNICODE)],
)
def test_the_challenge(recorded: str, names: Flag) -> None:
    step = server().start(BY_CLIENT[recorded].negotiate)
    assert isinstance(step, Challenge)
    challenge = messages.parse_challenge(step.data)
    assert challenge.flags & (Flag.UNICODE | Flag.OEM) == names
    assert (
        challenge.flags & Flag.VERSION
        == messages.parse_negotiate(BY_CLIENT[recorded].negotiate).flags & Flag.VERSION
    )
    assert challenge.target_name == "MAIL"
    assert challenge.target_info[AvId.DNS_COMPUTER_NAME].decode("utf-16-le") == "mail.example"
    (stamp,) = struct.unpack("<Q", challenge.target_info[AvId.TIMESTAMP])
    assert stamp == (NOW + 11_644_473_600) * 10**7
    step = server(clock=None).start(BY_CLIENT[recorded].negotiate)
    assert isinstance(step, Challenge)
    assert AvId.TIMESTAMP not in messages.parse_challenge(step.data).target_info


def test_the_published_moment_as_filetime() -> None:
    step = server(clock=lambda: 1_055_844_000).start(BY_CLIENT["curl"].negotiate)
    assert isinstance(step, Challenge)
    info = messages.parse_challenge(step.data).target_info
    assert info[AvId.TIMESTAMP].hex() == "0090d336b734c301"


@pytest.mark.clause("NTLM-3.2.5.2a", "NTLM-3.1.5.3a", "NTLM-nlmp-d")
@pytest.mark.parametrize("now", [None, lambda: NOW])
@pytest.mark.parametrize(
    ("username", "password", "account"),
    [
        ("alice", "secret", "alice"),
        ("ALICE", "secret", "ALICE"),
        ("MAIL\\alice", "secret", "alice"),
        ("mail.example\\alice", "secret", "alice"),
        ("DOM\\bob", "hunter2", "DOM\\bob"),
        ("dom\\bob", "hunter2", "dom\\bob"),
        ("X\\alice", "secret", "X\\alice"),
        ("alice", "wrong", None),
        ("alice", "", None),
        ("nobody", "secret", None),
        ("bob", "hunter2", None),
        ("X\\bob", "hunter2", None),
    ],
)
def test_both_roles(username: str, password: str, account: str | None, now: None) -> None:
    step = converse(client(username, password), server(clock=now))
    assert step == (WRONG if account is None else Done(Identity(account, account, "NTLM")))


@pytest.mark.parametrize(
    ("username", "domain", "asked"),
    [("alice", "", ""), ("alice", "mail", ""), ("alice", "MAIL.EXAMPLE", ""), ("alice", "CORP", "CORP")],
)
def test_the_look_up(username: str, domain: str, asked: str) -> None:
    ours = server()
    ours.start(messages.write_negotiate(Flag.UNICODE))
    proof = Proof(username, domain)
    need = ours.respond(proof.token(bytes(24) + vectors.SERVER_CHALLENGE))
    assert need == FetchSecret(username, SecretKind.NT_HASH, asked)
    # The proof is over the domain as the client wrote it, also where it means this server.
    assert isinstance(ours.answer(SECRET), Done)


def test_an_unknown_user_costs_the_same_and_knows_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    original = crypto.hmac_md5

    def counted(key: bytes, data: bytes) -> bytes:
        calls.append(len(data))
        return original(key, data)

    monkeypatch.setattr(crypto, "hmac_md5", counted)
    assert present(Proof(key=b"k" * 16), server()) == WRONG
    known = calls.copy()
    calls.clear()
    # The right proof for the key that stands in for the missing one.
    assert present(Proof("nobdy", key=bytes(16)), server()) == WRONG
    assert calls == known


@pytest.mark.parametrize("answer", [b"", bytes(15), bytes(17), "x" * 16, False, True])
def test_the_application_answers_an_nt_hash_or_none(answer: object) -> None:
    ours = server()
    ours.start(messages.write_negotiate(Flag.UNICODE))
    ours.respond(Proof().token(bytes(24) + vectors.SERVER_CHALLENGE))
    with pytest.raises(LocalProtocolError):
        ours.answer(answer)


@pytest.mark.parametrize("size", [0, 7, 9])
def test_the_nonce_is_eight_octets(size: int) -> None:
    ours = NtlmServer(settings=server_settings(random=lambda _: bytes(size)))
    with pytest.raises(LocalProtocolError):
        ours.start(BY_CLIENT["curl"].negotiate)


@pytest.mark.parametrize("target", ["", "mäil", "a\nb"])
def test_a_target_that_cannot_be_sent(target: str) -> None:
    with pytest.raises(LocalProtocolError):
        server_settings(target=target)


@pytest.mark.clause("NTLM-nlmp-c")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"nt_response": b"x" * 24}, "NTLMv1 is not allowed"),
        ({"nt_response": b""}, "there is no NTLMv2 response"),
        ({"nt_response": b"", "lm_response": b"\0", "user": ""}, "anonymous clients are not allowed"),
        ({"user": ""}, "anonymous clients are not allowed"),
        ({"flags": Flag.UNICODE | Flag.ANONYMOUS}, "anonymous clients are not allowed"),
        ({"user": "DOM\\alice"}, "a name holds a backslash"),
        ({"domain": "DOM\\X"}, "a name holds a backslash"),
        ({"user": "alice\\"}, "a name holds a backslash"),
    ],
)
def test_refused_whoever_it_is(changes: dict[str, object], reason: str) -> None:
    ours = server()
    ours.start(messages.write_negotiate(Flag.UNICODE))
    good = messages.parse_authenticate(Proof().token(bytes(24) + vectors.SERVER_CHALLENGE))
    # attrs.evolve is typed for known names only.
    step = ours.respond(messages.write_authenticate(attrs.evolve(good, **changes)))  # type: ignore[arg-type]
    assert step == Refuse(reason)


def test_a_replayed_authenticate() -> None:
    ours = server(b"nonce--1")
    token = dialogue(client(), ours)
    assert isinstance(settle(ours, ours.respond(token)), Done)
    other = server(b"nonce--2")
    other.start(None)
    other.respond(BY_CLIENT["pyspnego to Samba"].negotiate)
    assert settle(other, other.respond(token)) == WRONG


# ---- the MIC ----


@pytest.mark.clause("NTLM-nlmp-d")
def test_a_stripped_mic() -> None:
    """The payload moved over it, as if the client had never made room for one."""
    ours = server()
    token = dialogue(client(), ours)
    message = messages.parse_authenticate(token)
    assert message.mic_at == 72
    moved = token[:72] + token[88:]
    for at in (12, 20, 28, 36, 44, 52):
        length, room, offset = struct.unpack_from("<HHI", moved, at)
        moved = moved[:at] + struct.pack("<HHI", length, room, offset - 16) + moved[at + 8 :]
    assert messages.parse_authenticate(moved).nt_response == message.nt_response
    assert settle(ours, ours.respond(moved)) == Refuse("the MIC was announced and is missing")


@pytest.mark.clause("NTLM-nlmp-d")
@pytest.mark.parametrize("at", [16, 23, 60, 63, 65, 72, 80, 87, 88, -1])
def test_a_touched_message(at: int) -> None:
    ours = server()
    token = bytearray(dialogue(client(), ours))
    token[at] ^= 0x40
    step = settle(ours, ours.respond(bytes(token)))
    assert isinstance(step, Refuse)


@pytest.mark.clause("NTLM-nlmp-d")
@pytest.mark.parametrize("at", [15, 30])
def test_a_touched_negotiate(at: int) -> None:
    ours, who = server(), client()
    negotiate = bytearray(who.respond(b""))
    negotiate[at] ^= 0x10
    step = ours.start(bytes(negotiate))
    assert isinstance(step, Challenge)
    step = settle(ours, ours.respond(who.respond(base64.encode(step.data))))
    assert step == Refuse("the MIC does not fit the messages")


@pytest.mark.clause("NTLM-nlmp-d")
@pytest.mark.parametrize("size", [0, 1, 15, 17])
def test_a_session_key_of_another_size_makes_no_mic(size: int) -> None:
    """With an empty one the MIC would be anybody's."""
    flags = Flag.UNICODE | Flag.KEY_EXCH | Flag.SIGN
    proof = Proof(flags=flags, pairs=((AvId.FLAGS, b"\2\0\0\0"),), session_key=bytes(size))
    assert present(proof, server()) == Refuse("the session key is not 16 octets")


@pytest.mark.clause("NTLM-nlmp-d")
@pytest.mark.parametrize("key_exchange", [Flag(0), Flag.KEY_EXCH, Flag.KEY_EXCH | Flag.SEAL])
def test_the_key_of_the_mic(key_exchange: Flag) -> None:
    flags = Flag.UNICODE | key_exchange
    proof = Proof(flags=flags, pairs=((AvId.FLAGS, b"\2\0\0\0"),), session_key=b"r" * 16)
    ours = server()
    negotiate = messages.write_negotiate(flags)
    step = ours.start(negotiate)
    assert isinstance(step, Challenge)
    token = proof.token(step.data)
    message = messages.parse_authenticate(token)
    key = crypto.session_base_key(crypto.ntowf_v2(SECRET, "alice", ""), message.nt_response[:16])
    if key_exchange & Flag.SEAL:
        key = crypto.rc4(key, b"r" * 16)
    mic = crypto.hmac_md5(key, negotiate + step.data + token)
    assert isinstance(settle(ours, ours.respond(token[:72] + mic + token[88:])), Done)


def test_twice_the_same_pair_is_malformed() -> None:
    """Or one reader would see a MIC announced and another would not."""
    pairs = messages.write_av_pairs({AvId.FLAGS: b"\2\0\0\0"})[:-4] * 2 + bytes(4)
    nt_response = bytes(16) + b"\1\1" + bytes(26) + pairs
    ours = server()
    ours.start(messages.write_negotiate(Flag.UNICODE))
    good = messages.parse_authenticate(Proof().token(bytes(24) + vectors.SERVER_CHALLENGE))
    step = ours.respond(messages.write_authenticate(attrs.evolve(good, nt_response=nt_response)))
    assert step == Refuse("an AV pair comes twice", malformed=True)


# ---- channel bindings ----


@pytest.mark.clause("NTLM-nlmp-e")
@pytest.mark.parametrize(
    ("of_client", "of_server", "require", "accepted"),
    [
        (BINDING, BINDING, False, True),
        (BINDING, BINDING, True, True),
        (BINDING + b"x", BINDING, False, False),
        (BINDING + b"x", BINDING, True, False),
        (None, BINDING, False, True),
        (None, BINDING, True, False),
        (BINDING, None, False, True),
        (BINDING, None, True, False),
        (None, None, False, True),
        (None, None, True, False),
    ],
)
def test_channel_bindings(
    of_client: bytes | None, of_server: bytes | None, require: bool, accepted: bool
) -> None:
    ours = server(binding=of_server, require=require)
    step = converse(client(binding=of_client), ours)
    assert isinstance(step, Done if accepted else Refuse)
    assert step != WRONG


@pytest.mark.clause("NTLM-nlmp-e")
@pytest.mark.parametrize(
    ("sent", "require", "accepted"),
    [
        (bytes(16), False, True),
        (bytes(16), True, False),
        (b"", True, False),
        (crypto.channel_binding_hash(b"tls-server-end-point:" + BINDING)[:15], False, False),
        (crypto.channel_binding_hash(b"tls-server-end-point:" + BINDING), True, True),
    ],
)
def test_odd_bindings(sent: bytes, require: bool, accepted: bool) -> None:
    ours = server(binding=BINDING, require=require)
    step = present(Proof(pairs=((AvId.CHANNEL_BINDINGS, sent),)), ours)
    assert isinstance(step, Done if accepted else Refuse)


def test_a_wrong_password_is_told_before_a_wrong_binding() -> None:
    step = converse(client(password="x", binding=BINDING + b"x"), server(binding=BINDING))
    assert step == WRONG


# ---- NTLMv1, where it is allowed ----

# That one repeats the flag ANONYMOUS of its server, which is not ours.
_OLD = [
    each
    for each in RECORDED
    if each.outcome == "NTLMv1 is not allowed" and not each.client.startswith("pyspnego")
]


@pytest.mark.clause("NTLM-nlmp-c")
@pytest.mark.parametrize("recorded", _OLD, ids=lambda each: each.client)
@pytest.mark.parametrize("right", [True, False])
def test_recorded_old_clients(recorded: Recorded, right: bool) -> None:
    message = messages.parse_authenticate(recorded.authenticate)
    assert acceptor._policy(message, server_settings(allow_ntlmv1=True)) is None
    secret = nt_hash(recorded.password if right else "another")
    found = acceptor.verify_v1(recorded.nonce, message, secret)
    assert found == (None if right else WRONG.reason)
    assert acceptor.verify_v1(recorded.nonce, message, None) == WRONG.reason


@pytest.mark.parametrize("recorded", _OLD, ids=lambda each: each.client)
def test_recorded_old_clients_against_the_whole_server(recorded: Recorded) -> None:
    ours = server(recorded.nonce, v1=True)
    assert isinstance(ours.start(recorded.negotiate), Challenge)
    step = settle(ours, ours.respond(recorded.authenticate))
    assert step == Done(Identity(recorded.user, recorded.user, "NTLM"))


def test_an_unknown_user_of_an_old_client() -> None:
    (recorded,) = (each for each in _OLD if each.client == "exim")
    ours = server(recorded.nonce, v1=True)
    ours.start(recorded.negotiate)
    assert settle(ours, ours.respond(recorded.authenticate), UserStore({})) == WRONG


def test_an_old_client_binds_to_no_channel() -> None:
    (recorded,) = (each for each in _OLD if each.client == "exim")
    ours = server(recorded.nonce, v1=True, require=True)
    ours.start(recorded.negotiate)
    assert ours.respond(recorded.authenticate) == Refuse("the channel binding is missing")


def test_an_lm_response_alone_is_nothing() -> None:
    (recorded,) = (each for each in _OLD if each.client == "exim")
    message = messages.parse_authenticate(recorded.authenticate)
    empty = attrs.evolve(message, nt_response=b"")
    assert acceptor._policy(empty, server_settings(allow_ntlmv1=True)) == "there is no NTLMv2 response"


@pytest.mark.clause("NTLM-nlmp-c")
def test_the_published_old_exchanges() -> None:
    """[MS-NLMP] 4.2.2.2.1 and, with extended session security, 4.2.3.2."""
    message = messages.parse_authenticate(vectors.AUTHENTICATE)
    plain = attrs.evolve(
        message,
        flags=Flag.UNICODE,
        lm_response=bytes.fromhex("98def7b87f88aa5dafe2df779688a172def11c7d5ccdef13"),
        nt_response=bytes.fromhex("67c43011f30298a2ad35ece64f16331c44bdbed927841f94"),
    )
    assert acceptor.verify_v1(vectors.SERVER_CHALLENGE, plain, vectors.NT_HASH) is None
    extended = attrs.evolve(
        message,
        flags=Flag.UNICODE | Flag.EXTENDED_SESSION_SECURITY,
        lm_response=bytes.fromhex("aaaaaaaaaaaaaaaa") + bytes(16),
        nt_response=bytes.fromhex("7537f803ae367128ca458204bde7caf81e97ed2683267232"),
    )
    assert acceptor.verify_v1(vectors.SERVER_CHALLENGE, extended, vectors.NT_HASH) is None
    for wrong in (
        attrs.evolve(extended, flags=Flag.UNICODE),
        attrs.evolve(extended, lm_response=bytes(24)),
        attrs.evolve(extended, lm_response=bytes(8) + b"x" * 16),
        attrs.evolve(plain, nt_response=bytes(24)),
    ):
        assert acceptor.verify_v1(vectors.SERVER_CHALLENGE, wrong, vectors.NT_HASH) == WRONG.reason


def test_every_binding_of_the_channel_counts() -> None:
    ours = NtlmServer(
        ServerContext(tls=True, channel_bindings={"tls-unique": b"u", KIND: BINDING}),
        server_settings(require_channel_binding=True),
    )
    who = NtlmClient(Password("alice", RIGHT), client_context(channel_bindings={"tls-unique": b"u"}))
    assert isinstance(converse(who, ours), Done)
