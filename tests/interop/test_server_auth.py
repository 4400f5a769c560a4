"""AUTH of ehlo's server with foreign clients: each mechanism that they know, right and wrong secrets.

`ehlo serve`, or a server in process for what its command line has no option for: OAuth tokens, the version of
TLS, and clients that have to bind to the channel.
"""

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import attrs
import pytest
import trustme
from tests.interop import clients, ehlo_client, ehlo_in_process
from tests.interop.cases import BASIC, OAUTH, SCRAM, cases, in_front
from tests.interop.clients import Client
from tests.interop.dialogue import dialogue
from tests.interop.ehlo_in_process import InProcess
from tests.interop.ehlo_server import EhloServer, serving
from tests.interop.expect import expect_delivered, expect_refused, job, right, wrong
from tests.interop.kerberos import HOST, NOBODY, STRANGER, KerberosDovecot, with_ticket
from tests.interop.peer import PASSWORD, USER
from tests.interop.processes import command, python_environment

import ehlo

IO = ("asyncio", "trio", "blocking")
PLUS = tuple(f"{name}-PLUS" for name in SCRAM)
KNOWN = (*BASIC, *SCRAM, "NTLM", "EXTERNAL")
CASES = [
    *in_front("asyncio", cases(KNOWN)),
    *in_front("trio", cases(KNOWN, ["curl", "msmtp"])),
    *in_front("blocking", cases(KNOWN, ["curl-at-once", "gsasl", "aiosmtplib"])),
]


@pytest.fixture(scope="module")
def servers(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], EhloServer]]:
    """Servers that offer all that they have for passwords and certificates, one for each kind of I/O."""
    trusted = tmp_path_factory.mktemp("trusted") / "clients.pem"
    authority.cert_pem.write_to_path(str(trusted))
    options = ["--mechanisms", ",".join((*PLUS, *KNOWN)), "--client-ca", str(trusted), "--allow-ntlmv1"]
    with contextlib.ExitStack() as stack:
        yield lru_cache(
            lambda io: stack.enter_context(serving(tmp_path_factory.mktemp("serve"), io, options))
        )


@pytest.fixture
def server(request: pytest.FixtureRequest, servers: Callable[[str], EhloServer]) -> EhloServer:
    """The one for the I/O that the parameter names."""
    return servers(request.param)


@pytest.fixture(scope="module")
def careful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EhloServer]:
    """A server that offers what it does without being asked."""
    with serving(tmp_path_factory.mktemp("serve"), "asyncio") as running:
        yield running


@pytest.fixture(scope="module")
def hashed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EhloServer]:
    """A server that knows no password, but alice's key for SCRAM-SHA-256 and her hash for NTLM."""
    top = tmp_path_factory.mktemp("serve")
    argv = [sys.executable, "-m", "ehlo_io", "passwd", USER, "--scheme", "SCRAM-SHA-256", "--scheme", "NTLM"]
    users = top / "users"
    users.write_bytes(command(argv, env=python_environment({"EHLO_PASSWORD": PASSWORD})))
    with serving(top, "trio", ["--users-file", str(users)], account=None) as running:
        yield running


@pytest.fixture(scope="module", params=IO)
def ticketed(
    request: pytest.FixtureRequest, kerberos: KerberosDovecot, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EhloServer]:
    """A server in the Kerberos realm, once for each kind of I/O."""
    variables = kerberos.realm.service_variables()
    options = ["--keytab", str(kerberos.realm.keytab), "--hostname", HOST, "--mechanisms", "GSSAPI"]
    with serving(tmp_path_factory.mktemp("serve"), request.param, options, variables) as running:
        yield running


each_case = pytest.mark.parametrize(("server", "client", "mechanism"), CASES, indirect=["server"])
needs_kerberos = pytest.mark.peer("kerberos", "gssapi")


def offer(server: EhloServer) -> set[str]:
    """The mechanisms that a client without a certificate sees inside TLS."""
    with dialogue(server.port, server.ca) as talk:
        lines = talk.ask(b"EHLO client.example").decode("ascii").splitlines()
        (words,) = [line[4:].split() for line in lines if line[4:].startswith("AUTH ")]
    return set(words[1:])


@pytest.mark.clause(
    "RFC4954-4aa", "RFC4954-4ab", "RFC5802-5c", "RFC4422-3.6a", "RFC4422-A-b", "NTLM-3.2.5.2a"
)
@each_case
def test_right_secret(
    server: EhloServer, client: Client, mechanism: str, tmp_path: Path, authority: trustme.CA
) -> None:
    expect_delivered(server, client, right(server, tmp_path, mechanism, authority))


