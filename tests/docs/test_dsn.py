"""The snippets of docs/dsn.md run one after the other, as they stand."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

from ehlo import dsn

PAGE = (Path(__file__).parents[2] / "docs" / "dsn.md").read_text()
SNIPPETS = dict(re.findall(r"<!-- run: (\w+) -->\n```python\n(.*?)```", PAGE, re.S))


@pytest.fixture
def printed() -> dict[str, str]:
    """What each snippet prints, with the names of those before it."""
    names: dict[str, Any] = {}
    output = {}
    for name, source in SNIPPETS.items():
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(source, name, "exec"), names)  # noqa: S102
        output[name] = out.getvalue()
    return output


def test_every_snippet_is_run_here(printed: dict[str, str]) -> None:
    assert list(printed) == ["write", "read"]
    assert PAGE.count("```python") == len(SNIPPETS)


def test_the_report(printed: dict[str, str]) -> None:
    report = dsn.parse(printed["write"].encode())
    assert [recipient.final_recipient.value for recipient in report.recipients] == ["carol@remote.example"]
    assert report.returned is not None
    assert report.returned.content.endswith(b"Hello both!\r\n")
    assert printed["read"] == "42 carol@remote.example failed 5.1.1\n"
