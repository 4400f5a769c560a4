"""Fields of NTLM's messages at their bounds, octet by octet."""

from __future__ import annotations

import struct

import attrs
import pytest
from tests.helpers.sasl import NOW, client_context, constant, server_settings
from tests.unit.sasl.ntlm import vectors

from ehlo import LocalProtocolError
from ehlo.sasl import MechanismError, NtlmClient, NtlmServer, Password, Refuse, nt_hash
from ehlo.sasl._base import Challenge
from ehlo.sasl.ntlm import acceptor, crypto, messages
from ehlo.sasl.ntlm.messages import AV_MIC_PROVIDED, AvId, Flag, MessageError, ServerChallenge
from ehlo.wire import base64

SIGNATURE = b"NTLMSSP\0"
EMPTY = bytes(8)
VERSION = messages._VERSION
SECRET = nt_hash("secret")
RANDOM = bytes(range(16))
PROTECTED = Flag.UNICODE | Flag.KEY_EXCH | Flag.SIGN


def field(length: int, offset: int) -> bytes:
    return struct.pack("<HHI", length, 0, offset)


# ---- NEGOTIATE ----


def test_a_negotiate_as_it_is_written() -> None:
    flags = Flag.UNICODE | Flag.NTLM
    start = SIGNATURE + b"\1\0\0\0"
    assert messages.write_negotiate(flags) == start + struct.pack("<I", flags) + field(0, 40) * 2 + bytes(8)
    versioned = messages.write_negotiate(flags | Flag.VERSION)
    assert versioned[-8:] == VERSION != bytes(8)
    assert messages.parse_negotiate(versioned).flags == flags | Flag.VERSION


def test_every_flag_is_kept() -> None:
    found = messages.parse_negotiate(SIGNATURE + b"\1\0\0\0" + b"\xff" * 4).flags
    assert int(found) == 0xFFFFFFFF


