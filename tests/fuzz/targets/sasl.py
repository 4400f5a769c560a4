"""SASL: each mechanism in both roles, the messages of SCRAM and NTLM, certificates, and SASLprep."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

import attrs
from tests.fuzz.auth import MOST_ANSWERS, settle
from tests.fuzz.lines import decoded
from tests.fuzz.mechanisms import BY_TITLE, CASES, Case, Exchange, fake_kerberos, signed
from tests.fuzz.seeds import tokens
from tests.fuzz.target import Choices, Target, same

from ehlo import Kerberos
from ehlo.sasl import Challenge, Done, MechanismError, Refuse, SaslprepError, proved, saslprep
from ehlo.sasl.channel import tls_server_end_point
from ehlo.sasl.ntlm import messages as ntlm
from ehlo.sasl.scram import messages as scram
from ehlo.wire import base64

TOKEN: Final = b"<T>"
"""Between two tokens of one side."""
_CHOICE: Final = 1


class _Constant(random.Random):
    """The same nonces for each exchange, so that what was good once is good again."""

    def randbytes(self, n: int) -> bytes:
        return (b"0123456789abcdef" * (n // 16 + 1))[:n]

    def random(self) -> float:
        return 0.5


@cache
def _good(title: str) -> Exchange:
    """What crosses the wire with these nonces when nothing is wrong."""
    case = BY_TITLE[title]
    case.source[0] = _Constant(0)
    client, server = case.client(case.client_context), case.server(case.mechanisms)
    exchange = Exchange()
    own = client.initial()
    if own is not None:
        exchange.sent.append(own)
    step = settle(server, server.start(own))
    while isinstance(step, Challenge):
        exchange.said.append(step.data)
        exchange.sent.append(client.respond(base64.encode(step.data)))
        step = settle(server, server.respond(exchange.sent[-1]))
    assert isinstance(step, Done)
    client.succeeded()
    return exchange


def check_server(data: bytes) -> None:
    """Whatever tokens come, a mechanism of a server gives challenges, a refusal or success, and success for
    exactly what the right secret was used to make."""
    choices = Choices(data, _CHOICE)
    case, first = _case(choices)
    given: list[bytes] = choices.rest.split(TOKEN)
    with fake_kerberos():
        good = _good(case.title)
        case.source[0] = _Constant(0)
        exchange = Exchange(sent=good.sent)
        server = case.server(case.mechanisms)
        initial = None
        if first and not server.server_first:
            initial = given.pop(0)
            exchange.heard.append(initial)
        step = settle(server, server.start(initial))
        answers = 0
        while isinstance(step, Challenge) and given:
            answers += 1
            assert answers <= MOST_ANSWERS
            exchange.said.append(step.data)
            exchange.heard.append(given.pop(0))
            step = settle(server, server.respond(exchange.heard[-1] or b""))
    if isinstance(step, Done):
        same("the mechanism", step.identity.mechanism, case.name)
    if not isinstance(step, Challenge):
        assert isinstance(step, Done | Refuse)
        success = isinstance(step, Done) and proved(step.identity)
        same("success", success, case.derived(exchange))


def check_client(data: bytes) -> None:
    """Whatever a server says behind 334, a mechanism of a client answers or raises MechanismError, not for
    ever, and takes nobody for the server who does not know the secret where the mechanism can tell."""
    choices = Choices(data, _CHOICE)
    case, first = _case(choices)
    with fake_kerberos():
        good = _good(case.title)
        case.source[0] = _Constant(0)
        client = case.client(attrs.evolve(case.client_context, initial_response=first))
        told: list[bytes | None] = []
        try:
            client.initial()
            for text in choices.rest.split(TOKEN):
                told.append(decoded(text))
                assert client.respond(text) is not None
                assert len(told) <= MOST_ANSWERS
            client.succeeded()
        except MechanismError:
            return
    if isinstance(case.credentials, Kerberos):
        # Two mechanisms, one library, which signs all that it says.
        assert all(token is not None and token == signed(token[16:]) for token in told)
    elif case.proves_server:
        same("what the server said", told[:-1], good.said[:-1])
        extended = "SCRAM" in case.name and (told[-1] or b"").startswith(good.said[-1] + b",")
        assert told[-1] == good.said[-1] or extended


def _case(choices: Choices) -> tuple[Case, bool]:
    number = choices.below(2 * len(CASES))
    return CASES[number // 2], bool(number % 2)


_SCRAM: Final[tuple[Callable[[bytes], object], ...]] = (
    scram.parse_client_first,
    scram.parse_server_first,
    scram.parse_client_final,
    scram.parse_server_final,
)


def check_scram(data: bytes) -> None:
    """The octets are one of the four messages of SCRAM or ScramError, and names are written as they read."""
    for parse in _SCRAM:
        try:
            found = parse(data)
        except scram.ScramError:
            continue
        if isinstance(found, scram.ClientFirst):
            same("the user name", scram.unescape(scram.escape(found.username)), found.username)
            header = scram.gs2_header(found.binding, found.authzid, flag=found.flag)
            same("the GS2 header", header, found.gs2_header)
            same("the message", (found.gs2_header + found.bare).encode(), data)


def check_ntlm(data: bytes) -> None:
    """The octets are one of the three messages of NTLM or MessageError, no field of it lies outside of them,
    and what is written of it reads as the same."""
    for parse in (ntlm.parse_negotiate, ntlm.parse_client_blob, ntlm.parse_av_pairs):
        try:
            found = parse(data)
        except ntlm.MessageError:
            continue
        if isinstance(found, ntlm.Negotiate):
            same("NEGOTIATE", ntlm.parse_negotiate(ntlm.write_negotiate(found.flags)), found)
        elif isinstance(found, dict):
            same("the AV pairs", ntlm.parse_av_pairs(ntlm.write_av_pairs(found)), found)
    try:
        challenge = ntlm.parse_challenge(data)
        if challenge.flags & ntlm.Flag.TARGET_INFO:
            same("CHALLENGE", ntlm.parse_challenge(ntlm.write_challenge(challenge)), challenge)
    except ntlm.MessageError:
        pass
    try:
        message = ntlm.parse_authenticate(data)
    except ntlm.MessageError:
        return
    again = ntlm.parse_authenticate(ntlm.write_authenticate(message))
    same("AUTHENTICATE", attrs.evolve(again, mic_at=message.mic_at), message)
    assert message.mic_at is None or message.mic_at + ntlm.MIC_OCTETS <= len(data)


def check_prepared(data: bytes) -> None:
    """A text is prepared by SASLprep, to a form that is its own, or SaslprepError; octets are a certificate
    with a hash of its own or none."""
    binding = tls_server_end_point(data)
    assert binding is None or len(binding) in (20, 28, 32, 48, 64)
    text = data.decode("utf-8", "surrogateescape")
    try:
        found = saslprep(text)
    except SaslprepError:
        return
    try:
        same("prepared again", saslprep(found), found)
    except SaslprepError:
        raise AssertionError("what was prepared is forbidden") from None


# ---- seeds ----


def _server_seeds() -> Iterator[bytes]:
    with fake_kerberos():
        for number, case in enumerate(CASES):
            good = _good(case.title)
            for first in (0, 1):
                yield bytes([2 * number + first]) + TOKEN.join(good.sent)
                yield bytes([2 * number + first]) + TOKEN.join((*good.sent, *good.said))


def _client_seeds() -> Iterator[bytes]:
    with fake_kerberos():
        for number, case in enumerate(CASES):
            said = [base64.encode(data) for data in _good(case.title).said]
            for first in (0, 1):
                yield bytes([2 * number + first]) + TOKEN.join(said)
                yield bytes([2 * number + first]) + TOKEN.join((b"", *said, b"eyJzdGF0dXMiOiI0MDEifQ=="))


def _ntlm_seeds() -> Iterator[bytes]:
    yield from tokens("NTLM")
    for token in tokens("NTLM"):
        if token[8:9] == b"\3":
            found = ntlm.parse_authenticate(token)
            yield found.nt_response
            yield found.nt_response[44:]


_TEXTS: Final = (
    "a",
    "\xad",
    "\xa0x",
    "\uff41",
    "\u05d0",
    "\u05d0a",
    "\u0301" * 9,
    "\u2126",
    "\u0627\u0031",
    "x\u200b",
)
_WORDS: Final = (
    *(
        TOKEN,
        b"n,,",
        b"y,,",
        b"p=tls-exporter,,",
        b"n=",
        b"r=",
        b",s=",
        b",i=4096",
        b"c=biws",
        b",p=",
        b"v=",
        b"e=",
    ),
    *(
        b",m=x",
        b"=2C",
        b"=3D",
        b"\1",
        b"\0",
        b"auth=Bearer ",
        b"user=",
        b"host=",
        b"port=",
        b"\xcc\x81",
        b"\xed\xa0\x80",
    ),
    *(
        b"NTLMSSP\0",
        b"\1\0\0\0",
        b"\2\0\0\0",
        b"\3\0\0\0",
        b"\xff\xff",
        b"\1\1",
        b"VXNlcm5hbWU6",
        b"UGFzc3dvcmQ6",
    ),
)
_CERTIFICATE: Final = bytes.fromhex("300f3003020101300d06092a864886f70d01010b0500")

TARGETS: Final = (
    Target("sasl-server", check_server, _server_seeds, _WORDS),
    Target("sasl-client", check_client, _client_seeds, _WORDS),
    Target("scram", check_scram, lambda: tokens("SCRAM"), _WORDS, 600),
    Target("ntlm", check_ntlm, _ntlm_seeds, _WORDS, 2000),
    Target(
        "prepared", check_prepared, lambda: (*(text.encode() for text in _TEXTS), _CERTIFICATE), _WORDS, 300
    ),
)
