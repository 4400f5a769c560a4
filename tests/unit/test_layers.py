"""What may be written where: a core without I/O, bindings without protocol words, small files and functions.

The order of the layers is import-linter's business (`make layers`); here are rules that it cannot express.
Each rule is a function from source text to findings, and is shown an example that breaks it.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "src" / "ehlo"
BINDINGS = ROOT / "bindings"
OBSERVERS = ("logs.py", "metrics.py")
"""They are no part of a binding, and name what the facts tell."""
ADAPTERS = ("asyncio.py", "trio.py", "blocking.py")
PUMPS = ("_asyncio_pump.py", "_trio_pump.py", "_socket_pump.py")

OUTSIDE = frozenset(
    {"socket", "ssl", "asyncio", "trio", "selectors", "threading", "subprocess", "tempfile", "pathlib"}
    | {"time", "random", "secrets", "os", "logging", "email"}
)
"""What the core must not know: it comes in as arguments and goes out as events."""
ON_FIRST_USE = frozenset({"spnego"})
"""Imported inside functions only, so that `import ehlo` stays quick."""
CLOCKS = frozenset({"now", "today", "utcnow"})
PUBLIC = frozenset({"ehlo", "ehlo.dsn", "ehlo.extensions", "ehlo.flows", "ehlo.policy", "ehlo.testing"})
"""The modules of the core that the bindings may import."""

VERBS = "EHLO HELO LHLO MAIL RCPT DATA BDAT AUTH STARTTLS RSET QUIT NOOP VRFY EXPN"
PROTOCOL_WORD = re.compile(rf"\b(?:{VERBS.replace(' ', '|')}|[2-5][0-9][0-9])\b")
MOST_ADAPTER_LINES = 199
MOST_FILE_LINES = 450
MOST_FUNCTION_LINES = 60

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
Rule = Callable[[str], Iterator[str]]


def imported_names(node: ast.AST) -> Iterator[str]:
    """The absolute dotted names that a statement or call imports; `from a import b` gives a.b."""
    match node:
        case ast.Import(names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(str(module), names, 0):
            yield from (f"{module}.{alias.name}" for alias in names)
        case ast.Call(ast.Name("__import__" | "import_module"), [ast.Constant(str(name)), *_]):
            yield name
        case ast.Call(ast.Attribute(_, "import_module"), [ast.Constant(str(name)), *_]):
            yield name
        case _:
            pass


def is_typing_guard(node: ast.AST) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`, whose imports never run."""
    match node:
        case ast.If(ast.Name("TYPE_CHECKING") | ast.Attribute(_, "TYPE_CHECKING")):
            return True
        case _:
            return False


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below one that run when its module is imported."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Function | ast.Lambda) and not is_typing_guard(child):
            yield child
            yield from run_at_import(child)


def outside_imports(source: str) -> Iterator[str]:
    """Imports by the core of what only a program around it may touch."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name in imported_names(node):
            if name.partition(".")[0] in OUTSIDE:
                yield f"imports {name}"
    for node in run_at_import(tree):
        for name in imported_names(node):
            if name.partition(".")[0] in ON_FIRST_USE:
                yield f"imports {name} outside a function"


def clock_readings(source: str) -> Iterator[str]:
    """Uses of the clock that hides in the module datetime."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(ast.Name("datetime" | "date") | ast.Attribute(_, "datetime" | "date"), name):
                if name in CLOCKS:
                    yield f"line {node.lineno}: reads the clock with {name}"
            case ast.Call(ast.Attribute(_, name)) if name in CLOCKS:
                yield f"line {node.lineno}: reads a clock with {name}()"
            case _:
                pass


def docstrings(tree: ast.AST) -> set[ast.AST]:
    """The strings that document a module, class, function or attribute."""
    return {
        statement.value
        for node in ast.walk(tree)
        if isinstance(node, Documented)
        for statement in node.body
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    }


