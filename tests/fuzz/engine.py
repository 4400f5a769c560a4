"""Runs one target under atheris, which is needed here and nowhere else: `python -m tests.fuzz.engine NAME
...`, with options of libFuzzer behind the name. `python -m tests.fuzz` starts one for each target."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from typing import Any, Final

# Not by name: those who check types do not have it, and its own types are incomplete.
atheris: Final[Any] = importlib.import_module("atheris")
# What str.startswith looks for is shown to the engine too.
atheris.enabled_hooks.add("str")

with atheris.instrument_imports(include=["ehlo", "ehlo_io"]):
    import ehlo

    # Those that are loaded when they are first used would come too late.
    for module in pkgutil.walk_packages(ehlo.__path__, "ehlo."):
        if not module.name.startswith("ehlo.testing"):
            importlib.import_module(module.name)
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name].check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
