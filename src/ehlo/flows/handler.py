"""The application's side of a server: an object with some of these methods, sync or async.

    on_connect(session)                                       None, or a Reply
    on_hello(session, name)                                   None, or a Reply
    on_auth_password(session, username, password, authzid)    bool
    on_auth_secret(session, username, kind, domain)           the secret, None for an unknown user
    on_auth_token(session, username, token, host, port)       bool, or the name of the token's user
    on_auth_external(session, authzid)                        the name of the certificate's user, or None
    on_auth_kerberos(session, principal)                      the name of the principal's user, or None
    on_auth_authorize(session, authcid, authzid)              bool
    on_auth_refused(session, mechanism, reason, failures)     None
    on_sender(session, identity, reverse_path)                bool
    on_mail(session, reverse_path, parameters)                None, a Reply, or another Mailbox
    on_rcpt(session, forward_path, parameters)                None, a Reply, or another Mailbox
    on_data(session, envelope)                                None, or a Reply
    on_body(session, data)                                    None
    on_burl(session, url)                                     the octets at the URL, a Reply that refuses, or
                                                              None: nothing is there
    on_message(session, envelope, content)                    None, or a Reply; in LMTP also a list of them,
                                                              one for each recipient
    on_vrfy(session, text)                                    None, or a Reply
    on_reset(session)                                         None
    on_quit(session)                                          None

None accepts with the default reply. A Reply of 4yz or 5yz refuses, and 421 ends the session, also as the
answer of a hook of AUTH. A Mailbox accepts, and takes the place of the path in the envelope: for aliases,
and for addresses that local policy completes [RFC4409-8.7a]; `Recipient.original` is what the client said.
`on_sender` is asked before `on_mail`, for a client that authenticated and a sender that is not null: may
the identity use it?

`on_connect` is called again when a trusted proxy said by XCLIENT for whom it speaks: `session.peer` and the
rest are then of that client. `on_vrfy` may answer in any characters: the client that does not know UTF-8 is
told so instead. `on_burl` is for a server that offers BURL, and must not fetch what is longer than a message
may be.

Without `on_body` the message is collected and comes whole as `content`; with it, `content` is b"". What
`on_message` accepts must be durable when it returns. `on_reset` follows every other end of a transaction,
also a message that `on_message` refused. An exception is 451 4.3.0 for the client (454 4.7.0 inside AUTH)
and a record in the log of the binding, and so is a hook that takes longer than `Limits.hook_timeout`. A
handler with `on_auth_secret` says in `auth_secrets` which kinds it knows (NT_HASH unless it says
otherwise); `in_thread` names the hooks that block and are to be called in a thread of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Required, TypedDict, Unpack

import attrs

from ehlo._events import TLSInfo
from ehlo.sasl import Identity, SecretKind, ServerMechanisms
from ehlo.server import ServerConnection
from ehlo.wire.proxy import ProxyHeader

if TYPE_CHECKING:
    from ehlo.extensions import XClient

if TYPE_CHECKING:
    from ehlo.policy.message import Fixup

HOOKS: Final = (
    "on_connect",
    "on_hello",
    "on_auth_password",
    "on_auth_secret",
    "on_auth_token",
    "on_auth_external",
    "on_auth_kerberos",
    "on_auth_authorize",
    "on_auth_refused",
    "on_sender",
    "on_mail",
    "on_rcpt",
    "on_data",
    "on_body",
    "on_burl",
    "on_message",
    "on_vrfy",
    "on_reset",
    "on_quit",
)

_NT_HASH: Final = frozenset({SecretKind.NT_HASH})


@attrs.frozen
class Hooks:
    """The methods of a handler that a server calls, by name."""

    methods: Mapping[str, Callable[..., Any]]
    in_thread: frozenset[str] = frozenset()
    """Those that block."""
    secrets: frozenset[SecretKind] = frozenset()
    """What `on_auth_secret` knows."""
    scram_iterations: int = 4096
    """Of the SCRAM keys that it knows."""
    names: frozenset[str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "names", frozenset(self.methods))

    def __contains__(self, name: object) -> bool:
        return name in self.names


def hooks_of(handler: object) -> Hooks:
    """The methods of a handler that a server calls.

    Raises TypeError for a misspelt `on_...`, also in `in_thread`.
    """
    for name in dir(handler):
        if name.startswith("on_") and name not in HOOKS:
            raise TypeError(f"{type(handler).__name__}.{name} is no hook of a server")
    in_thread = frozenset(getattr(handler, "in_thread", ()))
    if not in_thread <= set(HOOKS):
        raise TypeError(f"{type(handler).__name__}.in_thread names what is no hook of a server")
    methods = {name: getattr(handler, name) for name in HOOKS if callable(getattr(handler, name, None))}
    known = getattr(handler, "auth_secrets", _NT_HASH) if "on_auth_secret" in methods else ()
    return Hooks(methods, in_thread, frozenset(known), getattr(handler, "auth_iterations", 4096))


class MechanismOptions(TypedDict, total=False):
    """What an application chooses of `ehlo.sasl.ServerSettings`; the rest follows from its hooks."""

    target: Required[str]
    random: Required[Callable[[int], bytes]]
    clock: Callable[[], float] | None
    allow_ntlmv1: bool
    require_channel_binding: bool
    token_scope: str
    salt_key: bytes | None


def mechanisms_of(
    hooks: Hooks, *, only: Sequence[str] | None = None, **chosen: Unpack[MechanismOptions]
) -> ServerMechanisms:
    """The mechanisms whose questions the handler answers, or those of them that `only` names.

    The other arguments are those of `ehlo.sasl.ServerSettings`. Raises LocalProtocolError.
    """
    from ehlo.sasl import ServerSettings, standard_mechanisms  # noqa: PLC0415 (with the mechanisms)

    settings = ServerSettings(
        passwords="on_auth_password" in hooks,
        secrets=hooks.secrets,
        tokens="on_auth_token" in hooks,
        certificates="on_auth_external" in hooks,
        principals="on_auth_kerberos" in hooks,
        scram_iterations=hooks.scram_iterations,
        **chosen,
    )
    return standard_mechanisms(settings, only)


class Session:
    """What a handler may know of the connection it serves; `state` is its own to use."""

    __slots__ = ("_conn", "_peer", "fixups", "message_name", "proxy", "state")

    def __init__(self, conn: ServerConnection, peer: str | None, proxy: ProxyHeader | None = None) -> None:
        self._conn = conn
        self._peer = peer
        self.proxy: Final = proxy
        """What the proxy said whom it speaks for; None without one."""
        self.state: Any = None
        self.fixups: tuple[Fixup, ...] = ()
        """What was changed in the header block of the message that `on_message` is asked about
        [RFC6409-8a]."""
        self.message_name: str | None = None
        """Under which name `on_message` keeps the message, if it says so here: for observers and logs."""

    @property
    def peer(self) -> str | None:
        """The client's address as text, or None where it is not known: the transport's, unless a trusted
        proxy said another by XCLIENT."""
        said = self.xclient
        if said is None or said.addr is None:
            return self._peer
        return None if isinstance(said.addr, Enum) else str(said.addr)

    @property
    def xclient(self) -> XClient | None:
        """What a trusted proxy said by XCLIENT of the client that it speaks for."""
        return self._conn.xclient

    @property
    def identity(self) -> Identity | None:
        return self._conn.identity

    @property
    def tls(self) -> TLSInfo | None:
        return self._conn.tls

    @property
    def client_name(self) -> str | None:
        """The argument of the last EHLO or HELO: said by the client, never proved."""
        return self._conn.client_name

    @property
    def extended(self) -> bool:
        return self._conn.extended

    @property
    def lmtp(self) -> bool:
        """A message may have a reply for each recipient [RFC2033-4.2b]."""
        return self._conn.config.lmtp

    def __repr__(self) -> str:
        return f"<Session with {self.peer}>"
