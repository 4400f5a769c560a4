"""Options and helpers that more than one command uses."""

from __future__ import annotations

import contextlib
import select
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

import ehlo
from ehlo_io._common import printable
from ehlo_io._tls import client_context
from ehlo_io.cli.exits import Exit, Failure

F = TypeVar("F", bound=Callable[..., Any])

IO = ("asyncio", "trio", "blocking")

_MORE: Final = " ..."
# POSIX has it that so many octets are written to a pipe as one.
_PIECE: Final[int] = getattr(select, "PIPE_BUF", 512) - len(f"{_MORE}\n")


class File(click.Path):
    """A file that is there and can be read."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, readable=True, path_type=Path)


def with_options(*options: Callable[[F], F]) -> Callable[[F], F]:
    """A decorator that stands for all of these, in their order."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def io_option(command: F) -> F:
    return click.option(
        "--io",
        type=click.Choice(IO),
        default="asyncio",
        show_default=True,
        help="What the program does its input and output with.",
    )(command)


def ca_option(command: F) -> F:
    return click.option(
        "--ca",
        type=File(),
        metavar="FILE",
        help="Trust the authorities in this PEM file, and no others.",
    )(command)


def transcript_option(command: F) -> F:
    return click.option(
        "--transcript", is_flag=True, help="Show the dialogue on stderr, without its secrets."
    )(command)


def trust(ca: Path | None, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """A client's context that trusts the authorities in a file, or those of the system, and shows a
    certificate of its own, where there is one."""
    try:
        context = client_context(None if ca is None else str(ca))
    except OSError as error:
        raise Failure(f"no certificate can be read from {ca}: {reason(error)}") from None
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key)
        except OSError as error:
            raise Failure(f"the certificate in {certificate} cannot be used: {reason(error)}") from None
    return context


def reason(error: OSError) -> str:
    """What went wrong, without the number."""
    return error.strerror or str(error) or type(error).__name__


def say(text: str) -> None:
    """A line on stdout. Raises Failure when it cannot be written."""
    try:
        click.echo(text)
    except OSError as error:
        raise Failure(f"the output cannot be written: {reason(error)}", Exit.OUTPUT) from None


def trace_to_stderr(record: ehlo.WireRecord) -> None:
    """One line for each record, in one piece: connections and processes share stderr. What a pipe would not
    take in one piece is cut off."""
    text = printable(str(record))
    line = text.encode("utf-8", "backslashreplace")
    if len(line) > _PIECE:
        text = line[:_PIECE].decode("utf-8", "ignore") + _MORE
    with contextlib.suppress(OSError, ValueError):
        click.echo(text, err=True)
