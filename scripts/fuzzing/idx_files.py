"""Hostile IDX files: damaged inside or outside of the gzip, or with a false header.

What is accepted is compared with the numbers behind the header.
"""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from jaxode.data import parse
from jaxode.data.registry import SPECS
from jaxode.data.specs import DataError
from scripts.fuzzing.damage import BYTES
from scripts.fuzzing.verdict import Case, of_call

SIDE = 28
MOST = 1 << 20
"""Bytes that a file may unpack to, as a set's loading bounds them."""


def packed_idx(array: np.ndarray) -> bytes:
    """A gzip file of an IDX file of bytes."""
    head = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(head + array.tobytes(), mtime=0)


def hostile_idx(rng: Random) -> tuple[str, bytes]:
    """A header that announces what is not there, or a gzip file that unpacks to too much."""
    if rng.random() < 0.2:
        return "gzip of 512 MB of zeros", zeros_gzip(1 << 29)
    rank = rng.choice((0, 1, 2, 3, 255))
    sizes = [rng.choice((0, 1, 28, 2**16, 2**31, 2**32 - 1)) for _ in range(rank)]
    kind = rng.choice((8, 8, 12, 9, 0))
    head = struct.pack(">BBBB", 0, 0, kind, rank) + struct.pack(f">{rank}I", *sizes)
    raw = head[: rng.choice((len(head), len(head), 3, 5))] + rng.randbytes(rng.choice((0, 1, 784)))
    return f"IDX of kind {kind}, sizes {sizes[:4]}", gzip.compress(raw, mtime=0)


_ZEROS: dict[int, bytes] = {}


def zeros_gzip(size: int) -> bytes:
    """A gzip file of so many zeros, made once."""
    if size not in _ZEROS:
        target = io.BytesIO()
        with gzip.GzipFile(fileobj=target, mode="wb", mtime=0) as stream:
            for _ in range(size >> 24):
                stream.write(bytes(1 << 24))
        _ZEROS[size] = target.getvalue()
    return _ZEROS[size]


def same_pixels(images: bytes, labels: bytes) -> Callable[[Any], str]:
    """Compares what was read with what the bytes say when their header is left out."""

    def right(found: tuple[np.ndarray, np.ndarray]) -> str:
        pixels, classes = gzip.decompress(images)[16:], gzip.decompress(labels)[8:]
        good = found[0].tobytes() == pixels and found[1].astype(np.uint8).tobytes() == classes
        return "" if good else "other numbers than the file holds"

    return right


def cases(rng: Random, count: int, work: Path) -> Iterator[Case]:
    """Images and labels in IDX files, damaged inside or outside of the gzip."""
    numbers = np.random.default_rng(0)
    images = packed_idx(numbers.integers(0, 256, (9, SIDE, SIDE), dtype=np.uint8))
    labels = packed_idx(numbers.integers(0, 10, 9, dtype=np.uint8))
    path = work / "idx"
    for _ in range(count):
        which = rng.randrange(2)
        pair = [images, labels]
        if rng.random() < 0.3:
            done, pair[which] = hostile_idx(rng)
        else:
            inside = rng.random() < 0.5
            path.write_bytes(gzip.decompress(pair[which]) if inside else pair[which])
            done = rng.choice(BYTES)(rng, path) + (" inside the gzip" if inside else "")
            pair[which] = gzip.compress(path.read_bytes(), mtime=0) if inside else path.read_bytes()
        yield Case(f"{('images', 'labels')[which]}: {done}", lambda p=tuple(pair): of_call(
            lambda: read_idx(*p), (DataError,), same_pixels(*p)
        ))  # fmt: skip


def read_idx(images: bytes, labels: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Arrays of two packed IDX files, as a set's loading reads them."""
    names = ("images.gz", "labels.gz")
    raw = [
        parse.gunzip(packed, name, MOST)
        for packed, name in zip((images, labels), names, strict=True)
    ]
    return parse.idx_pair(raw[0], raw[1], SPECS["mnist"], names)
