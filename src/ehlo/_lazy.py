"""Public names that are imported when they are first asked for.

Most programs need a few of them: a client nothing of the server role, nobody NTLM until a server offers
it. A package says where its names live; type checkers read the same in its imports for them.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def lazily(package: str, homes: Mapping[str, str]) -> None:
    """Give a package `__getattr__` and `__dir__` (PEP 562). `homes`: modules, and the names in each.

    Set here, not in its source: a type checker that sees `__getattr__` takes any name for one of its own.
    """
    home_of = {name: home for home, names in homes.items() for name in names.split()}
    namespace = vars(sys.modules[package])

    def get(name: str) -> object:
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        __import__(home)
        module = sys.modules[home]
        # A home may be a name of its own.
        value = namespace[name] = module if home == f"{package}.{name}" else getattr(module, name)
        return value

    namespace.update(__getattr__=get, __dir__=lambda: sorted({*namespace, *home_of}))
