"""Test images with their detections: the best, the worst, and those of missed objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxode.data.detection import BoxedImages
from jaxode.detection.matches import Truth, ranked
from jaxode.plots.detections import BoxedPicture, draw_boxes

SHOWN = 6
"""Pictures of a figure."""

FILES = ("best.png", "worst.png", "missed.png")


def drawn(
    images: BoxedImages, detections: np.ndarray, names: Sequence[str], threshold: float
) -> dict[str, bytes]:
    """PNG files by name.

    Args:
      images: of the test split.
      detections: of each, [N, D, 6].
      names: of the classes.
      threshold: score below which a detection is not shown.
    """
    shown = detections.copy()
    shown[..., 5] = np.where(shown[..., 4] >= threshold, shown[..., 5], -1)
    f1, missed = of_each_image(images, shown, len(names))
    order = np.argsort(-f1, kind="stable")
    most = np.argsort(-missed, kind="stable")
    chosen = {
        "best.png": (order[:SHOWN], "test images with the largest F1"),
        "worst.png": (order[::-1][:SHOWN], "test images with the smallest F1"),
        "missed.png": (most[:SHOWN], "test images with most missed objects (dashed)"),
    }
    found = {}
    for file, (rows, title) in chosen.items():
        pictures = [
            BoxedPicture(
                f"{images.names[row]}: F1 {f1[row]:.2f}, {missed[row]} missed",
                images.image[row],
                shown[row],
                images.boxes[row],
                images.classes[row],
            )
            for row in rows
        ]
        found[file] = draw_boxes(pictures, names, f"{title}; scores from {threshold:.2f}")
    return found


def of_each_image(
    images: BoxedImages, detections: np.ndarray, kinds: int
) -> tuple[np.ndarray, np.ndarray]:
    """F1 and the number of missed objects of each image, at an overlap of 0.5.

    Args:
      images: with objects.
      detections: of each; class -1 is padding.
      kinds: number of classes.
    """
    f1, missed = np.ones(len(images)), np.zeros(len(images), int)
    for row in range(len(images)):
        one = slice(row, row + 1)
        truth = Truth(images.boxes[one], images.classes[one], images.difficult[one])
        each = [ranked(detections[one], truth, kind, np.array([0.5])) for kind in range(kinds)]
        hits = sum(int(ranking.hits[0].sum()) for ranking in each)
        shown = sum(int(ranking.counts[0].sum()) for ranking in each)
        objects = sum(ranking.objects for ranking in each)
        missed[row] = objects - hits
        f1[row] = 2 * hits / (shown + objects) if shown + objects else 1.0
    return f1, missed
