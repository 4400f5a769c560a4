"""Accounts, as options and files name them."""

from __future__ import annotations

from pathlib import Path

import ehlo
from ehlo_io.cli.common import reason
from ehlo_io.cli.exits import Failure


def accounts(given: tuple[str, ...], file: Path | None) -> ehlo.UserStore | None:
    """The accounts of NAME:PASSWORD arguments and of a file; None for none. No failure repeats a secret."""
    users: dict[str, str | list[ehlo.StoredSecret]] = {}
    if file is not None:
        try:
            users |= ehlo.parse_users(file.read_text("utf-8"))
        except OSError as error:
            raise Failure(f"{file}: {reason(error)}") from None
        except ValueError as error:
            raise Failure(f"{file}: {'not UTF-8' if isinstance(error, UnicodeError) else error}") from None
    for text in given:
        name, colon, password = text.partition(":")
        if not colon or not name:
            raise Failure("--user is NAME:PASSWORD")
        if name in users:
            raise Failure(f"--user {name} is given twice")
        users[name] = password
    try:
        return ehlo.UserStore(users) if users else None
    except ValueError as error:
        raise Failure(f"--user: {error}") from None