def protocol_words(source: str) -> Iterator[str]:
    """Verbs, reply codes and states in a binding, which is to be a pump that knows none of them."""
    tree = ast.parse(source)
    documentation = docstrings(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Constant(str(text)) if node not in documentation and PROTOCOL_WORD.search(text):
                yield f"line {node.lineno}: {text!r}"
            case ast.Constant(bytes(data)) if PROTOCOL_WORD.search(data.decode("latin-1")):
                yield f"line {node.lineno}: {data!r}"
            case ast.Constant(int(number)) if 200 <= number <= 599:
                yield f"line {node.lineno}: {number}"
            case ast.Attribute(
                ast.Name("State" | "Verb" as owner) | ast.Attribute(_, "State" | "Verb" as owner), name
            ):
                yield f"line {node.lineno}: {owner}.{name}"
            case _:
                pass


def private_uses(source: str, modules: frozenset[str]) -> Iterator[str]:
    """What a binding takes from the core beyond its public names; `modules` are the core's own."""
    hidden = {name for name in modules if f"ehlo.{name}" not in PUBLIC}

    def is_private(name: str) -> bool:
        return name in hidden or (name.startswith("_") and not name.endswith("__"))

    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                for alias in names:
                    if alias.name.partition(".")[0] == "ehlo" and alias.name not in PUBLIC:
                        yield f"line {node.lineno}: import {alias.name}"
            case ast.ImportFrom(str(module), names, 0) if module.partition(".")[0] == "ehlo":
                if module not in PUBLIC:
                    yield f"line {node.lineno}: from {module} import ..."
                for alias in names:
                    if is_private(alias.name):
                        yield f"line {node.lineno}: from {module} import {alias.name}"
            case ast.Attribute(ast.Name("ehlo"), name) if is_private(name):
                yield f"line {node.lineno}: ehlo.{name}"


def function_length(function: Function) -> int:
    """Lines from `def` to the end, without the docstring."""
    end = function.end_lineno or function.lineno
    length = end - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        first = function.body[0]
        length -= (first.end_lineno or first.lineno) - first.lineno + 1
    return length


def oversize(source: str) -> Iterator[str]:
    """A file or functions too long to be held in mind."""
    if (lines := len(source.splitlines())) > MOST_FILE_LINES:
        yield f"{lines} lines"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function) and (lines := function_length(node)) > MOST_FUNCTION_LINES:
            yield f"line {node.lineno}: {node.name} has {lines} lines"


def shadowing_directories(directory: Path) -> list[str]:
    """Directories that would hide an I/O library when `bindings` is on the module path."""
    return [name for name in ("asyncio", "trio") if (directory / name).is_dir()]


def findings(rule: Rule, *files: Path) -> list[str]:
    """All that a rule finds, with the file it was found in."""
    return [f"{file.relative_to(ROOT)}: {found}" for file in files for found in rule(file.read_text("utf-8"))]


def python_files(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.py"))


def core_modules() -> frozenset[str]:
    return frozenset(path.stem for path in CORE.iterdir() if path.suffix == ".py" or path.is_dir())


def test_core_touches_nothing_outside() -> None:
    assert findings(outside_imports, *python_files(CORE)) == []


def test_core_reads_no_clock() -> None:
    assert findings(clock_readings, *python_files(CORE)) == []


def test_no_protocol_words_in_what_the_bindings_are_made_of() -> None:
    everything = sorted((BINDINGS / "ehlo_io").glob("*.py"))
    files = [path for path in everything if path.name not in OBSERVERS]
    assert {path.name for path in everything} >= {*ADAPTERS, *PUMPS, *OBSERVERS}
    assert findings(protocol_words, *files) == []


def test_adapters_are_small() -> None:
    files = [BINDINGS / "ehlo_io" / name for name in ADAPTERS]
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length > MOST_ADAPTER_LINES} == {}


def test_bindings_use_the_public_interface_only() -> None:
    modules = core_modules()
    assert findings(lambda source: private_uses(source, modules), *python_files(BINDINGS)) == []


def test_files_and_functions_are_short() -> None:
    assert findings(oversize, *python_files(CORE), *python_files(BINDINGS)) == []


def test_bindings_hide_no_library() -> None:
    assert shadowing_directories(BINDINGS) == []


@pytest.mark.parametrize(
    "bad",
    [
        "import socket",
        "import os.path",
        "from ssl import SSLContext",
        "import attrs, logging as log",
        "def late():\n    import random\n",
        "class Late:\n    def late(self):\n        from time import monotonic\n",
        "if TYPE_CHECKING:\n    import ssl\n",
        "import importlib\nimportlib.import_module('asyncio')",
        "__import__('email.message')",
        "import spnego",
        "from spnego.auth import client",
        "class Early:\n    import spnego\n",
        "try:\n    import spnego\nexcept ImportError:\n    pass\n",
    ],
)
def test_outside_imports_are_found(bad: str) -> None:
    assert len(list(outside_imports(bad))) == 1


