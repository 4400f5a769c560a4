"""Each mechanism with a client and a server that know one secret, and what makes a success a right one."""

from __future__ import annotations

import hashlib
import hmac
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from unittest.mock import patch

import attrs
from tests.helpers.sasl import EVERY_KIND, client_context, server_settings

from ehlo import Anonymous, Credentials, External, Kerberos, Password, TLSInfo, Token, UserStore
from ehlo.sasl import (
    Authorize,
    ClientContext,
    ClientMechanism,
    Need,
    SaslprepError,
    SecretKind,
    ServerContext,
    ServerMechanism,
    ServerMechanisms,
    StoredSecret,
    VerifyExternal,
    VerifyPassword,
    VerifyPrincipal,
    VerifyToken,
    Work,
    gssapi,
    make_client,
    saslprep,
    standard_mechanisms,
)
from ehlo.sasl.ntlm.crypto import upcase
from ehlo.sasl.ntlm.messages import MessageError, parse_authenticate

USER: Final = "alice"
SECRET: Final = "wonder-Land 7"
TOKEN: Final = "good.token-1"
OWNER: Final = "carol"
"""Of the client certificate."""
ITERATIONS: Final = range(1, 101)
"""Few, so that a run of many exchanges is short; the bounds are what is tested."""
TLS: Final = TLSInfo(
    version="TLSv1.3",
    cipher="X",
    verified=True,
    peer_certificate=b"certificate",
    peer_names=(OWNER,),
    tls_exporter=hashlib.sha256(b"exporter").digest(),
)
_STORE: Final = UserStore(
    {
        USER: [StoredSecret.of(kind, SECRET, b"salt" * 4, 4) for kind in SecretKind],
        "bob": [StoredSecret.of(kind, "another", b"salz" * 4, 4) for kind in SecretKind],
    }
)


def answer(need: Need) -> object:
    """What the application says."""
    match need:
        case VerifyPassword(username, password, authzid):
            return _STORE.on_auth_password(None, username, password, authzid)
        case VerifyToken(username, token):
            # Without a name the token names its user.
            return token == TOKEN and (USER if not username else username.lower() == USER)
        case VerifyExternal():
            return OWNER
        case VerifyPrincipal(principal):
            return principal.partition("@")[0]
        case Authorize():
            return False
        case Work(work):
            return work()
        case _:
            return _STORE.on_auth_secret(None, need.username, need.kind, need.domain)


@attrs.define
class Exchange:
    """What crossed the wire, as tokens; `heard` is `sent` but for what was changed on the way."""

    sent: list[bytes] = attrs.Factory(list)
    """What the client said to what it was told."""
    heard: list[bytes | None] = attrs.Factory(list)
    """What the server got of it; None for a line that is no base64."""
    said: list[bytes] = attrs.Factory(list)
    """The challenges of the server."""
    told: list[bytes | None] = attrs.Factory(list)
    """What the client got of them."""

    @property
    def untouched(self) -> bool:
        return self.heard == self.sent


Derived = Callable[[Exchange], bool]


def _prepared(octets: bytes | None) -> str | None:
    try:
        return None if octets is None else saslprep(octets.decode())
    except (UnicodeDecodeError, SaslprepError):
        return None


def _is_user(octets: bytes | None) -> bool:
    """The store looks names up in any letter case."""
    name = _prepared(octets)
    return name is not None and name.lower() == USER


def _plain(exchange: Exchange) -> bool:
    if len(exchange.heard) != 1 or exchange.heard[0] is None or exchange.heard[0].count(b"\0") != 2:
        return False
    authzid, authcid, password = exchange.heard[0].split(b"\0")
    itself = _prepared(authzid) in ("", _prepared(authcid))
    return _is_user(authcid) and _prepared(password) == SECRET and itself


def _login(exchange: Exchange) -> bool:
    heard = exchange.heard
    return len(heard) == 2 and _is_user(heard[0]) and _prepared(heard[1]) == SECRET


def _cram(exchange: Exchange) -> bool:
    if len(exchange.heard) != 1 or exchange.heard[0] is None or not exchange.said:
        return False
    name, _, digest = exchange.heard[0].rpartition(b" ")
    expected = hmac.digest(SECRET.encode(), exchange.said[0], "md5").hex().encode()
    return _is_user(name) and digest == expected


def _oauth(exchange: Exchange, begin: str) -> bool:
    """`begin`: a pattern of what stands before the first field."""
    if len(exchange.heard) != 1 or exchange.heard[0] is None:
        return False
    try:
        text = exchange.heard[0].decode()
    except UnicodeDecodeError:
        return False
    first, *fields = text.split("\1")
    named = re.fullmatch(begin, first, re.DOTALL)
    if named is None or len(fields) < 3 or fields[-2:] != ["", ""]:
        return False
    pairs: dict[str, str] = {}
    for field in fields[:-2]:
        if not re.fullmatch(r"[A-Za-z]+=[\x20-\x7e\t\r\n]*", field):
            return False
        key, _, value = field.partition("=")
        if key.lower() in pairs:
            return False
        pairs[key.lower()] = value
    name = _prepared((named[1] or "").replace("=2C", ",").replace("=3D", "=").encode())
    port = re.fullmatch(r"[0-9]{1,5}", pairs.get("port", "0"))
    bearer = re.fullmatch(rf"(?i:bearer) +{re.escape(TOKEN)}", pairs.get("auth", ""))
    return name is not None and name.lower() in (USER, "") and bool(port and bearer)


def _xoauth2(exchange: Exchange) -> bool:
    # It has no escapes: a name with `=2C` in it is nobody's, either way.
    return _oauth(exchange, r"user=([^\0]*)")


