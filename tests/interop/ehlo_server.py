"""`ehlo serve` as a program of its own: started, watched and ended as an administrator would."""

import contextlib
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import attrs
from tests.interop.peer import PASSWORD, USER
from tests.interop.processes import PATIENCE, end_group, python_environment, tail


@attrs.frozen
class EhloServer:
    """A running server: where it listens and what it has stored."""

    port: int
    ca: Path
    maildir: Path
    errors: Path
    """What it wrote to stderr."""
    io: str
    """The binding it runs on."""
    process: subprocess.Popen[bytes]

    def files(self, *folders: str) -> frozenset[Path]:
        """The files in the given folders of the maildir."""
        places = folders or ("new", "cur", "tmp")
        return frozenset(path for place in places for path in (self.maildir / place).glob("*"))

    def secret(self, mechanism: str) -> str:
        """What alice has to present with a mechanism."""
        del mechanism
        return PASSWORD

    def stored(self, recipient: str) -> list[bytes]:
        """What is in the maildir for a recipient, also where it should not be."""
        mark = f"<{recipient}>".encode()
        return [data for data in (path.read_bytes() for path in sorted(self.files())) if mark in data]

    def wait_for(self, recipient: str) -> bytes:
        """The one message for a recipient: it is stored before its client hears of it."""
        (found,) = self.stored(recipient)
        return found

    def log(self) -> str:
        """The end of what it wrote to stderr."""
        return tail(self.errors)

    def terminate(self) -> int:
        """Ask the server to end and return its exit status; one that stays is an error."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def serving(
    top: Path,
    io: str,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    account: str | None = f"{USER}:{PASSWORD}",
    *,
    stores: bool = True,
) -> Iterator[EhloServer]:
    """Run `ehlo serve` with a certificate of its own and a maildir below an existing directory; a server
    that does not store has none."""
    ca, maildir, errors = top / "ca.pem", top / "maildir", top / "stderr"
    argv = [sys.executable, "-m", "ehlo_io", "serve", "--self-signed", "--write-ca", str(ca)]
    argv += ["--port", "0", "--io", io, *options]
    if stores:
        argv += ["--maildir", str(maildir)]
    if account is not None:
        argv += ["--user", account]
    with errors.open("wb") as log:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=python_environment(environment),
            start_new_session=True,
        )
    assert process.stdout is not None
    lines: queue.Queue[bytes] = queue.Queue()
    # Read to the end, or a server that prints more than a pipe holds would stop.
    reader = threading.Thread(target=_read_lines, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        yield EhloServer(_wait_for_port(lines, errors), ca, maildir, errors, io, process)
        trouble = tail(errors)
        assert "Traceback" not in trouble, trouble
    finally:
        end_group(process)
        reader.join(PATIENCE)
        process.stdout.close()


def _read_lines(stream: IO[bytes], lines: "queue.Queue[bytes]") -> None:
    for line in stream:
        lines.put(line)
    lines.put(b"")


def _wait_for_port(lines: "queue.Queue[bytes]", errors: Path) -> int:
    try:
        line = lines.get(timeout=PATIENCE)
    except queue.Empty:
        raise RuntimeError(f"the server printed nothing in {PATIENCE} seconds\n{tail(errors)}") from None
    found = re.fullmatch(rb"listening on 127\.0\.0\.1:([0-9]+)\r?\n", line)
    if found is None:
        raise RuntimeError(f"the server printed {line!r} instead of where it listens\n{tail(errors)}")
    return int(found[1])
