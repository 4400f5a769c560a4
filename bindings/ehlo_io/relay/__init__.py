"""The gateway that hands on: each accepted message is submitted to the next server.

    envelopes   an envelope as JSON and back
    spool       files on disk: messages with their envelopes, and how far each got
    queue       what is due when, and when to try again
    hop         the next server: where it is, how to log in, the open sessions with it
    fitting     what the next server lacks, and a message made fit for it
    tally       who counts what is done
    delivery    one attempt: a message and a server in, an outcome for each recipient out
    reports     what an attempt means, and what the sender is told
    courier     the task that takes what is due, attempts it and keeps what came of it
    intake      the hooks of a server that puts messages into the spool
    through     the hooks of a server that passes them on as they come
    gateway     all of it put together

Each knows those above it only, and but for the spool all of it runs on asyncio.
"""

from __future__ import annotations

from ehlo_io.relay.gateway import Gateway, RelaySettings
from ehlo_io.relay.hop import Hop
from ehlo_io.relay.queue import Retry
from ehlo_io.relay.tally import Tally

__all__ = ["Gateway", "Hop", "RelaySettings", "Retry", "Tally"]
