"""Writes docs/conformance.md, and the totals in README.md, from the ledger, the register of exceptions and
the marks of the tests: `make conformance`, after a change to one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from tests.conformance.clauses import Clause, read_clauses
from tests.conformance.exceptions import KINDS, Exemption, read_exceptions
from tests.conformance.marks import marks

PAGE = Path(__file__).with_name("conformance.md")
README = Path(__file__).parents[1] / "README.md"
_TOTALS = re.compile(r"(<!-- conformance -->\n).*?(<!-- /conformance -->)", re.DOTALL)
_SHOWN = 4
_LEVELS = ("MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY")
_TITLES = {
    "OXSMTP": "[MS-OXSMTP] of April 2008: mail submission",
    "OXSMTP18": "[MS-OXSMTP] of later years",
    "EXCH": "Exchange as it was observed",
    "NTLM": "[MS-SMTPNTLM] and [MS-NLMP]: AUTH NTLM",
    "XLOGIN": "[MS-XLOGIN]: AUTH LOGIN",
    "XOAUTH2": "XOAUTH2 as Google and Microsoft describe it",
    "SEC": "Attacks: smuggling, injection, floods, plaintext around STARTTLS",
    "RFC1869": "service extensions of old",
    "RFC1870": "SIZE",
    "RFC2033": "LMTP",
    "RFC2034": "ENHANCEDSTATUSCODES",
    "RFC2195": "CRAM-MD5",
    "RFC2554": "AUTH of old",
    "RFC2821": "SMTP of old",
    "RFC2852": "DELIVERBY",
    "RFC2920": "PIPELINING",
    "RFC3030": "CHUNKING and BINARYMIME",
    "RFC3207": "STARTTLS",
    "RFC3461": "DSN",
    "RFC3463": "enhanced status codes",
    "RFC3464": "delivery reports",
    "RFC3848": "protocol names in Received",
    "RFC3865": "NO-SOLICITING",
    "RFC3885": "MTRK",
    "RFC4013": "SASLprep",
    "RFC4405": "SUBMITTER",
    "RFC4409": "mail submission of 2006",
    "RFC4422": "SASL, and EXTERNAL",
    "RFC4468": "BURL",
    "RFC4505": "ANONYMOUS",
    "RFC4616": "PLAIN",
    "RFC4752": "GSSAPI",
    "RFC4865": "FUTURERELEASE",
    "RFC4954": "AUTH",
    "RFC5248": "the registry of enhanced status codes",
    "RFC5321": "SMTP",
    "RFC5802": "SCRAM",
    "RFC5929": "channel bindings",
    "RFC6152": "8BITMIME",
    "RFC6409": "mail submission",
    "RFC6522": "multipart/report",
    "RFC6531": "SMTPUTF8",
    "RFC6532": "header fields in UTF-8",
    "RFC6533": "reports in UTF-8",
    "RFC6710": "MT-PRIORITY",
    "RFC7504": "521 and 556",
    "RFC7628": "OAUTHBEARER",
    "RFC7677": "SCRAM-SHA-256",
    "RFC8314": "TLS for mail clients",
    "RFC8689": "REQUIRETLS",
    "RFC9266": "channel bindings of TLS 1.3",
    "RFC9422": "LIMITS",
}

HEAD = """\
# Conformance

Written by `make conformance` from `tests/conformance/ledger.toml`, `tests/conformance/exceptions.toml` and
the marks `@pytest.mark.clause` of the tests: change those, not this page.

Each clause is a sentence of a specification that can be tested, in our words. It has a test, which
`make test` runs, or a reason why there is none. For MUST and MUST NOT the only lasting reason is that it is
not this engine's duty, or that a later RFC says otherwise. Tests are named by their place under `tests/`.
"""


class Proof:
    """The ledger, and what stands behind each clause."""

    def __init__(
        self,
        clauses: Sequence[Clause],
        exceptions: Sequence[Exemption],
        tests: Mapping[str, Sequence[str]],
    ) -> None:
        self.clauses = clauses
        self.exceptions = {exemption.id: exemption for exemption in exceptions}
        self.tests = tests

    def tested(self, clauses: Sequence[Clause]) -> int:
        return sum(clause.id in self.tests for clause in clauses)

    def excused(self, clauses: Sequence[Clause], kind: str) -> int:
        found = (self.exceptions.get(clause.id) for clause in clauses)
        return sum(exemption is not None and exemption.kind == kind for exemption in found)

    def totals(self) -> str:
        """The line in README.md."""
        binding = [clause for clause in self.clauses if clause.level in ("MUST", "MUST NOT")]
        others = [(self.excused(self.clauses, kind), kind) for kind in KINDS]
        rest = ", ".join(f"{count} are {kind}" for count, kind in others if count)
        return (
            f"{self.tested(self.clauses)} of {len(self.clauses)} clauses have a test ({rest}); "
            f"of the {len(binding)} MUST and MUST NOT {self.tested(binding)} have one.\n"
        )

    def page(self) -> str:
        parts = [HEAD, self.totals(), *self._levels(), ""]
        for group, found in groupby(self.clauses, key=lambda clause: clause.group):
            parts += self._specification(group, list(found))
        return "\n".join(parts)

    def _levels(self) -> Iterator[str]:
        kinds = list(KINDS)
        yield f"| Level | Clauses | With a test | {' | '.join(kinds)} |"
        yield f"|---|{'---:|' * (len(kinds) + 2)}"
        for level in (*_LEVELS, "all"):
            clauses = [clause for clause in self.clauses if level in (clause.level, "all")]
            counts = (len(clauses), self.tested(clauses), *(self.excused(clauses, kind) for kind in kinds))
            yield f"| {level} | {' | '.join(map(str, counts))} |"

    def _specification(self, group: str, clauses: Sequence[Clause]) -> Iterator[str]:
        title = _TITLES[group]
        yield f"## {f'RFC {group[3:]}: {title}' if group.startswith('RFC') else title}\n"
        yield f"{self.tested(clauses)} of {len(clauses)} with a test.\n"
        yield "| Clause | Level | Role | What it says | Tests |"
        yield "|---|---|---|---|---|"
        yield from map(self._row, clauses)
        yield ""
        for clause in clauses:
            if clause.note:
                yield f"`{clause.id}` was mended. {_escaped(clause.note)}\n"

    def _row(self, clause: Clause) -> str:
        cells = (f"`{clause.id}`", clause.level, clause.role, _escaped(clause.summary), self._proof(clause))
        return f"| {' | '.join(cells)} |"

    def _proof(self, clause: Clause) -> str:
        tests = self.tests.get(clause.id, ())
        if not tests:
            exemption = self.exceptions[clause.id]
            return f"*{exemption.kind}:* {_escaped(exemption.reason)}"
        more = f" and {len(tests) - _SHOWN} more" if len(tests) > _SHOWN else ""
        return ", ".join(f"`{test}`" for test in tests[:_SHOWN]) + more


def _escaped(text: str) -> str:
    return re.sub(r"([\\<|*])", r"\\\1", text)


def proof() -> Proof:
    """What the files of this project say."""
    return Proof(read_clauses(), read_exceptions(), marks())


def readme(text: str, totals: str) -> str:
    """The same text with these totals."""
    return _TOTALS.sub(lambda found: f"{found[1]}{totals}{found[2]}", text)


if __name__ == "__main__":
    found = proof()
    PAGE.write_text(found.page(), "utf-8")
    README.write_text(readme(README.read_text("utf-8"), found.totals()), "utf-8")
