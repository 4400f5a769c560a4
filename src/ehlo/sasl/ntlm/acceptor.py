"""NTLM in the server role: NEGOTIATE in, CHALLENGE out, AUTHENTICATE in, verified against an NT hash.

Nothing here knows a clock, a source of randomness or a user store: they are arguments and needs.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Mapping
from typing import ClassVar, Final

import attrs

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import (
    Challenge,
    Done,
    FetchSecret,
    Identity,
    Refuse,
    SecretKind,
    ServerMechanism,
    ServerSettings,
    ServerSteps,
)
from ehlo.sasl.ntlm import crypto
from ehlo.sasl.ntlm.messages import (
    EPOCH,
    MIC_OCTETS,
    Authenticate,
    AvId,
    ClientBlob,
    Flag,
    MessageError,
    ServerChallenge,
    parse_authenticate,
    parse_client_blob,
    parse_negotiate,
    write_challenge,
    zero_mic,
)

_ECHOED: Final = (
    Flag.SIGN
    | Flag.SEAL
    | Flag.ALWAYS_SIGN
    | Flag.EXTENDED_SESSION_SECURITY
    | Flag.VERSION
    | Flag.KEY_128
    | Flag.KEY_EXCH
    | Flag.KEY_56
)
_V1_OCTETS: Final = 24


@attrs.frozen
class Exchange:
    """The first two messages as they crossed the wire, and what the channel below them is."""

    negotiate: bytes
    challenge: bytes
    channel_bindings: Mapping[str, bytes] = attrs.field(factory=dict, repr=False)
    """Never to be logged [RFC9266-4a]."""
    require_channel_binding: bool = False

    @property
    def server_challenge(self) -> bytes:
        return self.challenge[24:32]


class NtlmServer(ServerMechanism):
    """NTLMv2 in the server role; NTLMv1 where the settings allow it, and anonymous clients never.

    The client may put any domain beside its name. It is part of the look-up and of the identity
    (`DOMAIN\\name`), except for the name of this server, which means an account without a domain.
    An application that ignores the domain in its look-up must ignore it in the identity too.
    """

    name: ClassVar[str] = "NTLM"

    def exchange(self, initial: bytes | None) -> ServerSteps:
        # [NTLM-2.2.1.2a] empty text: some clients take `NTLM supported` for base64 and give up.
        negotiate: bytes = (yield Challenge(b"")) if initial is None else initial
        try:
            challenge = write_challenge(self._challenge(parse_negotiate(negotiate).flags))
        except MessageError as fault:
            return Refuse(str(fault), malformed=True)
        token: bytes = yield Challenge(challenge)
        try:
            message = parse_authenticate(token)
            refusal = _policy(message, self.settings)
            if refusal is not None:
                return Refuse(refusal)
            old = len(message.nt_response) == _V1_OCTETS
            blob = ClientBlob({}) if old else parse_client_blob(message.nt_response)
        except MessageError as fault:
            return Refuse(str(fault), malformed=True)
        domain = "" if self._is_own(message.domain) else message.domain
        secret = _nt_hash((yield FetchSecret(message.user, SecretKind.NT_HASH, domain)))
        if old:
            refusal = verify_v1(challenge[24:32], message, secret)
        else:
            bindings = self.context.channel_bindings
            exchange = Exchange(negotiate, challenge, bindings, self.settings.require_channel_binding)
            refusal = verify(exchange, token, message, blob, secret)
        if refusal is not None:
            return Refuse(refusal)
        account = f"{domain}\\{message.user}" if domain else message.user
        return Done(Identity(account, account, self.name))

    @property
    def _short(self) -> str:
        return self.settings.target.partition(".")[0].upper()[:15]

    def _is_own(self, domain: str) -> bool:
        return domain.upper() in (self._short, self.settings.target.upper())

    def _challenge(self, offered: Flag) -> ServerChallenge:
        """[MS-NLMP] 3.2.5.1.1."""
        nonce = self.settings.random(8)
        if len(nonce) != 8:
            raise LocalProtocolError("the NTLM nonce must be eight octets")
        names = Flag.UNICODE if offered & Flag.UNICODE else Flag.OEM
        always = Flag.REQUEST_TARGET | Flag.NTLM | Flag.TARGET_TYPE_SERVER | Flag.TARGET_INFO
        # AV pairs are UTF-16 whatever the flags say.
        short = self._short.encode("utf-16-le")
        info: dict[int, bytes] = {
            AvId.NB_DOMAIN_NAME: short,
            AvId.NB_COMPUTER_NAME: short,
            AvId.DNS_COMPUTER_NAME: self.settings.target.encode("utf-16-le"),
        }
        if self.settings.clock is not None:
            # [NTLM-nlmp-d] this is what makes a client add a MIC.
            info[AvId.TIMESTAMP] = struct.pack("<Q", (int(self.settings.clock()) + EPOCH) * 10_000_000)
        return ServerChallenge(names | always | (offered & _ECHOED), nonce, self._short, info)


def _nt_hash(answer: object) -> bytes | None:
    if answer is None or (isinstance(answer, bytes) and len(answer) == 16):
        return answer
    raise LocalProtocolError("an NT hash is 16 octets")


def _policy(message: Authenticate, settings: ServerSettings) -> str | None:
    """Why a message is refused whoever the user is; None when it is not."""
    # [NTLM-nlmp-c] as long as every NTLMv1 response is, also with extended session security.
    if len(message.nt_response) == _V1_OCTETS:
        if not settings.allow_ntlmv1:
            return "NTLMv1 is not allowed"
        if settings.require_channel_binding:
            return "the channel binding is missing"
    if not message.user or message.flags & Flag.ANONYMOUS:
        return "anonymous clients are not allowed"
    if not message.nt_response:
        return "there is no NTLMv2 response"
    # The separator of `DOMAIN\name`: inside a part it would make two accounts look like one.
    if "\\" in message.user or "\\" in message.domain:
        return "a name holds a backslash"
    return None


def verify(
    exchange: Exchange, token: bytes, message: Authenticate, blob: ClientBlob, nt_hash: bytes | None
) -> str | None:
    """None when AUTHENTICATE proves knowledge of `nt_hash`, or else the reason [MS-NLMP] 3.2.5.1.2.

    `token` is what `message` and `blob` were read from. With None for an unknown user the same
    work is done, and the reason is that of a wrong password.
    """
    oem = not message.flags & Flag.UNICODE
    key = crypto.ntowf_v2(nt_hash or bytes(16), message.user, message.domain, oem=oem)
    proof, raw_blob = message.nt_response[:16], message.nt_response[16:]
    # Over the octets as they came: another reader's idea of the pairs in them must not count.
    expected = crypto.nt_proof(key, exchange.server_challenge, raw_blob)
    proved = hmac.compare_digest(expected, proof)
    if not proved or nt_hash is None:
        return "wrong user name or password"
    return _check_channel(exchange, blob) or _check_mic(exchange, token, message, blob, key)


def verify_v1(server_challenge: bytes, message: Authenticate, nt_hash: bytes | None) -> str | None:
    """As `verify`, for the 24 octets of NTLMv1 [MS-NLMP] 3.3.1. An LM response alone counts for nothing."""
    asked = server_challenge
    if message.flags & Flag.EXTENDED_SESSION_SECURITY and not any(message.lm_response[8:]):
        asked = crypto.ntlm2_challenge(server_challenge, message.lm_response[:8])
    proved = hmac.compare_digest(crypto.desl(nt_hash or bytes(16), asked), message.nt_response)
    return None if proved and nt_hash is not None else "wrong user name or password"


def _check_channel(exchange: Exchange, blob: ClientBlob) -> str | None:
    """[NTLM-nlmp-e]"""
    sent = blob.av_pairs.get(AvId.CHANNEL_BINDINGS, bytes(16))
    if not any(sent):
        # Absent or zeros (Samba's client): the client knows of no channel.
        return "the channel binding is missing" if exchange.require_channel_binding else None
    if not exchange.channel_bindings:
        return "no channel binding to compare with" if exchange.require_channel_binding else None
    for kind, data in exchange.channel_bindings.items():
        # The client does not say which it means.
        if hmac.compare_digest(crypto.channel_binding_hash(kind.encode() + b":" + data), sent):
            return None
    return "the channel binding is of another channel"


def _check_mic(
    exchange: Exchange, token: bytes, message: Authenticate, blob: ClientBlob, key: bytes
) -> str | None:
    """[NTLM-nlmp-d] announced inside the proof, so nobody on the way can take the promise back."""
    if not blob.announces_mic:
        return None
    if message.mic_at is None:
        return "the MIC was announced and is missing"
    session_key = crypto.session_base_key(key, message.nt_response[:16])
    if message.flags & Flag.KEY_EXCH and message.flags & (Flag.SIGN | Flag.SEAL):
        # A shorter key could be guessed, an empty one would make the MIC anybody's.
        if len(message.session_key) != 16:
            return "the session key is not 16 octets"
        session_key = crypto.rc4(session_key, message.session_key)
    sent = token[message.mic_at : message.mic_at + MIC_OCTETS]
    signed = exchange.negotiate + exchange.challenge + zero_mic(token, message.mic_at)
    expected = crypto.hmac_md5(session_key, signed)
    return None if hmac.compare_digest(expected, sent) else "the MIC does not fit the messages"
