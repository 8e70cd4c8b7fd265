"""NumPy's .npz files of numbers and words, bounded by what they announce before they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxode.checks import one_line, shown
from jaxode.data import archives
from jaxode.data.npy import NUMBERS, WORDS, array_of
from jaxode.data.specs import DataError

MOST_MEMBERS = 100


def read_npz(path: Path, most: int) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, by name.

    `numpy.load` would allocate what a member's header announces before it reads the member.

    Args:
      path: of the file.
      most: bytes that all members together may unpack to.

    Raises:
      OSError: there is no such file.
      DataError: it is damaged, too large, or holds anything but booleans, numbers and words.
    """
    path.stat()  # or a missing file would be a damaged one
    arrays: dict[str, np.ndarray] = {}
    with archives.opened(path) as archive:
        members = archive.infolist()
        if len(members) > MOST_MEMBERS:
            raise DataError(f"{path} has {len(members)} members, more than {MOST_MEMBERS}")
        size = sum(member.file_size for member in members)
        if size > most:
            raise DataError(f"{path} unpacks to {size} bytes, more than {most}")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise DataError(f"{path}: {shown(name)} is in it twice")
            try:
                arrays[name] = array_of(
                    archives.contents(archive, member.filename, most), NUMBERS + WORDS
                )
            except Exception as error:  # what zipfile and NumPy raise on damaged bytes
                raise DataError(f"{path}: {shown(name)} is no array: {one_line(error)}") from error
    return arrays
