"""The images and labels of a data set, in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from jaxode.config import RunConfig
from jaxode.data.base import fingerprint_of
from jaxode.data.preprocessing import Views, view_shape, views
from jaxode.data.registry import SPECS
from jaxode.data.specs import DataError, DatasetSpec
from jaxode.data.streaming import Examples

Source = Literal["full", "sample"]


@dataclass(frozen=True)
class ImageSet:
    """Images and labels of both splits, of the classes and within the limits of some settings.

    Args:
      name: of the data set.
      source: "full", or "sample" for the bundled part.
      train_images: [N, H, W, C], uint8 or a radar's float32.
      train_labels: int32 [N].
      test_images: [M, H, W, C].
      test_labels: int32 [M].
      spec: facts of the data set.

    Raises:
      DataError: a split without images, or images without a label.

    Example:
      >>> import numpy as np
      >>> from jaxode.data import SPECS, ImageSet
      >>> images, labels = np.zeros((4, 28, 28, 1), np.uint8), np.zeros(4, np.int32)
      >>> data = ImageSet("mnist", "full", images, labels, images, labels, SPECS["mnist"])
      >>> sorted(data.splits["train"])
      ['image', 'label']
    """

    name: str
    source: Source
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    spec: DatasetSpec

    def __post_init__(self) -> None:
        parts = {
            "training": (
                self.train_images,
                self.train_labels,
                "--classes, --test-share or --limit-train",
            ),
            "test": (self.test_images, self.test_labels, "--classes, --test-share or --limit-test"),
        }
        for part, (images, labels, flags) in parts.items():
            if len(images) != len(labels):
                counts = f"{len(images)} {part} images and {len(labels)} labels of them"
                raise DataError(f"{self.name} has {counts}")
            if not len(images):
                left = f"{len(self.train_images)} for training, {len(self.test_images)} for test"
                what = f"{self.name} ({self.source}) has no {part} images"
                raise DataError(f"{what}: {left}; change {flags}")

    @property
    def whole(self) -> bool:
        """Whether every published image of these classes is there."""
        found, share = (
            len(self.train_labels) + len(self.test_labels),
            self.spec.classes / SPECS.get(self.name, self.spec).classes,
        )
        return found == round(share * (self.spec.train_images + self.spec.test_images))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all images and labels: equal for equal data, whichever way they came."""
        return fingerprint_of(
            (self.train_images, self.train_labels, self.test_images, self.test_labels)
        )

    @property
    def splits(self) -> dict[str, Examples]:
        """Images and labels of `train` and of `test`."""
        return {
            "train": {"image": self.train_images, "label": self.train_labels},
            "test": {"image": self.test_images, "label": self.test_labels},
        }

    def views(self, config: RunConfig) -> Views:
        """Crops, augmentations and normalisation, as the settings say."""
        return views(config, self.spec)

    def model_options(self, config: RunConfig) -> dict[str, Any]:
        """Shape of the images that a model is shown, and how many classes there are."""
        return {"image_shape": view_shape(config, self.spec), "classes": self.spec.classes}
