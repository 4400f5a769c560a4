from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from tests.helpers.sasl import EVERY_KIND, server_settings

from ehlo import Auth
from ehlo._commands import Writable, render_command
from ehlo._errors import LocalProtocolError
from ehlo.sasl import (
    CLIENT_MECHANISMS,
    SERVER_MECHANISMS,
    SecretKind,
    ServerContext,
    ServerMechanism,
    offer,
    standard_mechanisms,
)

SCRAM_1 = ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"]
SCRAM_256 = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
SCRAM = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"]


@pytest.mark.clause("RFC4422-3.1a")
def test_all_names_are_names_of_mechanisms() -> None:
    for name in {*SERVER_MECHANISMS, *CLIENT_MECHANISMS}:
        assert re.fullmatch(r"[A-Z0-9_-]{1,20}", name)
    assert set(SERVER_MECHANISMS) == set(CLIENT_MECHANISMS)


@pytest.mark.clause("RFC4422-3.1a")
@pytest.mark.parametrize("name", ["", "NO NAME", "PLAIN=", "X" * 21, "\u212aRB", "A\r\nB", "PL.AIN"])
def test_what_is_no_name_is_not_sent(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        render_command(Auth(name), Writable())


def only(*kinds: SecretKind) -> dict[str, Any]:
    return {"secrets": frozenset(kinds)}


@pytest.mark.parametrize(
    ("answers", "names"),
    [
        ({}, []),
        ({"passwords": True}, ["PLAIN", "LOGIN"]),
        (only(SecretKind.NT_HASH), ["NTLM"]),
        (only(SecretKind.SCRAM_SHA_1), SCRAM_1),
        (only(SecretKind.SCRAM_SHA_256), SCRAM_256),
        # A password makes all SCRAM keys; the application makes NT hashes of it, if it wants to.
        (only(SecretKind.PASSWORD), SCRAM),
        ({"passwords": True, "secrets": EVERY_KIND}, [*SCRAM, "PLAIN", "LOGIN", "NTLM"]),
        ({"tokens": True}, ["OAUTHBEARER", "XOAUTH2"]),
        ({"certificates": True}, ["EXTERNAL"]),
    ],
)
def test_what_the_application_can_answer(answers: dict[str, Any], names: list[str]) -> None:
    settings = server_settings(**answers)
    offered = standard_mechanisms(settings)
    assert list(offered) == names
    context = ServerContext(tls=True)
    for name, factory in offered.items():
        made = factory(context)
        assert made.name == name
        assert made is not factory(context)
        assert made.context is context
        assert made.settings is settings


def test_some_come_by_name_only() -> None:
    everything = server_settings(passwords=True, secrets=EVERY_KIND, tokens=True, certificates=True)
    default = standard_mechanisms(everything)
    named = [name for name in SERVER_MECHANISMS if name not in ("GSSAPI", "GSS-SPNEGO")]
    assert list(standard_mechanisms(everything, named)) == named
    assert set(named) - set(default) == {"CRAM-MD5", "ANONYMOUS"}
    assert list(standard_mechanisms(everything, ["login", "Plain", "LOGIN"])) == ["LOGIN", "PLAIN"]
    assert standard_mechanisms(everything, []) == {}


@pytest.mark.parametrize("name", ["NTLM", "PLAIN", "DIGEST-MD5", "", "CRAM-MD5"])
def test_a_name_that_cannot_be_served(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        standard_mechanisms(server_settings(), [name])


@pytest.mark.parametrize("target", ["", "mäil", "a\nb", "a b"])
def test_a_wrong_target_shows_at_once(target: str) -> None:
    with pytest.raises(LocalProtocolError):
        server_settings(target=target)


def test_a_server_never_imports_pyspnego() -> None:
    code = (
        "import sys, os; from ehlo.sasl import NtlmServer, ServerSettings, Challenge\n"
        "s = NtlmServer(settings=ServerSettings(random=os.urandom))\n"
        "s.start(b'NTLMSSP\\0\\1\\0\\0\\0\\7\\x82\\x08\\0')\n"
        "print('spnego' in sys.modules, 'cryptography' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]


def test_whose_secrets_are_asked_for() -> None:
    asks = offer._fetches(SecretKind.NT_HASH, SecretKind.PASSWORD)
    assert asks(server_settings(**only(SecretKind.NT_HASH))) is True
    assert asks(server_settings(**only(SecretKind.PASSWORD, SecretKind.SCRAM_SHA_1))) is True
    assert asks(server_settings(**only(SecretKind.SCRAM_SHA_1))) is False
    assert asks(server_settings()) is False


def test_each_mechanism_is_checked_before_it_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[tuple[str, object]] = []

    def check(cls: type[ServerMechanism], settings: object) -> None:
        checked.append((cls.name, settings))

    monkeypatch.setattr(ServerMechanism, "check", classmethod(check))
    settings = server_settings(passwords=True)
    standard_mechanisms(settings)
    assert checked == [("PLAIN", settings), ("LOGIN", settings)]
