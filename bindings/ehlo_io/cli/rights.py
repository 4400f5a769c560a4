"""`--sender`: which addresses an account may send as."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Final

import click

import ehlo
from ehlo_io.cli.exits import Failure

sender_option: Final = click.option(
    "--sender",
    multiple=True,
    metavar="NAME:ADDRESS",
    help="Who may send as what, @DOMAIN for all of it; nobody as anything else.  [repeatable]",
)


def add(handler: SimpleNamespace, given: tuple[str, ...]) -> None:
    """The hook that keeps to NAME:ADDRESS arguments, where there are any."""
    if not given:
        return
    senders: dict[str, list[str]] = defaultdict(list)
    for text in given:
        name, _, address = text.partition(":")
        senders[name].append(address)
    try:
        handler.on_sender = ehlo.SenderRights(senders).on_sender
    except ehlo.LocalProtocolError as error:
        raise Failure(f"--sender is NAME:ADDRESS: {error}") from None
