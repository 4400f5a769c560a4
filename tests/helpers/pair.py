"""Both connections joined by a link that cuts what passes as it likes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tests.helpers.driver import TLS, Server

from ehlo import (
    AuthChallenge,
    BodyWanted,
    ClientConnection,
    ClientEvent,
    Command,
    ConnectionClosed,
    Pause,
    TlsReady,
)

Cut = Callable[[bytes], Iterable[bytes]]


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def octets(data: bytes) -> Iterator[bytes]:
    return (data[i : i + 1] for i in range(len(data)))


class Pair:
    """A client that is told what to send, and a server that answers by itself."""

    def __init__(self, server: Server, cut: Cut = whole) -> None:
        self.server = server
        self.client = ClientConnection()
        self.cut = cut
        self.events: list[ClientEvent] = []
        self.respond: Callable[[bytes], bytes | None] | None = None
        """Answers challenges; None cancels."""
        self.body: Iterable[bytes] = ()
        self._hear(server.greeting)

    def send(self, *commands: Command) -> list[ClientEvent]:
        """Send commands in one flight; the events of their replies."""
        before = len(self.events)
        for command in commands:
            self.client.send(command)
        self._flush()
        return self.events[before:]

    def _flush(self) -> None:
        data = self.client.data_to_send()
        answer = b"".join(self.server.feed(piece) for piece in self.cut(data)) if data else b""
        if answer:
            self._hear(answer)

    def _hear(self, data: bytes) -> None:
        for piece in self.cut(data):
            self.client.receive_data(piece)
            self._run()

    def _run(self) -> None:
        while True:
            event = self.client.next_event()
            if isinstance(event, Pause):
                return
            self.events.append(event)
            match event:
                case AuthChallenge(text):
                    response = self.respond(text) if self.respond is not None else None
                    if response is None:
                        self.client.auth_cancel()
                    else:
                        self.client.auth_respond(response)
                    self._flush()
                case TlsReady():
                    self.server.conn.start_tls_done(TLS)
                    self.client.start_tls_done(TLS)
                case BodyWanted():
                    for piece in self.body:
                        self.client.send_body(piece)
                    self.client.end_body()
                    self._flush()
                case ConnectionClosed():
                    return
                case _:
                    pass
