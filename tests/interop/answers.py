"""What a server answers to a session: Postfix on a socket, and our engine in this process."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Sequence

import attrs
from tests.helpers.driver import DECIDED
from tests.helpers.sasl import server_settings
from tests.interop.peer import PASSWORD, USER
from tests.interop.processes import PATIENCE
from tests.interop.sessions import Kind, Step
from tests.property.world.table import codes

from ehlo import (
    STANDARD,
    AuthNeed,
    BurlReceived,
    ConnectionClosed,
    FetchSecret,
    Limits,
    Pause,
    RemoteProtocolError,
    ServerConfig,
    ServerConnection,
    State,
    SubmissionPolicy,
    UserStore,
    VerifyPassword,
)
from ehlo.sasl import SecretKind, standard_mechanisms

CLOSED = 0
"""In place of a code: the server has closed the connection."""
GONE = (CLOSED,)


@attrs.frozen
class Answer:
    """The codes that came of one step."""

    step: Step
    codes: tuple[int, ...]
    body: int | None = None
    """The code behind the message."""


class Talk:
    """A session with one server. `ask` sends octets and gives so many codes, fewer when it has closed."""

    def __init__(self, ask: Callable[[bytes, int], tuple[int, ...]]) -> None:
        self._ask = ask

    def hold(self, steps: Sequence[Step]) -> list[Answer]:
        answers: list[Answer] = []
        self._ask(b"", 1)
        for group in _groups(steps):
            found = self._ask(b"".join(step.octets for step in group), len(group))
            for step, code in zip(group, (*found, *([CLOSED] * len(group))), strict=False):
                answers.append(self._follow(step, code))
                if code == CLOSED or (step.octets.upper().startswith(b"STARTTLS") and code == 220):
                    return answers
        return answers

    def _follow(self, step: Step, code: int) -> Answer:
        if code == 354:
            # A server may take for DATA what is none.
            body = step.follow[0] if step.kind is Kind.DATA else b".\r\n"
            return Answer(step, (code,), (self._ask(body, 1) or GONE)[0])
        found = [code]
        for answer in step.follow if step.kind is Kind.AUTH else ():
            if found[-1] != 334:
                break
            found.append((self._ask(answer, 1) or GONE)[0])
        return Answer(step, tuple(found))


def _groups(steps: Sequence[Step]) -> list[list[Step]]:
    groups: list[list[Step]] = []
    for step in steps:
        if step.grouped and groups and groups[-1][-1].kind is Kind.PLAIN:
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups


def of_postfix(port: int, steps: Sequence[Step]) -> list[Answer]:
    """What Postfix says."""
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as connection,
        connection.makefile("rb") as file,
    ):

        def ask(octets: bytes, count: int) -> tuple[int, ...]:
            found: list[int] = []
            with contextlib.suppress(ConnectionError):
                connection.sendall(octets)
                while len(found) < count and (line := file.readline()):
                    if line[3:4] != b"-":
                        found.append(int(line[:3]))
            return tuple(found)

        return Talk(ask).hold(steps)


_STORE = UserStore({USER: PASSWORD})
POLICY = SubmissionPolicy(require_auth=False, allow_cleartext_auth=True, require_qualified_domains=False)


def our_config(message_size: int) -> ServerConfig:
    """As open as the Postfix of these tests."""
    settings = server_settings(passwords=True, secrets={SecretKind.PASSWORD})
    return ServerConfig(
        hostname="mail.local.example",
        policy=POLICY,
        limits=Limits(message_size=message_size, errors=10_000, auth_failures=10_000),
        extensions=STANDARD,
        mechanisms=standard_mechanisms(settings, ("PLAIN", "LOGIN", "CRAM-MD5")),
        tls_available=True,
    )


def of_ours(config: ServerConfig, steps: Sequence[Step]) -> list[Answer]:
    """What our engine says, with an application that agrees to everything."""
    conn = ServerConnection(config)

    def ask(octets: bytes, count: int) -> tuple[int, ...]:
        del count
        if octets and conn.state is not State.CLOSED:
            conn.receive_data(octets)
        try:
            _pump(conn)
        except RemoteProtocolError as error:
            hint = CLOSED if error.reply_hint is None else error.reply_hint.code
            return (*codes(conn.data_to_send()), hint)
        return tuple(codes(conn.data_to_send()))

    return Talk(ask).hold(steps)


def _pump(conn: ServerConnection) -> None:
    while not isinstance(event := conn.next_event(), Pause | ConnectionClosed):
        match event:
            case AuthNeed(VerifyPassword(username, password, authzid)):
                conn.auth_answer(_STORE.on_auth_password(None, username, password, authzid))
            case AuthNeed(FetchSecret(username, kind, domain)):
                conn.auth_answer(_STORE.on_auth_secret(None, username, kind, domain))
            case BurlReceived() | AuthNeed():
                raise AssertionError(event)
            case _ if isinstance(event, DECIDED):
                conn.accept()
            case _:
                pass
