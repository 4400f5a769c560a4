"""The server's sequence: events of the connection to questions for the handler and back."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, assert_never

from ehlo import _replies as replies
from ehlo._errors import LocalProtocolError, RemoteProtocolError
from ehlo._events import (
    NEED_DATA,
    Authenticated,
    AuthNeed,
    AuthRefused,
    BodyChunk,
    BodyStarted,
    BurlReceived,
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
    XClientReceived,
)
from ehlo._state import State
from ehlo.extensions import Parameters
from ehlo.flows._content import Content
from ehlo.flows._decisions import DECISIONS, asked, complain, reraise, undecided_events
from ehlo.flows._watch import NOBODY, Observed, Watch
from ehlo.flows.actions import Ask, Close, Exchange, Flow, Receive, Send, Shutdown, StartTLS
from ehlo.flows.facts import Ending, Observe
from ehlo.flows.handler import Hooks, Session
from ehlo.policy import owns
from ehlo.sasl import Work, proved
from ehlo.server import ServerConnection
from ehlo.wire.address import Mailbox, ReversePath
from ehlo.wire.codes import CLOSING
from ehlo.wire.proxy import ProxyHeader
from ehlo.wire.reply import Reply

if TYPE_CHECKING:
    from ehlo.flows._fixups import Fixups
    from ehlo.policy.message import MessageFixer

_LINGER: Final = 2.0


class Server:
    """The flow of one connection, and its own state: the collected message."""

    __slots__ = (
        "_conn",
        "_content",
        "_fixer",
        "_fixups",
        "_hooks",
        "_last",
        "_peer",
        "_proxy",
        "_quit",
        "_refusal",
        "_rights",
        "_session",
        "_watch",
    )

    def __init__(self, conn: ServerConnection, hooks: Hooks, peer: str | None, fixups: Fixups | None) -> None:
        self._conn = conn
        self._hooks = hooks
        self._peer = peer
        self._proxy: ProxyHeader | None = None
        self._fixups = fixups
        self._rights = conn.config.policy.enforce_submission_rights or "on_sender" in hooks
        self._content = Content()
        self._fixer: MessageFixer | None = None
        # What answers the body, whatever else comes of it.
        self._refusal: Reply | None = None
        # Made for the first hook that is called.
        self._session: Session | None = None
        self._last = b""
        self._quit = False
        self._watch: Watch = NOBODY

    def introduce(self, peer: str | None, proxy: ProxyHeader | None) -> None:
        """The peer from now on, and the proxy's word on it."""
        self._peer, self._proxy = peer, proxy

    def watched(self, observe: Observe | None) -> Watch:
        """The watch that an observer has from now on."""
        if observe is not None:
            self._watch = Observed(observe, self._conn, self._about())
        return self._watch

    def run_on(self, received: bytes, *, implicit_tls: bool) -> Flow[None]:
        """`run`, with what came behind the header of a proxy."""
        if implicit_tls and self._conn.state is not State.CLOSED:
            yield from self._handshake(received)
        elif received:
            self._conn.receive_data(received)
        yield from self.run(implicit_tls=False)

    def run(self, *, implicit_tls: bool) -> Flow[None]:
        conn = self._conn
        undecided = undecided_events(self._hooks.names, self._rights, conn.config.limits.greet_pause > 0)
        keep = self._content.keep if "on_body" not in self._hooks and self._fixups is None else None
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
                    self._close(replies.TIMED_OUT, Ending.TIMED_OUT)
                except OSError:
                    self._close(None, Ending.LOST)
                except Shutdown:
                    # [RFC5321-3.8b] in any state, also in the middle of data.
                    self._close(replies.SHUTTING_DOWN, Ending.SHUT_DOWN)
            elif keep is not None and isinstance(event, BodyChunk):
                keep(event.data)
            elif isinstance(event, MessageReceived):
                yield from self._message(event.envelope)
            elif isinstance(event, ConnectionClosed):
                break
            elif not isinstance(event, Pause):
                yield from self._handle(event)
        yield from self._finish()

    def _close(self, reply: Reply | None, ending: Ending) -> None:
        self._watch.ends(ending)
        self._conn.close(reply)

    def _hint(self, error: RemoteProtocolError) -> None:
        self._watch.broken(error)
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
        except (OSError, Shutdown) as error:
            self._watch.unsecured(error)
            conn.close(None)
        else:
            conn.start_tls_done(info)
            self._watch.secured(info)

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
                yield from self._greet()
            case XClientReceived():
                yield from self._decide("on_connect", failure=replies.SHUTTING_DOWN)
            case MailReceived(path, parameters) if self._rights:
                yield from self._mail(path, parameters)
            case HelloReceived() | MailReceived() | RcptReceived() | BodyStarted() | VrfyReceived():
                hook, arguments = DECISIONS[type(event)]
                yield from self._decide(hook, *arguments(event))
            case BurlReceived(url):
                yield from self._fetch(url)
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
                self._watch.ends(Ending.QUIT)
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
        question = partial(method, self._about(), *arguments)
        return Ask(question, hook in hooks.in_thread, True, self._conn.config.limits.hook_timeout)

    def _about(self) -> Session:
        if self._session is None:
            self._session = Session(self._conn, self._peer, self._proxy)
        return self._session

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
            if isinstance(answer, Mailbox):
                self._conn.accept_as(answer)
                return True
            if isinstance(answer, (list, tuple)) and all(isinstance(reply, Reply) for reply in answer):
                self._conn.reply_each(answer)
                return any(reply.code < 400 for reply in answer)
            yield Ask(partial(complain, hook, answer), logged=True)
        except LocalProtocolError as error:
            yield from self._fail(error, failure)
        except Exception:
            self._conn.reject(failure)
        return False

    def _fail(self, error: LocalProtocolError, failure: Reply) -> Flow[None]:
        """A reply of the wrong class: the binding logs it, the client gets 451."""
        try:
            yield Ask(partial(reraise, error), logged=True)
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

    # ---- the greeting and the sender ----

    def _greet(self) -> Flow[None]:
        conn = self._conn
        pause = conn.config.limits.greet_pause
        if pause > 0:
            try:
                early = yield Receive(Deadline(Wait.GREETING, pause))
            except TimeoutError:
                pass
            except OSError:
                self._close(None, Ending.LOST)
                return
            except Shutdown:
                self._close(replies.SHUTTING_DOWN, Ending.SHUT_DOWN)
                return
            else:
                if early:
                    conn.reject(replies.TALKED_EARLY)
                conn.receive_data(early)
                if early:
                    return
        yield from self._decide("on_connect", failure=replies.SHUTTING_DOWN)

    def _mail(self, path: ReversePath, parameters: Parameters) -> Flow[None]:
        """[RFC4409-6.1a] the sender must be the identity's own, before anything else is asked."""
        identity = self._conn.identity
        if path is not None and identity is not None and proved(identity):
            question = self._question("on_sender", identity, path)
            try:
                permitted = owns(identity, path) if question is None else (yield question)
            except Exception:
                self._conn.reject(replies.LOCAL_ERROR)
                return
            if permitted is not True:
                self._conn.reject(self._conn.config.policy.sender_not_permitted)
                return
        yield from self._decide("on_mail", path, parameters)

    # ---- the message ----

    def _body(self, data: bytes) -> Flow[None]:
        """The next octets, as they came."""
        if self._fixups is None or self._refusal is not None:
            yield from self._piece(data)
            return
        fixer = self._fixer = self._fixer or self._fixups.fixer(self._conn, self._about().peer)
        yield from self._piece(fixer.feed(data))
        if fixer.refusal is not None:
            self._refuse(fixer.refusal)

    def _piece(self, data: bytes) -> Flow[None]:
        """The next octets for the handler."""
        if not data or self._refusal is not None:
            return
        question = self._question("on_body", data)
        if question is None:
            self._content.keep(data)
            return
        try:
            yield question
        except Exception:
            self._refuse(replies.LOCAL_ERROR)

    def _refuse(self, reply: Reply) -> None:
        """Read to its end all the same, unless this was the end."""
        self._refusal = reply
        with suppress(LocalProtocolError):
            self._conn.refuse_body(reply)

    def _fetch(self, url: str) -> Flow[None]:
        conn, answer = self._conn, None
        question = self._question("on_burl", url)
        try:
            if question is not None:
                answer = yield question
            if answer is None:
                conn.accept()
            elif isinstance(answer, Reply):
                conn.reply(answer)
            else:
                conn.burl_answer(answer)
        except LocalProtocolError as error:
            yield from self._fail(error, replies.LOCAL_ERROR)
        except Exception:
            conn.reject(replies.LOCAL_ERROR)

    def _message(self, envelope: Envelope) -> Flow[None]:
        if self._fixups is not None:
            yield from self._last_piece(self._fixups)
        content, refusal = self._content.take(), self._refusal
        self._start_body()
        if refusal is not None:
            # A piece of it was lost, or must not be there: so none of it is.
            self._conn.reject(refusal)
            accepted = False
        else:
            accepted = yield from self._decide("on_message", envelope, content)
        if not accepted:
            # Whatever was kept of it must go, as after every other end without a message.
            yield from self._tell("on_reset")

    def _last_piece(self, fixups: Fixups) -> Flow[None]:
        """What was held back to the end of the message, and whether it was all right as a whole."""
        fixer = self._fixer or fixups.fixer(self._conn, self._about().peer)
        yield from self._piece(fixer.finish())
        if self._refusal is None:
            self._refusal = fixer.refusal
        self._about().fixups = fixer.changes

    def _start_body(self) -> None:
        self._content.drop()
        self._fixer = None
        self._refusal = None

    def _auth(self, event: AuthNeed) -> Flow[None]:
        need = asked(event.need)
        if isinstance(need, Work):
            question: Ask | None = Ask(need.work, True, timeout=self._conn.config.limits.hook_timeout)
        else:
            question = self._question(need[0], *need[1])
        if question is None:
            # Nobody vouches for it: the answer is no.
            self._conn.auth_answer(None)
            return
        try:
            answer = yield question
        except Exception:
            self._conn.auth_refuse()
            return
        if isinstance(answer, Reply) and answer.code == CLOSING:
            self._conn.auth_refuse(answer)
            return
        try:
            self._conn.auth_answer(answer)
        except LocalProtocolError as error:
            # No such answer is possible: the client has its 454, the log of the binding the reason.
            with suppress(LocalProtocolError):
                yield Ask(partial(reraise, error), logged=True)
