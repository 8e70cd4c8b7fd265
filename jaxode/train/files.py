"""Small text files that are always whole: written under another name, then renamed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write_whole(path: Path, data: str | bytes) -> None:
    """Put data into a file, or leave the file as it was. Raises OSError, which names the path."""
    raw = data.encode() if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.unfinished")
    try:
        temporary.write_bytes(raw)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Put a value into an indented JSON file; NaN and infinity, which JSON lacks, raise ValueError."""
    write_whole(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_lines(path: Path, values: list[dict[str, Any]]) -> None:
    """Put one JSON object a line into a file."""
    write_whole(path, "".join(json.dumps(value, allow_nan=False) + "\n" for value in values))


def make_writable(directory: Path) -> None:
    """Create a directory and try it with a small file. Raises OSError, which names the path."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=directory, prefix=".trial-") as trial:
        trial.write(bytes(4096))
        trial.flush()


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Keep other processes from training into a directory. Raises BlockingIOError if one does already.

    The system lets go of the lock when the process ends, however it ends.
    """
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(f"another process is training into {directory}") from None
        except OSError:  # a file system without locks: nothing can be known
            pass
        yield
    finally:
        os.close(handle)
