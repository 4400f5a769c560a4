"""Which peers are there: Python modules, programs, packages of npm."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

NPM: Final = Path(__file__).parent / ".npm"
_NPM_PACKAGES: Final = ("nodemailer", "smtp-server")


def program(name: str) -> str | None:
    """Its path; the programs of Postfix live where users rarely look."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def load(module: str) -> Any:
    """A module that may be missing, and whose types are not checked."""
    return importlib.import_module(module)


def lacks_module(*names: str) -> str | None:
    """Why a peer is left out, None when all modules are there."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed"
    return None


@cache
def lacks_npm() -> str | None:
    """Why the peers from npm are left out, None when they are there; installs them once."""
    node, npm = program("node"), program("npm")
    if node is None or npm is None:
        return "node or npm is not installed"
    if all((NPM / "node_modules" / name).is_dir() for name in _NPM_PACKAGES):
        return None
    NPM.mkdir(exist_ok=True)
    command = [npm, "install", "--prefix", str(NPM), "--no-audit", "--no-fund", "--silent", *_NPM_PACKAGES]
    try:
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return "npm could not install it"
    return None if done.returncode == 0 else "npm could not install it"


def node_versions() -> str:
    """The versions of the packages of npm that are installed."""
    found = []
    for name in _NPM_PACKAGES:
        manifest = NPM / "node_modules" / name / "package.json"
        if manifest.is_file():
            text = manifest.read_text()
            version = text.partition('"version"')[2].split('"')[1]
            found.append(f"{name} {version}")
    return ", ".join(found)
