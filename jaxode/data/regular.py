"""Regular files alone: no pipe, which keeps its reader waiting, no device, no folder; and bounded."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path


def descriptor(path: str | os.PathLike[str], flags: int = os.O_RDONLY) -> int:
    """A file descriptor for reading, as an `opener`. Raises OSError if the path is no regular file."""
    # Without O_NONBLOCK, opening a pipe waits for somebody who writes into it.
    found = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(found).st_mode
    if stat.S_ISREG(mode):
        return found
    os.close(found)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "Not a regular file", str(path))


def opened(path: Path) -> io.BufferedReader:
    """The file for reading. Raises OSError if it is no regular file."""
    return io.BufferedReader(io.FileIO(path, opener=descriptor))


def contents(path: Path, most: int) -> bytes:
    """All bytes of a file. Raises OSError if it is no regular file or has more than `most`."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        read = file.read(most + 1) if size <= most else b""
    found = max(size, len(read))
    if found > most:
        raise OSError(errno.EFBIG, f"it has {found} bytes, more than {most}", str(path))
    return read


def printable(name: str | os.PathLike[str], most: int = 200) -> str:
    """A name for a message: on one line, escaped where it is no UTF-8, its end alone if it is long."""
    text = os.fspath(name)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= most else "..." + text[3 - most :]
