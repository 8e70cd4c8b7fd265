"""The bytes of a .npy file as an array; its header is checked before anything is allocated."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np

from jaxode.checks import ConfigError, one_line
from jaxode.data import regular

MOST_BYTES = 2**33

NUMBERS = "biuf"
"""Kinds of types: booleans, whole and floating-point numbers."""

WORDS = "U"
"""Text of a fixed length."""


def array_of(contents: bytes, kinds: str = NUMBERS) -> np.ndarray:
    """The array of a .npy file, if its header announces as many bytes as there are.

    Args:
      contents: of the file.
      kinds: allowed kinds of types, by NumPy's letters; none that a pickle would have to make.

    Returns:
      A copy in the machine's order of bytes.

    Raises:
      ValueError: another version or type, or a header that does not fit; NumPy's own errors for a
        damaged one.

    Example:
      >>> import io
      >>> import numpy as np
      >>> from jaxode.data.npy import array_of
      >>> stream = io.BytesIO()
      >>> np.save(stream, np.arange(3))
      >>> array_of(stream.getvalue()).tolist()
      [0, 1, 2]
    """
    stream = io.BytesIO(contents)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"its version is {version}")
    if version == (1, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        shape, by_columns, dtype = np.lib.format.read_array_header_2_0(stream)
    if dtype.kind not in kinds or dtype.itemsize == 0:
        raise ValueError(f"it is of {dtype}")
    start = stream.tell()
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size != len(contents) - start:
        raise ValueError(f"it announces {shape} of {dtype} and has {len(contents) - start} bytes")
    array = np.frombuffer(contents, dtype, offset=start).astype(dtype.newbyteorder("="))
    if dtype.kind == WORDS:
        array.tolist()  # raises where a character is none
    return array.reshape(shape, order="F" if by_columns else "C")


def read_npy(path: Path, kinds: str = NUMBERS) -> np.ndarray:
    """The array of a .npy file.

    Args:
      path: of a regular file of at most `MOST_BYTES`.
      kinds: as of `array_of`.

    Raises:
      ConfigError: the file cannot be read, or is no array of these kinds.
    """
    try:
        return array_of(regular.contents(path, MOST_BYTES), kinds)
    except Exception as error:  # what NumPy raises on damaged bytes
        raise ConfigError(f"cannot read {path}: {one_line(error)}") from error
