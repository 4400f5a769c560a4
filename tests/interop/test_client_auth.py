"""AUTH of ehlo's client with foreign servers: each mechanism that they offer, right and wrong secrets.

Most of it in process, over blocking sockets; `ehlo submit` once for each kind of credentials and of I/O.
"""

import ssl
from pathlib import Path

import attrs
import pytest
import trustme
from tests.interop import cyrus as cyrus_peer
from tests.interop import dovecot as dovecot_peer
from tests.interop import ehlo_client
from tests.interop import exim as exim_peer
from tests.interop import postfix as postfix_peer
from tests.interop.clients import Client
from tests.interop.cyrus import Cyrus
from tests.interop.exim import Exim
from tests.interop.expect import expect_delivered, expect_refused, job, right, wrong
from tests.interop.kerberos import HOST, REALM, STRANGER, KerberosDovecot, with_ticket
from tests.interop.peer import PASSWORD, USER, Peer
from tests.interop.processes import clean_environment, command
from tests.interop.samba import DOMAIN

import ehlo
import ehlo_io
from ehlo.sasl.ntlm import client as ntlm_client
from ehlo.sasl.ntlm.messages import Authenticate, write_authenticate

HASH = ehlo.nt_hash(PASSWORD)
OLD_NTLM = ehlo_client.with_options(allow_ntlmv1=True)


def offered(
    server: str, *mechanisms: str, client: Client = ehlo_client.submit
) -> "list[pytest.ParameterSet]":
    """Parameters: a server and a client with each of the mechanisms."""
    return [
        pytest.param(server, client, name, id=f"{server}-{name}", marks=pytest.mark.peer(server))
        for name in mechanisms
    ]


EACH = [
    *offered("postfix", *postfix_peer.MECHANISMS),
    *offered("cyrus", *cyrus_peer.MECHANISMS),
    *offered("cyrus_end_point", *cyrus_peer.MECHANISMS),
    *offered("dovecot", *dovecot_peer.MECHANISMS),
    *offered("samba", "PLAIN", "NTLM"),
    *offered("exim", *(name for name in exim_peer.MECHANISMS if name != "NTLM")),
    # It knows nothing better.
    *offered("exim", "NTLM", client=OLD_NTLM),
]
each = pytest.mark.parametrize(("peer", "client", "mechanism"), EACH, indirect=["peer"])

COMMANDS = [
    *offered("postfix", "SCRAM-SHA-256", client=ehlo_client.command("trio")),
    *offered("postfix", "CRAM-MD5", client=ehlo_client.command("blocking")),
    *offered("cyrus", "SCRAM-SHA-256-PLUS", client=ehlo_client.command("asyncio")),
    *offered("dovecot", "OAUTHBEARER", client=ehlo_client.command("asyncio")),
    *offered("dovecot", "XOAUTH2", client=ehlo_client.command("trio")),
    *offered("dovecot", "EXTERNAL", client=ehlo_client.command("blocking")),
    *offered("samba", "NTLM", client=ehlo_client.command("trio")),
    *offered("exim", "NTLM", client=ehlo_client.command("asyncio", "--allow-ntlmv1")),
]
each_command = pytest.mark.parametrize(("peer", "client", "mechanism"), COMMANDS, indirect=["peer"])

each_ticket_server = pytest.mark.parametrize(
    ("peer", "mechanism"),
    [
        pytest.param(name, mechanism, id=f"{name}-{mechanism}", marks=pytest.mark.peer(name, "gssapi"))
        for name, mechanism in (
            ("kerberos", "GSSAPI"),
            ("kerberos", "GSS-SPNEGO"),
            ("cyrus_kerberos", "GSSAPI"),
            ("cyrus_kerberos", "GSS-SPNEGO"),
        )
    ],
    indirect=["peer"],
)
needs_kerberos = pytest.mark.peer("kerberos", "gssapi")
each_ticket_client = pytest.mark.parametrize(
    "client",
    [
        pytest.param(ehlo_client.submit, id="in-process"),
        *(pytest.param(ehlo_client.command(io), id=io) for io in ("asyncio", "trio", "blocking")),
    ],
)


