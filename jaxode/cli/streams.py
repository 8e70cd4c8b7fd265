"""The standard streams of a command: always open, and never failing on a character."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from typing import Any, TextIO

STANDARD = (0, 1, 2)


class Forgiving(io.FileIO):
    """A file descriptor to write to, where an error loses what is written and nothing else.

    Results are on disk; what is printed besides must not end a run whose reader has gone (`| head
    -1`), whose terminal was closed, or whose log file has no room. The first error is kept.
    """

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write all data, waiting where the other side is slow; returns its length in bytes."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest:
                written = super().write(rest)
                if written is None:  # a pipe that does not block, and is full
                    select.select([], [self], [])
                    continue
                rest = rest[written:]
        except OSError as error:
            self.failure = self.failure or error
        return size


def open_missing() -> None:
    """Open /dev/null as every standard file descriptor that is closed.

    The lowest free number is given to the next file that is opened: without this, messages would be
    written into a checkpoint that happened to be opened as file descriptor 2.
    """
    for number in STANDARD:
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                os.set_inheritable(
                    os.open(os.devnull, os.O_RDWR), True
                )  # the lowest free number, which is this one


def forgiving(stream: TextIO | None, number: int) -> TextIO:
    """A text stream to a file descriptor that neither fails nor refuses a character.

    It takes the place of Python's own.
    """
    encoding = "utf-8"
    if stream is not None:
        encoding = stream.encoding or encoding
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    raw = Forgiving(number, "w", closefd=False)
    # What an encoding lacks (a minus sign in ASCII, half a path in UTF-8) is printed as \u2212
    # instead of raising.
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=number == 2 or raw.isatty(),
    )
    return made


def failure(stream: TextIO | None) -> OSError | None:
    """The first error of a stream made by `forgiving`, if any; a closed pipe is none."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    error = raw.failure if isinstance(raw, Forgiving) else None
    return None if error is None or error.errno == errno.EPIPE else error


def repair() -> None:
    """Make the standard streams of this process safe to print to; a second call changes nothing.

    Streams that someone has put in their place, as a test does, stay.
    """
    open_missing()
    if replaceable(sys.stdout, sys.__stdout__):
        sys.stdout = sys.__stdout__ = forgiving(sys.stdout, 1)
    if replaceable(sys.stderr, sys.__stderr__):
        sys.stderr = sys.__stderr__ = forgiving(sys.stderr, 2)


def replaceable(stream: TextIO | None, original: TextIO | None) -> bool:
    """Whether a stream is the one that Python made at its start, or is missing."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return stream is original and not isinstance(raw, Forgiving)


def flushed() -> OSError | None:
    """Write out what is buffered, and return the first error of stdout.

    The user has then seen nothing of the rest.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, RuntimeError, AttributeError):
            stream.flush()
    return failure(sys.stdout)
