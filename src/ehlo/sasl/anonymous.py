"""ANONYMOUS (RFC 4505): nobody is proved, and at most a word is left for the log."""

from __future__ import annotations

from typing import ClassVar, Final

from ehlo._errors import LocalProtocolError
from ehlo.sasl._base import (
    Challenge,
    ClientContext,
    Done,
    Identity,
    Refuse,
    ServerMechanism,
    ServerSteps,
)
from ehlo.sasl._one_message import OneMessageClient
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


class AnonymousClient(OneMessageClient):
    """ANONYMOUS in the client role. Raises LocalProtocolError for credentials that it cannot carry."""

    name: ClassVar[str] = "ANONYMOUS"

    def __init__(self, credentials: Credentials, context: ClientContext) -> None:
        super().__init__()
        if not isinstance(credentials, Anonymous):
            raise LocalProtocolError("ANONYMOUS needs Anonymous credentials")
        fault = _fault(credentials.trace)
        if fault is not None:
            raise LocalProtocolError(fault)
        self._message = credentials.trace.encode()

    @classmethod
    def serves(cls, credentials: Credentials, context: ClientContext) -> bool:
        return isinstance(credentials, Anonymous)
