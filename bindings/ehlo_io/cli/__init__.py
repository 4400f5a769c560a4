"""The program `ehlo`: a server, a client and two ways to look at them.

One module for each command; what two of them need is in `common`, `exits`, `urls` and
`certificates`. asyncio, trio, rich and trustme are imported when a command needs them.
"""

from __future__ import annotations

try:
    import click
except ModuleNotFoundError as error:
    raise SystemExit(f"ehlo: the command line needs {error.name}: pip install 'ehlo[cli]'") from None

import ehlo
from ehlo_io.cli import demo, passwd, probe, serve, submit

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(ehlo.__version__, prog_name="ehlo", message="%(prog)s %(version)s")
def main() -> None:
    """SMTP message submission: serve it, use it, look at it."""


for _command in (demo.demo, serve.serve, submit.submit, probe.probe, passwd.passwd):
    main.add_command(_command)