@pytest.mark.clause("RFC4954-6d", "NTLM-2.2.1.4a", "XLOGIN-3.2.5.3a")
@each_case
def test_wrong_secret(
    server: EhloServer, client: Client, mechanism: str, tmp_path: Path, authority: trustme.CA
) -> None:
    expect_refused(server, client, wrong(server, tmp_path, mechanism, authority))


@pytest.mark.clause("RFC4422-A-c")
@pytest.mark.parametrize("server", IO, indirect=True)
def test_external_is_offered_to_who_has_a_certificate(server: EhloServer) -> None:
    assert offer(server) == {*PLUS, *KNOWN} - {"EXTERNAL"}


# ---- what is offered without being asked for ----


@pytest.mark.clause("RFC4422-6.1.2a", "RFC5802-6a")
def test_no_weak_mechanism_by_default(careful: EhloServer) -> None:
    assert offer(careful) == {*PLUS, *SCRAM, "PLAIN", "LOGIN", "NTLM"}


@pytest.mark.clause("NTLM-nlmp-c")
@pytest.mark.parametrize(("client", "mechanism"), cases(("NTLM",)))
def test_old_ntlm_is_refused_by_default(
    careful: EhloServer, tmp_path: Path, client: Client, mechanism: str
) -> None:
    knows_better = client in (clients.curl, clients.curl_at_once)
    expect = expect_delivered if knows_better else expect_refused
    expect(careful, client, job(careful, tmp_path, mechanism))


@pytest.mark.peer("curl")
@pytest.mark.parametrize("domain", ["ELSEWHERE", "elsewhere.example"])
def test_ntlm_domain_that_the_server_does_not_know(careful: EhloServer, tmp_path: Path, domain: str) -> None:
    """Clients put anything there: a user without a domain is found all the same."""
    for secret, expect in ((PASSWORD, expect_delivered), ("wrong", expect_refused)):
        task = job(careful, tmp_path, "NTLM", secret)
        expect(careful, clients.curl, attrs.evolve(task, user=f"{domain}\\{USER}"))


# ---- accounts without a password ----


