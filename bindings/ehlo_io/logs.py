"""The log of a server with fields: an observer that makes records, and formatters that write them.

    serve(handler, ..., observers=[SessionLog()])

Records go to the logger `ehlo_io`. Each has a dict `record.ehlo`: `event`, then `session` (a name of its own,
the same in all records of a session), `peer`, and what there is of `user`, `mechanism`, `code`, `enhanced`,
`message` (its name in the spool or Maildir), `size` in octets, `sender`, `recipients` and `accepted` (how
many), `tls`, `ending` and `reason`. `JsonFormatter` writes a record as one line of JSON with these,
`TextFormatter` as one line of text. Secrets and content are in no record; what peers say is made printable
and cut.
"""

from __future__ import annotations

import json
import logging
import secrets
from datetime import UTC, datetime
from typing import Any, assert_never

import ehlo
from ehlo import flows
from ehlo_io._common import LOGGER, fields, printable

__all__ = ["JsonFormatter", "SessionLog", "TextFormatter"]


class SessionLog:
    """An observer: a record for each moment of a session that is worth one.

    INFO: AUTH accepted, message accepted. WARNING: AUTH refused, message refused, TLS failed, protocol error.
    DEBUG: the beginning and the end of a session, TLS started. Refused connections the server logs itself.
    """

    def __init__(self) -> None:
        self._names: dict[ehlo.Session, str] = {}

    def __call__(self, session: ehlo.Session, fact: flows.Fact) -> None:
        match fact:
            case flows.Answered() | flows.SessionRefused():
                return
            case flows.SessionOpened():
                self._names[session] = secrets.token_hex(6)
                self._tell(logging.DEBUG, session, "session opened")
            case flows.SessionEnded(ending):
                self._tell(logging.DEBUG, session, "session ended", ending=ending.value)
                del self._names[session]
            case flows.TlsStarted(info):
                self._tell(logging.DEBUG, session, "TLS started", tls=info.version)
            case flows.TlsFailed(reason):
                self._tell(logging.WARNING, session, "TLS failed", reason=reason)
            case flows.AuthEnded():
                self._auth(session, fact)
            case flows.MessageEnded():
                self._message(session, fact)
            case flows.ProtocolFault(reason):
                self._tell(logging.WARNING, session, "protocol error", reason=reason)
            case _:
                assert_never(fact)

    def _auth(self, session: ehlo.Session, fact: flows.AuthEnded) -> None:
        done = fact.reply.is_success
        level, word = (logging.INFO, "accepted") if done else (logging.WARNING, "refused")
        title = f"AUTH {fact.mechanism or '?'} {word}"
        about = {"mechanism": fact.mechanism, **_reply(fact.reply), "reason": fact.reason}
        self._tell(level, session, f"AUTH {word}", title, **about)

    def _message(self, session: ehlo.Session, fact: flows.MessageEnded) -> None:
        accepted = fact.accepted
        level, word = (logging.INFO, "accepted") if accepted else (logging.WARNING, "refused")
        # In LMTP the worst of the replies tells most.
        worst = max(fact.replies, key=lambda reply: reply.code)
        self._tell(
            level,
            session,
            f"message {word}",
            message=fact.name,
            sender=str(fact.envelope.reverse_path or ""),
            recipients=len(fact.envelope.recipients),
            accepted=accepted,
            size=fact.size,
            **_reply(worst),
        )

    def _tell(self, level: int, session: ehlo.Session, event: str, title: str = "", **about: Any) -> None:
        if not LOGGER.isEnabledFor(level):
            return
        identity = session.identity
        extra = fields(
            event,
            session=self._names.get(session),
            peer=session.peer,
            user=None if identity is None else identity.authzid,
            **about,
        )
        told = [
            f"{name}={_quoted(value)}"
            for name, value in extra["ehlo"].items()
            if name not in ("event", "peer", "mechanism")
        ]
        peer = printable(str(session.peer))
        LOGGER.log(level, "%s (session with %s): %s", title or event, peer, " ".join(told), extra=extra)


def _reply(reply: ehlo.Reply) -> dict[str, Any]:
    enhanced = reply.enhanced
    return {"code": reply.code, "enhanced": None if enhanced is None else str(enhanced)}


def _quoted(value: Any) -> str:
    """Whatever a client calls itself, it makes no field of its own."""
    text = str(value)
    return text if text and not set(text) & set(' "=\\') else json.dumps(text, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """`LEVEL logger: text`, on one line but for tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"{record.levelname} {record.name}: {printable(record.getMessage())}"
        error = _traceback(self, record)
        return f"{text}\n{error}" if error else text


class JsonFormatter(logging.Formatter):
    """An object on one line: `time` (RFC 3339, UTC), `level`, `logger`, `text`, the record's fields, and
    `traceback` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry: dict[str, Any] = {
            "time": when.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "text": printable(record.getMessage()),
            **getattr(record, "ehlo", {}),
        }
        error = _traceback(self, record)
        if error:
            entry["traceback"] = error
        return json.dumps(entry, default=str)


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    info = record.exc_info
    return formatter.formatException(info) if info and info[0] is not None else ""
