"""Refusals that need no look at a command's argument: TLS first, then the sequence, then identity."""

from __future__ import annotations

from typing import Final, Protocol

from ehlo import _replies as replies
from ehlo._commands import Verb
from ehlo._events import TLSInfo
from ehlo._server_config import ServerConfig
from ehlo._state import ALLOWED, State
from ehlo._transaction import Transaction
from ehlo.policy import BareNewlines, SubmissionPolicy
from ehlo.sasl import Identity, proved
from ehlo.wire.reply import Reply

# [RFC4954-6e] [RFC3207-4h] the union of both lists, RSET and HELO by lenience.
_BEFORE_TLS: Final = frozenset(
    {Verb.EHLO, Verb.HELO, Verb.LHLO, Verb.NOOP, Verb.RSET, Verb.STARTTLS, Verb.QUIT}
)
_NEED_AUTH: Final = frozenset({Verb.MAIL, Verb.VRFY, Verb.EXPN})

# [RFC4409-7c] [RFC5321-F.6a] known, and never to be had on a submission service.
# BDAT is one of them where CHUNKING is not offered.
_UNIMPLEMENTED: Final = frozenset({b"ETRN", b"ATRN", b"TURN", b"SEND", b"SOML", b"SAML", b"BURL", b"BDAT"})

_MORE_OF_BODY: Final = frozenset({State.CHUNK, State.VOID})


class Facts(Protocol):
    """What is read of a connection."""

    config: ServerConfig
    tls: TLSInfo | None
    tls_refused: bool
    identity: Identity | None
    asserted: Identity | None
    transaction: Transaction

    @property
    def state(self) -> State: ...


def settled(facts: Facts) -> bool:
    """Neither TLS nor an identity is a reason to refuse a command, until one of the facts changes."""
    policy = facts.config.policy
    lacks_tls = policy.require_tls and facts.tls is None
    lacks_identity = policy.require_auth and not proved(facts.identity)
    return not (lacks_tls or lacks_identity or facts.tls_refused)


def out_of_order(facts: Facts, verb: Verb) -> Reply | None:
    """The reply to a verb that may not come now, or None."""
    state, policy = facts.state, facts.config.policy
    if state is State.REFUSED and verb is not Verb.QUIT:
        return _only_quit(facts)
    if policy.require_tls and facts.tls is None and state is not State.HELLO and verb not in _BEFORE_TLS:
        return replies.TLS_REQUIRED
    # [RFC4954-4b] a second AUTH is out of sequence, too.
    if verb not in ALLOWED[state] or (verb is Verb.AUTH and facts.identity is not facts.asserted):
        return _bad_sequence(facts, verb)
    if policy.require_auth and verb in _NEED_AUTH and not proved(facts.identity):
        return policy.authentication_required
    return None


def unknown_command(facts: Facts, word: bytes) -> Reply:
    """The reply to a word that is no verb of ours."""
    if facts.state is State.REFUSED:
        return _only_quit(facts)
    return replies.NOT_IMPLEMENTED if word in _UNIMPLEMENTED else replies.NOT_A_COMMAND


def bad_line(policy: SubmissionPolicy, line: bytes) -> Reply:
    """The reply to a line with a control character in it."""
    strict = policy.bare_newlines is BareNewlines.CLOSE and (b"\n" in line or b"\r" in line)
    return replies.BARE_NEWLINE if strict else replies.BAD_LINE


def _only_quit(facts: Facts) -> Reply:
    # [RFC5321-3.1b] after a refused greeting; [RFC3207-4.1c] after TLS judged too weak.
    return replies.TLS_TOO_WEAK if facts.tls_refused else replies.BAD_SEQUENCE


def _bad_sequence(facts: Facts, verb: Verb) -> Reply:
    state = facts.state
    if state is State.HELLO:
        return replies.NEED_HELLO
    if verb is Verb.MAIL:
        return replies.NESTED_MAIL
    if verb is Verb.DATA and state is State.MAIL:
        # [RFC5321-3.3c] the two tell a client that pipelines what went wrong; [RFC2033-4.2a] but in LMTP.
        tried = facts.transaction.rcpt_seen and not facts.config.lmtp
        return replies.NO_VALID_RECIPIENTS if tried else replies.NEED_RCPT
    if state in _MORE_OF_BODY:
        return _after_chunk(state, verb)
    if verb is Verb.BDAT and state is State.MAIL:
        # [RFC3030-2l]
        return replies.NEED_RCPT
    if verb in (Verb.RCPT, Verb.DATA, Verb.BDAT):
        return replies.NEED_MAIL
    return replies.BAD_SEQUENCE


def _after_chunk(state: State, verb: Verb) -> Reply:
    if state is State.VOID and verb is not Verb.RCPT:
        return replies.CHUNK_FAILED
    # [RFC3030-2k]
    return replies.USE_BDAT if verb is Verb.DATA else replies.BAD_SEQUENCE