@pytest.mark.clause("RFC4954-4aa", "RFC4954-4ab", "RFC5802-5c", "RFC4422-3.6a", "RFC7628-3.1a", "RFC4422-A-d")
@each
def test_right_secret(
    peer: Peer, client: Client, mechanism: str, tmp_path: Path, authority: trustme.CA
) -> None:
    expect_delivered(peer, client, right(peer, tmp_path, mechanism, authority))


@pytest.mark.clause("RFC4954-6d", "RFC7628-3.2.3a", "XOAUTH2-client-b")
@each
def test_wrong_secret(
    peer: Peer, client: Client, mechanism: str, tmp_path: Path, authority: trustme.CA
) -> None:
    shown = expect_refused(peer, client, wrong(peer, tmp_path, mechanism, authority))
    assert str(ehlo.AuthCause.CREDENTIALS) in shown


@each_command
def test_command_with_the_right_secret(
    peer: Peer, client: Client, mechanism: str, tmp_path: Path, authority: trustme.CA
) -> None:
    expect_delivered(peer, client, right(peer, tmp_path, mechanism, authority))


@each_command
def test_command_with_a_wrong_secret(
    peer: Peer, client: Client, mechanism: str, tmp_path: Path, authority: trustme.CA
) -> None:
    printed = expect_refused(peer, client, wrong(peer, tmp_path, mechanism, authority))
    assert '"status": 77,' in printed


@pytest.mark.clause("RFC4422-3.2a")
@pytest.mark.parametrize(
    ("peer", "chosen"),
    [
        pytest.param(name, chosen, marks=pytest.mark.peer(name), id=name)
        for name, chosen in (
            ("postfix", "SCRAM-SHA-256"),
            ("cyrus", "SCRAM-SHA-256-PLUS"),
            ("cyrus_end_point", "SCRAM-SHA-256-PLUS"),
            ("dovecot", "SCRAM-SHA-256"),
            ("samba", "PLAIN"),
            ("exim", "PLAIN"),
        )
    ],
    indirect=["peer"],
)
def test_the_mechanism_that_the_client_chooses(peer: Peer, tmp_path: Path, chosen: str) -> None:
    task = job(peer, tmp_path, "PLAIN")
    outcome = ehlo_client.submit(task, mechanisms=None)
    assert outcome.accepted, outcome.output
    assert f"C: AUTH {chosen} " in outcome.output
    assert peer.wait_for(task.recipient).endswith(task.file.read_bytes())


# ---- NTLM ----

each_ntlm_server = pytest.mark.parametrize(
    ("peer", "old"),
    [
        pytest.param(name, old, marks=pytest.mark.peer(name), id=f"{name}-{'v1' if old else 'v2'}")
        for name, old in (
            ("postfix", False),
            ("postfix", True),
            ("samba", False),
            ("samba", True),
            ("exim", True),
        )
    ],
    indirect=["peer"],
)


@pytest.mark.clause("NTLM-nlmp-d", "NTLM-3.1.5.3a")
@each_ntlm_server
def test_nt_hash_in_place_of_a_password(peer: Peer, tmp_path: Path, old: bool) -> None:
    """Samba has the time in its challenge and so gets a MIC; it never gets NTLMv1."""
    right_hash = ehlo_client.with_options(auth=ehlo.NtHash(USER, HASH), allow_ntlmv1=old)
    expect_delivered(peer, right_hash, job(peer, tmp_path, "NTLM"))
    other_hash = ehlo_client.with_options(auth=ehlo.NtHash(USER, HASH[::-1]), allow_ntlmv1=old)
    expect_refused(peer, other_hash, job(peer, tmp_path, "NTLM"))


