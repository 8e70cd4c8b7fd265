"""Small files that are always whole: written under another name, then renamed."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from jaxode.bounded_files import open_regular
from jaxode.runs.directory_lock import try_writing


def create(path: Path) -> BinaryIO:
    """A file open for writing where nothing was before, not even a symlink. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, 0o666), "wb")  # less the umask, as for any other file


@contextlib.contextmanager
def writing_whole(path: Path) -> Iterator[BinaryIO]:
    """Context with a file that replaces the one at a path when the context ends without an error.

    Args:
        path: of the file to be replaced, which need not exist.

    Raises:
        OSError: names the path.
    """
    # A name that cannot be guessed: another file or symlink of that name is neither followed nor
    # removed.
    temporary = path.with_name(f".{path.name}.unfinished-{secrets.token_hex(8)}")
    opened = create(temporary)
    try:
        with opened as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file, or leave it as it was.

    Args:
        path: of the file.
        data: its content; text is written as UTF-8.

    Raises:
        OSError: it could not be written; names the path.
    """
    with writing_whole(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def write_json(path: Path, value: object) -> None:
    """Write a value to an indented JSON file, or leave the file as it was.

    Args:
        path: of the file.
        value: a JSON value.

    Raises:
        OSError: it could not be written; names the path.
        ValueError: it has NaN or infinity.
    """
    write_whole(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def count_lines(path: Path) -> int:
    """The number of lines of a regular file, an unfinished one included; 0 if it cannot be read."""
    try:
        with open_regular(path) as file:
            chunks = itertools.islice(
                iter(lambda: file.read(1 << 20), b""), 1 << 10
            )  # of a gigabyte at most
            whole, last = 0, b"\n"
            for chunk in chunks:
                whole, last = whole + chunk.count(b"\n"), chunk[-1:]
    except OSError:
        return 0
    return whole + (last != b"\n")


def make_writable(directory: Path) -> None:
    """Create a directory and try to write into it.

    Args:
        directory: may exist.

    Raises:
        OSError: it cannot be made or written; names the path.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from jaxode.runs import make_writable
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     make_writable(Path(folder, "a", "b"))
        ...     Path(folder, "a", "b").is_dir()
        True
    """
    directory.mkdir(parents=True, exist_ok=True)
    try_writing(directory)
