"""Reading regular files only, and no more of them than expected. Standard library only."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path


def descriptor(path: str | os.PathLike[str], flags: int = os.O_RDONLY) -> int:
    """A file descriptor for reading, as an `opener`.

    Raises OSError if the path is no regular file.
    """
    # Without O_NONBLOCK, opening a FIFO waits for somebody who writes into it.
    found = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    mode = os.fstat(found).st_mode
    if stat.S_ISREG(mode):
        return found
    os.close(found)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "Not a regular file", str(path))


def open_regular(path: Path) -> io.BufferedReader:
    """The file for reading. Raises OSError if it is no regular file."""
    return io.BufferedReader(io.FileIO(path, opener=descriptor))


def read_bounded(path: Path, limit: int) -> bytes:
    """The bytes of a regular file.

    Raises OSError, and ValueError if there are more than `limit`.
    """
    with open_regular(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{path} has more than {limit:,} bytes")
    return content
