"""Original bytes to arrays: what is right is read exactly, what is wrong is named."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc

import numpy as np
import pytest
from files import idx_bytes, small_cifar

from jaxode.data import parse
from jaxode.data.registry import SPECS
from jaxode.data.specs import DataError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_idx_reads_back_what_was_written(rng):
    pixels = rng.integers(0, 256, (5, 28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(parse.idx(idx_bytes(pixels), "x"), pixels)


def test_idx_integers_are_big_endian():
    np.testing.assert_array_equal(
        parse.idx(idx_bytes(np.array([[1, -2, 300]], np.int32)), "x"), [[1, -2, 300]]
    )


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x0d\x01" + bytes(8), "not an IDX file"),
        (b"PK\x03\x04" + bytes(8), "not an IDX file"),
        (struct.pack(">BBBBI", 0, 0, 8, 1, 10) + bytes(9), "announces"),
        (struct.pack(">BBBBI", 0, 0, 8, 1, 10) + bytes(11), "announces"),
        (b"\0\0\x08\x03\0\0", "announces"),
    ],
    ids=["empty", "doubles", "zip", "short", "long", "no sizes"],
)
def test_broken_idx_is_named(raw, words):
    with pytest.raises(DataError, match=f"thefile.*{words}"):
        parse.idx(raw, "thefile")


def test_a_truncated_gzip_is_named():
    with pytest.raises(DataError, match=r"labels\.gz is not a whole gzip"):
        parse.gunzip(gzip.compress(bytes(1000))[:-4], "labels.gz", 1000)


@pytest.mark.parametrize("extra", [1, 2**28])
def test_a_gzip_that_unpacks_to_more_than_its_images_is_cut_off(extra):
    spec, count = SPECS["mnist"], 2
    images = idx_bytes(np.zeros((count, 28, 28), np.uint8))
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=1) as stream:
        stream.write(images)
        for _ in range(0, extra, 2**22):
            stream.write(bytes(min(extra, 2**22)))
    labels = idx_bytes(np.zeros(count, np.uint8))
    tracemalloc.start()
    with pytest.raises(
        DataError, match=r"i\.gz must unpack to at most 1584 bytes, and unpacks to more"
    ):
        parse.idx_set((bomb.getvalue(), labels), spec, ("i.gz", "l"), count)
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()


@pytest.mark.parametrize(
    "raw",
    [
        b"\0\0\x08\xff" + b"\xff" * 4 * 255,
        b"\0\0\x0c\x03" + b"\xff" * 12,
        b"\0\0\x08\x03" + struct.pack(">III", 2**31, 2**31, 4),  # whose product is 0 modulo 2^64
        b"\0\0\x08\x03" + struct.pack(">III", 0, 2**32 - 1, 2**32 - 1),
        b"\0\0\x08\x02" + struct.pack(">II", 5, 0),
        b"\0\0\x08\x00\x01",
    ],
    ids=["rank 255", "largest", "overflow", "no images", "no columns", "rank 0"],
)
def test_sizes_that_no_file_has_are_named(raw):
    with pytest.raises(DataError, match=r"thefile (announces|must announce)"):
        parse.idx(raw, "thefile")


def test_labels_of_rank_two_hold_the_class_first(rng):
    images = rng.integers(0, 256, (4, 28, 28), dtype=np.uint8)
    table = np.stack([np.array([7, 0, 9, 3]), *rng.integers(0, 9999, (7, 4))], 1).astype(np.int32)
    pixels, labels = parse.idx_pair(idx_bytes(images), idx_bytes(table), SPECS["mnist"], ("i", "l"))
    assert pixels.shape == (4, 28, 28, 1)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, [7, 0, 9, 3])


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (np.zeros((3, 28, 28), np.uint8), np.zeros(4, np.uint8), "4 labels for the 3 images"),
        (np.zeros((3, 28, 27), np.uint8), np.zeros(3, np.uint8), "28 x 28"),
        (np.zeros((3, 28, 28), np.uint8), np.zeros((3, 2, 2), np.uint8), "a label for each image"),
        (np.zeros((3, 28, 28), np.uint8), np.full(3, 10, np.uint8), "classes 0 to 9"),
    ],
)
def test_images_and_labels_must_fit(images, labels, words):
    with pytest.raises(DataError, match=words):
        parse.idx_pair(idx_bytes(images), idx_bytes(labels), SPECS["mnist"], ("i", "l"))


@pytest.mark.parametrize("label_bytes", [1, 2])
def test_cifar_records_are_label_then_planes(rng, label_bytes):
    images = rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 10, 6).astype(np.uint8)
    raw = b"".join(
        b"\x63" * (label_bytes - 1) + bytes([label]) + image.transpose(2, 0, 1).tobytes()
        for image, label in zip(images, labels, strict=True)
    )
    spec = small_cifar(label_bytes)
    got_images, got_labels = parse.cifar(raw, spec, "batch")
    np.testing.assert_array_equal(got_images, images)
    np.testing.assert_array_equal(got_labels, labels)
    with pytest.raises(DataError, match="records of"):
        parse.cifar(raw[:-1], spec, "batch")


def test_a_cifar_label_out_of_range_is_named():
    with pytest.raises(DataError, match="classes 0 to 9"):
        parse.cifar(b"\x0a" + bytes(3072), small_cifar(1), "batch")
