"""The public names, pinned: a change here is a change for users."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import ehlo
import ehlo.flows
import ehlo.policy
import ehlo.sasl
import ehlo.testing

EHLO = [
    "ALLOWED",
    "AddressError",
    "Anonymous",
    "Auth",
    "AuthCause",
    "AuthChallenge",
    "AuthFailed",
    "AuthNeed",
    "AuthParam",
    "AuthRefused",
    "AuthSucceeded",
    "Authenticated",
    "AuthenticationFailed",
    "Authorize",
    "BareNewlines",
    "Body",
    "BodyChunk",
    "BodyStarted",
    "BodyWanted",
    "Capabilities",
    "ClientConnection",
    "ClientEvent",
    "Command",
    "ConnectionClosed",
    "ConnectionFailed",
    "ConnectionOpened",
    "Credentials",
    "Data",
    "Deadline",
    "Disconnecting",
    "EXCHANGE",
    "Ehlo",
    "EhloReceived",
    "EndOfData",
    "EnhancedCode",
    "EnvId",
    "Envelope",
    "Error",
    "Expn",
    "ExpnReceived",
    "Extension",
    "External",
    "FetchSecret",
    "ForwardPath",
    "GreetingReceived",
    "HelloReceived",
    "Helo",
    "Help",
    "HelpReceived",
    "HostFacts",
    "Identity",
    "Kerberos",
    "Limits",
    "LocalProtocolError",
    "Mail",
    "MailReceived",
    "Mailbox",
    "MechanismError",
    "MessageReceived",
    "NEED_DATA",
    "Need",
    "Newlines",
    "Noop",
    "Notice",
    "Notify",
    "NtHash",
    "OPEN_TEST",
    "OXSMTP_2008",
    "OfferFacts",
    "Opened",
    "Orcpt",
    "Outcome",
    "PAUSED",
    "Param",
    "Parameters",
    "Password",
    "Pause",
    "ProtocolError",
    "Quit",
    "QuitReceived",
    "Rcpt",
    "RcptReceived",
    "Recipient",
    "RemoteProtocolError",
    "Reply",
    "ReplyClass",
    "ReplyReceived",
    "Ret",
    "ReversePath",
    "Rset",
    "STANDARD",
    "ScramKeys",
    "SecretKind",
    "ServerConfig",
    "ServerConnection",
    "ServerEvent",
    "ServiceRefused",
    "Session",
    "SessionError",
    "SessionOptions",
    "Size",
    "StartTls",
    "State",
    "StoredSecret",
    "Submission",
    "SubmissionFailed",
    "SubmissionPolicy",
    "SubmissionResult",
    "TLSInfo",
    "TRANSITIONS",
    "TlsFailed",
    "TlsMode",
    "TlsReady",
    "TlsRequested",
    "Token",
    "Trace",
    "TransactionReset",
    "UserStore",
    "Verb",
    "VerifyExternal",
    "VerifyPassword",
    "VerifyPrincipal",
    "VerifyToken",
    "Vrfy",
    "VrfyReceived",
    "Wait",
    "WireRecord",
    "Work",
    "__version__",
    "envelope",
    "nt_hash",
    "parse_users",
    "recipient",
]
FLOWS = [
    "Action",
    "AnyNotify",
    "AnyRecipient",
    "Ask",
    "Close",
    "Exchange",
    "Flow",
    "HOOKS",
    "Hooks",
    "HostFacts",
    "Notice",
    "Opened",
    "Outcome",
    "Poll",
    "ReadBody",
    "Receive",
    "SUBMISSIONS_PORT",
    "SUBMISSION_PORT",
    "Send",
    "Session",
    "SessionOptions",
    "Shutdown",
    "StartTLS",
    "Submission",
    "SubmissionResult",
    "TlsMode",
    "client_name",
    "close",
    "envelope",
    "has_bare_newline",
    "hooks_of",
    "mechanisms_of",
    "open_session",
    "recipient",
    "serve",
    "submit",
    "takes_eight_bit",
    "tls_mode",
]
POLICY = [
    "BareNewlines",
    "ConversionError",
    "EXCHANGE",
    "Fixup",
    "MessageFacts",
    "MessageFixer",
    "MessageNeed",
    "MessagePolicy",
    "NeedScanner",
    "OPEN_TEST",
    "OXSMTP_2008",
    "SubmissionPolicy",
    "check_data",
    "check_mail",
    "check_rcpt",
    "needs_of",
    "to_eight_bit",
    "to_seven_bit",
]
TESTING = [
    "EXCHANGE_2003",
    "EXCHANGE_ONLINE",
    "FAKE_TLS",
    "Link",
    "ScriptError",
    "ScriptedClient",
    "ScriptedServer",
    "drive",
    "ehlo_reply",
    "run",
]


MODULES = [(ehlo, EHLO), (ehlo.flows, FLOWS), (ehlo.policy, POLICY), (ehlo.testing, TESTING)]


@pytest.mark.parametrize(("module", "names"), MODULES)
def test_public_names(module: ModuleType, names: list[str]) -> None:
    assert sorted(module.__all__) == names


@pytest.mark.parametrize(("module", "names"), MODULES)
def test_each_name_is_there_and_named_once(module: ModuleType, names: list[str]) -> None:
    assert [name for name in names if not hasattr(module, name)] == []
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.parametrize("module", [ehlo, ehlo.flows, ehlo.sasl])
def test_names_come_from_where_type_checkers_look_for_them(module: ModuleType) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text())
    (guarded,) = [node for node in tree.body if isinstance(node, ast.If)]
    homes = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(homes) == set(module.__all__)
    for name, home in homes.items():
        assert getattr(module, name) is getattr(importlib.import_module(str(home)), name), name
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import ehlo", "attr ehlo.client ehlo.server ehlo.flows"),
        ("import ehlo; ehlo.flows", "attr ehlo.client ehlo.server"),
        ("from ehlo import ClientConnection", "ehlo.server ehlo.flows ehlo.sasl.choice ssl asyncio email"),
        ("from ehlo import ServerConnection", "ehlo.client ehlo.flows ehlo.sasl.ntlm ssl asyncio email"),
        (
            "from ehlo import ServerConnection",
            "ehlo.policy.message ehlo.policy.needs ehlo.policy.trace datetime",
        ),
        ("from ehlo_io.asyncio import serve", "ehlo.client ehlo_io._client spnego trio email.message"),
        ("from ehlo_io.asyncio import connect", "ehlo.server ehlo_io._server spnego trio email.message"),
        ("from ehlo_io.blocking import connect", "asyncio ehlo.server spnego trio email.message"),
    ],
)
def test_what_is_not_asked_for_is_not_loaded(statement: str, absent: str) -> None:
    code = f"{statement}\nimport sys\nprint(*[name for name in {absent.split()!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
