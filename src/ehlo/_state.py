"""The session: what is legal when, and what a reply does to it.

Two rules. All of the session's state is in this file. And this file does not know which role it
serves: a server looks a row up when it sends a reply, a client when it receives one, so that both
walk the same table.

A row that is absent means: stay. What a server refuses for want of TLS or of an identity is policy,
not order, and is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from ehlo._commands import Verb
from ehlo.wire.codes import CLOSING, ReplyClass


class State(Enum):
    """Where the session stands."""

    # Enum's own hash is Python code that hashes the name; a member is itself and nothing else.
    __hash__ = object.__hash__

    GREETING = "greeting"
    """Connected; the server has not greeted."""
    REFUSED = "refused"
    """Greeted with a 5yz or 4yz, XCLIENT refused, or TLS judged too weak: only QUIT is left
    [RFC5321-3.1b]."""
    HELLO = "hello"
    """Greeted, or TLS has just begun: EHLO or HELO is due."""
    READY = "ready"
    AUTH = "auth"
    """Inside an exchange: lines are SASL data, whatever they look like."""
    TLS = "tls"
    """Between the 220 to STARTTLS and the end of the handshake: no command, no reply."""
    MAIL = "mail"
    """A sender is named, no recipient accepted."""
    RCPT = "rcpt"
    """At least one recipient is accepted."""
    BODY = "body"
    """After 354: octets are message data up to CRLF.CRLF."""
    CHUNK = "chunk"
    """A chunk was taken or fetched, and it was not the last."""
    VOID = "void"
    """A chunk failed: what the transaction holds is anybody's guess, and RSET is due [RFC3030-2i]."""
    CLOSED = "closed"


_ALWAYS = frozenset(
    {
        Verb.EHLO,
        Verb.HELO,
        Verb.LHLO,
        Verb.RSET,
        Verb.NOOP,
        Verb.VRFY,
        Verb.EXPN,
        Verb.HELP,
        Verb.QUIT,
    }
)

ALLOWED: Final[Mapping[State, frozenset[Verb]]] = {
    State.GREETING: frozenset({Verb.CONNECT}),
    State.REFUSED: frozenset({Verb.QUIT}),
    # [RFC5321-4.1.4f] NOOP, HELP, EXPN, VRFY and RSET need no EHLO. XCLIENT may come in several pieces, one
    # behind the other (XCLIENT_README of Postfix).
    State.HELLO: _ALWAYS | {Verb.XCLIENT},
    State.READY: _ALWAYS | {Verb.STARTTLS, Verb.AUTH, Verb.MAIL, Verb.XCLIENT},
    State.AUTH: frozenset({Verb.AUTH}),
    State.TLS: frozenset({Verb.HANDSHAKE}),
    # [RFC4954-4c] no AUTH and no STARTTLS inside a transaction; [RFC5321-4.1.4g] no MAIL.
    State.MAIL: _ALWAYS | {Verb.RCPT},
    State.RCPT: _ALWAYS | {Verb.RCPT, Verb.DATA, Verb.BDAT, Verb.BURL, Verb.END_OF_DATA},
    State.BODY: frozenset({Verb.END_OF_DATA}),
    # [RFC3030-2k] no DATA, and nothing else that would change the transaction.
    State.CHUNK: _ALWAYS | {Verb.BDAT, Verb.BURL, Verb.END_OF_DATA},
    State.VOID: _ALWAYS,
    State.CLOSED: frozenset(),
}
"""Which verbs are in sequence; any other is 503."""

_OK, _MORE = ReplyClass.SUCCESS, ReplyClass.INTERMEDIATE
_LATER, _NEVER = ReplyClass.TRANSIENT, ReplyClass.PERMANENT

_ANYWHERE: Final = {
    # [RFC5321-4.1.1.1g] an accepted EHLO or HELO leaves no transaction; a refused one changes nothing.
    (Verb.EHLO, _OK): State.READY,
    (Verb.HELO, _OK): State.READY,
    (Verb.LHLO, _OK): State.READY,
    (Verb.QUIT, _OK): State.CLOSED,
}
_IN_SESSION: Final = _ANYWHERE | {
    (Verb.RSET, _OK): State.READY,
    # [RFC2920-3.1d] a server may say 354 although it refused every recipient, or the sender.
    (Verb.DATA, _MORE): State.BODY,
}

