"""Writes docs/extensions.md from the records of the extensions: run it after a change to one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ehlo import EVERY, STANDARD, Extension, Param

PAGE = Path(__file__).with_name("extensions.md")
EXAMPLE = Path(__file__).with_name("own_extension.py")

HEAD = """\
# Service extensions

Written by `docs/make_extensions.py` from the records in `ehlo.extensions`: change those, not this page.

`ehlo.STANDARD` is what both roles start from. `ehlo.EVERY` has all rows of the table: give it to a client,
which then understands what a server offers. A server offers what it means to keep: take the records that you
want, `extensions=(*ehlo.STANDARD, SMTPUTF8)`, and hand the typed parameters on to what delivers the message.
The engine reads and checks them, and no more.

Where a record depends on what a server can do, a function makes it: `deliver_by(minimum)`,
`future_release(longest, latest)`, `mt_priority(profile)`, `session_limits(limits)`,
`no_soliciting(*classes)`, `burl(sources)` and `xclient(*attributes)`. All are in `ehlo.extensions`.

Two bring commands. XCLIENT is offered to the peers alone that the application trusts
(`ServerConnection(xclient=True)`, `xclient_from` of the bindings), and BURL needs a hook `on_burl`, which
fetches the content.

Never offered: CHECKPOINT, XFORWARD, and ETRN, TURN and ATRN, which are refused.
"""

OWN = """\
## An extension of your own

A record says how an extension is offered and what its parameters look like; a longer tuple makes it known.
In the server role the value comes with `MailReceived` or `RcptReceived`; a client may send it when the
server's last EHLO reply offers the extension.
"""


def _parameters(params: Iterable[Param[Any]]) -> str:
    return ", ".join(f"`{param.keyword}{'' if _is_bare(param) else '='}`" for param in params)


def _is_bare(param: Param[Any]) -> bool:
    try:
        param.parse(None)
    except ValueError:
        return False
    return True


def row(extension: Extension) -> str:
    """One line of the table."""
    default = "yes" if extension in STANDARD else ""
    parameters = (_parameters(extension.mail), _parameters(extension.rcpt))
    needs = f"; needs {', '.join(extension.needs)}" if extension.needs else ""
    cells = (f"`{extension.keyword}`", extension.rfc, default, *parameters, extension.summary + needs)
    return f"| {' | '.join(cells)} |"


def _table() -> Iterator[str]:
    yield "| Keyword | Defined in | Standard | MAIL | RCPT | Meaning |"
    yield "|---|---|---|---|---|---|"
    yield from map(row, EVERY)


def page() -> str:
    """The whole page."""
    example = f"```python\n{EXAMPLE.read_text('utf-8')}```\n"
    return "\n".join((HEAD, *_table(), "", OWN, example))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
