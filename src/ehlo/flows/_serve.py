"""The server's sequence: events of the connection to questions for the handler and back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from io import BytesIO
from typing import Any, Final, assert_never

from ehlo import _replies as replies
from ehlo._errors import LocalProtocolError, RemoteProtocolError
from ehlo._events import (
    NEED_DATA,
    Authenticated,
    AuthNeed,
    AuthRefused,
    BodyChunk,
    BodyStarted,
    ConnectionClosed,
    ConnectionOpened,
    Deadline,
    Envelope,
    ExpnReceived,
    HelloReceived,
    HelpReceived,
    MailReceived,
    MessageReceived,
    Pause,
    QuitReceived,
    RcptReceived,
    ServerEvent,
    TlsRequested,
    TransactionReset,
    VrfyReceived,
    Wait,
)
from ehlo._state import State
from ehlo.flows._proxied import TrustedProxies, receive_header, source_of
from ehlo.flows.actions import Ask, Close, Exchange, Flow, Receive, Send, Shutdown, StartTLS
from ehlo.flows.handler import Hooks, Session
from ehlo.sasl import (
    Authorize,
    FetchSecret,
    VerifyExternal,
    VerifyPassword,
    VerifyPrincipal,
    VerifyToken,
    Work,
)
from ehlo.server import ServerConnection
from ehlo.wire.proxy import ProxyError, ProxyHeader
from ehlo.wire.reply import Reply

_LINGER: Final = 2.0
_JOINED: Final = 4 * 1024 * 1024


def serve(
    conn: ServerConnection,
    hooks: Hooks,
    *,
    peer: str | None = None,
    implicit_tls: bool = False,
    proxied_from: TrustedProxies | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Flow[None]:
    """Serve one connection to its end. Never raises for what the peer or the handler does.

    `peer` is the transport's address as text. With `proxied_from` the connection must come from one of
    these and begin with a PROXY header, whose source is the peer from then on; `warn` is told when it
    does not.
    """
    server = _Server(conn, hooks, peer)
    if proxied_from is None:
        return server.run(implicit_tls=implicit_tls)
    return server.run_behind(proxied_from, warn, implicit_tls=implicit_tls)


# The events that one hook decides, and what it is told.
_DECISIONS: Final[dict[type[object], tuple[str, Callable[[Any], tuple[object, ...]]]]] = {
    ConnectionOpened: ("on_connect", lambda _: ()),
    HelloReceived: ("on_hello", lambda event: (event.name,)),
    MailReceived: ("on_mail", lambda event: (event.reverse_path, event.parameters)),
    RcptReceived: ("on_rcpt", lambda event: (event.forward_path, event.parameters)),
    BodyStarted: ("on_data", lambda event: (event.envelope,)),
    VrfyReceived: ("on_vrfy", lambda event: (event.text,)),
}


@lru_cache(maxsize=64)
def _undecided(names: frozenset[str]) -> frozenset[type[object]]:
    """The events that no hook decides: they are accepted."""
    return frozenset(kind for kind, (hook, _) in _DECISIONS.items() if hook not in names)


class _Server:
    """The flow's own state: the collected message."""

    __slots__ = (
        "_body_failed",
        "_conn",
        "_content",
        "_hooks",
        "_last",
        "_peer",
        "_pieces",
        "_proxy",
        "_quit",
        "_session",
        "_size",
    )

    def __init__(self, conn: ServerConnection, hooks: Hooks, peer: str | None) -> None:
        self._conn = conn
        self._hooks = hooks
        self._peer = peer
        self._proxy: ProxyHeader | None = None
        # Made for the first hook that is called.
        self._session: Session | None = None
        self._last = b""
        self._quit = False
        self._start_body()

    def run_behind(
        self, trusted: TrustedProxies, warn: Callable[[str], None], *, implicit_tls: bool
    ) -> Flow[None]:
        """`run`, once the proxy has said whom it speaks for."""
        conn = self._conn
        if self._peer not in trusted:
            if self._peer is not None:
                # Without an address it has gone already.
                warn(f"a connection from {self._peer}, which is none of the trusted proxies, was closed")
            # In clear it would be noise to a client that begins with TLS.
            conn.close(None if implicit_tls else replies.NOT_THE_PROXY)
            received = b""
        else:
            received = yield from self._header(warn)
        if implicit_tls and conn.state is not State.CLOSED:
            yield from self._handshake(received)
        elif received:
            conn.receive_data(received)
        yield from self.run(implicit_tls=False)

    def _header(self, warn: Callable[[str], None]) -> Flow[bytes]:
        """What came behind the PROXY header; without one the connection is closed, and not told why."""
        try:
            found = yield from receive_header(self._conn.config.limits)
        except (ProxyError, TimeoutError) as error:
            why = error if isinstance(error, ProxyError) else "none came in time"
            warn(f"a connection without a PROXY header was closed: {why} (session with {self._peer})")
        except (OSError, Shutdown):
            pass
        else:
            if found is not None:
                self._proxy, received = found
                self._peer = source_of(self._proxy) or self._peer
                return received
        self._conn.close(None)
        return b""

    def run(self, *, implicit_tls: bool) -> Flow[None]:
        conn = self._conn
        undecided = _undecided(self._hooks.names)
        collects = "on_body" not in self._hooks
        if implicit_tls:
            yield from self._handshake()
        while True:
            try:
                event = conn.next_event()
            except RemoteProtocolError as error:
                self._hint(error)
                continue
            if type(event) in undecided:
                conn.accept()
            elif event is NEED_DATA:
                # One wait: for the client to read what was said, and to say the next thing.
                data, deadline = conn.data_to_send(), conn.deadline
                try:
                    conn.receive_data((yield Exchange(data, deadline) if data else Receive(deadline)))
                except TimeoutError:
                    conn.close(replies.TIMED_OUT)
                except OSError:
                    conn.close(None)
                except Shutdown:
                    # [RFC5321-3.8b] in any state, also in the middle of data.
                    conn.close(replies.SHUTTING_DOWN)
            elif collects and isinstance(event, BodyChunk):
                self._keep(event.data)
            elif isinstance(event, MessageReceived):
                yield from self._message(event.envelope)
            elif isinstance(event, ConnectionClosed):
                break
            elif not isinstance(event, Pause):
                yield from self._handle(event)
        yield from self._finish()

    def _hint(self, error: RemoteProtocolError) -> None:
        if error.reply_hint is not None:
            self._last = error.reply_hint.render()

    def _handshake(self, received: bytes = b"") -> Flow[None]:
        conn = self._conn
        try:
            data = conn.data_to_send()
            if data:
                yield Send(data, Deadline(Wait.REPLY, conn.config.limits.block_timeout))
            deadline = Deadline(Wait.HANDSHAKE, conn.config.limits.tls_timeout)
            info = yield StartTLS(None, deadline, received)
        except (OSError, Shutdown):
            conn.close(None)
        else:
            conn.start_tls_done(info)

    def _finish(self) -> Flow[None]:
        data = self._conn.data_to_send() + self._last
        try:
            if data:
                yield Send(data, Deadline(Wait.REPLY, _LINGER))
        except OSError:
            pass
        # What a client that did not end the session still sends must not take our last word away.
        yield Close(_LINGER if data and not self._quit else 0.0)

    # ---- events ----

    def _handle(self, event: ServerEvent) -> Flow[None]:
        match event:
            case BodyChunk(data):
                yield from self._body(data)
            case MessageReceived(envelope):
                yield from self._message(envelope)
            case ConnectionOpened():
                yield from self._decide("on_connect", failure=replies.SHUTTING_DOWN)
            case HelloReceived() | MailReceived() | RcptReceived() | BodyStarted() | VrfyReceived():
                hook, arguments = _DECISIONS[type(event)]
                yield from self._decide(hook, *arguments(event))
            case AuthNeed():
                yield from self._auth(event)
            case TlsRequested():
                self._conn.accept()
                yield from self._handshake()
            case TransactionReset():
                self._start_body()
                yield from self._tell("on_reset")
            case QuitReceived():
                self._quit = True
                yield from self._tell("on_quit")
            case HelpReceived() | ExpnReceived():
                self._conn.accept()
            case AuthRefused(mechanism, reason, failures):
                yield from self._tell("on_auth_refused", mechanism, reason, failures)
            case Authenticated() | ConnectionClosed():
                pass
            case _:
                assert_never(event)

    def _question(self, hook: str, *arguments: object) -> Ask | None:
        hooks = self._hooks
        method = hooks.methods.get(hook)
        if method is None:
            return None
        if self._session is None:
            self._session = Session(self._conn, self._peer, self._proxy)
        return Ask(partial(method, self._session, *arguments), hook in hooks.in_thread, logged=True)

    def _decide(self, hook: str, *arguments: object, failure: Reply = replies.LOCAL_ERROR) -> Flow[bool]:
        """Whether the event was accepted."""
        question = self._question(hook, *arguments)
        if question is None:
            self._conn.accept()
            return True
        try:
            answer = yield question
            if answer is None:
                self._conn.accept()
                return True
            if isinstance(answer, Reply):
                self._conn.reply(answer)
                return answer.code < 400
            if isinstance(answer, (list, tuple)) and all(isinstance(reply, Reply) for reply in answer):
                self._conn.reply_each(answer)
                return any(reply.code < 400 for reply in answer)
            yield Ask(partial(_complain, hook, answer), logged=True)
        except LocalProtocolError as error:
            yield from self._fail(error, failure)
        except Exception:
            self._conn.reject(failure)
        return False

    def _fail(self, error: LocalProtocolError, failure: Reply) -> Flow[None]:
        """A reply of the wrong class: the binding logs it, the client gets 451."""
        try:
            yield Ask(partial(_reraise, error), logged=True)
        except LocalProtocolError:
            self._conn.reject(failure)

    def _tell(self, hook: str, *arguments: object) -> Flow[None]:
        """Call a hook whose answer does not matter."""
        question = self._question(hook, *arguments)
        if question is not None:
            try:
                yield question
            except Exception:
                return

    def _body(self, data: bytes) -> Flow[None]:
        question = self._question("on_body", data)
        if question is None:
            self._keep(data)
            return
        try:
            yield question
        except Exception:
            self._body_failed = True
            with suppress(LocalProtocolError):
                # Read to its end all the same, unless this was the end.
                self._conn.refuse_body(replies.LOCAL_ERROR)

    def _message(self, envelope: Envelope) -> Flow[None]:
        content = b"".join(self._pieces or ()) if self._content is None else self._content.getvalue()
        failed = self._body_failed
        self._start_body()
        if failed:
            # A piece of it was lost, so none of it is there.
            self._conn.reject(replies.LOCAL_ERROR)
            accepted = False
        else:
            accepted = yield from self._decide("on_message", envelope, content)
        if not accepted:
            # Whatever was kept of it must go, as after every other end without a message.
            yield from self._tell("on_reset")

    def _start_body(self) -> None:
        self._pieces: list[bytes] | None = None
        self._size = 0
        self._content: BytesIO | None = None
        self._body_failed = False

    def _keep(self, data: bytes) -> None:
        # Pieces are joined once; those of a long message are collected in one place instead, so that
        # it is never there twice.
        if self._content is not None:
            self._content.write(data)
        elif self._pieces is None:
            self._pieces = [data]
        else:
            self._pieces.append(data)
            self._size += len(data)
            if self._size > _JOINED:
                self._content = BytesIO()
                self._content.writelines(self._pieces)
                self._pieces = None

    def _auth(self, event: AuthNeed) -> Flow[None]:
        match event.need:
            case VerifyPassword(username, password, authzid):
                question = self._question("on_auth_password", username, password, authzid)
            case FetchSecret(username, kind, domain):
                question = self._question("on_auth_secret", username, kind, domain)
            case VerifyToken(username, token, host, port):
                question = self._question("on_auth_token", username, token, host, port)
            case VerifyExternal(authzid):
                question = self._question("on_auth_external", authzid)
            case VerifyPrincipal(principal):
                question = self._question("on_auth_kerberos", principal)
            case Work(work):
                question = Ask(work, blocking=True)
            case Authorize(authcid, authzid):
                question = self._question("on_auth_authorize", authcid, authzid)
        if question is None:
            # Nobody vouches for it: the answer is no.
            self._conn.auth_answer(None)
            return
        try:
            answer = yield question
        except Exception:
            self._conn.auth_refuse()
            return
        try:
            self._conn.auth_answer(answer)
        except LocalProtocolError as error:
            # No such answer is possible: the client has its 454, the log of the binding the reason.
            with suppress(LocalProtocolError):
                yield Ask(partial(_reraise, error), logged=True)


def _complain(hook: str, answer: object) -> None:
    raise TypeError(f"{hook} answered {type(answer).__name__}, not None or a Reply")


def _reraise(error: Exception) -> None:
    raise error
