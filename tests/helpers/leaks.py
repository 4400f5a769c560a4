"""Looks for secrets where none may be: in what objects show of themselves, in records, logs and errors."""

from __future__ import annotations

import gc
import json
import logging
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import CoroutineType, FrameType, FunctionType, GeneratorType, ModuleType
from typing import Any, TypeVar

from ehlo import WireRecord
from ehlo.flows import Flow

T = TypeVar("T")
_ATOMS = (str, bytes, bytearray, int, float, type, ModuleType, FrameType, type(None))


def forms(secret: str | bytes) -> set[str]:
    """How a secret could be written: plain, as a literal, in hex and base64, a text in UTF-8 and UTF-16."""
    if isinstance(secret, bytes):
        spellings, found = [secret], {repr(secret)[2:-1], secret.decode("latin-1")}
    else:
        spellings = [secret.encode(), secret.encode("utf-16-le")]
        found = {secret, json.dumps(secret)[1:-1]} | {repr(octets)[2:-1] for octets in spellings}
        found.add(spellings[1].decode("latin-1"))
    for octets in spellings:
        found |= {octets.hex(), octets.hex().upper(), octets.hex(" "), octets.hex(":")}
        # At each alignment, the characters that do not depend on what stands before and behind.
        for shift in range(3):
            for encode in (b64encode, urlsafe_b64encode):
                coded = encode(bytes(shift) + octets).decode()
                found.add(coded[4 if shift else 0 : (len(octets) + shift) // 3 * 4])
    return found


class _Collector(logging.Handler):
    def __init__(self, texts: set[str]) -> None:
        super().__init__(logging.DEBUG)
        self._texts = texts

    def emit(self, record: logging.LogRecord) -> None:
        self._texts.add(self.format(record))


class Watch:
    """Collects texts while something runs, and tells which of them show a secret."""

    def __init__(self, *secrets: str | bytes) -> None:
        self.secrets: set[str | bytes] = set(secrets)
        self.texts: set[str] = set()
        self.kinds: set[str] = set()
        """The names of the classes that were looked at."""

    def record(self, record: WireRecord) -> None:
        """A trace."""
        self.look(record)
        self.texts |= {str(record), repr(record)}

    def error(self, error: BaseException) -> None:
        """All that a traceback prints, of its causes, too; and what the error holds."""
        self.texts |= {"".join(traceback.format_exception(error)), repr(error), str(error)}
        self.look(error)

    @contextmanager
    def logs(self) -> Iterator[None]:
        """All that is logged by anybody, from DEBUG on, with tracebacks."""
        root = logging.getLogger()
        before, handler = root.level, _Collector(self.texts)
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            root.removeHandler(handler)
            root.setLevel(before)

    def look(self, *roots: object) -> None:
        """What our objects that can be reached from these show of themselves."""
        for thing in reachable(roots):
            kind = type(thing)
            if kind.__module__.partition(".")[0] in ("ehlo", "ehlo_io"):
                self.kinds.add(kind.__name__)
                self.texts |= {repr(thing), str(thing)}

    def flow(self, flow: Flow[T], *roots: object) -> Flow[T]:
        """The same flow; what it asks for, is told and holds is looked at each time."""
        value: Any = None
        error: Exception | None = None
        while True:
            try:
                action = flow.send(value) if error is None else flow.throw(error)
            except StopIteration as stop:
                self.look(stop.value, *roots)
                result: T = stop.value
                return result
            except Exception as raised:
                self.error(raised)
                self.look(*roots)
                raise
            self.look(action, flow, *roots)
            error = None
            try:
                value = yield action
            except Exception as thrown:
                error = thrown

    def check(self) -> None:
        assert self.texts
        shapes = {form for secret in self.secrets for form in forms(secret)}
        assert all(len(shape) > 5 for shape in shapes), "too short to be told from other text"
        shown = [text for text in self.texts if any(shape in text for shape in shapes)]
        if shown:
            raise AssertionError(f"{len(shown)} texts show a secret, such as {min(shown, key=len)}")


def reachable(roots: Iterable[object]) -> Iterator[object]:
    """These objects and all that they hold, through generators that wait and functions that enclose; not
    what is in modules and classes."""
    # Kept, for an id is an object's own only as long as the object is there.
    seen: dict[int, object] = {}
    todo = list(roots)
    while todo:
        thing = todo.pop()
        if isinstance(thing, _ATOMS) or id(thing) in seen:
            continue
        seen[id(thing)] = thing
        yield thing
        if isinstance(thing, FunctionType):
            todo += [*(thing.__closure__ or ()), *(thing.__defaults__ or ())]
        elif isinstance(thing, GeneratorType):
            todo += [] if thing.gi_frame is None else [*thing.gi_frame.f_locals.values(), thing.gi_yieldfrom]
        elif isinstance(thing, CoroutineType):
            todo += [] if thing.cr_frame is None else [*thing.cr_frame.f_locals.values(), thing.cr_await]
        elif not isinstance(thing, BaseException):
            todo += gc.get_referents(thing)
        else:
            todo += [*thing.args, *vars(thing).values(), thing.__cause__, thing.__context__]
