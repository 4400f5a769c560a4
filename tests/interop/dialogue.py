"""A client that knows nothing: it sends the lines it is given, over TLS if told so, and reads replies."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from tests.interop.processes import PATIENCE


class Dialogue:
    """One connection to an SMTP server."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._file = connection.makefile("rb")

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def reply(self) -> bytes:
        """The next reply, all its lines; empty when the server has closed the connection."""
        lines = []
        while line := self._file.readline():
            lines.append(line)
            if line[3:4] != b"-":
                break
        return b"".join(lines)

    def ask(self, line: bytes) -> bytes:
        """Send a line and return the reply to it."""
        self.send(line + b"\r\n")
        return self.reply()

    def rest(self) -> bytes:
        """All that the server still sends before it closes the connection."""
        return self._file.read()

    def start_tls(self, ca: Path) -> None:
        """Turn the connection into TLS, checked against a certificate authority."""
        context = ssl.create_default_context(cafile=str(ca))
        self._file.close()
        self._socket = context.wrap_socket(self._socket, server_hostname="localhost")
        self._file = self._socket.makefile("rb")

    def close(self) -> None:
        """Close the connection without a word."""
        self._file.close()
        self._socket.close()


@contextlib.contextmanager
def dialogue(port: int, ca: Path) -> Iterator[Dialogue]:
    """A connection after the greeting, STARTTLS and EHLO."""
    talk = Dialogue(socket.create_connection(("127.0.0.1", port), PATIENCE))
    try:
        assert talk.reply().startswith(b"220 ")
        assert talk.ask(b"EHLO client.example").startswith(b"250")
        assert talk.ask(b"STARTTLS").startswith(b"220 ")
        talk.start_tls(ca)
        assert talk.ask(b"EHLO client.example").startswith(b"250")
        yield talk
    finally:
        talk.close()
