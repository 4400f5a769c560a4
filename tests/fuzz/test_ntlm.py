"""Mutated NTLM tokens: a server gives steps and nothing else, and takes none that it should not.

Every octet of the three messages is under the MIC where there is one. Without it (curl) the proof
covers the names and the blob; the letter case of the user name and fields that nobody reads are free.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest
from tests.helpers.sasl import HERE, client_context, server_settings
from tests.unit.sasl.helpers import STEPS, settle
from tests.unit.sasl.ntlm.recorded import BY_CLIENT, NONCE, Recorded, server

from ehlo.sasl import Challenge, Done, MechanismError, NtlmClient, Password, Refuse
from ehlo.sasl.ntlm import acceptor, messages
from ehlo.sasl.ntlm.crypto import nt_hash
from ehlo.wire import base64

ROUNDS = 20_000
SLOW_ROUNDS = 500
"""Of what takes DES, in Python."""
SECRET = nt_hash("secret")


def mutations(token: bytes, seed: int, rounds: int = ROUNDS) -> Iterator[bytes]:
    """So many tokens that differ from `token`, most of them in a place that matters."""
    rng = random.Random(seed)  # noqa: S311
    while rounds:
        mutant = bytearray(token)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            _mutate(mutant, rng)
        if bytes(mutant) != token:
            rounds -= 1
            yield bytes(mutant)


def _mutate(mutant: bytearray, rng: random.Random) -> None:
    size = len(mutant)
    match rng.randrange(7):
        case 0 if size:
            mutant[rng.randrange(size)] ^= 1 << rng.randrange(8)
        case 1 if size:
            mutant[rng.randrange(size)] = rng.randrange(256)
        case 2:
            del mutant[rng.randrange(size + 1) :]
        case 3:
            mutant += rng.randbytes(rng.randrange(1, 20))
        case 4 if size > 20:
            at = rng.randrange(12, size - 8)
            struct.pack_into("<HHI", mutant, at, rng.choice((0, 8, 24, 0xFFFF)), 8, rng.randrange(size + 9))
        case 5 if size > 64:
            # The fields of AUTHENTICATE point somewhere else.
            at = rng.choice((12, 20, 28, 36, 44, 52))
            struct.pack_into("<HHI", mutant, at, rng.randrange(40), 0, rng.randrange(56, size))
        case _:
            begin, end = sorted((rng.randrange(size + 1), rng.randrange(size + 1)))
            mutant[begin:begin] = mutant[begin:end]


@pytest.mark.clause("NTLM-nlmp-a")
@pytest.mark.parametrize(("client", "seed"), [("curl", 1), ("pyspnego to Samba", 2)])
def test_negotiate(client: str, seed: int) -> None:
    for token in mutations(BY_CLIENT[client].negotiate, seed):
        step = server().start(token)
        assert isinstance(step, Challenge | Refuse)
        if isinstance(step, Challenge):
            assert messages.parse_challenge(step.data).server_challenge == NONCE


def _read(recorded: Recorded, token: bytes) -> str | None:
    """The way of the acceptor, with the recorded challenge in place of its own."""
    try:
        message = messages.parse_authenticate(token)
        refusal = acceptor._policy(message, server_settings())
        if refusal is not None:
            return refusal
        blob = messages.parse_client_blob(message.nt_response)
    except messages.MessageError as fault:
        return str(fault)
    exchange = acceptor.Exchange(recorded.negotiate, recorded.challenge)
    return acceptor.verify(exchange, token, message, blob, SECRET)


@pytest.mark.clause("NTLM-nlmp-d")
def test_authenticate_with_a_mic() -> None:
    """Whoever the names say: the application answers with the same hash for everybody."""
    recorded = BY_CLIENT["pyspnego to Samba, domain"]
    assert _read(recorded, recorded.authenticate) is None
    reasons = {_read(recorded, token) for token in mutations(recorded.authenticate, 3)}
    assert None not in reasons
    # Not all of them fell at the first hurdle.
    assert {"the MIC does not fit the messages", "wrong user name or password"} <= reasons


def test_authenticate_without_a_mic() -> None:
    recorded = BY_CLIENT["curl domain"]
    taken = 0
    for token in mutations(recorded.authenticate, 4):
        ours = server(recorded.nonce)
        ours.start(recorded.negotiate)
        step = ours.respond(token)
        assert isinstance(step, STEPS)
        step = settle(ours, step)
        if isinstance(step, Done):
            taken += 1
            assert step.identity.authcid.upper() == "DOM\\BOB"
            assert step.identity.authzid == step.identity.authcid
        else:
            assert isinstance(step, Refuse)
    # Mutations of what nothing protects (the workstation, the LM response) do pass.
    assert 0 < taken < ROUNDS // 3


@pytest.mark.clause("NTLM-nlmp-c")
@pytest.mark.parametrize("session_security", [False, True])
def test_authenticate_of_ntlmv1(session_security: bool) -> None:
    """It covers the challenge and nothing else: the names, the flags and the layout are free."""
    flags = messages.Flag.UNICODE | messages.Flag.NTLM
    flags |= messages.Flag.EXTENDED_SESSION_SECURITY if session_security else messages.Flag(0)
    client = NtlmClient(Password("alice", "secret"), client_context(allow_ntlmv1=True))
    negotiate = client.respond(b"")
    # Without target information, which makes the client take the server for an old one.
    told = messages.write_challenge(messages.ServerChallenge(flags, NONCE, "OLD", {}))
    token = client.respond(base64.encode(told))
    true = messages.parse_authenticate(token)
    taken = 0
    for mutant in mutations(token, 6, SLOW_ROUNDS):
        ours = server(v1=True)
        ours.start(negotiate)
        step = settle(ours, ours.respond(mutant))
        assert isinstance(step, Done | Refuse)
        if isinstance(step, Done):
            taken += 1
            found = messages.parse_authenticate(mutant)
            assert found.nt_response == true.nt_response
            secure = found.flags & messages.Flag.EXTENDED_SESSION_SECURITY
            assert bool(secure and not any(found.lm_response[8:])) == session_security
            assert not session_security or found.lm_response[:8] == true.lm_response[:8]
    assert 0 < taken < SLOW_ROUNDS // 2


def test_challenge() -> None:
    recorded = BY_CLIENT["pyspnego to Samba"]
    told: set[str] = set()
    answered = 0
    for token in mutations(recorded.challenge, 5):
        client = NtlmClient(Password("alice", "s3cret"), HERE)
        client.respond(b"")
        try:
            answer = client.respond(base64.encode(token))
        except MechanismError as error:
            told.add(str(error))
        else:
            answered += 1
            assert messages.parse_authenticate(answer).user == "alice"
    assert answered
    # A few fixed texts: nothing of the password or of the token is in them.
    assert 5 < len(told) < 20
    assert not any("s3cret" in text for text in told)
