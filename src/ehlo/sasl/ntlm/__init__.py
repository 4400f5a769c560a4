"""NTLM ([MS-SMTPNTLM] over [MS-NLMP]).

`messages` and `crypto` are pure functions, `acceptor` is the server and `client` the client.
"""

from ehlo.sasl.ntlm.acceptor import NtlmServer
from ehlo.sasl.ntlm.client import NtlmClient
from ehlo.sasl.ntlm.crypto import nt_hash

__all__ = ["NtlmClient", "NtlmServer", "nt_hash"]
