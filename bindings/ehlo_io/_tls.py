"""TLS without a socket: one layer over `ssl.MemoryBIO` for all three bindings.

A `Channel` stands between a transport and a flow. Before TLS it passes octets through; after
`start_tls` what arrives belongs to the handshake and then to the TLS records, never to the plaintext
before it.
"""

from __future__ import annotations

import contextlib
import ssl
import sys
from collections.abc import Callable
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import ehlo

_READ_SIZE = 65536


_CERTIFICATES: WeakKeyDictionary[ssl.SSLContext, bytes] = WeakKeyDictionary()
"""The certificates of contexts, which do not tell them."""


def client_context(
    authorities: str | None = None, *, certificate: str | None = None, key: str | None = None
) -> ssl.SSLContext:
    """Server certificates and names are verified, against the system's authorities or those in a PEM file;
    TLS 1.2 at least. `certificate` and `key`, PEM files, prove the client (AUTH EXTERNAL).

    Raises OSError for files that do not load.
    """
    context = ssl.create_default_context(cafile=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def server_context(
    certificate: str, key: str | None = None, *, client_authorities: str | None = None
) -> ssl.SSLContext:
    """TLS 1.2 at least, no renegotiation. With `client_authorities`, a PEM file, clients are asked for a
    certificate, and those that show one are verified (AUTH EXTERNAL).

    Raises OSError for files that do not load.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(certificate, key)
    if client_authorities is not None:
        ask_for_certificates(context, client_authorities)
    _CERTIFICATES[context] = _leaf(certificate)
    return context


def ask_for_certificates(context: ssl.SSLContext, authorities: str) -> None:
    """Ask clients for a certificate, and verify what they show. Raises OSError for a file that has none."""
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(authorities)


def own_certificate(context: ssl.SSLContext | None, path: str | None) -> bytes | None:
    """The server's certificate in DER: of a PEM file, or as `server_context` has read it.

    Raises LocalProtocolError for a file that holds none.
    """
    if path is not None:
        try:
            return _leaf(path)
        except (OSError, ValueError) as error:
            raise ehlo.LocalProtocolError(f"certificate: {error}") from None
    return None if context is None else _CERTIFICATES.get(context)


def _leaf(path: str) -> bytes:
    """The first certificate of a PEM file. Raises OSError or ValueError."""
    with open(path, encoding="ascii", errors="replace") as file:
        text = file.read()
    begin, end = text.find(ssl.PEM_HEADER), text.find(ssl.PEM_FOOTER)
    if begin < 0 or end < begin:
        raise ValueError("no certificate in the file")
    return ssl.PEM_cert_to_DER_cert(text[begin : end + len(ssl.PEM_FOOTER)])


class Channel:
    """Transport octets on one side, the flow's octets on the other."""

    __slots__ = ("_certificate", "_context", "_in", "_out", "_server_side", "_tls")

    def __init__(
        self, context: ssl.SSLContext | None, *, server_side: bool, certificate: bytes | None = None
    ) -> None:
        self._context = context
        self._server_side = server_side
        self._certificate = certificate
        self._tls: ssl.SSLObject | None = None
        self._in: ssl.MemoryBIO | None = None
        self._out: ssl.MemoryBIO | None = None

    def start_tls(self, server_hostname: str | None) -> None:
        """Raises ssl.SSLError where there is no context, or for a name that cannot be verified."""
        if self._context is None:
            raise ssl.SSLError("there is no TLS context")
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self._tls = self._context.wrap_bio(
                self._in, self._out, server_side=self._server_side, server_hostname=server_hostname
            )
        except (ValueError, TypeError) as error:
            # A name that no certificate can have: empty, not to be encoded, with a NUL in it.
            raise ssl.SSLError(f"no name to verify: {error}") from error

    def handshake(self, received: bytes | None) -> ehlo.TLSInfo | None:
        """Go on with the handshake; b"" is the end of the stream, None nothing new.

        Returns None while more is needed. Send `pending()` each time. Raises ssl.SSLError.
        """
        assert self._tls is not None, "start_tls comes first"
        assert self._in is not None, "start_tls makes the buffers"
        if received:
            self._in.write(received)
        elif received is not None:
            raise ssl.SSLEOFError(ssl.SSLErrorNumber.SSL_ERROR_EOF, "the peer closed the connection")
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return None
        return self._info(self._tls)

    def _info(self, tls: ssl.SSLObject) -> ehlo.TLSInfo:
        cipher = tls.cipher()
        certificate = tls.getpeercert(binary_form=True)
        # There are few of them, and many connections.
        version = sys.intern(tls.version() or "")
        if self._server_side:
            verified = certificate is not None and tls.context.verify_mode != ssl.CERT_NONE
            names = _names(tls.getpeercert()) if verified else ()
        else:
            verified = tls.context.verify_mode == ssl.CERT_REQUIRED and tls.context.check_hostname
            names = ()
        return ehlo.TLSInfo(
            version=version,
            cipher=sys.intern(cipher[0] if cipher else ""),
            verified=verified,
            peer_certificate=certificate,
            peer_names=names,
            server_certificate=self._certificate if self._server_side else certificate,
            tls_unique=None if version == "TLSv1.3" else tls.get_channel_binding("tls-unique"),
        )

    def outgoing(self, data: bytes) -> bytes:
        """What to write to the transport for `data`."""
        if self._tls is None:
            return data
        self._tls.write(data)
        return self.pending()

    def pending(self) -> bytes:
        """TLS octets that wait to be written, whoever caused them."""
        return b"" if self._out is None else self._out.read()

    def incoming(self, received: bytes) -> bytes | None:
        """The flow's octets in `received`: b"" at the end of the stream, None when there are none yet."""
        if self._tls is None:
            return received
        assert self._in is not None, "TLS has its buffers"
        if not received:
            # Without close_notify, too: what a message is, its own end says, not the stream's.
            return b""
        self._in.write(received)
        return self.buffered()

    def buffered(self) -> bytes | None:
        """The flow's octets in records that came with the end of the handshake, or earlier."""
        if self._tls is None:
            return None
        pieces = []
        try:
            while piece := self._tls.read(_READ_SIZE):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            return b"".join(pieces) or None
        except ssl.SSLZeroReturnError:
            pass
        return b"".join(pieces)

    def closing(self) -> bytes:
        """close_notify, where there is TLS to end."""
        if self._tls is None:
            return b""
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        return self.pending()


MakeChannel: TypeAlias = Callable[[], Channel]
"""Made when it is needed: a connection without TLS has none."""


def _names(certificate: Any) -> tuple[str, ...]:
    """The addresses and names of a verified certificate, as `getpeercert` has it; its common name last."""
    found = [value for kind, value in certificate.get("subjectAltName", ()) if kind in ("email", "DNS")]
    for part in certificate.get("subject", ()):
        found += [value for kind, value in part if kind in ("commonName", "emailAddress")]
    return tuple(dict.fromkeys(found))
