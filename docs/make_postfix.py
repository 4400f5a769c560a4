"""Writes docs/postfix.md from the table of tests/interop/differences.py: `python -m docs.make_postfix`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from tests.interop.differences import ANY, RULES, Rule

PAGE = Path(__file__).with_name("postfix.md")

HEAD = """\
# Where Postfix answers differently

Written by `docs/make_postfix.py` from `tests/interop/differences.py`: change that, not this page.

`tests/interop/test_differential.py` sends the same 2,000 sessions to a Postfix and to the server engine:
commands legal and illegal, in any order, with faults of syntax, alone and in groups. Postfix runs with
`strict_rfc821_envelopes` and `smtpd_helo_required`, and both take mail from anybody. The two must give the
same code to each command, but for what stands here; a line that no session needs fails the test, too.

Ids are those of [conformance.md](conformance.md).
"""


def _codes(codes: Collection[int]) -> str:
    return "any" if codes == ANY else ", ".join(map(str, sorted(codes)))


def _row(rule: Rule) -> str:
    cells = (rule.situation, _codes(rule.theirs), _codes(rule.ours), rule.why, rule.clause)
    return f"| {' | '.join(cells)} |"


def _table() -> Iterator[str]:
    yield "| Situation | Postfix | ehlo | Why | Clause |"
    yield "|---|---|---|---|---|"
    yield from map(_row, RULES)


def page() -> str:
    """The whole page."""
    return "\n".join((HEAD, *_table())) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
