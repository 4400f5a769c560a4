"""Clients on blocking sockets."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterable, Awaitable, Iterable
from os import PathLike
from types import TracebackType
from typing import Unpack

import ehlo
from ehlo import flows
from ehlo_io._client import ClientBase, ClientSetup, ConnectOptions, SubmitOptions, no_connection, unsent
from ehlo_io._common import local_address_of
from ehlo_io._message import Message
from ehlo_io._socket_pump import SocketPump

__all__ = ["Client", "connect", "connect_unix"]


class Client(ClientBase):
    """An open session. Use it in one thread at a time; a `with` block ends it with QUIT."""

    def __init__(
        self, setup: ClientSetup, conn: ehlo.ClientConnection, opened: ehlo.Opened, pump: SocketPump
    ) -> None:
        super().__init__(setup, conn, opened)
        self._pump = pump

    def submit(self, message: Message, **options: Unpack[SubmitOptions]) -> ehlo.SubmissionResult:
        """Submit one message; see `SubmitOptions`.

        Raises LocalProtocolError before anything is sent, SubmissionFailed when no recipient was
        accepted, ConnectionFailed or RemoteProtocolError when the session broke.
        """
        if isinstance(message, AsyncIterable):
            raise ehlo.LocalProtocolError("an async iterable needs an async client")
        self._take()
        try:
            submission, source = self._submission(message, options)
            try:
                return self._pump.run(flows.submit(self._conn, submission), source)
            except ehlo.SessionExhausted:
                self._renew()
            return self._pump.run(flows.submit(self._conn, submission), source)
        finally:
            self._busy.release()

    def submit_many(self, messages: Iterable[tuple[Message, SubmitOptions]]) -> list[flows.Delivery]:
        """Submit many messages, each with options of its own, and wait for none before the next is sent.

        What became of each, in their order: a SubmissionResult, or the exception that `submit` would have
        raised. Messages are bytes or email messages. Raises LocalProtocolError before anything is sent.
        """
        self._take()
        try:
            todo = self._submissions(messages)
            found = self._pump.run(flows.submit_many(self._conn, todo))
            while left := unsent(found):
                try:
                    self._renew()
                    again = self._pump.run(flows.submit_many(self._conn, [todo[place] for place in left]))
                except ehlo.Error as error:
                    again = [error] * len(left)
                for place, delivery in zip(left, again, strict=True):
                    found[place] = delivery
                if unsent(found) == left:
                    # A session that takes nothing at all.
                    break
            return found
        finally:
            self._busy.release()

    def _renew(self) -> None:
        """Another session in the place of one that takes no more."""
        self._pump.run(flows.close(self._conn))
        conn, opened, self._pump = _open(self._setup)
        self._begin(conn, opened)

    def still_open(self) -> bool:
        """Whether the server has not left since the last message, as far as octets that have come tell; none
        is sent. Raises LocalProtocolError while another thread submits."""
        self._take()
        try:
            return self._pump.run(flows.still_open(self._conn))
        finally:
            self._busy.release()

    def close(self) -> None:
        """End the session politely. Raises LocalProtocolError while another thread submits."""
        self._take()
        try:
            self._pump.run(flows.close(self._conn))
        finally:
            self._busy.release()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(setup: ClientSetup) -> tuple[ehlo.ClientConnection, ehlo.Opened, SocketPump]:
    conn = setup.connection()
    try:
        sock = _connected(setup)
    except OSError as error:
        raise no_connection(setup, error) from error
    pump = SocketPump(sock, setup.channel)
    local_address = local_address_of(sock.getsockname())
    opened = pump.run(flows.open_session(conn, setup.session_options(local_address)))
    return conn, opened, pump


def _connected(setup: ClientSetup) -> socket.socket:
    given = setup.dialled()
    if isinstance(given, Awaitable):
        raise ehlo.LocalProtocolError("dial returns what has to be awaited: that is for async clients")
    dialled = setup.checked(given)
    if dialled is not None:
        return dialled
    if setup.path is None:
        return socket.create_connection((setup.host, setup.port), setup.connect_timeout)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(setup.connect_timeout)
        sock.connect(setup.path)
    except BaseException:
        sock.close()
        raise
    return sock


def connect(host: str, port: int = flows.SUBMISSION_PORT, **options: Unpack[ConnectOptions]) -> Client:
    """Open a session that is ready for messages; see `ConnectOptions`.

    Raises LocalProtocolError for a wrong argument, SessionError or RemoteProtocolError.
    """
    setup = ClientSetup.of(host, port, options)
    return Client(setup, *_open(setup))


def connect_unix(path: str | PathLike[str], **options: Unpack[ConnectOptions]) -> Client:
    """`connect` through a UNIX socket, by default without TLS.

    Raises LocalProtocolError for a wrong argument, SessionError or RemoteProtocolError.
    """
    setup = ClientSetup.of_path(path, options)
    return Client(setup, *_open(setup))
