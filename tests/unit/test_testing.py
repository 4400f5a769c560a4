"""The scripted peers themselves: a test that they stand behind must be able to fail."""

from __future__ import annotations

from itertools import repeat

import pytest

from ehlo.flows import Ask, Close, Flow, ReadBody, Receive, Send, Shutdown, StartTLS
from ehlo.testing import FAKE_TLS, ScriptedClient, ScriptedServer, ScriptError, drive, ehlo_reply, run


def talk(*lines: bytes) -> Flow[list[bytes]]:
    """Send each line and wait for what comes."""
    heard = []
    for line in lines:
        yield Send(line)
        heard.append((yield Receive()))
    yield Close()
    return heard


def test_a_script_that_is_followed() -> None:
    server = ScriptedServer("S: 220 x\nC: A\n\n  S: 250-one\n  S: 250 two\nC: B...\nS: 250 three")
    assert run(talk(b"", b"A\r\n", b"Bxy\r\n"), server) == [
        b"220 x\r\n",
        b"250-one\r\n250 two\r\n",
        b"250 three\r\n",
    ]
    assert server.done
    server.check_done()


def test_lines_that_come_together_are_compared_one_by_one() -> None:
    server = ScriptedServer("C: A\nS: 1\nC: B\nS: 2")
    assert run(talk(b"A\r\nB\r\n"), server) == [b"1\r\n2\r\n"]
    assert run(talk(b"A\r\nB\r\n", b""), ScriptedServer("C: A\nS: 1\nC: B\nS: 2"), sizes=repeat(3)) == [
        b"1\r\n",
        b"2\r\n",
    ]


@pytest.mark.parametrize(
    ("script", "flow"),
    [
        ("C: A\nS: 1", talk(b"B\r\n")),
        ("C: A\nS: 1", talk(b"A x\r\n")),
        ("C: AB...\nS: 1", talk(b"A\r\n")),
        ("C: A\nS: 1", talk(b"A\n")),
        ("C: A\nS: 1\nC: B", talk(b"A\r\n", b"C\r\n")),
        ("", talk(b"A\r\n")),
        ("C: A", None),
    ],
)
def test_a_script_that_is_not_followed(script: str, flow: Flow[list[bytes]] | None) -> None:
    def handshake() -> Flow[object]:
        return (yield StartTLS(None))

    with pytest.raises(ScriptError):
        run(flow or handshake(), ScriptedServer(script))


@pytest.mark.parametrize(("script", "said"), [("C: A\nS: 1\nC: B", b"A\r\n"), ("C: A\nS: 1", b"A\r\nB\r\n")])
def test_a_script_that_is_not_at_its_end(script: str, said: bytes) -> None:
    server = ScriptedServer(script)
    run(talk(said), server)
    assert not server.done
    with pytest.raises(ScriptError):
        server.check_done()


def test_what_is_no_script() -> None:
    with pytest.raises(ValueError, match="not a line"):
        ScriptedServer("X: what")


@pytest.mark.parametrize(
    ("word", "error"),
    [("<reset>", ConnectionResetError), ("<silence>", TimeoutError), ("<shutdown>", Shutdown)],
)
def test_what_a_script_throws(word: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        run(talk(b""), ScriptedClient(f"C: {word}"))


def test_handshakes() -> None:
    def handshake() -> Flow[object]:
        return (yield StartTLS("x"))

    assert run(handshake(), ScriptedServer("C: <TLS>")) == FAKE_TLS
    with pytest.raises(ConnectionError):
        run(handshake(), ScriptedServer("C: <no TLS>"))
    assert drive(handshake(), handshake()) == FAKE_TLS
    with pytest.raises(ConnectionError):
        drive(handshake(), talk(b"plain"))


def test_the_end_of_a_script() -> None:
    assert run(talk(b""), ScriptedServer("S: <close>")) == [b""]


def test_bodies_and_questions() -> None:
    def flow() -> Flow[object]:
        pieces = []
        for _ in range(5):
            pieces.append((yield ReadBody(2)))
        return pieces, (yield Ask(lambda: 5))

    assert run(flow(), ScriptedServer(""), bodies=[b"abc", [b"whole"]]) == (
        [b"ab", b"c", b"", b"whole", b""],
        5,
    )


def test_two_flows_that_wait_for_each_other() -> None:
    def wait() -> Flow[None]:
        yield Receive()

    with pytest.raises(AssertionError, match="both sides"):
        drive(wait(), wait())


def test_two_flows() -> None:
    assert drive(talk(b"a", b"b"), talk(b"x", b"y")) == [b"x", b"y"]
    with pytest.raises(ZeroDivisionError):
        drive(talk(b"a"), _raises())


def _raises() -> Flow[None]:
    yield Receive()
    raise ZeroDivisionError


def test_replies_to_ehlo() -> None:
    assert ehlo_reply("h") == "S: 250 h"
    assert ehlo_reply("h", ["A", "B"]) == "S: 250-h\nS: 250-A\nS: 250 B"
