"""What clients share beside I/O: arguments to values, before a connection is made."""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import lru_cache
from os import PathLike
from typing import Final, TypeAlias, TypedDict

import attrs

import ehlo
from ehlo import flows
from ehlo_io._common import LOGGER
from ehlo_io._message import Message, Source, addresses_of, prepare
from ehlo_io._tls import Channel, client_context
from ehlo_io._unix import checked_path

CONNECT_TIMEOUT = 60.0
_STREAM: Final = socket.SOCK_STREAM
Dial: TypeAlias = Callable[[str, int], "socket.socket | Awaitable[socket.socket]"]
_HERE: Final = "localhost"
"""The server's name on a UNIX socket, where mechanisms want one and the caller gives none."""


class ConnectOptions(TypedDict, total=False):
    """The keyword arguments of `connect`, the same in each binding."""

    auth: ehlo.Credentials | None
    """Password, Token, NtHash, External, Kerberos or Anonymous; None submits without authentication."""
    tls: ehlo.TlsMode | str | None
    """starttls (default), implicit (default on port 465), opportunistic or none (default on UNIX
    sockets)."""
    context: ssl.SSLContext | None
    """None: certificates and names are verified against the system's authorities."""
    server_name: str | None
    """The name to verify, where it is not `host`; TLS on a UNIX socket needs one."""
    client_name: str | None
    """The argument of EHLO; by default the host's full name, or else its address."""
    mechanisms: Sequence[str] | None
    """Only these SASL mechanisms, in this order."""
    allow_cleartext_auth: bool
    """Let a password or a token be shown without TLS or without a verified certificate. On a UNIX socket,
    too, it must be said: the path alone does not tell who listens."""
    allow_ntlmv1: bool
    """Answer an NTLM server that knows nothing better in the old form, which gives the password away."""
    initial_response: bool
    """Let LOGIN and NTLM speak first; some servers cannot take it."""
    ehlo_after_auth: bool
    """Ask anew what the server offers after AUTH."""
    known: ehlo.HostFacts | None
    """What an earlier session found out about this host: `facts` of its client."""
    pipelining: bool
    """False: wait for each reply, whatever the server offers."""
    lmtp: bool
    """The server speaks LMTP: each recipient has its own final outcome."""
    chunking: bool
    """False: send messages by DATA, also where the server offers CHUNKING; some mishandle it."""
    newlines: ehlo.Newlines | str
    """normalise (default) or refuse: what to do with a bare CR or LF in a message."""
    limits: ehlo.Limits
    trace: ehlo.Trace | None
    """Called with each record of the redacted transcript."""
    connect_timeout: float
    """Seconds for making the connection."""
    dial: Dial | None
    """Makes the connection in the place of the binding, through a SOCKS proxy, say: called with host and port
    (a path and 0 for UNIX sockets), it returns a connected stream socket, or an awaitable of one."""


class SubmitOptions(TypedDict, total=False):
    """The keyword arguments of `submit`, the same in each binding."""

    sender: str | ehlo.Mailbox | None
    """None or "" is the null reverse-path."""
    recipients: Iterable[str | ehlo.Mailbox | ehlo.Recipient]
    notify: ehlo.Notify | str | Iterable[str] | None
    ret: ehlo.Ret | str | None
    envid: str | ehlo.EnvId | None
    parameters: Iterable[object]
    """Further parameters of MAIL, such as `RequireTls()` or `MtPriority(3)`."""
    binary: bool
    """The message is no text: each octet arrives as it is, where the server takes that (BINARYMIME)."""
    convert: bool
    """Encode what the server does not take as it is (no 8BITMIME, no BINARYMIME), and octets over 127 in
    what is not MIME, instead of failing. A message that is read in pieces and may need it is read to its end
    first."""
    submitter: str | ehlo.Mailbox | None
    """For who hands on: the address of the one who submitted the message first, "" for nobody known."""


_CONNECT_OPTIONS = frozenset(ConnectOptions.__annotations__)
_SUBMIT_OPTIONS = frozenset(SubmitOptions.__annotations__)


def connected_socket(given: object) -> socket.socket:
    """What `dial` gave. Raises LocalProtocolError for what is no stream socket, None too: a connection past
    the proxy that was meant would tell the server who is here."""
    if not isinstance(given, socket.socket) or isinstance(given, ssl.SSLSocket) or given.type != _STREAM:
        raise ehlo.LocalProtocolError(f"dial returns a connected stream socket, not {type(given).__name__}")
    return given


