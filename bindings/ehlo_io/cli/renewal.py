"""SIGHUP: certificates and accounts are read again, and no session ends."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import attrs

import ehlo
from ehlo_io._common import LOGGER
from ehlo_io._server import ServeOptions, ServerSetup
from ehlo_io.cli.exits import Failure

T = TypeVar("T")


class Server(Protocol):
    """A running server of any binding."""

    def renew(self, handler: object, *, tls: ssl.SSLContext | None = None) -> None: ...


class LaterServers:
    """Renewed in the place of a server: those that are started later have its options as they are now."""

    def __init__(self, handler: object, options: ServeOptions) -> None:
        """Raises LocalProtocolError or TypeError for what could never work."""
        ServerSetup.of(handler, options)
        self._options = options

    def renew(self, handler: object, *, tls: ssl.SSLContext | None = None) -> None:
        options = self._options.copy()
        options["tls"] = tls
        ServerSetup.of(handler, options)
        self._options["tls"] = tls


class Accounts:
    """The accounts that are asked now, also by sessions that began when there were others."""

    def __init__(self, store: ehlo.UserStore | None) -> None:
        self.store = store

    @property
    def _asked(self) -> ehlo.UserStore:
        return self.store or ehlo.UserStore({})

    @property
    def auth_secrets(self) -> frozenset[ehlo.SecretKind]:
        return self._asked.auth_secrets

    @property
    def auth_iterations(self) -> int:
        return self._asked.auth_iterations

    @property
    def in_thread(self) -> frozenset[str]:
        return self._asked.in_thread

    def __contains__(self, name: object) -> bool:
        return name in self._asked

    def on_auth_external(self, session: Any, authzid: str) -> str | None:
        return self._asked.on_auth_external(session, authzid)

    def on_auth_password(self, session: object, username: str, password: str, authzid: str) -> bool:
        return self._asked.on_auth_password(session, username, password, authzid)

    def on_auth_secret(self, session: object, username: str, kind: ehlo.SecretKind, domain: str) -> Any:
        return self._asked.on_auth_secret(session, username, kind, domain)


@attrs.define
class Renewal:
    """Reads what a server was started with again. What does not load leaves the old in its place, and a
    line in the log."""

    accounts: Accounts
    tls: ssl.SSLContext | None
    load_users: Callable[[], ehlo.UserStore | None]
    load_tls: Callable[[], ssl.SSLContext | None]
    handler: Callable[[], object]
    """Made anew: which mechanisms there are follows from the accounts."""

    def __call__(self, server: Server) -> None:
        before = self.accounts.store
        self.accounts.store = _loaded(self.load_users, before, "accounts")
        tls = _loaded(self.load_tls, self.tls, "certificates")
        try:
            server.renew(self.handler(), tls=tls)
        except ehlo.LocalProtocolError as error:
            self.accounts.store = before
            LOGGER.error("certificates and accounts stay as they were: %s", error)
        else:
            self.tls = tls


def _loaded(load: Callable[[], T], old: T, what: str) -> T:
    try:
        return load()
    except Failure as error:
        LOGGER.error("the %s stay as they were: %s", what, error)
        return old
