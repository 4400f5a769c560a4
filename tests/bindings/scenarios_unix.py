"""UNIX sockets: both roles, and the file of the socket."""

from __future__ import annotations

import errno
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from tests.bindings.faces import HOSTNAME, Io
from tests.bindings.handlers import PASSWORD, Sink
from tests.bindings.peers import Peer
from tests.bindings.registry import scenario
from tests.bindings.scenarios_submit import ENVELOPE, MESSAGE

import ehlo

IN_USE = os.strerror(errno.EADDRINUSE)


@contextmanager
def _place() -> Iterator[str]:
    """A path that is free; short, because those of sockets must be."""
    with tempfile.TemporaryDirectory(prefix="ehlo-") as directory:
        yield str(Path(directory, "socket"))


async def _submit(io: Io, path: str, sink: Sink) -> None:
    before = len(sink.stored)
    async with io.connect_open(path) as client:
        await client.submit(MESSAGE, **ENVELOPE)
    assert len(sink.stored) == before + 1
    assert sink.stored[-1].endswith(MESSAGE)


class Doorkeeper(Sink):
    def __init__(self) -> None:
        super().__init__()
        self.peers: list[str | None] = []

    def on_connect(self, session: ehlo.Session) -> None:
        self.peers.append(session.peer)


@scenario()
async def unix_both_roles(io: Io) -> None:
    with _place() as path:
        sink = Doorkeeper()
        async with io.serve_unix(sink, path) as server:
            assert server.path == path
            with pytest.raises(RuntimeError, match="UNIX"):
                _ = server.address
            found = os.lstat(path).st_mode
            assert stat.S_ISSOCK(found)
            assert stat.S_IMODE(found) == 0o600
            for _ in range(2):
                await _submit(io, path, sink)
        assert sink.peers == ["unix"] * 2
        assert not os.path.lexists(path)


@scenario()
async def unix_path_objects_and_mode(io: Io) -> None:
    with _place() as path:
        sink = Sink()
        # The file's permissions are those asked for, whatever the process gives to others.
        before = os.umask(0o077)
        try:
            async with io.serve_unix(sink, Path(path), mode=0o666) as server:
                assert server.path == path
                assert stat.S_IMODE(os.lstat(path).st_mode) == 0o666
                await _submit(io, path, sink)
        finally:
            os.umask(before)


@scenario()
async def unix_socket_that_nobody_listens_on_is_replaced(io: Io) -> None:
    with _place() as path, socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
        left.listen()
        left.close()
        sink = Sink()
        async with io.serve_unix(sink, path):
            await _submit(io, path, sink)
        assert not os.path.lexists(path)


@scenario()
async def unix_socket_of_another_server_is_left_alone(io: Io) -> None:
    with _place() as path:
        sink = Sink()
        async with io.serve_unix(sink, path):
            with pytest.raises(OSError, match=IN_USE):
                async with io.serve_unix(Sink(), path):
                    pass
            await _submit(io, path, sink)
        assert not os.path.lexists(path)


@scenario()
async def unix_other_files_are_left_alone(io: Io) -> None:
    with _place() as path:
        Path(path).write_text("text")
        with pytest.raises(OSError, match=IN_USE):
            async with io.serve_unix(Sink(), path):
                pass
        assert Path(path).read_text() == "text"
        with pytest.raises(NotADirectoryError):
            async with io.serve_unix(Sink(), f"{path}/below"):
                pass


@scenario()
async def unix_socket_of_a_successor_is_left_alone(io: Io) -> None:
    with _place() as path:
        sink = Sink()
        async with io.serve_unix(Sink(), path) as first:
            # Still there, so that the file system cannot give its number away.
            os.rename(path, f"{path}.old")
            async with io.serve_unix(sink, path):
                await first.close()
                await _submit(io, path, sink)
        assert not os.path.lexists(path)


@scenario()
async def unix_nobody_there(io: Io) -> None:
    with _place() as path:
        with pytest.raises(ehlo.ConnectionFailed, match=path) as failed:
            await io.connect_open(path)
        assert isinstance(failed.value.__cause__, FileNotFoundError)


@scenario()
async def unix_secrets_are_shown_only_if_told_to(io: Io) -> None:
    with _place() as path:
        sink = Sink()
        policy = attrs.evolve(ehlo.OXSMTP_2008, allow_cleartext_auth=True, require_tls=False)
        async with io.serve_unix(sink, path, policy=policy):
            with pytest.raises(ehlo.AuthenticationFailed) as failed:
                await io.connect_open(path, auth=PASSWORD, mechanisms=["PLAIN"])
            assert failed.value.cause is ehlo.AuthCause.NO_MECHANISM
            for options in ({"mechanisms": ["PLAIN"], "allow_cleartext_auth": True}, {}):
                async with io.connect_open(path, auth=PASSWORD, **options) as client:
                    await client.submit(MESSAGE, **ENVELOPE)
        assert sink.mechanisms == ["PLAIN", "SCRAM-SHA-256"]


@scenario()
async def unix_with_tls(io: Io) -> None:
    with _place() as path:
        for tls in ("starttls", "implicit"):
            sink = Sink()
            server = {"tls": io.certificates.server, "implicit_tls": tls == "implicit"}
            async with io.serve_unix(sink, path, policy=ehlo.OXSMTP_2008, **server):
                async with io.connect(path, tls=tls, auth=PASSWORD) as client:
                    assert client.tls is not None
                    assert client.tls.verified
                    await client.submit(MESSAGE, **ENVELOPE)
                with pytest.raises(ehlo.TlsFailed, match=r"(?i)verif"):
                    await io.connect(path, tls=tls, server_name=f"not-{HOSTNAME}")


@scenario()
async def unix_long_messages(io: Io) -> None:
    with _place() as path:
        sink = Sink()
        message = MESSAGE + b"0123456789" * 7 + b"\r\n" + (b"x" * 998 + b"\r\n") * 2000
        async with io.serve_unix(sink, path):
            for chunking in (False, True):
                async with io.connect_open(path, chunking=chunking) as client:
                    await client.submit(message, **ENVELOPE)
        assert [content.endswith(message) for content in sink.stored] == [True, True]


@scenario()
async def unix_server_says_goodbye(io: Io) -> None:
    with _place() as path:
        async with io.serve_unix(Sink(), path) as server:
            peers: list[Peer] = []
            await io.thread(lambda: peers.append(Peer.to(path)))
            with peers[0] as peer:
                heard: list[str] = []

                def listen() -> None:
                    heard.append(peer.reply())
                    peer.close()

                async def close() -> None:
                    await server.close()

                await io.together(close(), io.thread(listen))
                assert heard[0].startswith("421 ")
            assert not os.path.lexists(path)
