"""How the command `jaxode` is typed in this shell."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

NAME = "jaxode"


def program_name() -> str:
    """The command of this environment.

    Returns:
      `jaxode` where the shell finds it, else its path beside the running Python, from the current
      directory if it lies below; and `PYTHON -m jaxode` where it is not installed.
    """
    python = Path(sys.executable)
    beside = python.with_name(NAME)
    found = shutil.which(NAME)
    if found is not None and (Path(found) == beside or not beside.exists()):
        return NAME
    if beside.exists():
        return shlex.quote(str(_from_here(beside)))
    return f"{shlex.quote(str(_from_here(python)))} -m {NAME}"


def _from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
