"""docs/extensions.md says what the records say, and its example runs as it stands."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import ehlo.extensions
from ehlo import EVERY, Extension

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "extensions.md").read_text("utf-8")


def test_the_page_is_what_the_records_say() -> None:
    make = runpy.run_path(str(DOCS / "make_extensions.py"))["page"]
    assert make() == PAGE, "run docs/make_extensions.py"


@pytest.mark.parametrize("extension", EVERY, ids=lambda x: x.keyword)
def test_the_page_names_every_extension_and_parameter(extension: Extension) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{extension.keyword}` |")]
    assert extension.rfc in row
    assert extension.summary in row
    for param in (*extension.mail, *extension.rcpt):
        assert re.search(rf"`{param.keyword}=?`", row)


def test_functions_that_the_page_names_exist() -> None:
    named = re.findall(r"`(\w+)\([\w*, ]+\)`", PAGE)
    assert len(named) == 7
    assert [name for name in named if not callable(getattr(ehlo.extensions, name))] == []


def test_the_example_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    done = subprocess.run([sys.executable, "-c", example], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["received: Colour(name='green')", "offered: ('red', 'green')"]
    assert done.stderr == ""
