from __future__ import annotations

import pytest
from tests.helpers.sasl import HERE
from tests.unit.sasl.helpers import converse

from ehlo._errors import LocalProtocolError
from ehlo.sasl import (
    Anonymous,
    AnonymousClient,
    AnonymousServer,
    Challenge,
    Done,
    Identity,
    MechanismError,
    Password,
    Refuse,
)

GOOD = ["", "sirhc", "alice@example.net", "x" * 255, "two words", "\u00a0", '"a b"@example.net']
LONG, NO_ADDRESS, FORBIDDEN = (
    "the trace is longer than 255 characters",
    "the trace has an @ and is no address",
    "the trace holds a control character or the like",
)
BAD = [
    ("x" * 256, LONG),
    *((trace, NO_ADDRESS) for trace in ("a@", "@", "two words@example.net", "a@b@c")),
    *((trace, FORBIDDEN) for trace in ("\a", "a\0b", "\u0627\u0031", "a\ue000")),
]


@pytest.mark.clause("RFC4505-2a", "RFC4505-2b")
@pytest.mark.parametrize("trace", GOOD)
def test_a_trace(trace: str) -> None:
    assert AnonymousClient(Anonymous(trace), HERE).initial() == trace.encode()
    step = AnonymousServer().start(trace.encode())
    assert step == Done(Identity("anonymous", "anonymous", "ANONYMOUS", anonymous=True, trace=trace))


@pytest.mark.clause("RFC4505-2a", "RFC4505-2b")
@pytest.mark.parametrize(("trace", "fault"), BAD)
def test_what_is_no_trace(trace: str, fault: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        AnonymousClient(Anonymous(trace), HERE)
    assert str(caught.value) == fault
    assert AnonymousServer().start(trace.encode()) == Refuse(fault, malformed=True)


def test_octets_that_are_no_text() -> None:
    step = AnonymousServer().start(b"\xff")
    assert isinstance(step, Refuse)
    assert step.malformed


def test_the_client() -> None:
    who = AnonymousClient(Anonymous("sirhc"), HERE)
    with pytest.raises(MechanismError):
        who.succeeded()
    assert who.respond(b"") == b"sirhc"
    who.succeeded()
    for text in (b"", b"QQ=="):
        with pytest.raises(MechanismError):
            who.respond(text)
    with pytest.raises(LocalProtocolError):
        AnonymousClient(Password("alice", "x"), HERE)


def test_both_roles() -> None:
    assert isinstance(converse(AnonymousClient(Anonymous("sirhc"), HERE), AnonymousServer()), Done)
    assert AnonymousServer().start(None) == Challenge(b"")
