"""Builders of our own for TensorFlow Datasets: NumPy parses, no TensorFlow is needed.

A record holds a block of images, so that sixty thousand are written in seconds and read back in
one.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxode.data.specs import Arrays, DatasetSpec

BLOCK = 500
"""Images in a record."""

_AT_ONCE = 64
"""Records that are read together."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that TFDS logs whenever a set is not prepared yet."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class ImageBlocks(tfds.core.GeneratorBasedBuilder):
    """A builder of one of our data sets; its name on disk is that of the data set."""

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {  # noqa: RUF012
        "1.1.0": "Blocks of images and labels; a checksum of each split."
    }

    def __init__(self, spec: DatasetSpec, data_dir: Path) -> None:
        """The set `spec`, kept in data_dir/<set>/<version>."""
        self.spec = spec
        setattr(self, "name", spec.name)  # noqa: B010  TFDS declares one name a class
        self._splits: dict[str, Arrays] = {}
        self._originals: dict[str, str] = {}
        with quiet():
            super().__init__(data_dir=str(data_dir), file_format="array_record")

    @property
    def recorded(self) -> dict[str, Any]:
        """The checksums that `write` stored: of each split and, by name, of the original files."""
        return dict(self.info.metadata or {})

    def write(self, splits: dict[str, Arrays], checksums: dict[str, str], downloads: Path) -> None:
        """Write the arrays of each split. Takes a second or two.

        `checksums` of original files are kept beside them; TFDS wants a folder for downloads that
        never come.
        """
        self._splits, self._originals = splits, checksums
        tfds.disable_progress_bar()
        # TFDS prints to stdout, which belongs to results.
        with quiet(), contextlib.redirect_stdout(io.StringIO()):
            self.download_and_prepare(download_dir=str(downloads))

    def read(self) -> dict[str, Arrays]:
        """All images and labels of every split, in the order written."""
        with quiet():
            return {split: _read_split(self, split) for split in self.info.splits}

    def _info(self) -> tfds.core.DatasetInfo:
        side, channels = self.spec.image_size, self.spec.channels
        features = tfds.features.FeaturesDict(
            {
                "images": tfds.features.Tensor(
                    shape=(None, side, side, channels),
                    dtype=np.dtype(self.spec.stored_dtype),
                    encoding=tfds.features.Encoding.BYTES,
                ),
                "labels": tfds.features.Tensor(shape=(None,), dtype=np.int32),
            }
        )
        metadata = tfds.core.MetadataDict()
        return tfds.core.DatasetInfo(
            builder=self, features=features, disable_shuffling=True, metadata=metadata
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, np.ndarray]]]]:
        del dl_manager
        assert self.info.metadata is not None
        self.info.metadata.update(
            {split: checksum(arrays) for split, arrays in self._splits.items()}
        )
        self.info.metadata["originals"] = self._originals
        return {split: self._generate_examples(*arrays) for split, arrays in self._splits.items()}

    def _generate_examples(
        self, images: np.ndarray, labels: np.ndarray
    ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for start in range(0, len(images), BLOCK):
            stop = start + BLOCK
            yield start // BLOCK, {"images": images[start:stop], "labels": labels[start:stop]}


def checksum(arrays: Arrays) -> str:
    """SHA-256 of the bytes of images and labels."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _read_split(builder: ImageBlocks, split: str) -> Arrays:
    # TFDS decorates this method.
    source: Any = builder.as_data_source(split)  # pyright: ignore[reportCallIssue]
    blocks = []
    # A damaged length ends at the first record that is not there.
    for start in range(0, len(source), _AT_ONCE):
        blocks += source.__getitems__(list(range(start, min(start + _AT_ONCE, len(source)))))
    images = np.concatenate([block["images"] for block in blocks])
    return images, np.concatenate([block["labels"] for block in blocks]).astype(np.int32)
