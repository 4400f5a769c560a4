"""A small SMTP server of the test whose AUTH is the Cyrus SASL library's: bound SCRAM, or Kerberos.

Cyrus can bind a SCRAM exchange to the TLS connection if its program says how, which Postfix does not. In a
Kerberos realm it has GSSAPI and GSS-SPNEGO and no passwords. It runs in a process of its own, since a fault
of the library would end the tests.
"""

import base64
import binascii
import contextlib
import ctypes
import hashlib
import itertools
import os
import socketserver
import ssl
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import trustme
from tests.interop import kerberos
from tests.interop.kerberos import Realm
from tests.interop.peer import HOST, Peer, maildir_messages, write_certificates
from tests.interop.postfix import missing as postfix_missing
from tests.interop.postfix import write_accounts
from tests.interop.processes import ROOT, free_port, python_environment, running
from tests.interop.sink import EXTENSIONS, Delivery, Session

UNIQUE, END_POINT = "tls-unique", "tls-server-end-point"
PLAIN_SCRAM = ("SCRAM-SHA-1", "SCRAM-SHA-256")
MECHANISMS = (*PLAIN_SCRAM, *(f"{name}-PLUS" for name in PLAIN_SCRAM))
TICKET_MECHANISMS = ("GSSAPI", "GSS-SPNEGO")

# From sasl.h.
CONTINUE, OK, FAIL = 1, 0, -1
GETOPT, CHANNEL_BINDING = 1, 21


@attrs.frozen
class Cyrus(Peer):
    """A running server."""

    binding: str
    """The one kind of channel binding that it knows."""

    def stored(self, recipient: str) -> list[bytes]:
        """The messages stored for a recipient by now."""
        return maildir_messages(self.top / "mail", "Envelope-To", recipient)

    def logs(self) -> tuple[Path, ...]:
        """What it printed."""
        return (self.top / "output",)


def missing() -> str | None:
    """Why the server cannot run here, or None."""
    return postfix_missing()


def missing_kerberos() -> str | None:
    """Why the server cannot run in a realm here, or None."""
    if not any(Path("/usr/lib").glob("*/sasl2/libgssapiv2.so*")):
        return "GSSAPI for Cyrus SASL (libsasl2-modules-gssapi-mit) is not installed"
    return kerberos.missing() or missing()


@contextlib.contextmanager
def serving(
    top: Path, authority: trustme.CA, binding: str = UNIQUE, realm: Realm | None = None
) -> Iterator[Cyrus]:
    """Run the server in an empty directory; with tls-unique it speaks TLS 1.2, else 1.3 too."""
    (top / "mail" / "new").mkdir(parents=True)
    server, ca = write_certificates(authority, top)
    write_accounts(top / "accounts")
    port, tls_port = free_port(), free_port()
    argv = [sys.executable, "-m", "tests.interop.cyrus", str(top), str(server), binding]
    argv += [str(port), str(tls_port)]
    environment = python_environment()
    environment["PYTHONPATH"] += os.pathsep + str(ROOT)
    if realm is None:
        offered = MECHANISMS
        argv += [HOST, *PLAIN_SCRAM]
    else:
        # The library gives both a second name, as if they were SCRAM.
        offered = (*TICKET_MECHANISMS, *(f"{name}-PLUS" for name in TICKET_MECHANISMS))
        # Its key is for this name.
        argv += [kerberos.HOST, *TICKET_MECHANISMS]
        environment |= realm.service_variables()
    with running(argv, top / "output", environment) as process:
        cyrus = Cyrus(port, tls_port, ca, offered, top, process, binding)
        cyrus.wait_until_ready()
        yield cyrus


class _Binding(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("critical", ctypes.c_int),
        ("length", ctypes.c_ulong),
        ("data", ctypes.c_char_p),
    ]


class _Callback(ctypes.Structure):
    _fields_ = [("id", ctypes.c_ulong), ("function", ctypes.c_void_p), ("context", ctypes.c_void_p)]


