"""NTLM in the client role: NEGOTIATE out, CHALLENGE in, AUTHENTICATE out [MS-NLMP] 3.1.5.1.

Clock and randomness are the context's; no name of this host is sent; the environment has no say.
"""

from __future__ import annotations

import struct
from enum import Enum, auto
from typing import ClassVar, Final

import attrs

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import ClientContext, ClientMechanism, MechanismError, decode_challenge
from ehlo.sasl._text import acts_as_itself, password_of, text_of
from ehlo.sasl.credentials import Credentials, NtHash
from ehlo.sasl.ntlm import crypto
from ehlo.sasl.ntlm.messages import (
    AV_MIC_PROVIDED,
    EPOCH,
    Authenticate,
    AvId,
    Flag,
    MessageError,
    ServerChallenge,
    is_clean,
    parse_challenge,
    write_authenticate,
    write_av_pairs,
    write_negotiate,
)

_OFFERED: Final = (
    Flag.UNICODE
    | Flag.OEM
    | Flag.REQUEST_TARGET
    | Flag.SIGN
    | Flag.NTLM
    | Flag.ALWAYS_SIGN
    | Flag.EXTENDED_SESSION_SECURITY
    | Flag.VERSION
    | Flag.KEY_128
    | Flag.KEY_EXCH
    | Flag.KEY_56
)
_SERVICE: Final = "SMTPSVC"
"""The class of service in MsvAvTargetName, as Windows' own clients have it."""
_PROOF_OCTETS: Final = 16
_MOST_OCTETS: Final = 0xFFFF
"""Of one field: its length has two octets."""


class _Stage(Enum):
    """[NTLM-3.1.1.1a]"""

    START = auto()
    NEGOTIATE_SENT = auto()
    AUTHENTICATE_SENT = auto()


@attrs.frozen
class _Responses:
    """The fields of AUTHENTICATE that prove something, and the key that comes of them."""

    lm: bytes = attrs.field(repr=False)
    nt: bytes = attrs.field(repr=False)
    key: bytes = attrs.field(repr=False)
    """KeyExchangeKey."""
    mic: bool = False


