"""The checks of the wheel can fail."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.consumer.wheel import EXTRAS, FIELDS, metadata_faults, sdist_faults, wheel_faults

METADATA = "".join(
    [
        *(f"{field}: something\n" for field in FIELDS),
        *(f"Provides-Extra: {extra}\n" for extra in sorted(EXTRAS)),
        "\nWhat it is.\n",
    ]
)
GOOD = {
    "ehlo/__init__.py": "",
    "ehlo/py.typed": "",
    "ehlo_io/py.typed": "",
    "ehlo-1.dist-info/METADATA": METADATA,
    "ehlo-1.dist-info/entry_points.txt": "",
    "ehlo-1.dist-info/licenses/LICENSE": "",
}


def wheel(place: Path, files: dict[str, str]) -> Path:
    path = place / "ehlo-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_a_good_wheel(tmp_path: Path) -> None:
    assert list(wheel_faults(wheel(tmp_path, GOOD))) == []


@pytest.mark.parametrize("missing", [name for name in GOOD if name != "ehlo/__init__.py"])
def test_what_a_wheel_lacks(tmp_path: Path, missing: str) -> None:
    files = {name: text for name, text in GOOD.items() if name != missing}
    assert list(wheel_faults(wheel(tmp_path, files))) == [
        f"the wheel lacks {missing.removeprefix('ehlo-1.dist-info/')}"
    ]


@pytest.mark.parametrize("name", ["tests/test_it.py", "ehlo/notes.txt", "tests.py"])
def test_what_a_wheel_should_not_hold(tmp_path: Path, name: str) -> None:
    assert f"the wheel holds {name}" in list(wheel_faults(wheel(tmp_path, {**GOOD, name: ""})))


@pytest.mark.parametrize("field", FIELDS)
def test_what_the_metadata_lacks(field: str) -> None:
    assert list(metadata_faults(METADATA.replace(f"{field}: something\n", ""))) == [
        f"the metadata lacks {field}"
    ]


def test_extras_and_the_description() -> None:
    other = METADATA.replace("Provides-Extra: cli", "Provides-Extra: clj").replace("What it is.", "")
    assert list(metadata_faults(other)) == [
        "the metadata lacks a description",
        "the extra cli is not in the metadata",
        "the extra clj is not known here",
    ]


def test_a_source_distribution(tmp_path: Path) -> None:
    for name in ("src/ehlo/py.typed", "bindings/ehlo_io/py.typed", "tests/conftest.py", ".venv/python"):
        file = tmp_path / "ehlo-1" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    path = tmp_path / "ehlo-1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "ehlo-1", "ehlo-1")
    faults = list(sdist_faults(path))
    assert "the source distribution lacks Makefile" in faults
    assert "the source distribution lacks LICENSE" in faults
    assert "the source distribution holds .venv/python" in faults
    assert len(faults) == 4
