from __future__ import annotations

import subprocess
import sys

import pytest

from ehlo._errors import LocalProtocolError
from ehlo.sasl import ServerMechanisms, standard_mechanisms


def offer(passwords: bool, hashes: bool, target: str = "mail.example") -> ServerMechanisms:
    return standard_mechanisms(
        verify_password=passwords, fetch_nt_hash=hashes, target=target, nonce=lambda: bytes(8)
    )


@pytest.mark.parametrize(
    ("passwords", "hashes", "names"),
    [
        (True, True, ["PLAIN", "LOGIN", "NTLM"]),
        (True, False, ["PLAIN", "LOGIN"]),
        (False, True, ["NTLM"]),
        (False, False, []),
    ],
)
def test_what_the_application_can_answer(passwords: bool, hashes: bool, names: list[str]) -> None:
    offered = offer(passwords, hashes)
    assert list(offered) == names
    for name, factory in offered.items():
        assert factory().name == name
        assert factory() is not factory()
        assert factory().cleartext is (name != "NTLM")


def test_a_wrong_target_shows_at_once() -> None:
    with pytest.raises(LocalProtocolError):
        offer(True, True, target="")


def test_a_server_never_imports_pyspnego() -> None:
    code = (
        "import sys; from ehlo.sasl import NtlmServer, Challenge\n"
        "s = NtlmServer(target='m', nonce=lambda: bytes(8))\n"
        "s.start(b'NTLMSSP\\0\\1\\0\\0\\0\\7\\x82\\x08\\0')\n"
        "print('spnego' in sys.modules, 'cryptography' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]
