"""TensorFlow Datasets builders of our own: they parse original files with NumPy and need no TensorFlow.

A record holds a block of images, so that sixty thousand are written in seconds and read back in one.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxode.data.specs import DataError, DatasetSpec

Arrays = tuple[np.ndarray, np.ndarray]
"""Images [N, H, W, C], uint8 or a radar's float32, and labels int32 [N]."""

BLOCK = 500
"""Images in a record."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that TFDS logs whenever a set is not prepared yet."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class ImageBlocks(tfds.core.GeneratorBasedBuilder):
    """A builder of one of our data sets; its name on disk is the set's."""

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {"1.1.0": "Blocks of images and labels; a checksum of each split."}  # noqa: RUF012

    def __init__(self, spec: DatasetSpec, data_dir: Path) -> None:
        """The set `spec`, kept in data_dir/<set>/<version>."""
        self.spec = spec
        setattr(self, "name", spec.name)  # noqa: B010  TFDS declares one name a class
        self._source: Callable[[], dict[str, Arrays]] | None = None
        self._originals: dict[str, str] = {}
        with _quiet():
            super().__init__(data_dir=str(data_dir), file_format="array_record")

    @property
    def ready(self) -> bool:
        """Whether the set has been prepared."""
        with _quiet():
            return self.is_prepared()

    @property
    def recorded(self) -> dict[str, str]:
        """The checksums that `prepare` was given."""
        return dict((self.info.metadata or {}).get("originals", {}))

    def prepare(self, source: Callable[[], dict[str, Arrays]], checksums: dict[str, str]) -> None:
        """Write the arrays that `source` gives for each split; whole, or not at all. Takes a second or two.

        `checksums` of original files are kept beside them. Raises DataError if the folder cannot be written.
        """
        self._source, self._originals = source, checksums
        tfds.disable_progress_bar()
        try:
            # TFDS prints to stdout, which belongs to results, and wants a folder for downloads that never come.
            with _quiet(), contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as downloads:
                self.download_and_prepare(download_dir=downloads)
        except OSError as error:
            if not self.ready:  # else another run has finished the same set meanwhile
                raise DataError(f"{self.spec.name} cannot be prepared in {self.data_dir}: {error.strerror}") from error

    def read(self) -> dict[str, Arrays]:
        """All images and labels of every split, in the order written. Raises DataError if they are damaged."""
        again = f"delete {self.data_dir} to have it prepared again"
        try:
            splits = {split: _read_split(self, split) for split in self.info.splits}
        except Exception as error:  # whatever a reader of records meets in damaged bytes
            raise DataError(f"the prepared set in {self.data_dir} cannot be read: {again}") from error
        for split, arrays in splits.items():
            if _checksum(arrays) != (self.info.metadata or {}).get(split):
                raise DataError(f"the prepared set in {self.data_dir} has changed since it was written: {again}")
        return splits

    def _info(self) -> tfds.core.DatasetInfo:
        side, channels = self.spec.image_size, self.spec.channels
        features = tfds.features.FeaturesDict(
            {
                "images": tfds.features.Tensor(
                    shape=(None, side, side, channels), dtype=self.spec.stored, encoding=tfds.features.Encoding.BYTES
                ),
                "labels": tfds.features.Tensor(shape=(None,), dtype=np.int32),
            }
        )
        metadata = tfds.core.MetadataDict()
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True, metadata=metadata)

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, np.ndarray]]]]:
        del dl_manager
        assert self._source is not None
        splits = self._source()
        assert self.info.metadata is not None
        self.info.metadata.update({split: _checksum(arrays) for split, arrays in splits.items()})
        self.info.metadata["originals"] = self._originals
        return {split: self._generate_examples(*arrays) for split, arrays in splits.items()}

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        for start in range(0, len(images), BLOCK):
            stop = start + BLOCK
            yield start // BLOCK, {"images": images[start:stop], "labels": labels[start:stop]}


def _checksum(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _read_split(builder: ImageBlocks, split: str) -> Arrays:
    source: Any = builder.as_data_source(split)  # pyright: ignore[reportCallIssue]  (TFDS decorates it)
    blocks = source.__getitems__(list(range(len(source))))
    images = np.concatenate([block["images"] for block in blocks])
    return images, np.concatenate([block["labels"] for block in blocks]).astype(np.int32)
