"""TensorFlow Datasets builders of our own: they parse original files with NumPy and need no TensorFlow.

A record holds a block of images, so that sixty thousand are written in seconds and read back in one.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxode.data.specs import DatasetSpec

Arrays = tuple[np.ndarray, np.ndarray]
"""Images uint8 [N, H, W, C] and labels int32 [N]."""

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

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version: blocks of images and labels."}  # noqa: RUF012

    def __init__(self, spec: DatasetSpec, data_dir: Path) -> None:
        """The set `spec`, kept in data_dir/<set>/<version>."""
        self.spec = spec
        setattr(self, "name", spec.name)  # noqa: B010  TFDS declares one name a class
        self._source: Callable[[], dict[str, Arrays]] | None = None
        with _quiet():
            super().__init__(data_dir=str(data_dir), file_format="array_record")

    @property
    def ready(self) -> bool:
        """Whether the set has been prepared."""
        with _quiet():
            return self.is_prepared()

    def prepare(self, source: Callable[[], dict[str, Arrays]]) -> None:
        """Write the arrays of "train" and "test" that `source` gives; whole, or not at all. Takes a second or two."""
        self._source = source
        tfds.disable_progress_bar()
        with _quiet(), contextlib.redirect_stdout(io.StringIO()):  # stdout belongs to results
            self.download_and_prepare()

    def _info(self) -> tfds.core.DatasetInfo:
        side, channels = self.spec.image_size, self.spec.channels
        features = tfds.features.FeaturesDict(
            {
                "images": tfds.features.Tensor(
                    shape=(None, side, side, channels), dtype=np.uint8, encoding=tfds.features.Encoding.BYTES
                ),
                "labels": tfds.features.Tensor(shape=(None,), dtype=np.int32),
            }
        )
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, np.ndarray]]]]:
        del dl_manager
        assert self._source is not None
        return {split: self._generate_examples(*arrays) for split, arrays in self._source().items()}

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        for start in range(0, len(images), BLOCK):
            stop = start + BLOCK
            yield start // BLOCK, {"images": images[start:stop], "labels": labels[start:stop]}


def read_split(builder: ImageBlocks, split: str) -> Arrays:
    """All images and labels of a prepared split, in the order written."""
    source: Any = builder.as_data_source(split)  # pyright: ignore[reportCallIssue]  (TFDS decorates it)
    blocks = source.__getitems__(list(range(len(source))))
    images = np.concatenate([block["images"] for block in blocks])
    return images, np.concatenate([block["labels"] for block in blocks]).astype(np.int32)
