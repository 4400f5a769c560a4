"""Peers for tests that need no sockets: scripts that play one side, and two flows joined in memory.

    server = ScriptedServer('''
        S: 220 mail.example ESMTP
        C: EHLO client.example
        S: 250 mail.example
    ''')
    run(open_session(conn, options), server)
    server.check_done()

Nothing here reads a clock: deadlines are ignored, and a script says where time runs out.
"""

from __future__ import annotations

from ehlo.testing.peers import EXCHANGE_2003, EXCHANGE_ONLINE, ehlo_reply
from ehlo.testing.run import FAKE_TLS, Link, drive, run
from ehlo.testing.scripted import ScriptedClient, ScriptedServer, ScriptError

__all__ = [
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
