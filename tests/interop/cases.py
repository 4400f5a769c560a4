"""Which foreign client knows which mechanism, as parameters for tests."""

from collections.abc import Collection

import attrs
import pytest
from tests.interop import clients, relays
from tests.interop.clients import Client


@attrs.frozen
class Program:
    """A client and what it can do."""

    name: str
    submit: Client
    peer: str | None
    """What it needs, as the marker `peer` names it; None for a Python package."""
    mechanisms: tuple[str, ...]
    ntlm_version: int = 1
    """Which NTLM it answers with."""
    implicit_tls: bool = True
    """Whether it can do TLS from the first byte."""


BASIC = ("PLAIN", "LOGIN", "CRAM-MD5")
SCRAM = ("SCRAM-SHA-1", "SCRAM-SHA-256")
OAUTH = ("XOAUTH2", "OAUTHBEARER")

PROGRAMS = (
    # With a token curl takes OAUTHBEARER where it can, whatever it is told: XOAUTH2 is for servers without.
    Program("curl", clients.curl, "curl", (*BASIC, "NTLM", *OAUTH, "EXTERNAL", "GSSAPI"), ntlm_version=2),
    # Not GSSAPI: when the first token is too long to go with AUTH, this curl spoils its own context.
    Program(
        "curl-at-once", clients.curl_at_once, "curl", (*BASIC, "NTLM", *OAUTH, "EXTERNAL"), ntlm_version=2
    ),
    Program("swaks", clients.swaks, "swaks", (*BASIC, "NTLM")),
    Program("msmtp", clients.msmtp, "msmtp", (*BASIC, *SCRAM, "NTLM", *OAUTH, "EXTERNAL", "GSSAPI")),
    Program(
        "gsasl",
        clients.gsasl,
        "gsasl",
        (*BASIC, *SCRAM, *(f"{name}-PLUS" for name in SCRAM)),
        implicit_tls=False,
    ),
    Program("smtplib", clients.standard_library, None, BASIC),
    Program("aiosmtplib", clients.asyncio_library, None, (*BASIC, "XOAUTH2")),
    Program("postfix", relays.postfix, "postfix", (*BASIC, *SCRAM, "NTLM")),
    Program("exim", relays.exim, "exim", (*BASIC, "NTLM")),
)


def cases(
    mechanisms: Collection[str],
    programs: Collection[str] | None = None,
    ntlm_versions: Collection[int] = (1, 2),
    *,
    implicit_tls: bool = False,
) -> "list[pytest.ParameterSet]":
    """Pairs of a client and a mechanism, each marked with what it needs; by default of all clients."""
    return [
        pytest.param(
            program.submit,
            mechanism,
            id=f"{program.name}-{mechanism}",
            marks=[] if program.peer is None else [pytest.mark.peer(program.peer)],
        )
        for program in PROGRAMS
        if (programs is None or program.name in programs) and (program.implicit_tls or not implicit_tls)
        for mechanism in program.mechanisms
        if mechanism in mechanisms and (mechanism != "NTLM" or program.ntlm_version in ntlm_versions)
    ]


def in_front(
    server: str, *groups: "list[pytest.ParameterSet]", peer: str | None = None
) -> "list[pytest.ParameterSet]":
    """The given cases with the name of a server in front; a foreign one is a peer that they need."""
    marks = [] if peer is None else [pytest.mark.peer(peer)]
    return [
        pytest.param(server, *case.values, id=f"{server}-{case.id}", marks=[*marks, *case.marks])
        for group in groups
        for case in group
    ]
