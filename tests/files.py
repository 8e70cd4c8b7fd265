"""Small data sets in the real formats, written by the tests that need them."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import struct
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from jaxode.data.registry import SPECS
from jaxode.data.specs import DatasetSpec, SourceFile


def small_cifar(label_bytes: int) -> DatasetSpec:
    """CIFAR-10 with that many label bytes a record."""
    return dataclasses.replace(SPECS["cifar10"], label_bytes=label_bytes)


def idx_bytes(array: np.ndarray) -> bytes:
    """An IDX file of bytes or 32-bit integers."""
    code = {1: 0x08, 4: 0x0C}[array.dtype.itemsize]
    head = struct.pack(">BBBB", 0, 0, code, array.ndim) + struct.pack(
        f">{array.ndim}I", *array.shape
    )
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def described(name: str, contents: bytes, url: str | None = None) -> SourceFile:
    """A source file that expects exactly these contents."""
    return SourceFile(name, len(contents), "sha256:" + hashlib.sha256(contents).hexdigest(), url)


def write_idx_set(folder: Path, train: int = 30, test: int = 20, url: str = "") -> DatasetSpec:
    """Write a small MNIST to the folder; returns its spec, with checksums."""
    rng = np.random.default_rng(3)
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for split, prefix, count in (("train", "train", train), ("test", "t10k", test)):
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count).astype(np.uint8)
        named = {f"{prefix}-images-idx3-ubyte.gz": pixels, f"{prefix}-labels-idx1-ubyte.gz": labels}
        packed = {name: gzip.compress(idx_bytes(array), mtime=0) for name, array in named.items()}
        for name, contents in packed.items():
            (folder / name).write_bytes(contents)
        files[split] = tuple(
            described(name, contents, url + name) for name, contents in packed.items()
        )
    return dataclasses.replace(
        SPECS["mnist"],
        train_files=files["train"],
        test_files=files["test"],
        train_images=train,
        test_images=test,
    )


def write_cifar_set(
    folder: Path, *, archived: bool, train: int = 30, test: int = 20
) -> DatasetSpec:
    """Write a small CIFAR-10, as its folder of batches or as its tar archive; returns its spec,
    with checksums.
    """
    rng = np.random.default_rng(4)
    inner = folder / "cifar-10-batches-bin"
    inner.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, count in (("data_batch_1.bin", train), ("test_batch.bin", test)):
        rows = rng.integers(0, 256, (count, 3073), dtype=np.uint8)
        rows[:, 0] %= 10
        (inner / name).write_bytes(rows.tobytes())
        files[name] = described(name, rows.tobytes())
    archive = None
    if archived:
        path = folder / "cifar-10-binary.tar.gz"
        with tarfile.open(path, "w:gz") as tar:
            tar.add(inner, inner.name)
        for batch in inner.iterdir():
            batch.unlink()
        inner.rmdir()
        archive = described(path.name, path.read_bytes())
    return dataclasses.replace(
        SPECS["cifar10"],
        train_files=(files["data_batch_1.bin"],),
        test_files=(files["test_batch.bin"],),
        train_images=train,
        test_images=test,
        archive=archive,
    )


def write_folders_set(folder: Path, each: int = 2) -> DatasetSpec:
    """Write pictures in a folder a class, three of the ASL alphabet's; returns its spec."""
    spec = dataclasses.replace(
        SPECS["asl_alphabet"], class_names=("A", "del", "space"), image_size=16
    )
    for label, name in enumerate(spec.class_names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            Image.new("RGB", (20, 20), (80 * label, 10 * number, 0)).save(
                folder / name / f"{number}.png"
            )
    return spec
