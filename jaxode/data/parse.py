"""From the bytes of original files to arrays. Nothing is unpickled; every length is checked."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Sequence

import numpy as np

from jaxode.data.specs import Arrays, DataError, DatasetSpec

_MOST_COLUMNS = 8
"""Integers that QMNIST keeps of an image, the first of them its class."""

_IDX_TYPES = {0x08: np.dtype(">u1"), 0x0C: np.dtype(">i4")}


def gunzip(packed: bytes, name: str, most: int) -> bytes:
    """Contents of a gzip file.

    Raises DataError if it is not whole, or has more bytes than `most`.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
            contents = stream.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{name} is not a whole gzip file: {error}") from error
    if len(contents) > most:
        raise DataError(f"{name} must unpack to at most {most} bytes, and unpacks to more")
    return contents


def idx(raw: bytes, name: str) -> np.ndarray:
    """Array of an IDX file: two zero bytes, a type, a rank, the sizes, the numbers, all big-endian.

    Raises DataError on another type, a rank that no file of images or labels has, or a length that
    is not the one announced.
    """
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _IDX_TYPES:
        raise DataError(
            f"{name} is not an IDX file of bytes or integers: it begins with {raw[:4].hex(' ')!r}"
        )
    dtype, rank = _IDX_TYPES[raw[2]], raw[3]
    if not 1 <= rank <= 3:
        raise DataError(f"{name} must announce 1 to 3 sizes, found {rank}")
    start = 4 + 4 * rank
    shape = tuple(int(n) for n in np.frombuffer(raw[4:start].ljust(4 * rank, b"\0"), ">u4"))
    expected = start + math.prod(shape) * dtype.itemsize
    if len(raw) != expected or not math.prod(shape):
        raise DataError(
            f"{name} announces {shape}, which takes {expected} bytes, but holds {len(raw)}"
        )
    return np.frombuffer(raw, dtype, offset=start).reshape(shape)


def idx_set(
    contents: Sequence[bytes], spec: DatasetSpec, names: Sequence[str], count: int
) -> Arrays:
    """Arrays of `count` images from the contents of the files of images and labels.

    Packed with gzip or not. Raises DataError if they unpack to more than such a set takes, or are
    not what they should be.
    """
    most = (16 + count * spec.image_size**2, 12 + count * _MOST_COLUMNS * 4)
    images, labels = (
        raw if raw[:2] == b"\0\0" else gunzip(raw, name, limit)
        for raw, name, limit in zip(contents, names, most, strict=True)
    )
    return idx_pair(images, labels, spec, names)


def idx_pair(images: bytes, labels: bytes, spec: DatasetSpec, names: Sequence[str]) -> Arrays:
    """uint8 [N, H, W, 1] and int32 [N] from the IDX bytes of images and labels.

    Labels of rank two (QMNIST) hold the class in their first column. Raises DataError if the two do
    not fit.
    """
    pixels, classes = idx(images, names[0]), idx(labels, names[1])
    side = spec.image_size
    if pixels.ndim != 3 or pixels.shape[1:] != (side, side) or pixels.dtype.itemsize != 1:
        raise DataError(
            f"{names[0]} must hold {side} x {side} images of bytes, found shape {pixels.shape}"
        )
    if classes.ndim == 2:
        classes = classes[:, 0]
    if classes.ndim != 1:
        raise DataError(f"{names[1]} must hold a label for each image, found shape {classes.shape}")
    if len(classes) != len(pixels):
        raise DataError(
            f"{names[1]} has {len(classes)} labels for the {len(pixels)} images of {names[0]}"
        )
    return pixels.astype(np.uint8)[..., None], _checked(classes, spec, names[1])


def cifar(raw: bytes, spec: DatasetSpec, name: str) -> Arrays:
    """Images uint8 [N, H, W, 3] and labels int32 [N] from CIFAR's binary records.

    A record holds label bytes, then red, green and blue planes.
    """
    side, head = spec.image_size, spec.label_bytes
    record = head + side * side * spec.channels
    if not raw or len(raw) % record:
        raise DataError(f"{name} must hold records of {record} bytes, found {len(raw)} bytes")
    rows = np.frombuffer(raw, np.uint8).reshape(-1, record)
    images = rows[:, head:].reshape(-1, spec.channels, side, side).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), _checked(rows[:, head - 1], spec, name)


def cifar_set(
    contents: Sequence[bytes], spec: DatasetSpec, names: Sequence[str], count: int
) -> Arrays:
    """Arrays of a split from the contents of its files, in their order.

    Raises DataError if a file is not what it should be.
    """
    parts = [cifar(raw, spec, name) for raw, name in zip(contents, names, strict=True)]
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _checked(labels: np.ndarray, spec: DatasetSpec, name: str) -> np.ndarray:
    labels = labels.astype(np.int32)
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < spec.classes:
        raise DataError(
            f"{name} must hold classes 0 to {spec.classes - 1}, found {labels.min()} to"
            f" {labels.max()}"
        )
    return labels
