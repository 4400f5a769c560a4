"""Records of sessions: their fields, their levels, and that nothing a peer says can do harm in them."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime

import pytest

import ehlo
from ehlo import flows
from ehlo.testing import ScriptedClient
from ehlo.testing import run as play
from ehlo_io.logs import JsonFormatter, SessionLog, TextFormatter

CONFIG = ehlo.ServerConfig(hostname="mail.example", policy=ehlo.OPEN_TEST)
HELLO = "S: 220...\nC: EHLO a.example\n" + "S: 250-...\n" * 7 + "S: 250 ...\n"
ENVELOPE = "C: MAIL FROM:<a@x.org>\nS: 250...\nC: RCPT TO:<b@x.org>\nS: 250...\n"
MESSAGE = ENVELOPE + "C: DATA\nS: 354...\nC: content-of-it\nC: .\n"


@pytest.fixture(autouse=True)
def verbose(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "ehlo_io")


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.__dict__["ehlo"]["event"]) for record in caplog.records]


def session_of(peer: str | None = "192.0.2.1") -> ehlo.Session:
    return ehlo.Session(ehlo.ServerConnection(CONFIG), peer)


def test_a_message(caplog: pytest.LogCaptureFixture) -> None:
    class Storing:
        def on_message(self, session: ehlo.Session, envelope: object, content: object) -> None:
            session.message_name = "name-1"

    conn = ehlo.ServerConnection(CONFIG)
    script = f"{HELLO}{MESSAGE}S: 250...\nC: QUIT\nS: 221...\n"
    log = SessionLog()
    play(flows.serve(conn, flows.hooks_of(Storing()), peer="192.0.2.1", observe=log), ScriptedClient(script))
    assert told(caplog) == [
        ("DEBUG", "session opened"),
        ("INFO", "message accepted"),
        ("DEBUG", "session ended"),
    ]
    names = {record.__dict__["ehlo"].pop("session") for record in caplog.records}
    assert len(names) == 1
    assert caplog.records[1].__dict__["ehlo"] == {
        "event": "message accepted",
        "peer": "192.0.2.1",
        "message": "name-1",
        "sender": "a@x.org",
        "recipients": 1,
        "accepted": 1,
        "size": 15,
        "code": 250,
        "enhanced": "2.0.0",
    }
    assert caplog.records[2].__dict__["ehlo"]["ending"] == "quit"
    assert "content-of-it" not in caplog.text


@pytest.mark.parametrize(
    ("fact", "level", "event"),
    [
        (flows.AuthEnded("PLAIN", ehlo.Reply(235, "Yes")), "INFO", "AUTH accepted"),
        (flows.AuthEnded("PLAIN", ehlo.Reply(535, "No"), "bad password"), "WARNING", "AUTH refused"),
        (flows.TlsFailed("no cipher"), "WARNING", "TLS failed"),
        (flows.TlsStarted(ehlo.TLSInfo(version="TLSv1.3", cipher="X")), "DEBUG", "TLS started"),
        (flows.ProtocolFault("plaintext"), "WARNING", "protocol error"),
        (
            flows.MessageEnded(ehlo.envelope("a@x.org", ["b@x.org"]), 3, (ehlo.Reply(554, "No", "5.6.0"),)),
            "WARNING",
            "message refused",
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_moments(caplog: pytest.LogCaptureFixture, fact: flows.Fact, level: str, event: str) -> None:
    log, session = SessionLog(), session_of()
    log(session, flows.SessionOpened())
    caplog.clear()
    log(session, fact)
    assert told(caplog) == [(level, event)]
    caplog.clear()
    caplog.set_level(logging.ERROR, "ehlo_io")
    log(session, fact)
    assert not caplog.records


def test_what_has_no_record(caplog: pytest.LogCaptureFixture) -> None:
    log = SessionLog()
    log(session_of(), flows.Answered(ehlo.Verb.NOOP, ehlo.Reply(250, "OK")))
    log(session_of(), flows.SessionRefused(None))
    assert not caplog.records


NASTY = "x\r\nINFO forged: line\x1b[31m\u2028 " + "y" * 1000


def test_what_a_peer_says_makes_no_line_and_no_field(caplog: pytest.LogCaptureFixture) -> None:
    log, session = SessionLog(), session_of(NASTY)
    log(session, flows.SessionOpened())
    log(session, flows.TlsFailed(f'{NASTY}" code=250'))
    record = caplog.records[-1]
    fields = record.__dict__["ehlo"]
    assert len(fields["reason"]) == 1000
    for text in (record.getMessage(), *map(str, fields.values())):
        assert text.isprintable()
    assert 'reason="x' in record.getMessage()
    for formatter in (TextFormatter(), JsonFormatter()):
        assert len(formatter.format(record).splitlines()) == 1


def _record(text: str, **extra: object) -> logging.LogRecord:
    return logging.getLogger("ehlo_io").makeRecord(
        "ehlo_io", logging.WARNING, "f", 1, "%s", (text,), None, extra=extra
    )


def test_json() -> None:
    line = JsonFormatter().format(_record("text", ehlo={"event": "e", "code": 250}))
    found = json.loads(line)
    when = datetime.fromisoformat(found.pop("time"))
    assert when.utcoffset() is not None
    assert found == {"level": "WARNING", "logger": "ehlo_io", "text": "text", "event": "e", "code": 250}


def test_json_of_any_record() -> None:
    found = json.loads(JsonFormatter().format(_record("a\nb")))
    assert found["text"] == "a?b"
    assert "event" not in found


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_a_traceback(formatter: logging.Formatter) -> None:
    record = _record("failed")
    try:
        raise ZeroDivisionError("here")
    except ZeroDivisionError:
        record.exc_info = sys.exc_info()
    text = formatter.format(record)
    assert "ZeroDivisionError: here" in text
    assert (len(text.splitlines()) == 1) == isinstance(formatter, JsonFormatter)
