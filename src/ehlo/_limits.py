"""Every bound of the engine: one field each, with its source and what it is against."""

from __future__ import annotations

from typing import Final

import attrs

from ehlo._value import Value


@attrs.frozen(repr=False, eq=False, kw_only=True)
class Limits(Value):
    """Bounds of one connection. Sizes are octets, CRLF included; times are seconds."""

    command_line: int = 4096
    """[RFC5321-4.5.3.1.4a] 512 plus the allowance of each extension (AUTH 500, DSN 1036, ...): 4096
    covers them all and holds an endless line down to a page."""

    auth_line: int = 12288
    """[RFC4954-4o] a bound of its own: NTLM and Kerberos tokens are longer than commands."""

    overlong_line: int = 1024 * 1024
    """An over-long line is read to its end and refused; after so many octets its end is not waited for."""

    reply_line: int = 12300
    """[RFC4954-4o] a 334 with the longest challenge; 512 would do for all others."""

    reply_lines: int = 256
    """[SEC-INJ-cli-c] EHLO replies of real servers have under 30 lines."""

    reply_octets: int = 65536
    """[SEC-INJ-cli-c] one whole reply."""

    message_size: int | None = 64 * 1024 * 1024
    """[RFC1870-3a] what SIZE announces; None for no bound. [RFC5321-4.5.3.1.7a] 64K at least."""

    recipients: int = 1000
    """[RFC5321-4.5.3.1.8a] 100 at least; further ones get 452 4.5.3."""

    errors: int = 20
    """[SEC-INJ-srv-c] commands that the engine itself refused, and AUTH that could not be decided, since
    the last accepted message; one more is answered with 421 and the connection ends."""

    idle_commands: int = 1000
    """Commands that do no work (NOOP, RSET, VRFY, HELP, EHLO ...), and those that the application
    refused, since the last accepted message: nobody may try out addresses for ever."""

    auth_failures: int = 3
    """[RFC4954-9a] not fewer than three; the next failure is answered with 421."""

    scram_least: int = 4096
    """[RFC5802-5.1d] how often a server may tell a client to hash: with less a recorded exchange is easy
    to guess from."""

    scram_most: int = 1_000_000
    """And with more the server would keep the client busy."""

    pipeline: int = 500
    """[RFC2920-3.1g] commands that a client has in flight before it reads replies."""

    greeting_timeout: float = 300.0
    """[RFC5321-4.5.3.2b] a client waits for 220."""

    command_timeout: float = 300.0
    """[RFC5321-4.5.3.2b] a client waits for the reply to MAIL, RCPT and others."""

    data_timeout: float = 120.0
    """[RFC5321-4.5.3.2b] a client waits for 354."""

    block_timeout: float = 180.0
    """[RFC5321-4.5.3.2b] one block of data, in either role."""

    block_octets: int = 16384
    """A server grants another `block_timeout` only after that many octets: a least rate, so that one
    octet a minute does not hold a connection for ever."""

    final_timeout: float = 600.0
    """[RFC5321-4.5.3.2b] a client waits for the reply to the end of data."""

    quit_timeout: float = 10.0
    """A client waits for 221; what becomes of QUIT changes nothing."""

    idle_timeout: float = 300.0
    """[RFC5321-4.5.3.2.7a] a server waits for a whole command line."""

    proxy_header: int = 4096
    """A PROXY header (proxy-protocol.txt section 2): the addresses need 107, and TLVs with names and
    identifiers some hundred more; it may say that it has 65551."""

    proxy_timeout: float = 5.0
    """The whole of that header; its section 2: "within a few seconds (at least 3 seconds to cover a TCP
    retransmit)"."""

    tls_timeout: float = 60.0
    """The handshake, in either role."""


DEFAULT: Final = Limits()
