"""Servers that mean harm, or do not know what they do, and what `ehlo submit` says of them."""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import attrs
from tests.bindings.peers import GREETING, Peer

from ehlo_io.cli.exits import Exit

OFFER: Final = b"250-mail.test\r\n250-PIPELINING\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n"
OK: Final = b"250 2.0.0 OK\r\n"
GO: Final = b"354 Go on\r\n"
BYE: Final = b"221 2.0.0 Bye\r\n"
MUCH: Final = 64 * 1024 * 1024
Play: TypeAlias = Callable[["Host"], None]


@attrs.define(eq=False)
class Host:
    """The server's side of one connection."""

    peer: Peer
    over: threading.Event
    """The client has ended."""
    sent: int = 0

    def send(self, octets: bytes) -> None:
        self.peer.send(octets)
        self.sent += len(octets)

    def flood(self, start: bytes, pieces: Iterable[bytes]) -> None:
        """Until the client goes."""
        self.send(start)
        for piece in pieces:
            if self.sent > MUCH:
                return
            self.send(piece)

    def drip(self, octets: bytes) -> None:
        """An octet every twentieth of a second, until the client goes."""
        for octet in octets:
            if self.over.wait(0.05):
                return
            self.send(bytes([octet]))

    def greet(self, offer: bytes = OFFER) -> None:
        self.send(GREETING)
        self.peer.line()
        self.send(offer)

    def answer(self, reply: bytes, until: bytes = b"") -> None:
        """Give this reply to all that comes, up to a line."""
        while (line := self.peer.line()) and line != until:
            self.send(reply)

    def hold(self) -> None:
        """Do nothing until the client goes."""
        self.over.wait(20)


def _deliver(host: Host) -> None:
    """From MAIL on, by the book."""
    host.answer(OK, b"DATA")
    host.send(GO)
    host.peer.until(b"\r\n.\r\n")
    host.send(OK)
    host.answer(BYE)


def _by_the_book(offer: bytes) -> Play:
    def play(host: Host) -> None:
        host.greet(offer)
        _deliver(host)

    return play


def _says(octets: bytes) -> Play:
    """All of it before anybody asked, and then nothing."""

    def play(host: Host) -> None:
        host.send(octets)
        host.hold()

    return play


def _floods(start: bytes, piece: bytes, *, after: int = 0) -> Play:
    """After so many lines of the client."""

    def play(host: Host) -> None:
        if after:
            host.greet()
        for _ in range(after - 1):
            host.peer.line()
        host.flood(start, itertools.repeat(piece))

    return play


def _drips(octets: bytes, stage: bytes) -> Play:
    """In answer to the command that begins so."""

    def play(host: Host) -> None:
        if stage == b"":
            host.drip(octets)
            return
        host.greet()
        while (line := host.peer.line()) and not line.startswith(stage):
            host.send(OK)
        host.drip(octets)

    return play


def _challenges(*replies: bytes) -> Play:
    """In turn, again and again."""

    def play(host: Host) -> None:
        host.greet()
        for reply in itertools.cycle(replies):
            if not host.peer.line():
                return
            host.send(reply)

    return play


def _after_starttls(octets: bytes, *, glued: bool) -> Play:
    def play(host: Host) -> None:
        host.greet(b"250-mail.test\r\n250 STARTTLS\r\n")
        host.peer.line()
        host.send(b"220 Go\r\n" + (octets if glued else b""))
        if not glued:
            host.peer.sock.recv(65536)
            host.send(octets)
        host.hold()

    return play


def _goes_after(reply: bytes, *, body: bool) -> Play:
    """354, and then its end: before the message, or when that has come."""

    def play(host: Host) -> None:
        host.greet()
        host.answer(OK, b"DATA")
        host.send(GO)
        if body:
            host.peer.until(b"\r\n.\r\n")
        host.send(reply)
        host.peer.close()

    return play


def _stops_reading(host: Host) -> None:
    host.greet()
    host.answer(OK, b"DATA")
    host.send(GO)
    host.hold()


def _refuses_all(reply: bytes) -> Play:
    def play(host: Host) -> None:
        host.greet(b"250-mail.test\r\n" + b"".join(b"250-%s\r\n" % word for word in _ALL) + b"250 HELP\r\n")
        host.answer(reply)

    return play


_ALL: Final = (
    b"PIPELINING", b"SIZE", b"8BITMIME", b"DSN", b"CHUNKING", b"SMTPUTF8", b"BINARYMIME",
    b"ENHANCEDSTATUSCODES", b"DELIVERBY", b"MT-PRIORITY MIXER", b"LIMITS RCPTMAX=100", b"ETRN",
    b"VRFY", b"EXPN",
)  # fmt: skip
_TERMINAL: Final = b"\x1b[2J\x1b]0;owned\x07\x00\x08\x7f\xc2\x9b31m\xff\xfe\xe2\x80\xae"
CONTROLS: Final = b"550-5.1.1 " + _TERMINAL + b"\r\n550 5.1.1 \x1b[31m" + _TERMINAL + b"\r\n"