# [RFC5321-4.1.1.4d] success or not, the transaction is over and MAIL may follow.
_ENDED: Final = {(Verb.END_OF_DATA, reply_class): State.READY for reply_class in (_OK, _LATER, _NEVER)}
_CHUNKS: Final = _ENDED | {
    (verb, reply_class): after
    # [RFC4468-3.2c] what cannot be fetched leaves as little of a message as a chunk that failed.
    for verb in (Verb.BDAT, Verb.BURL)
    for reply_class, after in ((_OK, State.CHUNK), (_LATER, State.VOID), (_NEVER, State.VOID))
}

# As after the greeting (XCLIENT_README of Postfix). And whoever may not speak for somebody must not go on in
# his own name with commands that are on their way.
_SPOKEN_FOR: Final = {
    (Verb.XCLIENT, _OK): State.HELLO,
    (Verb.XCLIENT, _LATER): State.REFUSED,
    (Verb.XCLIENT, _NEVER): State.REFUSED,
}

TRANSITIONS: Final[Mapping[State, Mapping[tuple[Verb, ReplyClass], State]]] = {
    State.GREETING: {
        (Verb.CONNECT, _OK): State.HELLO,
        (Verb.CONNECT, _LATER): State.REFUSED,
        (Verb.CONNECT, _NEVER): State.REFUSED,
    },
    State.REFUSED: {(Verb.QUIT, _OK): State.CLOSED},
    State.HELLO: _ANYWHERE | _SPOKEN_FOR,
    State.READY: _IN_SESSION
    | _SPOKEN_FOR
    | {
        (Verb.STARTTLS, _OK): State.TLS,
        (Verb.AUTH, _MORE): State.AUTH,
        (Verb.MAIL, _OK): State.MAIL,
    },
    State.AUTH: {
        (Verb.AUTH, _OK): State.READY,
        (Verb.AUTH, _LATER): State.READY,
        (Verb.AUTH, _NEVER): State.READY,
    },
    State.TLS: {
        # [RFC3207-4.2h] as after the greeting, but no second greeting is sent.
        (Verb.HANDSHAKE, _OK): State.HELLO,
        (Verb.HANDSHAKE, _LATER): State.REFUSED,
        (Verb.HANDSHAKE, _NEVER): State.CLOSED,
    },
    State.MAIL: _IN_SESSION | {(Verb.RCPT, _OK): State.RCPT},
    State.RCPT: _IN_SESSION | _CHUNKS,
    State.BODY: _ENDED,
    State.CHUNK: _ANYWHERE | {(Verb.RSET, _OK): State.READY} | _CHUNKS,
    State.VOID: _ANYWHERE | {(Verb.RSET, _OK): State.READY},
    State.CLOSED: {},
}

IN_TRANSACTION: Final = frozenset({State.MAIL, State.RCPT, State.BODY, State.CHUNK})
"""A sender was accepted and the transaction is not over."""


# The same rows by the first digit alone, so that one look-up does for each reply.
_NEXT: Final = {
    (state, verb, int(reply_class)): after
    for state, row in TRANSITIONS.items()
    for (verb, reply_class), after in row.items()
}


_CLOSED: Final = State.CLOSED


def advance(state: State, verb: Verb, code: int) -> State:
    """The state after a reply with this code to this verb."""
    if code == CLOSING:
        # [RFC5321-3.8d] ends the session whatever it answers.
        return _CLOSED
    return _NEXT.get((state, verb, code // 100), state)


AGREED: Final[Mapping[State, Mapping[Verb, State]]] = {
    state: {verb: advance(state, verb, 354 if verb is Verb.DATA else 250) for verb in Verb} for state in State
}
"""Where each verb leads once the server agrees: to look up what nearly every reply does, and what a
command that waits for its reply will do."""
