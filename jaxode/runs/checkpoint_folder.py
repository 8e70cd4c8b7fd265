"""The folder of a run's checkpoints: their names, their removal, what killed processes left.

A checkpoint gets and loses its name in one step, so that a kill never leaves half a checkpoint
under such a name.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from jaxode.strict_json import need, read_object

CHECKPOINTS, META, STATE = "checkpoints", "meta.json", "state"
META_BYTES = 1 << 28
"""More than any: earlier formats hold the history of all epochs."""

NAME = re.compile(r"epoch-([0-9]{5,10})-step-([0-9]{10,20})", re.ASCII)
UNFINISHED, REMOVED = "unfinished", "removed"
"""How the names of directories begin that are still, or no longer, a checkpoint."""


def checkpoint_name(epochs_done: int, step: int) -> str:
    """Directory name of the checkpoint after so many finished epochs and so many steps."""
    return f"epoch-{epochs_done:05d}-step-{step:010d}"


def age(name: str) -> tuple[int, int]:
    """Epochs and steps of a checkpoint's name, by which names sort."""
    found = NAME.fullmatch(name)
    assert found is not None
    return int(found[1]), int(found[2])


def entries(directory: Path) -> list[str]:
    """Names of what a directory holds; none where there is no directory that can be read."""
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def names(directory: Path) -> list[str]:
    """Names of the checkpoints in a folder, oldest first."""
    found = (
        name for name in entries(directory) if NAME.fullmatch(name) and (directory / name).is_dir()
    )
    return sorted(found, key=age)


def temporary(directory: Path, kind: str) -> Path:
    """A name in a folder that nothing has, beginning with UNFINISHED or REMOVED."""
    return directory / f"{kind}-{secrets.token_hex(8)}"


def remove(path: Path) -> None:
    """Remove a checkpoint, or let it be if the system refuses."""
    doomed = temporary(path.parent, REMOVED)
    with contextlib.suppress(OSError):
        path.rename(doomed)
        delete(doomed)


def delete(path: Path) -> None:
    """Delete a file, a symlink or a directory with all it holds, as far as the system allows."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def in_part(checkpoint: Path) -> bool:
    """Whether files of a checkpoint are missing, as after an interrupted removal."""
    try:
        sealed = need(read_object(checkpoint / META, META_BYTES), "content", dict, META)
        files: dict[str, Any] = need(sealed, "files_sha256", dict, META)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False  # damaged, which is for a person to look at
    return not all(
        os.path.isfile(checkpoint / STATE / name) for name in files
    )  # never raises, whatever the name


def sweep(directory: Path, whole: Collection[str] = ()) -> None:
    """Delete what killed processes left in the folder. Only for the process that has the lock.

    Args:
        directory: the folder.
        whole: names of checkpoints that are known to be whole.
    """
    for name in entries(directory):
        if name == UNFINISHED or name.startswith((f"{UNFINISHED}-", f"{REMOVED}-")):
            delete(directory / name)
    # Earlier versions removed a checkpoint under its own name, and only such as were older than a
    # whole one.
    has_whole = False
    for name in reversed(names(directory)):
        if name in whole or not in_part(directory / name):
            has_whole = True
        elif has_whole:
            remove(directory / name)
