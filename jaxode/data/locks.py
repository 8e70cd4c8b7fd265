"""Turns at a folder that several processes may fill, and what killed ones have left in it.

An advisory lock of the folder: the system releases it when the process ends, however it ends. So
whoever gets it knows that no process works on the temporary folders that are there. On a file
system without locks this is not known, and nothing is removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jaxode.advisory_locks import lock
from jaxode.data.registry import SPECS

LEFTOVER = "incomplete.jaxode-"
"""What names of our temporary folders begin with."""

_OF_TFDS = "incomplete.??????_[0-9]*"
"""Names that TensorFlow Datasets gives them, beside a version of a set."""


@contextlib.contextmanager
def exclusive(folder: Path, purpose: str, *, wait: bool = True) -> Iterator[bool]:
    """Take the lock of a folder and remove leftovers; yields whether the lock was got.

    Waits for another process, with a line on stderr that names its `purpose`, unless `wait` is
    false. Raises OSError if the folder cannot be opened.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        locked = _lock(handle, folder, purpose, wait=wait)
        if locked:
            _sweep(folder)
        yield locked
    finally:
        os.close(handle)


@contextlib.contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """A folder inside another, removed in the end; after a kill, by whoever gets the lock."""
    with tempfile.TemporaryDirectory(
        prefix=LEFTOVER, dir=folder, ignore_cleanup_errors=True
    ) as path:
        yield Path(path)


def tidy(folder: Path) -> None:
    """Remove leftovers of a folder, if there are any and no process works in it."""
    with contextlib.suppress(OSError):
        if _leftovers(folder):
            with exclusive(folder, "", wait=False):
                pass


def _lock(handle: int, folder: Path, purpose: str, *, wait: bool) -> bool:
    try:
        return lock(handle)
    except BlockingIOError:
        if not wait:
            return False
        message = f"jaxode: waiting for another process that {purpose} in {folder}"
        print(message, file=sys.stderr, flush=True)
        return lock(handle, wait=True)


def _leftovers(folder: Path) -> list[Path]:
    # Of subfolders only those named after a set: this may be a folder with other things in it.
    patterns = (f"{LEFTOVER}*", *(f"{name}/{_OF_TFDS}" for name in SPECS))
    return [path for pattern in patterns for path in folder.glob(pattern) if path.is_dir()]


def _sweep(folder: Path) -> None:
    for path in _leftovers(folder):
        shutil.rmtree(path, ignore_errors=True)  # refuses links
