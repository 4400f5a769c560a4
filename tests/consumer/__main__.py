"""Build the wheel, install it where no source is, and check it with a program that uses it: `make wheel`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Final

from tests.consumer.wheel import sdist_faults, wheel_faults

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
EXTRAS: Final = "cli,idna,trio,uvloop"
PYRIGHT: Final[dict[str, object]] = {
    "include": ["program.py", "wrong.py"],
    "venvPath": ".",
    "venv": "installed",
    "typeCheckingMode": "strict",
    # Each checker has comments of its own, and one that nothing stands behind is an error.
    "enableTypeIgnoreComments": False,
    "reportUnnecessaryTypeIgnoreComment": "error",
}


def run(*argv: str | Path, cwd: Path) -> None:
    """Run a step; what it says is shown, and a failure ends all."""
    print("+", *(str(word).replace(f"{cwd}/", "") for word in argv), flush=True)
    outside = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
    status = subprocess.run(argv, cwd=cwd, env=outside, check=False).returncode
    if status:
        sys.exit(f"{argv[0]} ended with status {status}")


def check(top: Path) -> None:
    """All of it, in an empty directory."""
    tools = Path(sys.executable).parent
    run(sys.executable, "-m", "build", "--outdir", top / "dist", ROOT, cwd=top)
    (wheel,) = (top / "dist").glob("*.whl")
    (sdist,) = (top / "dist").glob("*.tar.gz")
    if faults := [*wheel_faults(wheel), *sdist_faults(sdist)]:
        sys.exit("\n".join(faults))
    run(tools / "twine", "check", "--strict", wheel, sdist, cwd=top)
    # W009: the wheel has two packages on purpose.
    run(tools / "check-wheel-contents", "--ignore", "W009", wheel, cwd=top)
    venv.create(top / "installed", with_pip=True)
    python = top / "installed" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", f"{wheel}[{EXTRAS}]", cwd=top)
    for name in ("program.py", "wrong.py"):
        shutil.copy(HERE / name, top)
    (top / "pyrightconfig.json").write_text(json.dumps(PYRIGHT))
    run(tools / "mypy", "--strict", "--python-executable", python, "program.py", "wrong.py", cwd=top)
    run(tools / "pyright", "--project", ".", cwd=top)
    run(python, "-W", "error", "program.py", cwd=top)
    run(top / "installed" / "bin" / "ehlo", "--version", cwd=top)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="ehlo-wheel-") as place:
        check(Path(place))
