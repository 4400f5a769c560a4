"""`ehlo passwd`: the lines of a file of accounts."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Final

import click

import ehlo
from ehlo_io.cli.common import File, say
from ehlo_io.cli.exits import Exit, Failure
from ehlo_io.cli.submit import PASSWORD_VARIABLE, first_line

SCHEMES: Final = MappingProxyType(
    {
        "SCRAM-SHA-256": ehlo.SecretKind.SCRAM_SHA_256,
        "SCRAM-SHA-1": ehlo.SecretKind.SCRAM_SHA_1,
        "NTLM": ehlo.SecretKind.NT_HASH,
        "PLAIN": ehlo.SecretKind.PASSWORD,
    }
)


@click.command()
@click.argument("name")
@click.option(
    "--scheme",
    "schemes",
    multiple=True,
    type=click.Choice(list(SCHEMES), case_sensitive=False),
    default=("SCRAM-SHA-256",),
    show_default=True,
    help="The form of the secret.  [repeatable]",
)
@click.option(
    "--iterations", type=click.IntRange(4096, 1_000_000), default=4096, show_default=True, help="Of SCRAM."
)
@click.option("--password-file", type=File(), help="The password is its first line.")
def passwd(name: str, schemes: tuple[str, ...], iterations: int, password_file: Path | None) -> None:
    """Print the lines for NAME in a file for `ehlo serve --users-file`.

    The form decides on the mechanisms: SCRAM keys permit that SCRAM, an NT hash NTLM, the password itself
    all of them; each permits PLAIN and LOGIN. An NT hash is as good as the password to whoever reads it.

    The password is the first line of --password-file, or the value of EHLO_PASSWORD, or asked for.
    """
    if ":" in name or name.startswith("#") or not name.isprintable():
        raise Failure("a user name has no colon, no # at its start and no control characters")
    password = _password(password_file)
    lines = []
    for scheme in dict.fromkeys(schemes):
        try:
            stored = ehlo.StoredSecret.of(
                SCHEMES[scheme.upper()], password, secrets.token_bytes(16), iterations
            )
        except ehlo.LocalProtocolError as error:
            raise Failure(str(error), Exit.BAD_DATA) from None
        lines.append(f"{name}:{stored.text()}")
    try:
        ehlo.UserStore(ehlo.parse_users("\n".join(lines)))
    except ValueError as error:
        raise Failure(str(error), Exit.BAD_DATA) from None
    for line in lines:
        say(line)


def _password(file: Path | None) -> str:
    if file is not None:
        return first_line(file)
    password = os.environ.get(PASSWORD_VARIABLE, "")
    if not password and sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if not password:
        raise Failure(f"no password: use --password-file or {PASSWORD_VARIABLE}", Exit.AUTHENTICATION)
    return password
