"""Which detections find which objects, on the host: by the rule of Pascal VOC and by that of COCO.

By Pascal VOC's rule a detection may find only the object that it overlaps most, by COCO's the one
that it overlaps most of those that no better detection has found.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


class Truth(NamedTuple):
    """The objects of N images."""

    boxes: Float[np.ndarray, "N M 4"]
    classes: Int[np.ndarray, "N M"]
    """-1 is padding."""
    difficult: Bool[np.ndarray, "N M"]
    """Objects that need not be found: whoever finds one counts for nothing."""


class Ranking(NamedTuple):
    """Detections of one class in all images, by falling score."""

    scores: Float[np.ndarray, " D"]
    hits: Bool[np.ndarray, "T D"]
    """Whether each finds an object, by overlap asked for."""
    counts: Bool[np.ndarray, "T D"]
    """Whether it counts at all."""
    objects: int


def pairwise_overlaps(
    one: Float[np.ndarray, "D 4"], other: Float[np.ndarray, "G 4"]
) -> Float[np.ndarray, "D G"]:
    """Intersection over union in float64.

    Args:
      one: boxes.
      other: boxes.
    """
    one, other = one.astype(np.float64), other.astype(np.float64)
    low = np.maximum(one[:, None, :2], other[:, :2])
    high = np.minimum(one[:, None, 2:], other[:, 2:])
    common = np.prod(np.maximum(high - low, 0), -1)
    sizes = [np.prod(boxes[:, 2:] - boxes[:, :2], 1) for boxes in (one, other)]
    union = sizes[0][:, None] + sizes[1] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def ranked(
    detections: Float[np.ndarray, "N D 6"],
    truth: Truth,
    kind: int,
    overlaps: Float[np.ndarray, " T"],
    *,
    coco: bool = False,
) -> Ranking:
    """The detections of a class in order, and which of them find an object.

    Args:
      detections: of each image by falling score; class -1 is padding.
      truth: objects of the same images.
      kind: the class.
      overlaps: least intersections over union with an object.
      coco: COCO's rule, not Pascal VOC's.
    """
    scores: list[np.ndarray] = []
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    objects = 0
    for found, boxes, classes, difficult in zip(detections, *truth, strict=True):
        own = found[found[:, 5] == kind]
        chosen = classes == kind
        objects += int(np.sum(chosen & ~difficult))
        match = _coco if coco else _voc
        parts.append(
            match(pairwise_overlaps(own[:, :4], boxes[chosen]), difficult[chosen], overlaps)
        )
        scores.append(own[:, 4])
    together = np.concatenate(scores)
    order = np.argsort(-together, kind="stable")
    hits, counts = (np.concatenate(part, 1)[:, order] for part in zip(*parts, strict=True))
    return Ranking(together[order], hits, counts, objects)


def _voc(
    overlap: Float[np.ndarray, "D G"], difficult: Bool[np.ndarray, " G"], asked: np.ndarray
) -> tuple[Bool[np.ndarray, "T D"], Bool[np.ndarray, "T D"]]:
    """Hits, and what counts, of the detections of an image by falling score."""
    shape = (len(asked), len(overlap))
    if not overlap.size:
        return np.zeros(shape, bool), np.ones(shape, bool)
    nearest = overlap.argmax(1)
    enough = overlap.max(1) >= asked[:, None]
    counts = ~(enough & difficult[nearest])
    same = nearest[:, None] == nearest
    earlier = np.tri(len(overlap), k=-1, dtype=bool)
    taken = np.einsum("td,ed->te", enough, same & earlier) > 0
    return enough & ~taken & counts, counts


def _coco(
    overlap: Float[np.ndarray, "D G"], difficult: Bool[np.ndarray, " G"], asked: np.ndarray
) -> tuple[Bool[np.ndarray, "T D"], Bool[np.ndarray, "T D"]]:
    """The same by COCO's rule, in which objects that need not be found come last."""
    shape = (len(asked), len(overlap))
    hits, counts = np.zeros(shape, bool), np.ones(shape, bool)
    free = np.ones((len(asked), overlap.shape[1]), bool)
    for row, values in enumerate(overlap):
        for column, least in enumerate(np.minimum(asked, 1 - 1e-10)):
            allowed = free[column] & (values >= least)
            if not allowed.any():
                continue
            required = allowed & ~difficult
            group = required if required.any() else allowed
            # Of equal overlaps pycocotools takes the last object.
            best = len(values) - 1 - int(np.where(group, values, -1)[::-1].argmax())
            free[column, best] = False
            hits[column, row] = not difficult[best]
            counts[column, row] = not difficult[best]
    return hits, counts
