"""`--sender` and `--no-fixups`: which addresses an account may send as, and what is done to messages."""

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


_MENDED: Final = ehlo.MessagePolicy()
# [RFC4409-4.2b] [RFC4409-5.1b] who alters messages answers for the addresses in them.
_MENDED_AND_CHECKED: Final = ehlo.MessagePolicy(refuse_unqualified=True, refuse_bad_addresses=True)
_TRACE_ONLY: Final = ehlo.MessagePolicy(date=False, message_id=False)

fixups_option: Final = click.option(
    "--no-fixups", is_flag=True, help="Put the trace on messages and leave them alone otherwise."
)


def message_policy(policy: ehlo.SubmissionPolicy, *, no_fixups: bool) -> ehlo.MessagePolicy:
    """What goes with a policy for envelopes."""
    if no_fixups:
        return _TRACE_ONLY
    return _MENDED_AND_CHECKED if policy.require_qualified_domains else _MENDED


def add_rights(handler: SimpleNamespace, given: tuple[str, ...]) -> None:
    """The hook that keeps to NAME:ADDRESS arguments, where there are any."""
    if not given:
        return
    senders: dict[str, list[str]] = defaultdict(list)
    for text in given:
        name, colon, address = text.partition(":")
        if not colon:
            raise Failure("--sender is NAME:ADDRESS")
        senders[name].append(address)
    try:
        handler.on_sender = ehlo.SenderRights(senders).on_sender
    except ehlo.LocalProtocolError as error:
        raise Failure(f"--sender is NAME:ADDRESS, and {error}") from None
