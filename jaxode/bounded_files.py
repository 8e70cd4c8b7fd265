"""Reading regular files only, and no more of them than expected. Standard library only."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path


def descriptor(path: str | os.PathLike[str], flags: int = os.O_RDONLY) -> int:
    """A file descriptor for reading, as an `opener` of `open`.

    Args:
        path: of the file.
        flags: of `os.open`.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    # Without O_NONBLOCK, opening a FIFO waits for a process that writes into it.
    opened = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    mode = os.fstat(opened).st_mode
    if stat.S_ISREG(mode):
        return opened
    os.close(opened)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "Not a regular file", str(path))


def open_regular(path: Path) -> io.BufferedReader:
    """A regular file, open for reading.

    Args:
        path: of the file.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    return io.BufferedReader(io.FileIO(path, opener=descriptor))


def read_bounded(path: Path, limit: int) -> bytes:
    """The bytes of a regular file.

    Args:
        path: of the file.
        limit: the largest number of bytes.

    Raises:
        OSError: it cannot be read, or is no regular file.
        ValueError: there are more bytes.
    """
    with open_regular(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{path} has more than {limit:,} bytes")
    return content