@attrs.frozen(kw_only=True)
class ClientSetup:
    """Everything but the local address, checked."""

    where: str
    """Host and port, or a path, for people."""
    host: str
    port: int
    path: str | None = None
    """That of a UNIX socket, in place of host and port."""
    options: ConnectOptions
    tls: ehlo.TlsMode
    newlines: ehlo.Newlines
    session: ehlo.SessionOptions

    @classmethod
    def of(cls, host: str, port: int, options: ConnectOptions) -> ClientSetup:
        """Raises LocalProtocolError for a wrong argument."""
        _check_names(options)
        _check_host(host)
        if not 0 < port < 65536:
            raise ehlo.LocalProtocolError("a port is a number from 1 to 65535")
        tls = flows.tls_mode(options.get("tls"), port)
        return cls(
            where=f"{host} port {port}",
            host=host,
            port=port,
            options=options,
            tls=tls,
            newlines=_newlines(options),
            session=_session_options(host, port, tls, options),
        )

    @classmethod
    def of_path(cls, path: str | PathLike[str], options: ConnectOptions) -> ClientSetup:
        """Raises LocalProtocolError for a wrong argument."""
        _check_names(options)
        text = checked_path(path)
        # No certificate is made out to a path: TLS must be asked for, with a name to verify.
        given = options.get("tls")
        tls = flows.tls_mode(ehlo.TlsMode.NONE if given is None else given, 0)
        if tls is not ehlo.TlsMode.NONE and not options.get("server_name"):
            raise ehlo.LocalProtocolError("TLS on a UNIX socket needs server_name, the name to verify")
        return cls(
            where=text,
            host=_HERE,
            port=0,
            path=text,
            options=options,
            tls=tls,
            newlines=_newlines(options),
            session=_session_options(_HERE, 0, tls, options),
        )

    @property
    def connect_timeout(self) -> float:
        return self.options.get("connect_timeout", CONNECT_TIMEOUT)

    def dialled(self) -> socket.socket | Awaitable[socket.socket] | None:
        """What the caller's own way to connect gives, where there is one. Raises whatever that raises, and
        LocalProtocolError."""
        dial = self.options.get("dial")
        if dial is None:
            return None
        given = dial(self.path or self.host, self.port)
        return given if isinstance(given, Awaitable) else connected_socket(given)

    def channel(self) -> Channel:
        context = self.options.get("context")
        if context is None and self.tls is not ehlo.TlsMode.NONE:
            context = client_context()
        return Channel(context, server_side=False)

    def connection(self) -> ehlo.ClientConnection:
        return ehlo.ClientConnection(
            limits=self.options.get("limits"),
            newlines=self.newlines,
            lmtp=self.options.get("lmtp", False),
            trace=self.options.get("trace"),
        )

    def session_options(self, local_address: str) -> ehlo.SessionOptions:
        session = self.session
        if self.options.get("client_name") or not session.client_name.startswith("["):
            return session
        return attrs.evolve(session, client_name=flows.client_name("", local_address))


def _check_names(options: ConnectOptions) -> None:
    if not options.keys() <= _CONNECT_OPTIONS:
        unknown = min(options.keys() - _CONNECT_OPTIONS)
        raise TypeError(f"connect() got an unexpected keyword argument {unknown!r}")


def _newlines(options: ConnectOptions) -> ehlo.Newlines:
    try:
        return ehlo.Newlines(options.get("newlines", ehlo.Newlines.NORMALISE))
    except ValueError:
        raise ehlo.LocalProtocolError("newlines is normalise or refuse") from None


def no_connection(setup: ClientSetup, error: BaseException) -> ehlo.ConnectionFailed:
    return ehlo.ConnectionFailed(f"no connection to {setup.where}: {error}")


@lru_cache(maxsize=64)
def _check_host(host: str) -> None:
    try:
        host.encode("idna")
    except UnicodeError:
        raise ehlo.LocalProtocolError("the host is no host name") from None


