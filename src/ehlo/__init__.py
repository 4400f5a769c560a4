"""A sans-I/O engine for SMTP message submission, in both roles.

`ClientConnection` and `ServerConnection` turn octets into events and commands or replies into
octets. `ehlo.flows` runs whole sessions on top of them as generators of actions; `ehlo_io` drives
those with asyncio, trio or blocking sockets.
"""

from __future__ import annotations

from ehlo._lazy import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    # isort: off
    # fmt: off
    from ehlo._commands import (
        Auth, Bdat, Burl, Command, Data, Ehlo, EndOfData, Expn, Helo, Help, Lhlo, Mail, Noop, Quit, Rcpt,
        Rset, StartTls, Verb, Vrfy, XClientCommand,
    )
    from ehlo._errors import (
        AuthCause, AuthenticationFailed, ConnectionFailed, Error, LocalProtocolError, ProtocolError,
        RemoteProtocolError, ServiceRefused, SessionError, SessionExhausted, SubmissionFailed, TlsFailed,
    )
    from ehlo._events import (
        NEED_DATA, PAUSED, AuthChallenge, Authenticated, AuthFailed, AuthNeed, AuthRefused, AuthSucceeded,
        BodyChunk, BodyStarted, BodyWanted, BurlReceived, ClientEvent, ConnectionClosed, ConnectionOpened,
        Deadline, Disconnecting, EhloReceived, Envelope, ExpnReceived, GreetingReceived, HelloReceived,
        HelpReceived, MailReceived, MessageReceived, Pause, QuitReceived, RcptReceived, Recipient,
        ReplyReceived, ServerEvent, TLSInfo, TlsReady, TlsRequested, TransactionReset, VrfyReceived, Wait,
        XClientReceived,
    )
    from ehlo._limits import Limits
    from ehlo._server_config import ServerConfig
    from ehlo._state import ALLOWED, TRANSITIONS, State
    from ehlo._transcript import Trace, WireRecord
    from ehlo._version import __version__
    from ehlo.client import ClientConnection
    from ehlo.extensions import (
        EVERY, STANDARD, AuthParam, Body, BurlSources, ByMode, Capabilities, DeliverBy, EnvId, Extension,
        HoldFor, HoldLimits, HoldUntil, MtPriority, Mtrk, Notify, OfferFacts, Orcpt, Param, Parameters,
        PriorityProfile, RequireTls, Ret, Rrvs, RrvsAction, SendFacts, SessionLimits, Size, SmtpUtf8,
        Solicit, Submitter, Unavailable, XClient,
    )
    from ehlo.flows import (
        HostFacts, Notice, Opened, Outcome, Session, SessionOptions, Submission, SubmissionResult, TlsMode,
        envelope, recipient,
    )
    from ehlo.policy import (
        EXCHANGE, OPEN_TEST, OXSMTP_2008, RFC6409_STRICT, BareNewlines, MessagePolicy, Network,
        SenderRights, SubmissionPolicy, networks_of, trusted,
    )
    from ehlo.sasl import (
        Anonymous, Authorize, Credentials, External, FetchSecret, Identity, Kerberos, MechanismError, Need,
        NtHash, Password, ScramKeys, SecretKind, StoredSecret, Token, UserStore, VerifyExternal,
        VerifyPassword, VerifyPrincipal, VerifyToken, Work, nt_hash, parse_users,
    )
    from ehlo.server import ServerConnection
    from ehlo.wire.address import AddressError, ForwardPath, Mailbox, ReversePath
    from ehlo.wire.codes import EnhancedCode, ReplyClass
    from ehlo.wire.proxy import ProxyHeader, TlvType
    from ehlo.wire.reply import Reply
    from ehlo.wire.text import Newlines
    # fmt: on
    # isort: on

