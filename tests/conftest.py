"""Ties the tests to the conformance ledger: unknown ids stop the run, `--clauses` reports the rest."""

import pytest
from tests.conformance.clauses import read_clauses, report, unknown_ids
from tests.conformance.exceptions import read_exceptions

_uses = pytest.StashKey[dict[str, list[str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --clauses."""
    parser.addoption(
        "--clauses",
        action="store_true",
        help="print which clauses of the ledger have tests, and why the others have none",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Gather the clauses that tests name, before any test is deselected."""
    uses = {
        item.nodeid: [str(name) for m in item.iter_markers("clause") for name in m.args] for item in items
    }
    config.stash[_uses] = uses
    if wrong := unknown_ids(uses, read_clauses()):
        raise pytest.UsageError(*wrong)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the report that --clauses asks for."""
    if config.getoption("--clauses"):
        terminalreporter.section("clauses")
        uses = config.stash.get(_uses, dict[str, list[str]]())
        excused = {exemption.id: exemption.kind for exemption in read_exceptions()}
        for line in report(uses, read_clauses(), excused):
            terminalreporter.write_line(line)