def _session_options(host: str, port: int, tls: ehlo.TlsMode, options: ConnectOptions) -> ehlo.SessionOptions:
    """For a connection whose own address is not known yet; what is wrong with the options is told
    before one is made."""
    mechanisms = options.get("mechanisms")
    if isinstance(mechanisms, str):
        raise ehlo.LocalProtocolError("mechanisms is a list of names, not one name")
    return ehlo.SessionOptions(
        client_name=options.get("client_name") or flows.client_name(socket.gethostname(), "127.0.0.1"),
        server_name=options.get("server_name") or host,
        port=port,
        tls=tls,
        known=options.get("known"),
        auth=options.get("auth"),
        random=secrets.token_bytes,
        clock=time.time,
        mechanisms=None if mechanisms is None else tuple(mechanisms),
        allow_cleartext_auth=options.get("allow_cleartext_auth", False),
        allow_ntlmv1=options.get("allow_ntlmv1", False),
        initial_response=options.get("initial_response", False),
        ehlo_after_auth=options.get("ehlo_after_auth", False),
    )


def unsent(found: Sequence[flows.Delivery]) -> list[int]:
    """The places of messages that another session can take."""
    return [place for place, one in enumerate(found) if isinstance(one, ehlo.SessionExhausted)]


class ClientBase:
    """What a client knows of its session; the bindings add how to run a flow."""

    def __init__(self, setup: ClientSetup, conn: ehlo.ClientConnection, opened: ehlo.Opened) -> None:
        self._setup = setup
        self._busy = threading.Lock()
        self._begin(conn, opened)

    def _begin(self, conn: ehlo.ClientConnection, opened: ehlo.Opened) -> None:
        setup = self._setup
        self._conn = conn
        self.facts = opened.facts
        """What the host was seen to offer: keep it as `known` for the next session."""
        self.notices = opened.notices
        """What may be an attack, though the session went on; the log has it, too."""
        for notice in opened.notices:
            LOGGER.warning("%s: %s", setup.where, notice.value)

    def _take(self) -> None:
        """One thing at a time: two flows on one connection would take each other's replies."""
        if not self._busy.acquire(blocking=False):
            raise ehlo.LocalProtocolError("the session is busy: another task or thread uses this client")

    @property
    def is_ready(self) -> bool:
        """The next message may be submitted, as far as is known: a server may leave unheard."""
        return self._conn.is_ready

    @property
    def authenticated(self) -> bool:
        return self._conn.authenticated

    @property
    def capabilities(self) -> ehlo.Capabilities:
        """What the server offered in its last EHLO reply."""
        return self._conn.capabilities

    @property
    def tls(self) -> ehlo.TLSInfo | None:
        return self._conn.tls

    def _submissions(self, messages: Iterable[tuple[Message, SubmitOptions]]) -> list[ehlo.Submission]:
        """What to submit; each message has its octets. Raises LocalProtocolError before anything is sent."""
        found = []
        for message, options in messages:
            submission, source = self._submission(message, options)
            if source is not None:
                raise ehlo.LocalProtocolError("of many messages each is bytes or an email message")
            found.append(submission)
        return found

    def _submission(self, message: Message, options: SubmitOptions) -> tuple[ehlo.Submission, Source | None]:
        """What to submit, and where its octets are read if it does not have them. Raises
        LocalProtocolError before anything is sent."""
        if not options.keys() <= _SUBMIT_OPTIONS:
            unknown = min(options.keys() - _SUBMIT_OPTIONS)
            raise TypeError(f"submit() got an unexpected keyword argument {unknown!r}")
        if "sender" in options and "recipients" in options:
            sender, recipients = options["sender"], options["recipients"]
        else:
            named_sender, named_recipients = addresses_of(message)
            sender = options.get("sender", named_sender)
            recipients = options.get("recipients", named_recipients)
        binary = options.get("binary", False)
        prepared = prepare(
            message,
            eight_bit_offered=flows.takes_eight_bit(self._conn.capabilities),
            refuse_bare=self._setup.newlines is ehlo.Newlines.REFUSE and not binary,
        )
        envelope = ehlo.envelope(
            sender,
            recipients,
            notify=options.get("notify"),
            ret=options.get("ret"),
            envid=options.get("envid"),
            submitter=options.get("submitter"),
            parameters=options.get("parameters", ()),
        )
        submission = ehlo.Submission(
            envelope=envelope,
            content=prepared.content,
            size=prepared.size,
            eight_bit=prepared.eight_bit,
            binary=binary,
            convert=options.get("convert", False),
            pipelining=self._setup.options.get("pipelining", True),
            chunking=self._setup.options.get("chunking", True),
        )
        return submission, prepared.source
