"""An SMTP server that accepts everything: in memory, the next hop of a server that only relays.

tests/interop/cyrus.py puts TLS and AUTH on top of its session.
"""

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from io import BufferedIOBase

import attrs

EXTENSIONS = (b"8BITMIME", b"PIPELINING", b"DSN", b"SIZE 30000000", b"ENHANCEDSTATUSCODES", b"CHUNKING")
REFUSED = b"<refused@local.example>"


@attrs.frozen
class Delivery:
    """One message: its envelope in the words of the client, and its content."""

    sender: bytes
    """The argument of MAIL FROM: address and parameters."""
    recipients: tuple[bytes, ...]
    """The argument of each RCPT TO that was accepted."""
    content: bytes

    def is_for(self, recipient: str) -> bool:
        """Whether this recipient was among the accepted ones."""
        return any(argument.split()[0] == f"<{recipient}>".encode() for argument in self.recipients)


class Session(socketserver.StreamRequestHandler):
    """One connection; replies in the order of the commands, so a client may send them in one go."""

    name = b"sink.example"

    def handle(self) -> None:
        """Answer commands until the client leaves."""
        self._begin()
        self.reply(b"220 " + self.name + b" ESMTP")
        while line := self.rfile.readline():
            verb, _, argument = line.rstrip(b"\r\n").partition(b" ")
            if not self.obey(verb.upper(), argument):
                break

    def extensions(self) -> tuple[bytes, ...]:
        """What EHLO says after the name."""
        return EXTENSIONS

    def keep(self, delivery: Delivery) -> None:
        """Store a message; it is acknowledged afterwards."""
        assert isinstance(self.server, _Server)
        self.server.sink.add(delivery)

    def reply(self, text: bytes) -> None:
        """Send a reply."""
        self.wfile.write(text + b"\r\n")
        self.wfile.flush()

    def obey(self, verb: bytes, argument: bytes) -> bool:
        """Do what a command says; false when the client leaves."""
        match verb:
            case b"EHLO":
                *lines, last = self.name, *self.extensions()
                self.reply(b"".join(b"250-" + line + b"\r\n" for line in lines) + b"250 " + last)
            case b"MAIL":
                self._begin(argument.partition(b":")[2].strip())
                self.reply(b"250 2.1.0 ok")
            case b"RCPT":
                self._recipient(argument.partition(b":")[2].strip())
            case b"DATA":
                self.reply(b"354 go on")
                self._content = b"".join(_lines_before_the_dot(self.rfile))
                self._finish()
            case b"BDAT":
                size, *last_chunk = argument.split()
                self._content += self.rfile.read(int(size))
                if last_chunk:
                    self._finish()
                else:
                    self.reply(b"250 2.0.0 ok")
            case b"RSET" | b"NOOP":
                if verb == b"RSET":
                    self._begin()
                self.reply(b"250 2.0.0 ok")
            case b"QUIT":
                self.reply(b"221 2.0.0 bye")
                return False
            case _:
                self.reply(b"500 5.5.2 unknown command")
        return True

    def _recipient(self, argument: bytes) -> None:
        if argument.split()[0] == REFUSED:
            self.reply(b"550 5.1.1 no such mailbox")
            return
        self._recipients.append(argument)
        self.reply(b"250 2.1.5 ok")

    def _finish(self) -> None:
        if self._recipients:
            self.keep(Delivery(self._sender, tuple(self._recipients), self._content))
            self.reply(b"250 2.0.0 kept")
        else:
            self.reply(b"554 5.5.1 no recipients")
        self._begin()

    def _begin(self, sender: bytes = b"") -> None:
        self._sender = sender
        self._recipients: list[bytes] = []
        self._content = b""


def _lines_before_the_dot(stream: BufferedIOBase) -> Iterator[bytes]:
    while (line := stream.readline()) not in (b".\r\n", b""):
        yield line[1:] if line.startswith(b".") else line


class Sink:
    """Where it listens, and what it has got."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._deliveries: list[Delivery] = []

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """The messages that arrived by now."""
        return tuple(self._deliveries)

    def add(self, delivery: Delivery) -> None:
        """Keep a message."""
        self._deliveries.append(delivery)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    # A connection that is still open when the test ends is closed by its other side.
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.sink = Sink(self.server_address[1])


@contextlib.contextmanager
def serving() -> Iterator[Sink]:
    """Run a sink in a thread of its own."""
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server.sink
        finally:
            server.shutdown()
            thread.join()
