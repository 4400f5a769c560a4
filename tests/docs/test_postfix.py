"""docs/postfix.md says what the table of differences says."""

from __future__ import annotations

from docs.make_postfix import PAGE, page


def test_the_page_is_what_the_table_says() -> None:
    assert page() == PAGE.read_text("utf-8"), "run python -m docs.make_postfix"
