"""A client that knows nothing: it sends the lines it is given, over TLS if told so, and reads replies."""

import contextlib
import select
import socket
import ssl
import threading
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


@contextlib.contextmanager
def saying_ehlo(port: int) -> Iterator[int]:
    """A port in front of a server's, for one client that begins with STARTTLS: EHLO goes ahead of that."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_go_between, args=(listener, port), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            # Wakes it where nobody came.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)


def _go_between(listener: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError):
        client, _ = listener.accept()
        with client, socket.create_connection(("127.0.0.1", port), PATIENCE) as server:
            talk = Dialogue(server)
            client.sendall(talk.reply())
            first = client.recv(512)
            talk.ask(b"EHLO client.example")
            server.sendall(first)
            other = {client: server, server: client}
            while ready := select.select(list(other), [], [], PATIENCE)[0]:
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        return
                    other[end].sendall(data)
