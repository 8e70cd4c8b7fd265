"""The history of a run: a file of JSON lines that only grows, known by their number and digest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from jaxode.bounded_files import open_regular, read_bounded
from jaxode.runs.files import write_whole
from jaxode.strict_json import loads_object, read_objects

HISTORY, METRICS = "history.jsonl", "metrics.jsonl"
"""The files that hold it: beside the checkpoints, to go on from, and for people."""

LINE_BYTES = 1 << 20
"""More than any line: an epoch takes less than a kilobyte, and some 20 bytes for each block."""

FILE_BYTES = 1 << 30
"""More than any file: a million epochs."""

SECONDS = ("train_seconds", "eval_seconds", "compile_seconds")
NUMBERS = ("loss", "test_loss", "images_per_second", *SECONDS)
"""Of every line; all others but LISTS are numbers or null."""

LISTS = ("nfe_per_block",)
"""What holds a number for each block."""

History = list[dict[str, Any]]

APPENDING = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK


def encoded(record: dict[str, Any]) -> bytes:
    """The line of an epoch."""
    return json.dumps(record, allow_nan=False).encode() + b"\n"


class HistoryFile:
    """A file that holds a history, a line an epoch, and is appended to.

    The first writing of a process makes sure of what earlier ones have left there: a kill may leave
    half a line, or one of an epoch that has no checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count, self.size, self.digest = 0, 0, hashlib.sha256()
        self.sure = False

    def write(self, history: History) -> None:
        """Make the file hold this history, which begins as the last one. Raises OSError."""
        if len(history) < self.count:
            self.sure = False
        if not (self.sure and self._append(b"".join(map(encoded, history[self.count :])))):
            self._replace(history)
        self.count, self.sure = len(history), True

    def _append(self, lines: bytes) -> bool:
        """Append lines, or leave the file as it was; False if it is not the one last written."""
        try:
            descriptor = os.open(self.path, APPENDING)
        except OSError:
            return False
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size != self.size:
                return False
            self._put(descriptor, lines)
        finally:
            os.close(descriptor)
        self.digest.update(lines)
        self.size += len(lines)
        return True

    def _put(self, descriptor: int, lines: bytes) -> None:
        try:
            left = memoryview(lines)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, self.size)
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def _replace(self, history: History) -> None:
        """Write the file anew unless it holds this history already."""
        content = b"".join(map(encoded, history))
        if self.path.is_symlink() or not holds(self.path, history):
            write_whole(self.path, content)
        self.size, self.digest = len(content), hashlib.sha256(content)


def agrees(path: Path, history: History) -> bool:
    """Whether a file holds this history, in any order of keys.

    Format 3 sorted the keys in one file.
    """
    try:
        return read_objects(path, FILE_BYTES) == history
    except (OSError, ValueError):
        return False


def holds(path: Path, history: History) -> bool:
    """Whether a file has the very bytes that this history is written as."""
    content = b"".join(map(encoded, history))
    try:
        return read_bounded(path, len(content)) == content
    except (OSError, ValueError):
        return False


def first_lines(path: Path, count: int, digest: str) -> History | None:
    """The first so many lines of a file; None unless they have this digest.

    Raises ValueError if they have it and are no history.
    """
    total, size, lines = hashlib.sha256(), 0, []
    try:
        with open_regular(path) as file:
            while len(lines) < count and size <= FILE_BYTES:
                lines.append(file.readline(LINE_BYTES))
                total.update(lines[-1])
                size += len(lines[-1])
                if not lines[-1].endswith(b"\n"):
                    return None
    except OSError:
        return None
    if len(lines) < count or total.hexdigest() != digest:
        return None
    return [loads_object(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]


def check(history: list[Any], where: object, *needed: str) -> None:
    """Raise ValueError, naming the line and the key, unless this is a history.

    Args:
        history: the lines.
        where: for the message.
        needed: names of numbers that every line must have beside NUMBERS: a task's monitor.
    """
    for number, line in enumerate(history, 1):
        place = f"{where}, epoch {number}"
        epoch = line.get("epoch") if isinstance(line, dict) else None
        if epoch != number or isinstance(epoch, bool):
            raise ValueError(f"{place}: epoch must be {number}, got {str(line)[:60]}")
        _check_numbers(line, place, needed)


def _check_numbers(line: dict[str, Any], place: str, needed: tuple[str, ...]) -> None:
    for key in (*NUMBERS, *needed):
        if not _is_number(line.get(key)):
            found = str(line.get(key, "none"))[:60]
            raise ValueError(f"{place}: {key} must be a number, got {found}")
    for key in line.keys() - set(LISTS):
        if line.get(key) is not None and not _is_number(line[key]):
            raise ValueError(f"{place}: {key} must be a number or null, got {str(line[key])[:60]}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
