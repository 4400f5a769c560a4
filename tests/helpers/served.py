"""The server's flow against a scripted client, and handlers that note what they are asked."""

from __future__ import annotations

from tests.helpers.driver import server_config

from ehlo import Envelope, Identity, ServerConfig, ServerConnection, Session, State
from ehlo.flows import Fixups, Observe, hooks_of, serve
from ehlo.testing import ScriptedClient, run

PLAIN = "AGFsaWNlAHdvbmRlcg=="
HELLO = "S: 220...\nC: EHLO a.example\n" + "S: 250-...\n" * 9 + "S: 250 SMTPUTF8\n"
QUIT = "C: QUIT\nS: 221...\n"
ENVELOPE = "C: MAIL FROM:<a@x.org>\nS: 250 2.1.0...\nC: RCPT TO:<b@x.org>\nS: 250 2.1.5...\n"
DATA = "C: DATA\nS: 354...\n"
MESSAGE = ENVELOPE + DATA + "C: hello\nC: .\n"
LOCAL = "451 4.3.0 Local error in processing"


def served(
    script: str,
    handler: object = None,
    config: ServerConfig | None = None,
    *,
    tls: bool = False,
    identity: Identity | None = None,
    fixups: Fixups | None = None,
    observe: Observe | None = None,
) -> ServerConnection:
    """Serve a scripted client, whose script must come to its end."""
    conn = ServerConnection(config or server_config(), identity=identity)
    client = ScriptedClient(script)
    flow = serve(conn, hooks_of(handler), peer="192.0.2.1", implicit_tls=tls, fixups=fixups, observe=observe)
    run(flow, client)
    client.check_done()
    assert conn.state is State.CLOSED
    return conn


class Recorder:
    """Has the hooks of a plain session; answers None, and notes what it was asked."""

    def __init__(self, **answers: object) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.answers = answers
        self.sessions: set[Session] = set()

    def _call(self, name: str, session: Session, *arguments: object) -> object:
        self.sessions.add(session)
        self.calls.append((name, *arguments))
        answer = self.answers.get(name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def names(self) -> list[object]:
        return [call[0] for call in self.calls]

    def on_connect(self, session: Session) -> object:
        return self._call("on_connect", session)

    def on_hello(self, session: Session, name: str) -> object:
        return self._call("on_hello", session, name)

    def on_auth_password(self, session: Session, *arguments: object) -> object:
        return self._call("on_auth_password", session, *arguments)

    def on_auth_secret(self, session: Session, *arguments: object) -> object:
        return self._call("on_auth_secret", session, *arguments)

    def on_auth_authorize(self, session: Session, *arguments: object) -> object:
        return self._call("on_auth_authorize", session, *arguments)

    def on_mail(self, session: Session, *arguments: object) -> object:
        return self._call("on_mail", session, *arguments)

    def on_rcpt(self, session: Session, *arguments: object) -> object:
        return self._call("on_rcpt", session, *arguments)

    def on_data(self, session: Session, envelope: Envelope) -> object:
        return self._call("on_data", session, envelope)

    def on_message(self, session: Session, envelope: Envelope, content: bytes) -> object:
        return self._call("on_message", session, envelope, content)

    def on_vrfy(self, session: Session, text: str) -> object:
        return self._call("on_vrfy", session, text)

    def on_reset(self, session: Session) -> object:
        return self._call("on_reset", session)

    def on_quit(self, session: Session) -> object:
        return self._call("on_quit", session)


class Streaming(Recorder):
    def on_body(self, session: Session, data: bytes) -> object:
        return self._call("on_body", session, data)
