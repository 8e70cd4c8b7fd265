"""Images of one size and their objects as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

if TYPE_CHECKING:
    from jaxode.data.streaming import Examples


@dataclass(frozen=True)
class BoxedImages:
    """N images on canvases of one size, each with at most M objects.

    Args:
      image: 8-bit RGB.
      extent: height and width of what each canvas shows; the rest is padding.
      boxes: in pixels of the canvas; zeros are padding.
      classes: of the objects, from 0; -1 is padding.
      difficult: objects that need not be found.
      names: of the images.

    Example:
      >>> import numpy as np
      >>> from jaxode.data.detection import BoxedImages
      >>> one = BoxedImages(
      ...     np.zeros((1, 8, 8, 3), np.uint8), np.full((1, 2), 8.0, np.float32),
      ...     np.zeros((1, 2, 4), np.float32), np.array([[0, -1]], np.int32),
      ...     np.zeros((1, 2), bool), ("cell",),
      ... )
      >>> len(one), one.objects, sorted(one.examples)
      (1, 1, ['boxes', 'classes', 'difficult', 'extent', 'image'])
    """

    image: UInt8[np.ndarray, "N rows columns 3"]
    extent: Float[np.ndarray, "N 2"]
    boxes: Float[np.ndarray, "N M 4"]
    classes: Int[np.ndarray, "N M"]
    difficult: Bool[np.ndarray, "N M"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.image)

    @property
    def objects(self) -> int:
        """Of all images."""
        return int(np.sum(self.classes >= 0))

    @property
    def examples(self) -> Examples:
        """The arrays of a data set, for `jaxode.data.ArrayDataset`."""
        return {
            "image": self.image,
            "extent": self.extent,
            "boxes": self.boxes,
            "classes": self.classes,
            "difficult": self.difficult,
        }

    def padded_to(self, objects: int) -> BoxedImages:
        """The same with room for more objects an image."""
        more = objects - self.classes.shape[1]
        return BoxedImages(
            self.image,
            self.extent,
            np.pad(self.boxes, ((0, 0), (0, more), (0, 0))),
            np.pad(self.classes, ((0, 0), (0, more)), constant_values=-1),
            np.pad(self.difficult, ((0, 0), (0, more))),
            self.names,
        )

    def pixel_statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each channel's pixels, of 0 to 1, without padding."""
        sums, squares, count = np.zeros(3), np.zeros(3), 0.0
        for image, (height, width) in zip(self.image, self.extent.astype(int), strict=True):
            shown = image[:height, :width].reshape(-1, 3).astype(np.float64) / 255
            sums, squares = sums + shown.sum(0), squares + (shown**2).sum(0)
            count += len(shown)
        mean = sums / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 1e-8))
        return mean.tolist(), deviation.tolist()


def padded_objects(
    boxes: Sequence[Float[np.ndarray, "M 4"]],
    classes: Sequence[Sequence[int]],
    difficult: Sequence[Sequence[bool]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Objects of each image as arrays with padding.

    Args:
      boxes: of each image.
      classes: of each image's objects.
      difficult: which of them need not be found.

    Returns:
      [N, M, 4] in float32, [N, M] in int32 and [N, M] booleans; M is at least 1.
    """
    most = max([1, *map(len, classes)])
    all_boxes = np.zeros((len(classes), most, 4), np.float32)
    all_classes = np.full((len(classes), most), -1, np.int32)
    all_difficult = np.zeros((len(classes), most), bool)
    for i, (own_boxes, own, hard) in enumerate(zip(boxes, classes, difficult, strict=True)):
        if len(own):
            all_boxes[i, : len(own)] = own_boxes
            all_classes[i, : len(own)], all_difficult[i, : len(own)] = own, hard
    return all_boxes, all_classes, all_difficult
