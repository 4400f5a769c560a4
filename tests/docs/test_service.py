"""docs/service.md names options that there are, and its units are as systemd wants them."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path

import pytest

from ehlo_io.cli import workers
from ehlo_io.cli.serve import serve

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "service.md").read_text("utf-8")
SOCKET, SERVICE = re.findall(r"```systemd\n(.*?)```", PAGE, re.DOTALL)


def unit(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # keys keep their letter case
    parser.read_string(text)
    return parser


def test_each_option_is_one() -> None:
    known = {name for parameter in serve.params for name in parameter.opts}
    named = set(re.findall(r"--[a-z][a-z-]+", PAGE))
    assert named <= known
    assert "--workers" in named


def test_the_units() -> None:
    assert unit(SOCKET)["Socket"]["ListenStream"] == "587"
    service = unit(SERVICE)
    assert service["Unit"]["Requires"] == "ehlo.socket"
    assert service["Service"]["Type"] == "notify-reload"
    program, command, *arguments = shlex.split(service["Service"]["ExecStart"])
    assert Path(program).name == "ehlo"
    assert command == "serve"
    context = serve.make_context(command, arguments, resilient_parsing=True)
    assert context.params["workers"] == 4
    with pytest.raises(KeyError):
        # The socket unit says where.
        _ = unit(SERVICE)["Socket"]


def test_the_pauses_are_those_of_the_program() -> None:
    assert "doubles from 0.1 to 30 seconds while they end within their first second" in PAGE
    assert (workers.pause(1), workers.pause(2), workers.pause(100)) == (0.1, 0.2, 30.0)
    assert workers._AT_ONCE == 1.0