def test_offer_follows_from_what_is_stored(hashed: EhloServer) -> None:
    assert offer(hashed) == {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN", "NTLM"}


@pytest.mark.parametrize(
    ("client", "mechanism"),
    [
        *cases(("PLAIN", "LOGIN", "NTLM"), ["curl"]),
        *cases(("SCRAM-SHA-256",), ["msmtp", "gsasl", "postfix"]),
        *cases(("PLAIN",), ["smtplib"]),
    ],
)
def test_accounts_of_a_file(hashed: EhloServer, tmp_path: Path, client: Client, mechanism: str) -> None:
    expect_delivered(hashed, client, job(hashed, tmp_path, mechanism))
    expect_refused(hashed, client, job(hashed, tmp_path, mechanism, "wrong"))


# ---- channel bindings ----


@pytest.mark.clause("RFC5802-6c")
@pytest.mark.parametrize(("client", "mechanism"), cases(PLUS))
def test_scram_that_is_bound_to_the_channel(
    authority: trustme.CA, tmp_path: Path, client: Client, mechanism: str
) -> None:
    """This client binds by tls-unique or, with TLS 1.3, by tls-exporter, which Python does not tell."""
    with ehlo_in_process.serving(tmp_path, authority, newest_tls=False) as server:
        task = job(server, tmp_path, mechanism)
        expect_delivered(server, client, task)
        assert server.identity(task.recipient) == ehlo.Identity(USER, USER, mechanism)
        expect_refused(server, client, job(server, tmp_path, mechanism, "wrong"))
    with ehlo_in_process.serving(tmp_path, authority) as server:
        expect_refused(server, client, job(server, tmp_path, mechanism))


@pytest.mark.clause("NTLM-nlmp-e")
@pytest.mark.peer("curl")
def test_ntlm_that_has_to_be_bound_to_the_channel(authority: trustme.CA, tmp_path: Path) -> None:
    """This client binds to nothing; ehlo's own does."""
    with ehlo_in_process.serving(tmp_path, authority, require_channel_binding=True) as server:
        expect_refused(server, clients.curl, job(server, tmp_path, "NTLM"))
        expect_delivered(server, ehlo_client.submit, job(server, tmp_path, "NTLM"))


# ---- tokens ----


@pytest.fixture
def bearers(request: pytest.FixtureRequest, authority: trustme.CA, tmp_path: Path) -> Iterator[InProcess]:
    """A server that offers the mechanism of the test alone, for curl would take the other one."""
    mechanism = request.getfixturevalue("mechanism")
    with ehlo_in_process.serving(tmp_path, authority, mechanisms=[mechanism]) as running:
        yield running


@pytest.mark.clause("RFC7628-3.1a", "XOAUTH2-server-a")
@pytest.mark.parametrize(("client", "mechanism"), cases(OAUTH))
def test_right_token(
    bearers: InProcess, authority: trustme.CA, tmp_path: Path, client: Client, mechanism: str
) -> None:
    task = right(bearers, tmp_path, mechanism, authority)
    expect_delivered(bearers, client, task)
    assert bearers.identity(task.recipient) == ehlo.Identity(USER, USER, mechanism)


@pytest.mark.clause("RFC7628-3.2.2a", "RFC7628-3.2.3b", "XOAUTH2-server-a")
@pytest.mark.parametrize(("client", "mechanism"), cases(OAUTH))
def test_wrong_token(
    bearers: InProcess, authority: trustme.CA, tmp_path: Path, client: Client, mechanism: str
) -> None:
    task = wrong(bearers, tmp_path, mechanism, authority)
    if mechanism == "XOAUTH2" and client in (clients.curl, clients.curl_at_once):
        # It leaves at the 334 that tells of the error, before 535.
        outcome = client(task)
        assert not outcome.accepted
        assert re.search("^< 334 .*Login denied$", outcome.output, re.DOTALL | re.MULTILINE), outcome.output
        assert bearers.stored(task.recipient) == []
    else:
        expect_refused(bearers, client, task)


@pytest.mark.parametrize(("client", "mechanism"), cases(OAUTH, ["msmtp"]))
def test_token_of_somebody_else(bearers: InProcess, tmp_path: Path, client: Client, mechanism: str) -> None:
    task = job(bearers, tmp_path, mechanism, bearers.secret(mechanism))
    expect_refused(bearers, client, attrs.evolve(task, user="bob"))


# ---- acting as somebody else ----


@pytest.mark.clause("RFC4616-5b", "RFC4422-3.4.1a", "RFC4422-3.4.1b")
@pytest.mark.parametrize(("client", "mechanism"), [*cases(("PLAIN",), ["curl"]), *cases(SCRAM, ["gsasl"])])
def test_authorization_identity(careful: EhloServer, tmp_path: Path, client: Client, mechanism: str) -> None:
    expect_delivered(careful, client, attrs.evolve(job(careful, tmp_path, mechanism), authzid=USER))
    expect_refused(careful, client, attrs.evolve(job(careful, tmp_path, mechanism), authzid="bob"))


@pytest.mark.clause("RFC4422-A-b")
@pytest.mark.peer("curl")
@pytest.mark.parametrize("server", IO, indirect=True)
def test_certificate_is_for_one_user(server: EhloServer, tmp_path: Path, authority: trustme.CA) -> None:
    task = right(server, tmp_path, "EXTERNAL", authority)
    expect_refused(server, clients.curl, attrs.evolve(task, user="bob"))


# ---- Kerberos ----


@pytest.mark.clause("RFC4752-3.2a", "RFC4954-4w")
@needs_kerberos
@pytest.mark.parametrize(("client", "mechanism"), cases(("GSSAPI",)))
def test_ticket(
    ticketed: EhloServer, kerberos: KerberosDovecot, tmp_path: Path, client: Client, mechanism: str
) -> None:
    assert offer(ticketed) == {"GSSAPI"}
    expect_delivered(ticketed, client, with_ticket(kerberos.realm, job(ticketed, tmp_path, mechanism)))


@needs_kerberos
@pytest.mark.peer("curl")
def test_ticket_for_another_service(ticketed: EhloServer, kerberos: KerberosDovecot, tmp_path: Path) -> None:
    task = with_ticket(kerberos.realm, job(ticketed, tmp_path, "GSSAPI"))
    expect_refused(ticketed, clients.curl, attrs.evolve(task, service=STRANGER))


@pytest.mark.clause("RFC4752-3.2c")
@needs_kerberos
@pytest.mark.peer("curl")
def test_ticket_is_for_one_user(ticketed: EhloServer, kerberos: KerberosDovecot, tmp_path: Path) -> None:
    own = with_ticket(kerberos.realm, job(ticketed, tmp_path, "GSSAPI"))
    expect_delivered(ticketed, clients.curl, attrs.evolve(own, authzid=USER))
    other = with_ticket(kerberos.realm, job(ticketed, tmp_path, "GSSAPI"))
    expect_refused(ticketed, clients.curl, attrs.evolve(other, authzid="bob"))


@needs_kerberos
@pytest.mark.peer("curl")
def test_ticket_of_nobody(ticketed: EhloServer, kerberos: KerberosDovecot, tmp_path: Path) -> None:
    """The realm knows mallory, and the server does not."""
    task = with_ticket(kerberos.realm, job(ticketed, tmp_path, "GSSAPI"), NOBODY)
    expect_refused(ticketed, clients.curl, task)
