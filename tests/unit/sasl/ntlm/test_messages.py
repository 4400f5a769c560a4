from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sasl.ntlm import vectors
from tests.unit.sasl.ntlm.recorded import BY_CLIENT, RECORDED, Recorded

from ehlo.sasl.ntlm import messages
from ehlo.sasl.ntlm.messages import AvId, Flag, MessageError, ServerChallenge

SAMBA = BY_CLIENT["pyspnego to Samba, domain"]


def patched(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def test_the_published_messages() -> None:
    challenge = messages.parse_challenge(vectors.CHALLENGE)
    assert challenge.server_challenge == vectors.SERVER_CHALLENGE
    assert challenge.target_name == "Server"
    assert challenge.target_info[AvId.NB_DOMAIN_NAME] == "Domain".encode("utf-16-le")
    message = messages.parse_authenticate(vectors.AUTHENTICATE)
    assert (message.user, message.domain) == ("User", "Domain")
    assert message.nt_response == vectors.NT_PROOF + vectors.BLOB
    assert message.session_key == vectors.ENCRYPTED_SESSION_KEY
    assert message.workstation == "COMPUTER".encode("utf-16-le")
    assert message.mic_at is None


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda each: each.client)
def test_recorded_messages_are_read(recorded: Recorded) -> None:
    messages.parse_negotiate(recorded.negotiate)
    assert messages.parse_challenge(recorded.challenge).server_challenge == recorded.nonce
    message = messages.parse_authenticate(recorded.authenticate)
    assert recorded.user.endswith(message.user)


def test_the_place_of_the_mic() -> None:
    assert messages.parse_authenticate(SAMBA.authenticate).mic_at == 72
    cyrus = messages.parse_authenticate(BY_CLIENT["pyspnego to Cyrus SASL"].authenticate)
    assert cyrus.mic_at == 64
    assert messages.parse_authenticate(BY_CLIENT["curl"].authenticate).mic_at is None
    # With Version, the same payload begins in the middle of where a MIC would be.
    flags = struct.unpack_from("<I", BY_CLIENT["pyspnego to Cyrus SASL"].authenticate, 60)[0]
    versioned = struct.pack("<I", flags | Flag.VERSION)
    token = patched(BY_CLIENT["pyspnego to Cyrus SASL"].authenticate, 60, versioned)
    assert messages.parse_authenticate(token).mic_at is None


@pytest.mark.clause("NTLM-nlmp-a")
@pytest.mark.parametrize("at", range(12))
def test_signature_and_type(at: int) -> None:
    for read, data in (
        (messages.parse_negotiate, SAMBA.negotiate),
        (messages.parse_challenge, SAMBA.challenge),
        (messages.parse_authenticate, SAMBA.authenticate),
    ):
        with pytest.raises(MessageError):
            read(patched(data, at, bytes([data[at] ^ 4])))


@pytest.mark.clause("NTLM-nlmp-a")
def test_every_cut() -> None:
    for size in range(16):
        with pytest.raises(MessageError):
            messages.parse_negotiate(SAMBA.negotiate[:size])
    for size in range(len(SAMBA.challenge)):
        with pytest.raises(MessageError):
            messages.parse_challenge(SAMBA.challenge[:size])
    for size in range(len(SAMBA.authenticate) - 16):
        with pytest.raises(MessageError):
            messages.parse_authenticate(SAMBA.authenticate[:size])


@pytest.mark.clause("NTLM-nlmp-a")
@pytest.mark.parametrize("at", [12, 20, 28, 36, 44, 52])
@pytest.mark.parametrize(("length", "offset"), [(4, 0), (4, 63), (0xFFFF, 64), (1, 0xFFFFFFFF), (1, 10_000)])
def test_fields_of_authenticate_are_inside(at: int, length: int, offset: int) -> None:
    field = struct.pack("<HHI", length, length, offset)
    with pytest.raises(MessageError):
        messages.parse_authenticate(patched(SAMBA.authenticate, at, field))


@pytest.mark.clause("NTLM-nlmp-a")
def test_fields_of_the_others_are_inside() -> None:
    for at in (16, 24):
        with pytest.raises(MessageError):
            messages.parse_negotiate(patched(SAMBA.negotiate, at, struct.pack("<HHI", 9, 9, 36)))
    for at in (12, 40):
        with pytest.raises(MessageError):
            messages.parse_challenge(patched(SAMBA.challenge, at, struct.pack("<HHI", 999, 999, 48)))


def test_a_negotiate_of_sixteen_octets() -> None:
    assert messages.parse_negotiate(SAMBA.negotiate[:16]).flags & Flag.UNICODE


