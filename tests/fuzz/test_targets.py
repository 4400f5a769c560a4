"""Each target over its seeds and changed seeds, and over what found something once; without atheris."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fuzz import regressions
from tests.fuzz.__main__ import main
from tests.fuzz.mangling import Mangler
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS
from tests.fuzz.targets.client import STARTS as CLIENT_STARTS
from tests.fuzz.targets.server import STARTS as SERVER_STARTS

from ehlo import ClientConnection, ServerConnection, State
from ehlo.policy import MessageFixer
from ehlo.wire import base64, proxy, xtext
from ehlo.wire.dot import DotDecoder
from ehlo.wire.lines import Framing, LineReader

CHANGED = 600
ALL = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


def inputs(target: Target, count: int) -> Iterator[bytes]:
    """The seeds, and so many others made from them: always the same."""
    seeds = list(target.seeds())
    yield from (b"", *seeds)
    source = random.Random(target.name)  # noqa: S311
    mangler = Mangler(source, [*seeds, *target.words])
    for _ in range(count):
        yield mangler.token(source.choice(seeds))[: target.longest]


@pytest.mark.clause(
    "SEC-INJ-both-b", "SEC-INJ-srv-b", "SEC-INJ-cli-c", "RFC5321-4.2a", "RFC4954-4n", "RFC4422-3.5a"
)
@ALL
def test_seeds_and_what_is_made_of_them(target: Target) -> None:
    for data in inputs(target, CHANGED):
        try:
            target.check(data)
        except Exception as error:
            error.add_note(regressions.written(target.name, data, "..."))
            raise


@pytest.mark.parametrize("number", range(len(regressions.read())))
def test_regressions(number: int) -> None:
    """Each of them found a defect when it was written down."""
    found = regressions.read()[number]
    TARGETS[found.target].check(found.data)


@ALL
def test_a_target_says_what_holds(target: Target) -> None:
    assert target.invariant.endswith(".")
    assert f"| `{target.name}` | {target.invariant} |\n" in Path("docs/fuzzing.md").read_text("utf-8")


def test_every_state_is_a_start() -> None:
    assert set(SERVER_STARTS) == set(CLIENT_STARTS) == set(State)


def test_a_regression_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "regressions.txt"
    monkeypatch.setattr(regressions, "FILE", file)
    lines = [regressions.written("server", data, "two words") for data in (b"", b"\0\xff x")]
    file.write_text("\n".join(("# a comment", *lines)))
    assert [(each.data, each.found) for each in regressions.read()] == [
        (b"", "two words"),
        (b"\0\xff x", "two words"),
    ]


def test_replay(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"a+2Bb")
    monkeypatch.setattr("sys.argv", ["fuzz", "replay", "xtext", str(file)])
    main()
    line, told = capsys.readouterr().out.splitlines()
    assert line.endswith(regressions.written("xtext", b"a+2Bb", "what it found"))
    assert told == "nothing was found"


def test_targets_need_no_atheris() -> None:
    program = "import sys; sys.modules['atheris'] = None; import tests.fuzz.targets, tests.fuzz.__main__"
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": ".:src:bindings"})


CARELESS: list[tuple[str, object, str, object]] = [
    ("server", ServerConnection, "_check_behind_tls", lambda _: None),
    ("server", DotDecoder, "_edge", lambda _, data: b"\r\n" if data.endswith(b"\n") else b""),
    ("client", ClientConnection, "_fail", lambda *_: None),
    ("session", ClientConnection, "_fail", lambda *_: None),
    ("lines", LineReader, "overlong", lambda _: Framing.INCOMPLETE),
    ("base64", base64, "encode", lambda data: data),
    ("proxy", proxy, "_parse_text", lambda *_: (proxy.ProxyHeader(version=1), 6)),
    ("fixer", MessageFixer, "finish", lambda _: b""),
    ("xtext", xtext, "encode", lambda text: text),
]


def _play(target: Target) -> None:
    for data in inputs(target, 5 * CHANGED):
        target.check(data)


@pytest.mark.parametrize(("name", "owner", "attribute", "careless"), CARELESS)
def test_what_would_be_found(
    name: str, owner: object, attribute: str, careless: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, attribute, careless)
    with pytest.raises(Exception):  # noqa: B017, PT011 (whatever comes of it)
        _play(TARGETS[name])
