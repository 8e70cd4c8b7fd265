"""The meta data of a checkpoint: digests of its files and of themselves, and their form."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

from jaxode.bounded_files import open_regular, read_bounded
from jaxode.checks import shown
from jaxode.runs.checkpoint_folder import META, META_BYTES
from jaxode.strict_json import loads_object, need

FORMAT = 4
HISTORY_INSIDE = 3
"""The format in which each checkpoint held a copy of its history."""


class DamagedError(Exception):
    """The checkpoint cannot be trusted."""


def file_digest(path: Path, limit: float = math.inf) -> str | None:
    """SHA-256 of a regular file; None where there is none, or one of more than `limit` bytes."""
    try:
        with open_regular(path) as file:
            small = os.fstat(file.fileno()).st_size <= limit
            return hashlib.file_digest(file, "sha256").hexdigest() if small else None
    except (OSError, ValueError):  # ValueError: a name with NUL
        return None


def file_digests(directory: Path) -> dict[str, str | None]:
    """SHA-256 of every file below a directory."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): file_digest(path) for path in files}


def compare_files(directory: Path, digests: dict[str, str], limit: int) -> None:
    """Compare files with their digests.

    Args:
        directory: of the files.
        digests: SHA-256 of each file, by its path in the directory.
        limit: no file may have more bytes.

    Raises:
        DamagedError: a file differs, is missing or too large.
    """
    for path, expected in digests.items():
        actual = file_digest(directory / path, limit)
        if actual != expected:
            problem = "differs from its digest" if actual else "is missing or too large"
            raise DamagedError(f"its file {path} {problem}")


def read_meta(path: Path) -> dict[str, Any]:
    """The content of a meta.json. Raises DamagedError."""
    try:
        text = read_bounded(path, META_BYTES)
    except (OSError, ValueError) as error:
        raise DamagedError(f"its {META} is not readable") from error
    return checked(unsealed(text))


def sealed(content: dict[str, Any]) -> str:
    """JSON text of the content beside the digest of that text."""
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return json.dumps(
        {"sha256": hashlib.sha256(text.encode()).hexdigest(), "content": content}, sort_keys=True
    )


def unsealed(text: str | bytes) -> dict[str, Any]:
    """The inverse of `sealed`. Raises DamagedError."""
    try:
        outer = loads_object(text, META)
        content, expected = need(outer, "content", dict, META), need(outer, "sha256", str, META)
    except ValueError as error:
        raise DamagedError(f"its {error}") from error
    if hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest() != expected:
        raise DamagedError("its meta.json differs from its digest")
    return content


def checked(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a meta.json, which has what every checkpoint has. Raises DamagedError."""
    try:
        form = need(content, "format", int, META)
        if form not in (HISTORY_INSIDE, FORMAT):
            raise ValueError(f"format is {form}, this program reads {HISTORY_INSIDE} and {FORMAT}")
        need(content, "state_sha256", str, META)
        for name, value in need(content, "files_sha256", dict, META).items():
            inside = name and not Path(name).is_absolute() and ".." not in Path(name).parts
            if not (inside and isinstance(value, str)):
                allowed = "digests of the checkpoint's files"
                raise ValueError(f"{META}: files_sha256 must be {allowed}, got {shown(name)}")
        if form == FORMAT:
            history = need(content, "history", dict, META)
            need(history, "sha256", str, f"{META}: history")
            if need(history, "epochs", int, f"{META}: history") < 0:
                epochs = history["epochs"]
                raise ValueError(f"{META}: epochs of the history must be at least 0, got {epochs}")
        else:
            need(content, "history", list, META)
    except ValueError as error:
        raise DamagedError(f"its {error}") from error
    return content