def _oauthbearer(exchange: Exchange) -> bool:
    return _oauth(exchange, r"[ny],(?:a=((?:[^\0,=]|=2C|=3D)+))?,")


def _external(exchange: Exchange) -> bool:
    return len(exchange.heard) == 1 and _prepared(exchange.heard[0]) in ("", OWNER)


def _ntlm_without_mic(exchange: Exchange) -> bool:
    if len(exchange.heard) != 2 or exchange.heard[1] is None:
        return False
    try:
        found, true = parse_authenticate(exchange.heard[1]), parse_authenticate(exchange.sent[1])
    except MessageError:
        return False
    same = (found.nt_response, found.domain) == (true.nt_response, true.domain)
    anonymous = found.flags & 0x800
    return same and not anonymous and upcase(found.user) == upcase(USER) and _is_user(found.user.encode())


def _untouched(exchange: Exchange) -> bool:
    return exchange.untouched


def _never(exchange: Exchange) -> bool:
    return False


# ---- Kerberos, without a KDC ----


@attrs.define
class Ticket:
    """As much of a spnego.ContextProxy as is used; every token and every wrapped message is signed."""

    tokens: tuple[bytes, ...]
    """What this side says, and None at the end; what it hears is the other side's."""
    heard: tuple[bytes | None, ...]
    turn: int = 0
    negotiated_protocol: str = "kerberos"
    client_principal: str = f"{USER}@TEST.EXAMPLE"

    @property
    def complete(self) -> bool:
        return self.turn == len(self.heard)

    def step(self, token: bytes | None) -> bytes | None:
        if token != self.heard[self.turn]:
            raise ValueError("not a token of this exchange")
        self.turn += 1
        return self.tokens[self.turn - 1] or None

    def wrap(self, data: bytes, encrypt: bool) -> Ticket.Wrapped:
        assert not encrypt
        return self.Wrapped(signed(data))

    def unwrap(self, data: bytes) -> Ticket.Wrapped:
        if data != signed(data[16:]):
            raise ValueError("not signed")
        return self.Wrapped(data[16:])

    @attrs.frozen
    class Wrapped:
        data: bytes


def signed(data: bytes) -> bytes:
    return hmac.digest(SECRET.encode(), data, "md5") + data


_ONE, _TWO = signed(b"one"), signed(b"two")


@contextmanager
def fake_kerberos() -> Iterator[None]:
    with patch.multiple(
        gssapi,
        available=lambda: True,
        _initiator=lambda *_: Ticket((_ONE, b""), (None, _TWO)),
        _acceptor=lambda *_: Ticket((_TWO,), (_ONE,)),
    ):
        yield


# ---- the mechanisms ----


@attrs.frozen
class Case:
    """One mechanism with good credentials, on both sides."""

    title: str
    name: str
    credentials: Credentials
    derived: Derived
    """Whether what the server heard is made of the secret: then, and only then, it must succeed."""
    proves_server: bool = False
    """The client is convinced by nobody who does not know the secret, too."""
    stamped: bool = True
    """The server of NTLM has a clock, and its clients sign with a MIC."""
    source: list[random.Random] = attrs.Factory(lambda: [random.Random(0)])  # noqa: S311
    """The randomness of both sides in this exchange."""

    def random(self, size: int) -> bytes:
        return self.source[0].randbytes(size)

    @property
    def mechanisms(self) -> ServerMechanisms:
        settings = server_settings(
            random=self.random,
            passwords=True,
            secrets=EVERY_KIND - {SecretKind.PASSWORD} if "SCRAM" in self.name else EVERY_KIND,
            tokens=True,
            certificates=True,
            principals=True,
            scram_iterations=4,
            **({} if self.stamped else {"clock": None}),
        )
        return standard_mechanisms(settings, [self.name])

    @property
    def client_context(self) -> ClientContext:
        bindings = TLS.channel_bindings
        return client_context(
            random=self.random,
            iterations=ITERATIONS,
            offered=(self.name,),
            channel_bindings=bindings,
            initial_response=self.source[0].random() < 0.3,
        )

    def client(self, context: ClientContext) -> ClientMechanism:
        return make_client(self.name, self.credentials, context)

    def server(self, mechanisms: ServerMechanisms) -> ServerMechanism:
        context = ServerContext(
            tls=True, channel_bindings=TLS.channel_bindings, certified=True, offered=(self.name,)
        )
        return mechanisms[self.name](context)


_LOGIN: Final = Password(USER, SECRET)
_SCRAM: Final = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1")
CASES: Final = (
    *(Case(name, name, _LOGIN, _untouched, proves_server=True) for name in _SCRAM),
    Case("PLAIN", "PLAIN", _LOGIN, _plain),
    Case("LOGIN", "LOGIN", _LOGIN, _login),
    Case("CRAM-MD5", "CRAM-MD5", _LOGIN, _cram),
    Case("NTLM", "NTLM", _LOGIN, _untouched),
    Case("NTLM-without-MIC", "NTLM", _LOGIN, _ntlm_without_mic, stamped=False),
    Case("XOAUTH2", "XOAUTH2", Token(USER, TOKEN), _xoauth2),
    Case("OAUTHBEARER", "OAUTHBEARER", Token(USER, TOKEN), _oauthbearer),
    Case("EXTERNAL", "EXTERNAL", External(), _external),
    Case("ANONYMOUS", "ANONYMOUS", Anonymous("tracy"), _never),
    Case("GSSAPI", "GSSAPI", Kerberos(), _untouched, proves_server=True),
    Case("GSS-SPNEGO", "GSS-SPNEGO", Kerberos(), _untouched, proves_server=True),
)
BY_TITLE: Final[dict[str, Case]] = {case.title: case for case in CASES}
