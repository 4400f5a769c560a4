"""The register of survivors: mutants that no test tells from the code, and why that is right."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import attrs

REGISTER = Path(__file__).with_name("survivors.toml")

EQUIVALENT: Final = "equivalent"
TYPED: Final = "typed"
FASTER: Final = "faster"
WORDING: Final = "wording"
CODEC: Final = "codec"
UNEXPLAINED: Final = "unexplained"

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        EQUIVALENT: "No input tells it from the code.",
        FASTER: "Only the time or the memory that it takes differs: a short cut is not taken.",
        TYPED: "The type checkers refuse it: mostly by a rule, one false value in place of another.",
        WORDING: "The wording of an exception or of a reason: by a rule.",
        CODEC: "The letter case of the name of a codec or a digest: by a rule.",
    }
)
"""The reasons that there are."""


@attrs.frozen(order=True)
class Mutant:
    """One change to one function."""

    function: str
    """Its dotted name, with the module and the class."""
    was: str
    """The lines that are changed, each without the space around it."""
    now: str
    """What they are changed to."""


@attrs.frozen
class Entry:
    """Why some mutants of a line survive."""

    function: str
    was: str
    now: list[str]
    kind: str
    reason: str

    @property
    def mutants(self) -> list[Mutant]:
        return [Mutant(self.function, self.was, now) for now in self.now]


def read_register(path: Path = REGISTER) -> tuple[Entry, ...]:
    """The entries of a register, in its order; a field too many or too few is an error."""
    with path.open("rb") as file:
        return tuple(Entry(**entry) for entry in tomllib.load(file)["survivor"])


# ---- what is not worth an entry ----

_LITERAL = re.compile(r'f?"(?:[^"\\]|\\.)*"')
_SENTENCE = re.compile(r"[A-Za-z,:] [A-Za-z]")
_EXCEPTION = re.compile(r'\b(?:raise\b|assert\b|return f?"|\w*Error\(|Refuse\()')
_FALSE_ATTRIBUTE = re.compile(r'^(self\.\w+(?:: .+)? = )(?:False|None|"")$', re.MULTILINE)
_FALSE_ARGUMENT = re.compile(r"(\w=)(?:False|None)\b")
_CODEC_NAME = re.compile(r'"(?:ascii|latin-1|utf-8|utf-16-le|md5|sha256)"', re.IGNORECASE)


def kind_by_rule(mutant: Mutant) -> str | None:
    """The kind of a mutant that needs no entry."""
    if _EXCEPTION.search(mutant.was) and _unworded(mutant.was) == _unworded(mutant.now):
        return WORDING
    if _CODEC_NAME.sub(_folded, mutant.was) == _CODEC_NAME.sub(_folded, mutant.now):
        return CODEC
    if _false(mutant.was) == _false(mutant.now):
        return TYPED
    return None


def _unworded(lines: str) -> str:
    return _LITERAL.sub(lambda found: "None" if _SENTENCE.search(found[0]) else found[0], lines)


def _false(lines: str) -> str:
    return _FALSE_ATTRIBUTE.sub(r"\1False", _FALSE_ARGUMENT.sub(r"\1False", lines))


def _folded(found: re.Match[str]) -> str:
    return found[0].lower()


# ---- the comparison ----


def kinds(survivors: Iterable[Mutant], register: Iterable[Entry]) -> Counter[str]:
    """How many survivors there are of each kind."""
    known = {mutant: entry.kind for entry in register for mutant in entry.mutants}
    return Counter(known.get(mutant) or kind_by_rule(mutant) or UNEXPLAINED for mutant in survivors)


def faults(survivors: Iterable[Mutant], register: Iterable[Entry], tried: Callable[[str], bool]) -> list[str]:
    """A line for each survivor that nothing explains, and for each entry that cannot stand; `tried` tells
    the functions whose mutants were."""
    entries = tuple(register)
    found = Counter(mutant for mutant in survivors if kind_by_rule(mutant) is None)
    explained = Counter(mutant for entry in entries for mutant in entry.mutants)
    return [
        *(_line("survives", mutant) for mutant in sorted(found) if mutant not in explained),
        *(
            _line("no longer survives", mutant)
            for mutant in explained
            if mutant not in found and tried(mutant.function)
        ),
        *register_faults(entries),
    ]


def register_faults(entries: Iterable[Entry]) -> list[str]:
    """A line for each entry that is wrong by itself."""
    register = tuple(entries)
    explained = Counter(mutant for entry in register for mutant in entry.mutants)
    return [
        *(_line(f"{count} entries", mutant) for mutant, count in explained.items() if count > 1),
        *(_line("needs no entry", mutant) for mutant in explained if kind_by_rule(mutant) is not None),
        *(f"{entry.function}: no such kind: {entry.kind}" for entry in register if entry.kind not in KINDS),
        *(f"{entry.function}: no reason" for entry in register if not entry.reason),
    ]


def _line(fault: str, mutant: Mutant) -> str:
    was, now = (lines.replace("\n", " / ") for lines in (mutant.was, mutant.now))
    return f"{mutant.function}: {fault}:\n    - {was}\n    + {now}"
