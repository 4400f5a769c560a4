"""The soak, for as long as a test may take."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.bindings.programs import each_io
from tests.soak.ledger import Ledger, message
from tests.soak.run import soak


@each_io
def test_a_server_under_mixed_load_loses_and_leaks_nothing(io: str) -> None:
    findings = soak(io, 3.0)
    assert not findings.faults, "\n".join(findings.lines())
    assert findings.messages > 10
    assert findings.done["attacks"]
    assert findings.done["sessions cut off"]


@pytest.mark.parametrize("fault", ["lost", "damaged", "doubled", "unasked"])
def test_the_ledger_finds_each_fault(fault: str, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    ledger = Ledger()
    for number in (1, 2):
        (tmp_path / "new" / str(number)).write_bytes(message(number))
        ledger.accept(number)
    match fault:
        case "lost":
            (tmp_path / "new" / "2").unlink()
        case "damaged":
            (tmp_path / "new" / "2").write_bytes(message(2)[:-3])
        case "doubled":
            (tmp_path / "new" / "3").write_bytes(message(2))
        case _:
            (tmp_path / "new" / "3").write_bytes(message(3))
    ledger.collect(tmp_path)
    found = {name: bool(getattr(ledger, name)) for name in ("lost", "damaged", "doubled", "unasked")}
    assert found == {name: name == fault for name in found}
