"""ANONYMOUS (RFC 4505): nobody is proved, and at most a word is left for the log."""

from __future__ import annotations

from typing import ClassVar, Final

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import (
    Challenge,
    ClientContext,
    ClientMechanism,
    Done,
    Identity,
    MechanismError,
    Refuse,
    ServerMechanism,
    ServerSteps,
    decode_challenge,
)
from ehlo.sasl._saslprep import SaslprepError, check_trace
from ehlo.sasl.credentials import Anonymous, Credentials
from ehlo.wire.address import AddressError, Mailbox

_TOKEN_CHARACTERS: Final = 255
ANONYMOUS: Final = "anonymous"
"""The name that such a session goes by."""


def _fault(trace: str) -> str | None:
    """Why a trace may not be sent or taken; None when it may [RFC4505-2a]."""
    try:
        check_trace(trace)
    except SaslprepError:
        return "the trace holds a control character or the like"
    if "@" in trace:
        try:
            Mailbox.parse(trace)
        except AddressError:
            return "the trace has an @ and is no address"
    elif len(trace) > _TOKEN_CHARACTERS:
        return "the trace is longer than 255 characters"
    return None


class AnonymousServer(ServerMechanism):
    """ANONYMOUS in the server role: offered by name only, and no authentication [RFC4505-2c]."""

    name: ClassVar[str] = "ANONYMOUS"

    def exchange(self, initial: bytes | None) -> ServerSteps:
        message: bytes = (yield Challenge(b"")) if initial is None else initial
        try:
            trace = message.decode()
        except UnicodeDecodeError:
            return Refuse("not UTF-8", malformed=True)
        fault = _fault(trace)
        if fault is not None:
            return Refuse(fault, malformed=True)
        # [RFC4505-2b] the trace is what somebody says, and nobody's name.
        return Done(Identity(ANONYMOUS, ANONYMOUS, self.name, anonymous=True, trace=trace))


class AnonymousClient(ClientMechanism):
    """ANONYMOUS in the client role. Raises LocalProtocolError for credentials that it cannot carry."""

    name: ClassVar[str] = "ANONYMOUS"
    conclusive: ClassVar[bool] = True

    def __init__(self, credentials: Credentials, context: ClientContext) -> None:
        if not isinstance(credentials, Anonymous):
            raise LocalProtocolError("ANONYMOUS needs Anonymous credentials")
        fault = _fault(credentials.trace)
        if fault is not None:
            raise LocalProtocolError(fault)
        self._trace = credentials.trace.encode()
        self._sent = False

    @classmethod
    def serves(cls, credentials: Credentials, context: ClientContext) -> bool:
        return isinstance(credentials, Anonymous)

    def initial(self) -> bytes | None:
        self._sent = True
        return self._trace

    def respond(self, text: bytes) -> bytes:
        if decode_challenge(text) or self._sent:
            raise MechanismError("ANONYMOUS has no such challenge")
        self._sent = True
        return self._trace

    def succeeded(self) -> None:
        if not self._sent:
            raise MechanismError("success before anything was sent")
