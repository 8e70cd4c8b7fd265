"""From the bytes of original files to arrays. Nothing is unpickled; every length is checked."""

from __future__ import annotations

import gzip
import zlib

import numpy as np

from jaxode.data.specs import DataError, DatasetSpec

_IDX_TYPES = {0x08: np.dtype(">u1"), 0x0C: np.dtype(">i4")}


def gunzip(packed: bytes, name: str) -> bytes:
    """Contents of a gzip file. Raises DataError if it is truncated or broken."""
    try:
        return gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{name} is not a whole gzip file: {error}") from error


def idx(raw: bytes, name: str) -> np.ndarray:
    """Array of an IDX file: two zero bytes, a type, a rank, the sizes, the numbers, all big-endian.

    Raises DataError on another type, or a length that is not the one announced.
    """
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _IDX_TYPES:
        raise DataError(f"{name} is not an IDX file of bytes or integers: it begins with {raw[:4].hex(' ')!r}")
    dtype, rank = _IDX_TYPES[raw[2]], raw[3]
    start = 4 + 4 * rank
    shape = tuple(int(n) for n in np.frombuffer(raw[4:start].ljust(4 * rank, b"\0"), ">u4"))
    expected = start + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if len(raw) != expected:
        raise DataError(f"{name} announces {shape}, which takes {expected} bytes, but holds {len(raw)}")
    return np.frombuffer(raw, dtype, offset=start).reshape(shape)


def idx_pair(images: bytes, labels: bytes, spec: DatasetSpec, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, H, W, 1] and int32 [N] from the IDX bytes of images and labels.

    Labels of rank two (QMNIST) hold the class in their first column. Raises DataError if the two do not fit.
    """
    pixels, classes = idx(images, names[0]), idx(labels, names[1])
    side = spec.image_size
    if pixels.ndim != 3 or pixels.shape[1:] != (side, side) or pixels.dtype.itemsize != 1:
        raise DataError(f"{names[0]} must hold {side} x {side} images of bytes, found shape {pixels.shape}")
    if classes.ndim == 2:
        classes = classes[:, 0]
    if classes.shape != pixels.shape[:1]:
        raise DataError(f"{names[1]} has {len(classes)} labels for the {len(pixels)} images of {names[0]}")
    return pixels.astype(np.uint8)[..., None], _checked(classes, spec, names[1])


def cifar(raw: bytes, spec: DatasetSpec, name: str) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, H, W, 3] and int32 [N] from CIFAR's binary records: label bytes, then red, green and blue planes."""
    side, head = spec.image_size, spec.label_bytes
    record = head + side * side * spec.channels
    if not raw or len(raw) % record:
        raise DataError(f"{name} must hold records of {record} bytes, found {len(raw)} bytes")
    rows = np.frombuffer(raw, np.uint8).reshape(-1, record)
    images = rows[:, head:].reshape(-1, spec.channels, side, side).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), _checked(rows[:, head - 1], spec, name)


def _checked(labels: np.ndarray, spec: DatasetSpec, name: str) -> np.ndarray:
    labels = labels.astype(np.int32)
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < spec.classes:
        raise DataError(f"{name} must hold classes 0 to {spec.classes - 1}, found {labels.min()} to {labels.max()}")
    return labels