@each_ntlm_server
def test_ntlm_that_speaks_first(peer: Peer, tmp_path: Path, old: bool) -> None:
    client = ehlo_client.with_options(initial_response=True, allow_ntlmv1=old)
    expect_delivered(peer, client, job(peer, tmp_path, "NTLM"))
    expect_refused(peer, client, job(peer, tmp_path, "NTLM", "wrong"))


@pytest.mark.clause("NTLM-nlmp-d")
@pytest.mark.peer("samba")
def test_samba_checks_the_mic(samba: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(message: Authenticate, mic: bytes = b"") -> bytes:
        return write_authenticate(message, mic[::-1])

    monkeypatch.setattr(ntlm_client, "write_authenticate", spoilt)
    expect_refused(samba, ehlo_client.submit, job(samba, tmp_path, "NTLM"))


@pytest.mark.peer("samba")
@pytest.mark.parametrize("name", [f"{DOMAIN}\\{USER}", f"{DOMAIN.lower()}\\{USER.upper()}"])
def test_user_with_a_domain(samba: Peer, tmp_path: Path, name: str) -> None:
    task = attrs.evolve(job(samba, tmp_path, "NTLM"), user=name)
    expect_delivered(samba, ehlo_client.submit, task)


@pytest.mark.peer("samba")
def test_user_of_another_domain(samba: Peer, tmp_path: Path) -> None:
    task = attrs.evolve(job(samba, tmp_path, "NTLM"), user=f"ELSEWHERE\\{USER}")
    expect_refused(samba, ehlo_client.submit, task)


@pytest.mark.clause("NTLM-nlmp-b")
@pytest.mark.peer("exim")
def test_old_ntlm_only_where_it_is_allowed(exim: Exim, tmp_path: Path) -> None:
    """The server cannot read the answer that it gets without."""
    expect_refused(exim, ehlo_client.submit, job(exim, tmp_path, "NTLM"))


# ---- channel bindings ----


def bound_by_unique(ca: Path) -> ssl.SSLContext:
    """With TLS 1.2 a client binds by tls-unique, which it prefers."""
    context = ehlo_io.client_context(str(ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@pytest.mark.peer("cyrus_end_point")
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"])
def test_server_that_knows_another_binding_refuses(
    cyrus_end_point: Cyrus, tmp_path: Path, mechanism: str
) -> None:
    client = ehlo_client.with_options(context=bound_by_unique(cyrus_end_point.ca))
    expect_refused(cyrus_end_point, client, job(cyrus_end_point, tmp_path, mechanism))


@pytest.mark.peer("cyrus_end_point")
def test_without_a_binding_where_the_server_knows_another(cyrus_end_point: Cyrus, tmp_path: Path) -> None:
    task = job(cyrus_end_point, tmp_path, "SCRAM-SHA-256")
    outcome = ehlo_client.submit(task, mechanisms=None, context=bound_by_unique(cyrus_end_point.ca))
    assert outcome.accepted, outcome.output
    assert outcome.output.index("C: AUTH SCRAM-SHA-256-PLUS ") < outcome.output.index(
        "C: AUTH SCRAM-SHA-256 "
    )
    assert cyrus_end_point.wait_for(task.recipient).endswith(task.file.read_bytes())


# ---- acting as somebody else ----


@pytest.mark.clause("RFC4616-2a")
@pytest.mark.parametrize(
    ("peer", "mechanism"),
    [
        pytest.param(peer, mechanism, marks=pytest.mark.peer(peer), id=f"{peer}-{mechanism}")
        for peer, mechanism in (
            *(("postfix", "PLAIN"), ("postfix", "SCRAM-SHA-256"), ("cyrus", "SCRAM-SHA-1-PLUS")),
            *(("dovecot", "PLAIN"), ("dovecot", "SCRAM-SHA-256")),
        )
    ],
    indirect=["peer"],
)
def test_authorization_identity(peer: Peer, tmp_path: Path, mechanism: str) -> None:
    own = attrs.evolve(job(peer, tmp_path, mechanism), authzid=USER)
    expect_delivered(peer, ehlo_client.submit, own)
    other = attrs.evolve(job(peer, tmp_path, mechanism), authzid="bob")
    expect_refused(peer, ehlo_client.submit, other)


@pytest.mark.parametrize(
    "peer", [pytest.param(name, marks=pytest.mark.peer(name)) for name in ("dovecot", "exim")], indirect=True
)
def test_certificate_with_a_name(peer: Peer, tmp_path: Path, authority: trustme.CA) -> None:
    task = attrs.evolve(right(peer, tmp_path, "EXTERNAL", authority), authzid=USER)
    expect_delivered(peer, ehlo_client.submit, task)


@pytest.mark.peer("dovecot")
def test_certificate_is_for_one_user(dovecot: Peer, tmp_path: Path, authority: trustme.CA) -> None:
    task = attrs.evolve(right(dovecot, tmp_path, "EXTERNAL", authority), authzid="bob")
    expect_refused(dovecot, ehlo_client.submit, task)


# ---- Kerberos ----


@pytest.mark.clause("RFC4954-4w", "RFC4752-3.1a", "RFC4752-3.1b", "RFC4752-3.1c")
@each_ticket_server
@each_ticket_client
def test_ticket(
    peer: Peer, kerberos: KerberosDovecot, tmp_path: Path, client: Client, mechanism: str
) -> None:
    task = with_ticket(kerberos.realm, job(peer, tmp_path, mechanism))
    expect_delivered(peer, client, task)
    assert f" smtp/{HOST}@{REALM}\n".encode() in command(["klist"], env=clean_environment(task.environment))


@each_ticket_server
@each_ticket_client
def test_no_ticket(
    peer: Peer, kerberos: KerberosDovecot, tmp_path: Path, client: Client, mechanism: str
) -> None:
    task = attrs.evolve(job(peer, tmp_path, mechanism), environment=kerberos.realm.variables())
    outcome = client(task)
    assert not outcome.accepted
    assert "no ticket" in outcome.output
    assert peer.stored(task.recipient) == []


@each_ticket_server
def test_ticket_for_another_service(
    peer: Peer, kerberos: KerberosDovecot, tmp_path: Path, mechanism: str
) -> None:
    task = with_ticket(kerberos.realm, job(peer, tmp_path, mechanism))
    expect_refused(peer, ehlo_client.submit, attrs.evolve(task, service=STRANGER))


@needs_kerberos
def test_ticket_got_with_a_password(kerberos: KerberosDovecot, tmp_path: Path) -> None:
    environment = kerberos.realm.variables()
    task = attrs.evolve(job(kerberos, tmp_path, "GSSAPI"), environment=environment)
    client = ehlo_client.with_options(auth=ehlo.Kerberos(f"{USER}@{REALM}", PASSWORD))
    expect_delivered(kerberos, client, task)
    task = attrs.evolve(job(kerberos, tmp_path, "GSSAPI"), environment=environment)
    outcome = ehlo_client.submit(task, auth=ehlo.Kerberos(f"{USER}@{REALM}", "wrong"))
    assert not outcome.accepted
    assert "no ticket" in outcome.output
    assert kerberos.stored(task.recipient) == []


@needs_kerberos
def test_ticket_is_for_one_user(kerberos: KerberosDovecot, tmp_path: Path) -> None:
    own = with_ticket(kerberos.realm, job(kerberos, tmp_path, "GSSAPI"))
    expect_delivered(kerberos, ehlo_client.submit, attrs.evolve(own, authzid=USER))
    other = with_ticket(kerberos.realm, job(kerberos, tmp_path, "GSSAPI"))
    expect_refused(kerberos, ehlo_client.submit, attrs.evolve(other, authzid="bob"))