__all__ = [
    "ALLOWED",
    "EVERY",
    "EXCHANGE",
    "NEED_DATA",
    "OPEN_TEST",
    "OXSMTP_2008",
    "PAUSED",
    "RFC6409_STRICT",
    "STANDARD",
    "TRANSITIONS",
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
    "Bdat",
    "Body",
    "BodyChunk",
    "BodyStarted",
    "BodyWanted",
    "Burl",
    "BurlReceived",
    "BurlSources",
    "ByMode",
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
    "DeliverBy",
    "Disconnecting",
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
    "HoldFor",
    "HoldLimits",
    "HoldUntil",
    "HostFacts",
    "Identity",
    "Kerberos",
    "Lhlo",
    "Limits",
    "LocalProtocolError",
    "Mail",
    "MailReceived",
    "Mailbox",
    "MechanismError",
    "MessagePolicy",
    "MessageReceived",
    "MtPriority",
    "Mtrk",
    "Need",
    "Network",
    "Newlines",
    "Noop",
    "Notice",
    "Notify",
    "NtHash",
    "OfferFacts",
    "Opened",
    "Orcpt",
    "Outcome",
    "Param",
    "Parameters",
    "Password",
    "Pause",
    "PriorityProfile",
    "ProtocolError",
    "ProxyHeader",
    "Quit",
    "QuitReceived",
    "Rcpt",
    "RcptReceived",
    "Recipient",
    "RemoteProtocolError",
    "Reply",
    "ReplyClass",
    "ReplyReceived",
    "RequireTls",
    "Ret",
    "ReversePath",
    "Rrvs",
    "RrvsAction",
    "Rset",
    "ScramKeys",
    "SecretKind",
    "SendFacts",
    "SenderRights",
    "ServerConfig",
    "ServerConnection",
    "ServerEvent",
    "ServiceRefused",
    "Session",
    "SessionError",
    "SessionExhausted",
    "SessionLimits",
    "SessionOptions",
    "Size",
    "SmtpUtf8",
    "Solicit",
    "StartTls",
    "State",
    "StoredSecret",
    "Submission",
    "SubmissionFailed",
    "SubmissionPolicy",
    "SubmissionResult",
    "Submitter",
    "TLSInfo",
    "TlsFailed",
    "TlsMode",
    "TlsReady",
    "TlsRequested",
    "TlvType",
    "Token",
    "Trace",
    "TransactionReset",
    "Unavailable",
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
    "XClient",
    "XClientCommand",
    "XClientReceived",
    "__version__",
    "envelope",
    "networks_of",
    "nt_hash",
    "parse_users",
    "recipient",
    "trusted",
]

lazily(
    __name__,
    {
        "ehlo._commands": """
            Auth Bdat Burl Command Data Ehlo EndOfData Expn Helo Help Lhlo Mail Noop Quit Rcpt Rset StartTls
            Verb Vrfy XClientCommand
        """,
        "ehlo._errors": """
            AuthCause AuthenticationFailed ConnectionFailed Error LocalProtocolError ProtocolError
            RemoteProtocolError ServiceRefused SessionError SessionExhausted SubmissionFailed TlsFailed
        """,
        "ehlo._events": """
            NEED_DATA PAUSED AuthChallenge Authenticated AuthFailed AuthNeed AuthRefused AuthSucceeded
            BodyChunk BodyStarted BodyWanted BurlReceived ClientEvent ConnectionClosed ConnectionOpened
            Deadline Disconnecting EhloReceived Envelope ExpnReceived GreetingReceived HelloReceived
            HelpReceived MailReceived MessageReceived Pause QuitReceived RcptReceived Recipient ReplyReceived
            ServerEvent TLSInfo TlsReady TlsRequested TransactionReset VrfyReceived Wait
            XClientReceived
        """,
        "ehlo._limits": """
            Limits
        """,
        "ehlo._server_config": """
            ServerConfig
        """,
        "ehlo._state": """
            ALLOWED TRANSITIONS State
        """,
        "ehlo._transcript": """
            Trace WireRecord
        """,
        "ehlo._version": """
            __version__
        """,
        "ehlo.client": """
            ClientConnection
        """,
        "ehlo.extensions": """
            EVERY STANDARD AuthParam Body BurlSources ByMode Capabilities DeliverBy EnvId Extension HoldFor
            HoldLimits HoldUntil MtPriority Mtrk Notify OfferFacts Orcpt Param Parameters PriorityProfile
            RequireTls Ret Rrvs RrvsAction SendFacts SessionLimits Size SmtpUtf8 Solicit Submitter Unavailable
            XClient
        """,
        "ehlo.flows": """
            HostFacts Notice Opened Outcome Session SessionOptions Submission SubmissionResult TlsMode
            envelope flows recipient
        """,
        "ehlo.policy": """
            EXCHANGE OPEN_TEST OXSMTP_2008 RFC6409_STRICT BareNewlines MessagePolicy Network
            SenderRights SubmissionPolicy networks_of trusted
        """,
        "ehlo.sasl": """
            Anonymous Authorize Credentials External FetchSecret Identity Kerberos MechanismError Need
            NtHash Password ScramKeys SecretKind StoredSecret Token UserStore VerifyExternal
            VerifyPassword VerifyPrincipal VerifyToken Work nt_hash parse_users
        """,
        "ehlo.server": """
            ServerConnection
        """,
        "ehlo.wire.address": """
            AddressError ForwardPath Mailbox ReversePath
        """,
        "ehlo.wire.codes": """
            EnhancedCode ReplyClass
        """,
        "ehlo.wire.proxy": """
            ProxyHeader TlvType
        """,
        "ehlo.wire.reply": """
            Reply
        """,
        "ehlo.wire.text": """
            Newlines
        """,
    },
)
