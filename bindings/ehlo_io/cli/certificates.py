"""TLS for servers: from files, or fresh from an authority that was made a moment ago."""

from __future__ import annotations

import ssl
from pathlib import Path

import attrs

from ehlo_io._tls import ask_for_certificates, server_context
from ehlo_io.cli.common import reason
from ehlo_io.cli.exits import Failure

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@attrs.frozen
class SelfSigned:
    """A server's context and the certificate of the authority that vouches for it."""

    context: ssl.SSLContext
    authority: bytes
    """PEM."""

    def trusting(self) -> ssl.SSLContext:
        """A client's context that trusts this authority only."""
        context = ssl.create_default_context(cadata=self.authority.decode("ascii"))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def self_signed(hostname: str | None, client_authorities: Path | None = None) -> SelfSigned:
    """A certificate for this machine's loopback addresses and `hostname`, under its own authority."""
    import trustme  # noqa: PLC0415 (slow to import, and seldom needed)

    names = _LOOPBACK if hostname is None or hostname in _LOOPBACK else (*_LOOPBACK, hostname)
    authority = trustme.CA()
    try:
        certificate = authority.issue_cert(*(name.strip("[]") for name in names))
    except ValueError:
        raise Failure("no certificate can be made for the host name") from None
    with certificate.private_key_and_cert_chain_pem.tempfile() as path:
        context = from_files(Path(path), None, client_authorities)
    return SelfSigned(context, authority.cert_pem.bytes())


def from_files(certificate: Path, key: Path | None, client_authorities: Path | None) -> ssl.SSLContext:
    """Raises Failure for files that hold no certificate and its key, or no authorities."""
    try:
        context = server_context(str(certificate), None if key is None else str(key))
    except OSError as error:
        raise Failure(f"the certificate in {certificate} cannot be used: {reason(error)}") from None
    if client_authorities is not None:
        try:
            ask_for_certificates(context, str(client_authorities))
        except OSError as error:
            raise Failure(f"no certificate can be read from {client_authorities}: {reason(error)}") from None
    return context


def write_authority(path: Path, authority: bytes) -> None:
    try:
        path.write_bytes(authority)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {reason(error)}") from None
