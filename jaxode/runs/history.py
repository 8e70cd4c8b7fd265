"""The history of a run: a file of JSON lines that only grows, known by their number and digest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import stat
from pathlib import Path
from typing import Any, NamedTuple

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

    The first writing of a process compares the file with what it should hold: a kill may leave half
    a line, or one of an epoch that has no checkpoint.

    Args:
        path: of the file, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count, self.size, self.digest = 0, 0, hashlib.sha256()
        self.verified = False
        """Whether the file was last seen with exactly `count` lines."""

    def read(self, count: int, digest: str) -> History | None:
        """The first so many lines, with the arguments and errors of `first_lines`.

        If the file has no other lines, the next `write` appends to it without reading it again.
        """
        content = _first_bytes(self.path, count)
        if content is None or hashlib.sha256(content.lines).hexdigest() != digest:
            return None
        history = _decoded(content.lines, self.path)
        self.count, self.size = count, len(content.lines)
        self.digest, self.verified = hashlib.sha256(content.lines), content.at_end
        return history

    def write(self, history: History) -> None:
        """Make the file hold this history, which begins as the last one.

        Raises:
            OSError: the file could not be written; it has whole lines still.
        """
        if len(history) < self.count:
            self.verified = False
        lines = b"".join(map(encoded, history[self.count :]))
        if not (self.verified and self._append(lines)):
            self._replace(history)
        self.count, self.verified = len(history), True

    def _append(self, lines: bytes) -> bool:
        """Append lines, or leave the file as it was; False if it is not the one last written."""
        try:
            descriptor = os.open(self.path, APPENDING)
        except OSError:
            return False
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size != self.size:
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


class _FirstBytes(NamedTuple):
    """The first lines of a file, and whether it has no others."""

    lines: bytes
    at_end: bool


def _first_bytes(path: Path, count: int) -> _FirstBytes | None:
    """The first so many whole lines of a file; None if it has fewer, or they are too long."""
    lines: list[bytes] = []
    size = 0
    try:
        with open_regular(path) as file:
            while len(lines) < count and size <= FILE_BYTES:
                lines.append(file.readline(LINE_BYTES))
                size += len(lines[-1])
                if not lines[-1].endswith(b"\n"):
                    return None
            at_end = not file.read(1)
    except OSError:
        return None
    return _FirstBytes(b"".join(lines), at_end) if len(lines) == count else None


def _decoded(lines: bytes, path: Path) -> History:
    """The objects in lines of a file. Raises ValueError."""
    return [
        loads_object(line, f"{path}, line {number}")
        for number, line in enumerate(lines.split(b"\n")[:-1], 1)
    ]


def first_lines(path: Path, count: int, digest: str) -> History | None:
    """The first lines of a file.

    Args:
        path: of the file.
        count: how many lines.
        digest: SHA-256 of these lines.

    Returns:
        One object for each line, or None if the file has no such lines.

    Raises:
        ValueError: the lines have this digest and are no history.
    """
    content = _first_bytes(path, count)
    if content is None or hashlib.sha256(content.lines).hexdigest() != digest:
        return None
    return _decoded(content.lines, path)


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
