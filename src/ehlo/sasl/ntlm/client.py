"""NTLM in the client role: pyspnego computes the answers, our parser stands in front of and behind it.

What pyspnego would leave to the environment is settled here, without touching it:
  - it gets the NT hash, not the password: a password that looks like `LM:NT` hashes stays one;
  - the name of this host is taken out of AUTHENTICATE again, and the MIC made anew;
  - an answer by NTLMv1 (LM_COMPAT_LEVEL below 3) is refused, not sent.
It reads LM_COMPAT_LEVEL, the clock and the system's randomness itself, and logs the messages (no
password, but what a guess could be tried on) at level DEBUG to the logger `spnego`.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, ClassVar

import attrs

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import ClientContext, MechanismError, Password, decode_challenge
from ehlo.sasl._text import acts_as_itself, refuse_authzid
from ehlo.sasl.ntlm.crypto import hmac_md5, nt_hash, upcase
from ehlo.sasl.ntlm.messages import (
    MessageError,
    is_clean,
    parse_authenticate,
    parse_challenge,
    parse_client_blob,
    write_authenticate,
)

if TYPE_CHECKING:
    from spnego import ContextProxy


class _Stage(Enum):
    """[NTLM-3.1.1.1a]"""

    START = auto()
    NEGOTIATE_SENT = auto()
    AUTHENTICATE_SENT = auto()


class NtlmClient:
    """NTLMv2 in the client role. Raises LocalProtocolError for credentials that it cannot carry."""

    name: ClassVar[str] = "NTLM"
    cleartext: ClassVar[bool] = False

    def __init__(self, credentials: Password, context: ClientContext) -> None:
        refuse_authzid(credentials, self.name)
        fault = _unusable(credentials.username)
        if fault:
            raise LocalProtocolError(fault)
        self._username = credentials.username
        self._nt_hash = nt_hash(credentials.password)
        self._context = context
        self._stage = _Stage.START
        self._negotiate = b""
        self._spnego: ContextProxy | None = None

    @staticmethod
    def serves(credentials: Password) -> bool:
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
        self._negotiate = self._step(None)
        self._stage = _Stage.NEGOTIATE_SENT
        return self._negotiate

    def _answer(self, challenge: bytes) -> bytes:
        try:
            parse_challenge(challenge)
        except MessageError as fault:
            raise MechanismError(f"the server's challenge: {fault}") from None
        token = self._step(challenge)
        try:
            answer = self._without_workstation(challenge, token)
        except MessageError as fault:
            raise MechanismError(f"pyspnego's answer: {fault}") from None
        self._stage = _Stage.AUTHENTICATE_SENT
        return answer

    def _without_workstation(self, challenge: bytes, token: bytes) -> bytes:
        message = parse_authenticate(token)
        # [NTLM-nlmp-b] raises for the 24 octets of NTLMv1.
        blob = parse_client_blob(message.nt_response)
        message = attrs.evolve(message, workstation=b"")
        if not blob.announces_mic or self._spnego is None:
            return write_authenticate(message)
        signed = self._negotiate + challenge + write_authenticate(message)
        return write_authenticate(message, hmac_md5(self._spnego.session_key, signed))

    def _step(self, token: bytes | None) -> bytes:
        # pyspnego raises whatever its parsers run into (KeyError, struct.error, OverflowError, ...),
        # with octets of the exchange in the text: only the type is told, and no context is kept.
        try:
            if self._spnego is None:
                self._spnego = self._connect()
            answer = self._spnego.step(token)
            fault = "no answer"
        except Exception as error:
            answer = None
            fault = type(error).__name__
        if not answer:
            raise MechanismError(f"pyspnego cannot go on: {fault}")
        return answer

    def _connect(self) -> ContextProxy:
        # Here and not above: the import takes 100 ms and pulls in cryptography.
        import spnego  # noqa: PLC0415
        from spnego.channel_bindings import GssChannelBindings  # noqa: PLC0415

        binding = self._context.channel_binding
        return spnego.client(
            spnego.NTLMHash(self._username, None, self._nt_hash.hex()),
            hostname=self._context.server_name,
            service="SMTPSVC",
            channel_bindings=None if binding is None else GssChannelBindings(application_data=binding),
            protocol="ntlm",
            # Without it Windows would answer with SSPI, and perhaps as the user who is logged on.
            options=spnego.NegotiateOptions.use_ntlm,
        )


def _unusable(username: str) -> str | None:
    """Why NTLM cannot carry a user name; None when it can."""
    domain, _, name = username.rpartition("\\")
    # pyspnego would take the first user of the file in NTLM_USER_FILE instead.
    if not name:
        return "the user name is empty"
    if "\\" in domain or not is_clean(username):
        return "the user name holds a control character or a second backslash"
    try:
        username.encode("utf-16-le")
    except UnicodeEncodeError:
        return "the user name holds half of a surrogate pair"
    # pyspnego makes SS of ß, which no Windows or Samba server does: the proof would be wrong.
    if name.upper() != upcase(name):
        return "the user name has a letter without a single upper-case form"
    return None