@attrs.frozen
class Case:
    """How the server is, how it is gone to, and how the program ends."""

    play: Play
    status: Exit
    auth: bool = False
    """With a password in clear, by the user's own word."""
    tls: bool = False
    big: bool = False
    """The message is larger than what the system takes from a client before it makes it wait."""
    waits: bool = False
    """It is the client's deadline that ends it."""


_PROTOCOL, _TEMPORARY, _UNAVAILABLE = Exit.PROTOCOL, Exit.TEMPORARY, Exit.UNAVAILABLE
_LONG: Final = base64.b64encode(os.urandom(9000)).rstrip(b"=")
CASES: Final[dict[str, Case]] = {
    "banner_without_end": Case(_floods(b"", b"220-more\r\n"), _PROTOCOL),
    "banner_line_without_end": Case(_floods(b"220 ", b"x" * 4096), _PROTOCOL),
    "banner_of_zeros": Case(_floods(b"", bytes(4096)), _PROTOCOL),
    "banner_that_drips": Case(_drips(b"220-" + b"x" * 1000, b""), _UNAVAILABLE, waits=True),
    "banner_of_lines_that_drip": Case(_drips(b"220-x\r\n" * 200, b""), _UNAVAILABLE, waits=True),
    "hello_without_end": Case(_floods(b"", b"250-more\r\n", after=2), _PROTOCOL),
    "reply_line_without_end": Case(_floods(b"250 ", b"x" * 4096, after=2), _PROTOCOL),
    "reply_that_drips": Case(_drips(b"250-" + b"x" * 1000, b"MAIL"), _TEMPORARY, waits=True),
    "reply_of_lines_that_drip": Case(_drips(b"250-x\r\n" * 200, b"MAIL"), _TEMPORARY, waits=True),
    "all_replies_at_once": Case(_says(GREETING + OFFER + OK * 2 + GO + OK + BYE), _PROTOCOL),
    "all_replies_but_the_banner_at_once": Case(_says(GREETING + OFFER * 2), _PROTOCOL),
    "success_before_the_message": Case(_goes_after(OK, body=False), _PROTOCOL, big=True),
    "end_before_the_message": Case(_goes_after(b"", body=False), _TEMPORARY, big=True),
    "end_before_the_last_reply": Case(_goes_after(b"", body=True), _TEMPORARY),
    "half_of_the_last_reply": Case(_goes_after(b"250 2.0.0 O", body=True), _TEMPORARY),
    "last_reply_that_goes_on": Case(_goes_after(b"250-2.0.0 OK\r\n", body=True), _TEMPORARY),
    "never_reads": Case(_stops_reading, _TEMPORARY, big=True, waits=True),
    "honours_nothing": Case(_refuses_all(b"502 5.5.1 What?\r\n"), Exit.RECIPIENT_REFUSED),
    "honours_nothing_for_now": Case(_refuses_all(b"451 4.3.0 Later\r\n"), _TEMPORARY),
    "no_capability_makes_sense": Case(
        _by_the_book(
            b"250-mail.test\r\n250-SIZE big\r\n250-size -1\r\n250-SIZE 0\r\n250-AUTH=\r\n250-AUTH\r\n"
            b"250-LIMITS RCPTMAX=0 MAILMAX=x\r\n250-pipelining maybe\r\n250-8BITMIME 7BIT\r\n"
            b"250-\r\n250  \r\n"
        ),
        Exit.OK,
    ),
    "challenges_without_end": Case(_challenges(b"334 \r\n"), Exit.AUTHENTICATION, auth=True),
    "challenges_with_much": Case(_challenges(b"334 " + _LONG + b"\r\n"), Exit.AUTHENTICATION, auth=True),
    "challenge_too_long": Case(_challenges(b"334 " + _LONG * 3 + b"\r\n"), _PROTOCOL, auth=True),
    "challenge_of_no_base64": Case(
        _challenges(b"334 %%%\r\n", b"501 5.5.2 No\r\n"), Exit.AUTHENTICATION, auth=True
    ),
    "password_refused_for_ever": Case(_challenges(b"535 5.7.8 No\r\n"), Exit.AUTHENTICATION, auth=True),
    "garbage_for_a_handshake": Case(_after_starttls(os.urandom(4096), glued=False), _UNAVAILABLE, tls=True),
    "plaintext_for_a_handshake": Case(_after_starttls(OFFER * 3, glued=False), _UNAVAILABLE, tls=True),
    "reply_behind_starttls": Case(
        _after_starttls(OFFER + b"235 OK\r\n" + OK * 9, glued=True), _PROTOCOL, tls=True
    ),
    "silence_for_a_handshake": Case(_after_starttls(b"", glued=True), _TEMPORARY, tls=True, waits=True),
}


def hosting(case: Case, hosts: list[Host], over: threading.Event) -> Callable[[socket.socket], None]:
    """For `programs.scripted`."""

    def talk(sock: socket.socket) -> None:
        host = Host(Peer(sock), over)
        hosts.append(host)
        with contextlib.suppress(OSError, AssertionError):
            case.play(host)

    return talk
