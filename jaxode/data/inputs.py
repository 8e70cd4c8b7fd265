"""What lies where an original file is looked for, opened only if it is a regular file."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path

from jaxode.data import regular
from jaxode.data.specs import DataError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def first(paths: Iterable[Path]) -> Path | None:
    """The first of the paths that is a regular file or a link to one."""
    return next((path for path in paths if path.is_file()), None)


def refuse_others(paths: Iterable[Path]) -> None:
    """Raise DataError if one of the paths is there and is no regular file."""
    for path in paths:
        if os.path.lexists(path) and not path.is_file():
            raise DataError(f"{path} must be a file, and is {_kind(path)}")


def _kind(path: Path) -> str:
    try:
        return _KINDS.get(stat.S_IFMT(path.stat().st_mode), "none")
    except FileNotFoundError:
        return "a link to nothing"
    except OSError as error:
        return f"not to be opened ({error.strerror})"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """A regular file, open for reading. Raises DataError if it is none or cannot be read."""
    refuse_others([path])
    try:
        with regular.opened(path) as stream:
            yield stream
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def size_of(stream: BufferedReader) -> int:
    """Bytes of an open file."""
    return os.fstat(stream.fileno()).st_size