@pytest.mark.parametrize("size", [24, 32])
def test_a_field_of_a_negotiate_is_looked_at_where_it_is_there(size: int) -> None:
    whole = SIGNATURE + b"\1\0\0\0" + struct.pack("<I", Flag.UNICODE) + field(0, 0) * (size // 8 - 3)
    wrong = whole + field(1, 31)
    assert len(wrong) == size
    with pytest.raises(MessageError):
        messages.parse_negotiate(wrong)
    for cut in range(1, 8):
        assert messages.parse_negotiate(wrong[:-cut]).flags == Flag.UNICODE


# ---- CHALLENGE ----


def challenge(flags: Flag, behind: bytes = b"", name: bytes = EMPTY) -> bytes:
    return SIGNATURE + b"\2\0\0\0" + name + struct.pack("<I", flags) + b"nonce..." + behind


def test_the_shortest_challenge() -> None:
    octets = challenge(Flag.UNICODE)
    assert len(octets) == 32
    assert messages.parse_challenge(octets) == ServerChallenge(Flag.UNICODE, b"nonce...", "", {})
    with pytest.raises(MessageError):
        messages.parse_challenge(octets[:-1])
    named = challenge(Flag.OEM, b"name", field(4, 32))
    assert messages.parse_challenge(named).target_name == "name"


def test_the_shortest_challenge_with_target_information() -> None:
    flags = Flag.UNICODE | Flag.TARGET_INFO
    octets = challenge(flags, bytes(16))
    assert len(octets) == 48
    assert messages.parse_challenge(octets).target_info == {}
    with pytest.raises(MessageError):
        messages.parse_challenge(octets[:-1])
    informed = challenge(flags, bytes(8) + field(9, 48) + b"\2\0\1\0x" + bytes(4))
    assert messages.parse_challenge(informed).target_info == {2: b"x"}


def test_a_challenge_as_it_is_written() -> None:
    message = ServerChallenge(Flag.OEM | Flag.TARGET_INFO, b"nonce...", "name", {})
    start = SIGNATURE + b"\2\0\0\0" + struct.pack("<HHI", 4, 4, 56) + struct.pack("<I", message.flags)
    rest = bytes(8) + struct.pack("<HHI", 4, 4, 60)
    assert messages.write_challenge(message) == start + b"nonce..." + rest + bytes(8) + b"name" + bytes(4)
    versioned = messages.write_challenge(attrs.evolve(message, flags=message.flags | Flag.VERSION))
    assert versioned[48:56] == VERSION


# ---- AUTHENTICATE ----


@pytest.mark.parametrize(("size", "mic_at"), [(64, None), (79, None), (80, 64), (87, 64), (88, 72)])
def test_an_authenticate_without_any_field(size: int, mic_at: int | None) -> None:
    octets = SIGNATURE + b"\3\0\0\0" + EMPTY * 6 + struct.pack("<I", Flag.UNICODE) + bytes(size - 64)
    message = messages.parse_authenticate(octets)
    assert (message.user, message.domain, message.nt_response, message.mic_at) == ("", "", b"", mic_at)
    if size == 64:
        with pytest.raises(MessageError):
            messages.parse_authenticate(octets[:-1])


def test_separators_of_paragraphs_are_not_clean() -> None:
    assert messages.is_clean("a b\u00e9")
    for char in "\0\x7f\x85\u2028\u2029":
        assert not messages.is_clean(f"a{char}b")


def test_the_shortest_blob() -> None:
    blob = b"\1\1" + bytes(26) + bytes(4)
    assert messages.parse_client_blob(bytes(16) + blob).av_pairs == {}
    with pytest.raises(MessageError):
        messages.parse_client_blob(bytes(16) + blob[:-1])


def test_av_pairs_are_unsigned() -> None:
    pairs = {0x8001: b"x" * 40000, 0xFFFF: b""}
    assert messages.parse_av_pairs(messages.write_av_pairs(pairs)) == pairs


# ---- the client ----


def answered(flags: Flag, info: dict[int, bytes] | None = None, *, v1: bool = False) -> messages.Authenticate:
    context = client_context(random=constant(RANDOM), allow_ntlmv1=v1)
    who = NtlmClient(Password("alice", "secret"), context)
    who.respond(b"")
    asked = messages.write_challenge(ServerChallenge(flags | Flag.TARGET_INFO, b"nonce...", "", info or {}))
    return messages.parse_authenticate(who.respond(base64.encode(asked)))


@pytest.mark.parametrize("flags", [Flag.UNICODE, Flag.UNICODE | Flag.KEY_EXCH, Flag.UNICODE | Flag.SIGN])
def test_no_key_is_exchanged_for_nothing(flags: Flag) -> None:
    assert answered(flags).session_key == b""
    assert len(answered(PROTECTED).session_key) == 16


def test_names_are_in_what_the_server_knows() -> None:
    assert answered(Flag.UNICODE | Flag.OEM).flags & (Flag.UNICODE | Flag.OEM) == Flag.UNICODE
    assert answered(Flag.OEM).flags & (Flag.UNICODE | Flag.OEM) == Flag.OEM


@pytest.mark.clause("NTLM-nlmp-d")
@pytest.mark.parametrize(("said", "sent"), [(None, 2), (0, 2), (1, 3), (4, 6), (0xFFFFFFFD, 0xFFFFFFFF)])
def test_what_the_server_said_is_repeated_with_the_mic(said: int | None, sent: int) -> None:
    info: dict[int, bytes] = {AvId.TIMESTAMP: bytes(8)}
    if said is not None:
        info[AvId.FLAGS] = struct.pack("<I", said)
    pairs = messages.parse_client_blob(answered(Flag.UNICODE, info).nt_response).av_pairs
    assert struct.unpack("<I", pairs[AvId.FLAGS]) == (sent,)
    assert sent & AV_MIC_PROVIDED


def test_as_much_target_information_as_an_answer_holds() -> None:
    empty = len(answered(Flag.UNICODE, {100: b""}).nt_response)
    most = 0xFFFF - empty
    assert len(answered(Flag.UNICODE, {100: bytes(most)}).nt_response) == 0xFFFF
    with pytest.raises(MechanismError, match="more target information"):
        answered(Flag.UNICODE, {100: bytes(most + 1)})


@pytest.mark.parametrize("extended", [False, True])
def test_the_key_of_version_one(extended: bool) -> None:
    flags = PROTECTED | (Flag.EXTENDED_SESSION_SECURITY if extended else Flag(0))
    message = answered(flags, v1=True)
    key = crypto.md4(SECRET)
    if extended:
        key = crypto.hmac_md5(key, b"nonce..." + RANDOM[:8])
    assert crypto.rc4(key, message.session_key) == RANDOM


@pytest.mark.parametrize(
    ("username", "fault"),
    [
        ("", "the user name is empty"),
        ("DOM\\", "the user name is empty"),
        ("a\\b\\c", "control character or a second backslash"),
        ("a\nb", "control character or a second backslash"),
        ("a\ud800", "half of a surrogate pair"),
        ("a" * 32768, "longer than NTLM can carry"),
    ],
)
def test_names_that_it_cannot_carry(username: str, fault: str) -> None:
    with pytest.raises(LocalProtocolError, match=fault):
        NtlmClient(Password(username, "secret"), client_context())


# ---- the server ----


@pytest.mark.clause("NTLM-nlmp-d")
def test_the_challenge_of_the_server() -> None:
    ours = NtlmServer(settings=server_settings(random=constant(RANDOM)))
    step = ours.start(messages.write_negotiate(Flag.UNICODE))
    assert isinstance(step, Challenge)
    message = messages.parse_challenge(step.data)
    always = Flag.REQUEST_TARGET | Flag.NTLM | Flag.TARGET_TYPE_SERVER | Flag.TARGET_INFO
    assert message.flags == always | Flag.UNICODE
    assert message.server_challenge == RANDOM[:8]
    stamp = struct.unpack("<Q", message.target_info[AvId.TIMESTAMP])
    assert stamp == ((NOW + 11_644_473_600) * 10_000_000,)


def test_malformed_messages_say_why() -> None:
    assert NtlmServer(settings=server_settings()).start(b"x") == Refuse(
        "no NTLMSSP signature", malformed=True
    )
    ours = NtlmServer(settings=server_settings())
    ours.start(messages.write_negotiate(Flag.UNICODE))
    assert ours.respond(b"x") == Refuse("no NTLMSSP signature", malformed=True)


def test_an_lm_response_of_twenty_four_octets_is_no_nonce() -> None:
    """Extended session security is taken only from who sends a nonce and zeros behind it."""
    message = messages.parse_authenticate(vectors.AUTHENTICATE)
    flags = Flag.UNICODE | Flag.EXTENDED_SESSION_SECURITY
    nonce, asked = b"12345678", b"nonce..."
    for behind, expected in ((bytes(16), crypto.ntlm2_challenge(asked, nonce)), (b"\1" + bytes(15), asked)):
        nt = crypto.desl(SECRET, expected)
        tried = attrs.evolve(message, flags=flags, lm_response=nonce + behind, nt_response=nt)
        assert acceptor.verify_v1(asked, tried, SECRET) is None


# ---- the primitives ----


def test_rc4_of_more_than_its_box() -> None:
    """Against the definition, in another spelling."""
    key, box, j = b"key", list(range(256)), 0
    for i in range(256):
        j = (j + box[i] + key[i % 3]) & 0xFF
        box[i], box[j] = box[j], box[i]
    stream, j = bytearray(), 0
    for place in range(1, 1001):
        i = place & 0xFF
        j = (j + box[i]) & 0xFF
        box[i], box[j] = box[j], box[i]
        stream.append(box[(box[i] + box[j]) & 0xFF])
    assert crypto.rc4(key, bytes(1000)) == bytes(stream)


def test_the_challenge_of_extended_session_security_has_eight_octets() -> None:
    assert len(crypto.ntlm2_challenge(b"nonce...", b"12345678")) == 8


@pytest.mark.clause("NTLM-nlmp-d")
def test_a_mic_without_a_key_of_its_own() -> None:
    """A client that signs, and exchanges no key."""
    message = attrs.evolve(
        messages.parse_authenticate(vectors.AUTHENTICATE),
        flags=Flag.UNICODE | Flag.SIGN,
        session_key=b"",
        mic_at=72,
    )
    exchange, key = acceptor.Exchange(b"negotiate", b"challenge"), bytes(16)
    blob = messages.ClientBlob({AvId.FLAGS: b"\2\0\0\0"})
    unsigned = messages.write_authenticate(message)
    base_key = crypto.session_base_key(key, message.nt_response[:16])
    mic = crypto.hmac_md5(base_key, b"negotiate" + b"challenge" + unsigned)
    token = messages.write_authenticate(message, mic)
    assert acceptor._check_mic(exchange, token, message, blob, key) is None
    assert acceptor._check_mic(exchange, unsigned, message, blob, key) == "the MIC does not fit the messages"
