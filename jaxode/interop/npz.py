"""NumPy's .npz files from outside, bounded by what their headers announce before they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

MOST_MEMBERS = 10_000


SETTINGS = "jaxode.json"
"""A member in which jaxode keeps a model's settings; NumPy returns its bytes."""


def read_npz(path: Path, most: int) -> tuple[dict[str, np.ndarray], bytes | None]:
    """The arrays of numbers in an .npz file, by name, and the settings that jaxode stored.

    `numpy.load` would allocate what a member's header announces before it reads the member.

    Args:
      path: of the file.
      most: bytes that all members together may unpack to.

    Raises:
      ValueError: it is no .npz file of numbers, or too large.
    """
    # Here, because the data package brings its libraries.
    from jaxode.data import archives
    from jaxode.data.npy import array_of

    arrays: dict[str, np.ndarray] = {}
    settings = None
    with archives.opened(path) as archive:
        members = archive.infolist()
        if len(members) > MOST_MEMBERS:
            raise ValueError(f"it has {len(members)} members, more than {MOST_MEMBERS}")
        size = sum(member.file_size for member in members)
        if size > most:
            raise ValueError(f"it unpacks to {size} bytes, more than {most}")
        for member in members:
            if member.filename == SETTINGS:
                settings = archives.contents(archive, SETTINGS, most)
                continue
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"{ascii(name)[:100]} is in it twice")
            try:
                arrays[name] = array_of(archives.contents(archive, member.filename, most))
            except Exception as error:  # what zipfile and NumPy raise on damaged bytes
                raise ValueError(f"{ascii(name)[:100]} is no array: {error}") from error
    return arrays, settings
