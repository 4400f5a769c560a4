"""Who counts what the gateway does: by default nobody."""

from __future__ import annotations

from collections.abc import Sequence

import ehlo


class Tally:
    """Told in the gateway's event loop; must not raise."""

    def queue(self, length: int) -> None:
        """So many messages are in the spool."""

    def sessions(self, number: int) -> None:
        """So many sessions with the next server are open."""

    def attempted(self, outcomes: Sequence[ehlo.Outcome]) -> None:
        """An attempt ended, with an outcome for each recipient."""

    def reported(self) -> None:
        """A report to a sender was left."""