def test_names_need_an_encoding() -> None:
    with pytest.raises(MessageError):
        messages.parse_negotiate(messages.write_negotiate(Flag.NTLM))


@pytest.mark.parametrize("user", ["a\nb", "a\0", "\x1b[2J", "a\x7f", "a\x85", "a\u2028b"])
@pytest.mark.parametrize("names", [Flag.UNICODE, Flag.OEM])
def test_control_characters_in_names(user: str, names: Flag) -> None:
    for field in ("user", "domain"):
        with pytest.raises(MessageError) as caught:
            messages.parse_authenticate(messages.write_authenticate(authenticate(names, **{field: user})))
        assert user not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "octets"), [(Flag.UNICODE, b"\x00\xd8"), (Flag.UNICODE, b"abc"), (Flag.OEM, b"\xff\xfe")]
)
def test_names_that_are_no_text(names: Flag, octets: bytes) -> None:
    good = messages.write_authenticate(authenticate(names, user="x" * len(octets)))
    at = len(good) - (2 if names is Flag.UNICODE else 1) * len(octets)
    bad = patched(good, 36, struct.pack("<HHI", len(octets), len(octets), at))
    with pytest.raises(MessageError):
        messages.parse_authenticate(patched(bad, at, octets))


@pytest.mark.parametrize(
    "pairs",
    [
        "",
        "00",
        "0000",
        "000001",
        "00000100ff",
        "0200",
        "02000400aabb",
        "020000000200000000000000",
        "0200000002",
    ],
)
def test_malformed_av_pairs(pairs: str) -> None:
    with pytest.raises(MessageError):
        messages.parse_av_pairs(bytes.fromhex(pairs))


def test_av_pairs() -> None:
    assert messages.parse_av_pairs(bytes(8)) == {}
    assert messages.parse_av_pairs(bytes.fromhex("02000100aa07000000" + "00000000")) == {2: b"\xaa", 7: b""}


@pytest.mark.parametrize("size", [0, 16, 24, 44, 47])
def test_a_short_ntlmv2_response(size: int) -> None:
    with pytest.raises(MessageError):
        messages.parse_client_blob((bytes(16) + b"\1\1" + bytes(40))[:size])


@pytest.mark.parametrize("version", [b"\0\1", b"\1\0", b"\2\1"])
def test_a_response_of_another_version(version: bytes) -> None:
    with pytest.raises(MessageError):
        messages.parse_client_blob(bytes(16) + version + bytes(40))


def authenticate(flags: Flag, user: str = "alice", domain: str = "DOM") -> messages.Authenticate:
    return messages.Authenticate(
        flags=flags,
        lm_response=bytes(24),
        nt_response=vectors.NT_PROOF + vectors.BLOB,
        domain=domain,
        user=user,
        workstation=b"WS",
        session_key=b"k" * 16,
        mic_at=72,
    )


TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)


@given(st.sampled_from([Flag.UNICODE, Flag.OEM]), st.booleans(), TEXT, TEXT)
def test_authenticate_there_and_back(names: Flag, version: bool, user: str, domain: str) -> None:
    flags = names | Flag.NTLM | (Flag.VERSION if version else Flag(0))
    message = authenticate(flags, user, domain)
    assert messages.parse_authenticate(messages.write_authenticate(message, b"m" * 16)) == message


@given(
    st.sampled_from([Flag.UNICODE, Flag.OEM]),
    st.binary(min_size=8, max_size=8),
    TEXT,
    st.dictionaries(st.integers(1, 20), st.binary(max_size=9)),
)
def test_challenge_there_and_back(names: Flag, nonce: bytes, target: str, info: dict[int, bytes]) -> None:
    message = ServerChallenge(names | Flag.TARGET_INFO | Flag.VERSION, nonce, target, info)
    assert messages.parse_challenge(messages.write_challenge(message)) == message


def test_negotiate_there_and_back() -> None:
    flags = Flag.UNICODE | Flag.NTLM | Flag.VERSION
    written = messages.write_negotiate(flags)
    assert messages.parse_negotiate(written).flags == flags
    assert len(written) == 40


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(data: bytes) -> None:
    for kind, read in enumerate(
        (messages.parse_negotiate, messages.parse_challenge, messages.parse_authenticate), 1
    ):
        with suppress(MessageError):
            read(messages.SIGNATURE + struct.pack("<I", kind) + data)


def test_responses_are_not_shown() -> None:
    shown = repr(messages.parse_authenticate(SAMBA.authenticate))
    message = messages.parse_authenticate(SAMBA.authenticate)
    assert repr(message.nt_response) not in shown
    assert repr(message.session_key) not in shown
    assert repr(message.lm_response) not in shown
