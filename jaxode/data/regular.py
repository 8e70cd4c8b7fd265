"""What a data set's files share: they are read within a bound, and named in one line."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from jaxode.bounded_files import descriptor as descriptor
from jaxode.bounded_files import open_regular as opened


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
    """A name for a message: on one line, escaped where it is no UTF-8, shortened if long."""
    text = os.fspath(name)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= most else "..." + text[3 - most :]
