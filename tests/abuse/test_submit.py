"""`ehlo submit` on each kind of I/O and servers that mean harm: it ends before long, as it should."""

from __future__ import annotations

import contextlib
import importlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import trustme
from click.testing import Result
from tests.abuse.hostile import BYE, CASES, CONTROLS, GO, MUCH, OFFER, OK, Case, Host, hosting
from tests.abuse.target import LONG
from tests.bindings.peers import GREETING
from tests.bindings.programs import BOB, MESSAGE, PASSWORD, SENDER, Handler, each_io, peer, run, scripted
from tests.helpers.leaks import forms

import ehlo
from ehlo_io.cli.exits import Exit


def _limits(seconds: float) -> ehlo.Limits:
    return ehlo.Limits(
        greeting_timeout=seconds,
        command_timeout=seconds,
        data_timeout=seconds,
        block_timeout=seconds,
        final_timeout=seconds,
        tls_timeout=seconds,
        quit_timeout=0.2,
    )


LIMITS = {True: _limits(0.7), False: _limits(8.0)}
"""By whether the deadline is what is tried."""
BIG = MESSAGE + b"x" * 70 * 200_000


@contextlib.contextmanager
def _within(limits: ehlo.Limits) -> Iterator[None]:
    """The program has other limits than the usual ones."""
    module = importlib.import_module("ehlo_io.cli.submit")
    usual: Callable[..., dict[str, Any]] = module._connect_options
    with mock.patch.object(module, "_connect_options", lambda *given: usual(*given) | {"limits": limits}):
        yield


def submit_to(case: Case, io: str, *options: object, ca: Path | None = None) -> tuple[Result, Host]:
    """What the program did, and its server."""
    hosts: list[Host] = []
    over = threading.Event()
    with scripted(hosting(case, hosts, over)) as port, _within(LIMITS[case.waits]):
        user = "alice@" if case.auth or case.tls else ""
        words: list[object] = ["--server", f"smtp://{user}localhost:{port}", "--from", SENDER, "--to", BOB]
        words += ["--io", io, *(["--ca", ca] if case.tls else ["--tls", "none"])]
        words += ["--allow-cleartext-auth"] if case.auth else []
        result = run("submit", *words, *options, given=BIG if case.big else MESSAGE)
        over.set()
    return result, hosts[0]


def is_fit_for_a_terminal(output: str) -> bool:
    return all(line.isprintable() for line in output.split("\n"))


@each_io
@pytest.mark.parametrize("name", CASES)
def test_submit_ends_as_it_should(name: str, io: str, tmp_path: Path, authority: trustme.CA) -> None:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    case = CASES[name]
    result, host = submit_to(case, io, "--transcript", ca=ca)
    assert result.exit_code == case.status, result.output[-2000:]
    assert is_fit_for_a_terminal(result.output)
    assert not any(form in result.output for form in forms(PASSWORD))
    # What it does not want to know it does not listen to.
    assert host.sent < MUCH


@each_io
def test_no_terminal_obeys_a_server(io: str) -> None:
    def play(host: Host) -> None:
        host.send(b"220 \x1b[2J\x9b\xff\r\n")
        host.peer.line()
        host.send(b"250-\x1b[31m\r\n250-X\x1b[2J\r\n250 8BITMIME\x07\r\n")
        host.answer(CONTROLS)

    for options in ((), ("--json",), ("--transcript",)):
        result, _ = submit_to(Case(play, Exit.RECIPIENT_REFUSED), io, *options)
        assert result.exit_code == Exit.RECIPIENT_REFUSED
        assert is_fit_for_a_terminal(result.output)
        if "--json" in options:
            assert json.loads(result.stdout)["status"] == Exit.RECIPIENT_REFUSED


@each_io
def test_a_server_of_another_name_hears_nothing_of_value(
    io: str, tmp_path: Path, authority: trustme.CA
) -> None:
    handler = Handler()
    with peer(tmp_path, authority, handler) as server:
        result = server.submit(server=f"submission://alice@127.0.0.1:{server.port}", io=io)
    assert result.exit_code == Exit.UNAVAILABLE
    assert not handler.sessions
    assert not handler.taken


SAID = (GREETING, OFFER, OK, OK, GO, OK, BYE)
"""What a server says in a whole session, and when: after a line each, the sixth after the message."""


def _ends_at(octet: int) -> Case:
    """A server that closes when it has said so many octets."""

    def play(host: Host) -> None:
        left = octet
        for number, reply in enumerate(SAID):
            if number == 5:
                host.peer.until(b"\r\n.\r\n")
            elif number:
                host.peer.line()
            host.send(reply[:left])
            left -= len(reply[:left])
            if not left:
                break
        host.peer.close()

    return Case(play, Exit.TEMPORARY)


@each_io
def test_success_is_the_whole_of_the_last_reply(io: str) -> None:
    """At each octet at which a server may end: only who has heard all of it says that it was accepted."""
    complete = sum(map(len, SAID[:6]))
    octets = {*range(1, sum(map(len, SAID)), 1 if LONG else 9), complete - 1, complete}
    statuses = {octet: submit_to(_ends_at(octet), io)[0].exit_code for octet in octets}
    opened = len(GREETING + OFFER)
    assert {status for octet, status in statuses.items() if octet >= complete} == {Exit.OK}
    assert {status for octet, status in statuses.items() if opened <= octet < complete} == {Exit.TEMPORARY}
    assert {status for octet, status in statuses.items() if octet < opened} == {Exit.UNAVAILABLE}
