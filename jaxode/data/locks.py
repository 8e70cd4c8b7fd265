"""Turns at a folder that several processes may fill, and what killed ones have left in it.

An advisory lock of the folder: the system lets go of it when the process ends, however it ends. So whoever gets it
knows that no process works on what lies about. On a file system without locks nothing is known, and nothing removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from jaxode.data.specs import SPECS

LEFTOVER = "incomplete.jaxode-"
"""What names of our temporary folders begin with."""

_OF_TFDS = "incomplete.??????_[0-9]*"
"""Names that TensorFlow Datasets gives them, beside a version of a set."""


@contextlib.contextmanager
def exclusive(folder: Path, purpose: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of a folder, first removing leftovers; yields whether it is held.

    Waits for another process, saying so on stderr with its `purpose`, unless told not to. Raises OSError if the folder
    cannot be opened.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        locked = _lock(handle, folder, purpose, wait=wait)
        if locked:
            _sweep(folder)
        yield locked
    finally:
        os.close(handle)


def tidy(folder: Path) -> None:
    """Remove leftovers of a folder, if there are any, no process works in it, and it can be written."""
    with contextlib.suppress(OSError):
        if _leftovers(folder):
            with exclusive(folder, "", wait=False):
                pass


def _lock(handle: int, folder: Path, purpose: str, *, wait: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            return False
        print(
            f"jaxode: waiting for another process that {purpose} in {folder}",
            file=sys.stderr,
            flush=True,
        )
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:  # no locks here
        return False
    return True


def _leftovers(folder: Path) -> list[Path]:
    # No pattern for any subfolder: this may be a folder that holds other things of the user's.
    patterns = (f"{LEFTOVER}*", *(f"{name}/{_OF_TFDS}" for name in SPECS))
    return [path for pattern in patterns for path in folder.glob(pattern) if path.is_dir()]


def _sweep(folder: Path) -> None:
    for path in _leftovers(folder):
        shutil.rmtree(path, ignore_errors=True)  # refuses links
