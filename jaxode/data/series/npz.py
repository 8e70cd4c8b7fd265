"""NumPy's .npz files of numbers and words, bounded by what they announce before they are read."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np

from jaxode.checks import one_line, shown
from jaxode.data import archives
from jaxode.data.specs import DataError

MOST_MEMBERS = 100

KINDS = "biufU"
"""Booleans, numbers and words of fixed lengths; nothing that a pickle would have to make."""


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
                arrays[name] = _array(archives.contents(archive, member.filename, most))
            except Exception as error:  # what zipfile and NumPy raise on damaged bytes
                raise DataError(f"{path}: {shown(name)} is no array: {one_line(error)}") from error
    return arrays


def _array(contents: bytes) -> np.ndarray:
    """The array of a .npy file, if its header announces as many bytes as there are."""
    stream = io.BytesIO(contents)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"its version is {version}")
    if version == (1, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        shape, by_columns, dtype = np.lib.format.read_array_header_2_0(stream)
    if dtype.kind not in KINDS or dtype.itemsize == 0:
        raise ValueError(f"it must be of numbers or words, and is of {dtype}")
    start = stream.tell()
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size != len(contents) - start:
        raise ValueError(f"it announces {shape} of {dtype} and has {len(contents) - start} bytes")
    array = np.frombuffer(contents, dtype, offset=start).astype(dtype.newbyteorder("="))
    if dtype.kind == "U":
        array.tolist()  # raises where a character is none
    return array.reshape(shape, order="F" if by_columns else "C")