class Library:
    """The library, told where the accounts are."""

    def __init__(self, accounts: Path, mechanisms: tuple[str, ...]) -> None:
        # Calls keep Python's lock, for the library is not made for threads.
        self.sasl = ctypes.PyDLL("libsasl2.so.2")
        self.sasl.sasl_errdetail.restype = ctypes.c_char_p
        self._options = {
            b"pwcheck_method": b"auxprop",
            b"auxprop_plugin": b"sasldb",
            b"sasldb_path": os.fsencode(accounts),
            b"mech_list": " ".join(mechanisms).encode(),
        }
        text, pointer = ctypes.c_char_p, ctypes.c_void_p
        kind = ctypes.CFUNCTYPE(ctypes.c_int, pointer, text, text, pointer, pointer)
        # Kept, as the library keeps pointers to both.
        self._function = kind(self._option)
        self._callbacks = (_Callback * 2)(_Callback(GETOPT, ctypes.cast(self._function, ctypes.c_void_p)))
        self.check(self.sasl.sasl_server_init(self._callbacks, b"ehlo-test"))

    def check(self, code: int) -> None:
        """Turn a failure into an error."""
        if code != OK:
            raise RuntimeError(f"the Cyrus SASL library says {code}")

    def _option(
        self,
        _context: int | None,
        _plugin: bytes | None,
        name: bytes,
        result: int,
        length: int | None,
    ) -> int:
        value = self._options.get(name)
        if value is None:
            return FAIL
        ctypes.c_char_p.from_address(result).value = value
        if length is not None:
            ctypes.c_uint.from_address(length).value = len(value)
        return OK


class Exchange:
    """The library's view of one connection."""

    def __init__(self, library: Library, host: str, name: str, data: bytes) -> None:
        self._library = library
        self._connection = ctypes.c_void_p()
        # Kept, as the library keeps a pointer to it.
        self._binding = _Binding(name.encode(), 0, len(data), data)
        who, new = host.encode(), ctypes.byref(self._connection)
        sasl = library.sasl
        library.check(sasl.sasl_server_new(b"smtp", who, who, None, None, None, 0, new))
        library.check(sasl.sasl_setprop(self._connection, CHANNEL_BINDING, ctypes.byref(self._binding)))

    def mechanisms(self) -> bytes:
        """What the library offers, with spaces between."""
        names = ctypes.c_char_p()
        library = self._library
        library.check(
            library.sasl.sasl_listmech(
                self._connection, None, b"", b" ", b"", ctypes.byref(names), None, None
            )
        )
        return names.value or b""

    def start(self, mechanism: bytes, initial: bytes | None) -> tuple[int, bytes]:
        """Begin; a result code and the challenge."""
        return self._call(self._library.sasl.sasl_server_start, mechanism, initial)

    def step(self, response: bytes) -> tuple[int, bytes]:
        """Go on; a result code and the challenge."""
        return self._call(self._library.sasl.sasl_server_step, response)

    def why(self) -> str:
        """What the library says about a failure."""
        text: bytes = self._library.sasl.sasl_errdetail(self._connection) or b""
        return text.decode("utf-8", "replace")

    def close(self) -> None:
        """Forget the connection."""
        self._library.sasl.sasl_dispose(ctypes.byref(self._connection))

    def _call(self, function: "ctypes._FuncPointer", *given: bytes | None) -> tuple[int, bytes]:
        out, length = ctypes.c_void_p(), ctypes.c_uint()
        size = ctypes.c_uint(len(given[-1] or b""))
        code: int = function(self._connection, *given, size, ctypes.byref(out), ctypes.byref(length))
        return code, b"" if out.value is None else ctypes.string_at(out.value, length.value)


