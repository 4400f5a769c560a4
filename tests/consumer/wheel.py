"""What a wheel and a source distribution have to hold, and what not."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path
from typing import Final

PACKAGES: Final = ("ehlo", "ehlo_io")
EXTRAS: Final = frozenset({"cli", "dkim", "idna", "kerberos", "metrics", "trio", "uvloop"})
FIELDS: Final = (
    "Name",
    "Version",
    "Summary",
    "License-Expression",
    "License-File",
    "Keywords",
    "Requires-Python",
    "Description-Content-Type",
    "Classifier",
)


def wheel_faults(path: Path) -> Iterator[str]:
    """A line for each thing that is missing or too many in a wheel."""
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        own = {name for name in names if ".dist-info/" not in name}
        yield from (f"the wheel lacks {each}/py.typed" for each in PACKAGES if f"{each}/py.typed" not in own)
        yield from (f"the wheel holds {each}" for each in own if each.partition("/")[0] not in PACKAGES)
        yield from (f"the wheel holds {each}" for each in own if not each.endswith((".py", "/py.typed")))
        of = {name.partition(".dist-info/")[2]: name for name in names if ".dist-info/" in name}
        for each in ("METADATA", "entry_points.txt", "licenses/LICENSE"):
            if each not in of:
                yield f"the wheel lacks {each}"
        if "METADATA" in of:
            yield from metadata_faults(wheel.read(of["METADATA"]).decode("utf-8"))


def metadata_faults(text: str) -> Iterator[str]:
    """A line for each field that is missing or empty, and for extras that are not the ones there are."""
    found = Parser().parsestr(text)
    yield from (f"the metadata lacks {field}" for field in FIELDS if not found.get(field))
    if not str(found.get_payload()).strip():
        yield "the metadata lacks a description"
    extras = set(found.get_all("Provides-Extra", ()))
    yield from (f"the extra {extra} is not in the metadata" for extra in sorted(EXTRAS - extras))
    yield from (f"the extra {extra} is not known here" for extra in sorted(extras - EXTRAS))


def sdist_faults(path: Path) -> Iterator[str]:
    """A line for each thing that is missing or too many in a source distribution."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for each in (
        "src/ehlo/py.typed",
        "bindings/ehlo_io/py.typed",
        "tests/conftest.py",
        "Makefile",
        "LICENSE",
    ):
        if each not in names:
            yield f"the source distribution lacks {each}"
    for each in sorted(names):
        if each.startswith(".venv") or "__pycache__" in each:
            yield f"the source distribution holds {each}"
