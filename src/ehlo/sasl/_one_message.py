"""Client mechanisms that say all in one message."""

from __future__ import annotations

from typing import ClassVar

from ehlo.sasl._base import ClientMechanism, MechanismError, decode_challenge


class OneMessageClient(ClientMechanism):
    """A subclass finds its message out in `__init__`."""

    conclusive: ClassVar[bool] = True
    _message: bytes

    def __init__(self) -> None:
        self._sent = False

    def initial(self) -> bytes | None:
        # [RFC4422-A-d] also when it is empty: `=`.
        self._sent = True
        return self._message

    def respond(self, text: bytes) -> bytes:
        if decode_challenge(text) or self._sent:
            raise MechanismError(f"{self.name} has no such challenge")
        self._sent = True
        return self._message

    def succeeded(self) -> None:
        if not self._sent:
            raise MechanismError("success before anything was sent")