class NtlmClient(ClientMechanism):
    """NTLMv2 in the client role, NTLMv1 where the context allows it and the server knows nothing better.

    Raises LocalProtocolError for credentials that it cannot carry.
    """

    name: ClassVar[str] = "NTLM"

    def __init__(self, credentials: Credentials, context: ClientContext) -> None:
        if isinstance(credentials, NtHash):
            username, self._nt_hash = credentials.username, credentials.nt_hash
        else:
            login = password_of(credentials, self.name)
            username, self._nt_hash = login.username, crypto.nt_hash(text_of(login.password))
        fault = _unusable(username)
        if fault:
            raise LocalProtocolError(fault)
        # A UPN, `name@domain`, stays whole, with no domain beside it.
        self._domain, _, self._user = username.rpartition("\\")
        self._context = context
        self._stage = _Stage.START
        self._negotiate = b""

    @classmethod
    def serves(cls, credentials: Credentials, context: ClientContext) -> bool:
        if isinstance(credentials, NtHash):
            return not _unusable(credentials.username)
        return acts_as_itself(credentials) and not _unusable(credentials.username)

    def initial(self) -> bytes | None:
        return self._start() if self._context.initial_response else None

    def respond(self, text: bytes) -> bytes:
        match self._stage:
            case _Stage.START:
                # [NTLM-3.1.5.1a] prose or nothing: never decoded.
                return self._start()
            case _Stage.NEGOTIATE_SENT:
                # [NTLM-3.1.5.1b] after an initial response this is the first 334 already.
                return self._answer(decode_challenge(text))
            case _Stage.AUTHENTICATE_SENT:
                raise MechanismError("a challenge after the AUTHENTICATE_MESSAGE")

    def succeeded(self) -> None:
        # [NTLM-2.2.1.6a]
        if self._stage is not _Stage.AUTHENTICATE_SENT:
            raise MechanismError("success before the credentials were sent")

    def _start(self) -> bytes:
        self._negotiate = write_negotiate(_OFFERED)
        self._stage = _Stage.NEGOTIATE_SENT
        return self._negotiate

    def _answer(self, token: bytes) -> bytes:
        try:
            challenge = parse_challenge(token)
        except MessageError as fault:
            raise MechanismError(f"the server's challenge: {fault}") from None
        flags = _agreed(challenge.flags)
        if not flags & Flag.UNICODE and not (self._user + self._domain).isascii():
            raise MechanismError("the server does not take names in Unicode")
        found = self._responses(challenge, flags)
        exported, session_key = found.key, b""
        if flags & Flag.KEY_EXCH and flags & Flag.SIGN:
            exported = self._context.random(16)
            session_key = crypto.rc4(found.key, exported)
        message = Authenticate(
            flags=flags,
            lm_response=found.lm,
            nt_response=found.nt,
            domain=self._domain,
            user=self._user,
            workstation=b"",
            session_key=session_key,
            mic_at=None,
        )
        self._stage = _Stage.AUTHENTICATE_SENT
        if not found.mic:
            return write_authenticate(message)
        # [NTLM-nlmp-d]
        signed = self._negotiate + token + write_authenticate(message)
        return write_authenticate(message, crypto.hmac_md5(exported, signed))

    def _responses(self, challenge: ServerChallenge, flags: Flag) -> _Responses:
        # [NTLM-nlmp-b] who sends target information has known NTLMv2 for as long.
        if self._context.allow_ntlmv1 and not challenge.target_info:
            return self._v1(challenge, flags)
        return self._v2(challenge)

    def _v2(self, challenge: ServerChallenge) -> _Responses:
        """[MS-NLMP] 3.3.2, with the AV pairs of 3.1.5.1.2."""
        pairs = dict(challenge.target_info)
        stamp = pairs.get(AvId.TIMESTAMP)
        if stamp is not None and len(stamp) != 8:
            raise MechanismError("the server's challenge: a time stamp of another length")
        if pairs:
            said = int.from_bytes(pairs.get(AvId.FLAGS, b""), "little")
            if stamp is not None:
                pairs[AvId.FLAGS] = struct.pack("<I", (said | AV_MIC_PROVIDED) & 0xFFFFFFFF)
            pairs[AvId.TARGET_NAME] = f"{_SERVICE}/{self._context.server_name}".encode("utf-16-le")
            binding = crypto.channel_binding(self._context.channel_bindings)
            # [NTLM-nlmp-e] zeros say that there is no channel.
            pairs[AvId.CHANNEL_BINDINGS] = (
                bytes(16) if binding is None else crypto.channel_binding_hash(binding)
            )
        now = struct.pack("<Q", (int(self._context.clock()) + EPOCH) * 10_000_000)
        nonce = self._context.random(8)
        blob = b"\1\1" + bytes(6) + (stamp or now) + nonce + bytes(4) + write_av_pairs(pairs) + bytes(4)
        if len(blob) + _PROOF_OCTETS > _MOST_OCTETS:
            raise MechanismError("the server's challenge: more target information than an answer can hold")
        key = crypto.ntowf_v2(self._nt_hash, self._user, self._domain)
        proof = crypto.nt_proof(key, challenge.server_challenge, blob)
        # With a time stamp the LM response has nothing to add and is left empty.
        lm = bytes(24) if stamp else crypto.hmac_md5(key, challenge.server_challenge + nonce) + nonce
        return _Responses(lm, proof + blob, crypto.session_base_key(key, proof), stamp is not None)

    def _v1(self, challenge: ServerChallenge, flags: Flag) -> _Responses:
        """[MS-NLMP] 3.3.1, with extended session security where the server has it."""
        asked = challenge.server_challenge
        base_key = crypto.md4(self._nt_hash)
        if not flags & Flag.EXTENDED_SESSION_SECURITY:
            nt = crypto.desl(self._nt_hash, asked)
            # Never the LM hash: it is a password of seven letters, twice.
            return _Responses(nt, nt, base_key)
        nonce = self._context.random(8)
        lm = nonce + bytes(16)
        nt = crypto.desl(self._nt_hash, crypto.ntlm2_challenge(asked, nonce))
        return _Responses(lm, nt, crypto.hmac_md5(base_key, asked + nonce))


def _agreed(flags: Flag) -> Flag:
    """What both sides know [MS-NLMP] 3.1.5.1.2."""
    agreed = flags & (_OFFERED | Flag.TARGET_INFO)
    if agreed & Flag.UNICODE:
        agreed &= ~Flag.OEM
    return agreed


def _unusable(username: str) -> str | None:
    """Why NTLM cannot carry a user name; None when it can."""
    domain, _, name = username.rpartition("\\")
    if not name:
        return "the user name is empty"
    if "\\" in domain or not is_clean(username):
        return "the user name holds a control character or a second backslash"
    try:
        octets = len(username.encode("utf-16-le"))
    except UnicodeEncodeError:
        return "the user name holds half of a surrogate pair"
    return "the user name is longer than NTLM can carry" if octets > _MOST_OCTETS else None
