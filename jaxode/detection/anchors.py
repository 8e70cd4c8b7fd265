"""Anchors: boxes of given sizes and shapes around every place of a feature map.

Source: Ren et al. 2015, "Faster R-CNN", section 3.1.1; the numbers are torchvision's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def anchor_boxes(sizes: Sequence[float], ratios: Sequence[float]) -> Float[np.ndarray, "A 4"]:
    """Boxes around the origin, rounded to whole pixels; ratio by ratio, then size by size.

    Args:
      sizes: square roots of areas in pixels.
      ratios: of height to width.

    Returns:
      float32, in which torchvision computes them whatever the type of a model.

    Example:
      >>> from jaxode.detection import anchor_boxes
      >>> anchor_boxes([16.0], [0.5, 1.0]).tolist()
      [[-11.0, -6.0, 11.0, 6.0], [-8.0, -8.0, 8.0, 8.0]]
    """
    high = np.sqrt(np.asarray(ratios, np.float32))
    wide = (1 / high)[:, None] * np.asarray(sizes, np.float32)
    high = high[:, None] * np.asarray(sizes, np.float32)
    corner = np.stack([wide.ravel(), high.ravel()], 1) / 2
    return np.concatenate([-corner, corner], 1).round()


def anchors_of_map(
    shape: tuple[int, int], stride: tuple[int, int], boxes: Float[np.ndarray, "A 4"]
) -> Float[np.ndarray, "N 4"]:
    """The boxes around every place of a map, row by row, then column by column, then box by box.

    Args:
      shape: rows and columns of the map.
      stride: pixels of the image from one row, and one column, to the next.
      boxes: around the origin, as of `anchor_boxes`.

    Example:
      >>> import numpy as np
      >>> from jaxode.detection import anchors_of_map
      >>> anchors_of_map((1, 2), (8, 8), np.array([[-4.0, -4.0, 4.0, 4.0]]))[:, 0].tolist()
      [-4.0, 4.0]
    """
    y, x = np.meshgrid(*(np.arange(n) * step for n, step in zip(shape, stride, strict=True)),
                       indexing="ij")  # fmt: skip
    places = np.stack([x, y, x, y], -1).reshape(-1, 1, 4).astype(boxes.dtype)
    return (places + boxes).reshape(-1, 4)