class _AuthSession(Session):
    name = HOST.encode()

    def handle(self) -> None:
        """Serve a client; one that just leaves is no error."""
        assert isinstance(self.server, _Server)
        self._settings = self.server.settings
        self._exchange: Exchange | None = None
        self._identified = False
        with contextlib.suppress(OSError):
            if self.server.implicit_tls:
                self._start_tls()
            super().handle()
        if self._exchange is not None:
            self._exchange.close()

    def finish(self) -> None:
        """Close what TLS has put in place of the server's socket."""
        super().finish()
        self.connection.close()

    def extensions(self) -> tuple[bytes, ...]:
        """STARTTLS first, AUTH then."""
        if self._exchange is None:
            return (*EXTENSIONS, b"STARTTLS")
        return EXTENSIONS if self._identified else (*EXTENSIONS, b"AUTH " + self._exchange.mechanisms())

    def keep(self, delivery: Delivery) -> None:
        """Store a message as a file."""
        recipients = b"".join(
            b"Envelope-To: " + each.split()[0][1:-1] + b"\n" for each in delivery.recipients
        )
        self._settings.write(recipients + delivery.content.replace(b"\r\n", b"\n"))

    def obey(self, verb: bytes, argument: bytes) -> bool:
        """TLS, then AUTH, then mail."""
        if verb == b"STARTTLS" and self._exchange is None:
            self.reply(b"220 2.0.0 go on")
            self._start_tls()
        elif verb == b"AUTH" and self._exchange is not None and not self._identified:
            self._authenticate(self._exchange, *argument.split(b" ", 1))
        elif verb in (b"MAIL", b"RCPT", b"DATA", b"BDAT") and not self._identified:
            self.reply(b"530 5.7.0 authentication required")
        else:
            return super().obey(verb, argument)
        return True

    def _start_tls(self) -> None:
        settings = self._settings
        connection = settings.context.wrap_socket(self.connection, server_side=True)
        self.connection = connection
        self.rfile, self.wfile = connection.makefile("rb"), connection.makefile("wb")
        data = settings.digest if settings.binding == END_POINT else connection.get_channel_binding(UNIQUE)
        self._exchange = Exchange(settings.library, settings.host, settings.binding, data or b"")

    def _authenticate(self, exchange: Exchange, mechanism: bytes, *given: bytes) -> None:
        try:
            # "=" is an initial response without content.
            initial = base64.b64decode(given[0].removeprefix(b"=")) if given else None
            code, out = exchange.start(mechanism, initial)
            while code == CONTINUE:
                self.reply(b"334 " + base64.b64encode(out))
                line = self.rfile.readline().rstrip(b"\r\n")
                code, out = exchange.step(base64.b64decode(line, validate=True))
        except binascii.Error:
            # Which "*" is too.
            self.reply(b"501 5.5.2 not base64")
            return
        if code == OK:
            self._identified = True
            self.reply(b"235 2.7.0 welcome")
        else:
            print(f"{mechanism.decode()}: {exchange.why()}", flush=True)
            self.reply(b"535 5.7.8 authentication failed")


class Settings:
    """What all sessions of the program share."""

    def __init__(
        self, top: Path, certificate: Path, binding: str, host: str, mechanisms: tuple[str, ...]
    ) -> None:
        self.binding, self.host = binding, host
        self.library = Library(top / "accounts", mechanisms)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        if binding == UNIQUE:
            # TLS 1.3 has no such thing.
            self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        text = certificate.read_text("ascii").partition("-----BEGIN CERTIFICATE-----")
        first = "".join(text[1:]).partition("-----END CERTIFICATE-----")
        # RFC 5929: with the hash of the certificate's signature, which is SHA-256 here.
        self.digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert("".join(first[:2]))).digest()
        self._mail = top / "mail" / "new"
        self._numbers = itertools.count(1)

    def write(self, message: bytes) -> None:
        """Store a message."""
        (self._mail / f"{next(self._numbers):06}").write_bytes(message)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, settings: Settings, port: int, implicit_tls: bool) -> None:
        self.settings, self.implicit_tls = settings, implicit_tls
        super().__init__(("127.0.0.1", port), _AuthSession)


def main(top: str, certificate: str, binding: str, port: str, tls_port: str, *offer: str) -> None:
    """Serve until killed; the offer is a host name and mechanisms."""
    settings = Settings(Path(top), Path(certificate), binding, offer[0], offer[1:])
    threading.Thread(target=_Server(settings, int(tls_port), True).serve_forever, daemon=True).start()
    _Server(settings, int(port), False).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