@pytest.mark.parametrize(
    "good",
    [
        "import datetime, attrs",
        "from ._errors import os",
        "from . import time",
        "def late():\n    import spnego\n    from spnego import client\n",
        "if typing.TYPE_CHECKING:\n    import spnego\n",
        "import socketserver_of_another_name",
    ],
)
def test_other_imports_are_not(good: str) -> None:
    assert list(outside_imports(good)) == []


@pytest.mark.parametrize(
    "bad",
    [
        "import datetime\nstamp = datetime.datetime.utcnow",
        "from datetime import datetime\nstamp = field(factory=datetime.now)",
        "from datetime import date\nday = date.today",
        "import datetime as d\nstamp = d.datetime.now",
        "stamp = clock.now()",
    ],
)
def test_clock_readings_are_found(bad: str) -> None:
    assert len(list(clock_readings(bad))) == 1


def test_times_that_are_given_are_not() -> None:
    assert (
        list(clock_readings("import datetime\ndef f(now: datetime.datetime): return now.isoformat()")) == []
    )


@pytest.mark.parametrize(
    "bad",
    [
        "send('STARTTLS')",
        "send(b'MAIL FROM:<>')",
        "send(f'RCPT TO:<{x}>')",
        "code = 250",
        "answer = b'421 4.3.2 closing'",
        "text = 'got 354 too early'",
        "state is State.READY",
        "verb == ehlo.Verb.MAIL",
        "def f():\n    x = 1\n    return 'DATA'\n",
    ],
)
def test_protocol_words_are_found(bad: str) -> None:
    assert list(protocol_words(bad))


@pytest.mark.parametrize(
    "good",
    [
        '"""Sends MAIL and reads 250."""',
        'class A:\n    """QUIT."""\n    x: int\n    """After DATA."""\n',
        'async def f():\n    """EHLO."""\n',
        "size = 65536; port = 587_0",
        "event is NEED_DATA; text = 'NEED_DATA mailed data Quit'",
        "actions.Send(b'')",
    ],
)
def test_other_words_are_not(good: str) -> None:
    assert list(protocol_words(good)) == []


@pytest.mark.parametrize(
    "bad",
    [
        "import ehlo._state",
        "import ehlo.wire.reply",
        "from ehlo._events import Reply",
        "from ehlo.sasl import Plain",
        "from ehlo.flows.actions import Send",
        "from ehlo import _state",
        "from ehlo import wire",
        "from ehlo.flows import _helper",
        "import ehlo\nehlo._errors",
        "import ehlo\nehlo.wire.reply",
        "def late():\n    from ehlo.client import ClientConnection\n",
    ],
)
def test_private_uses_are_found(bad: str) -> None:
    assert list(private_uses(bad, frozenset({"wire", "sasl", "flows", "client", "_errors", "_state"})))


@pytest.mark.parametrize(
    "good",
    [
        "import ehlo\nehlo.Reply(250)",
        "from ehlo import ClientConnection, __version__, flows",
        "from ehlo.flows import Send",
        "import ehlo.testing",
        "from ._tls import TLS\nfrom ehlo_io._tls import _State",
    ],
)
def test_public_uses_are_not(good: str) -> None:
    assert list(private_uses(good, frozenset({"wire", "flows", "testing"}))) == []


def test_long_files_and_functions_are_found() -> None:
    body = "    x = 1\n"
    assert list(oversize("x = 1\n" * 451)) == ["451 lines"]
    assert list(oversize("def f():\n" + body * 60)) == ["line 1: f has 61 lines"]
    assert list(oversize("class A:\n  async def f(self):\n" + body * 60)) == ["line 2: f has 61 lines"]


def test_docstrings_do_not_make_a_function_long() -> None:
    assert list(oversize("x = 1\n" * 450)) == []
    text = '    """First.\n' + "\n" * 20 + '    """\n'
    assert list(oversize("def f():\n" + text + "    x = 1\n" * 59)) == []


def test_shadowing_directories_are_found(tmp_path: Path) -> None:
    (tmp_path / "asyncio.py").touch()
    assert shadowing_directories(tmp_path) == []
    (tmp_path / "trio").mkdir()
    assert shadowing_directories(tmp_path) == ["trio"]
