"""Precision and recall of a ranking, and the three ways to average the one over the other."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

Rule = Literal["area", "eleven", "coco"]
"""area: the area below the curve (Pascal VOC from 2010 on); eleven: at recalls 0, 0.1 … 1 (before);
coco: at recalls 0, 0.01 … 1."""


def curve(
    hits: Bool[np.ndarray, " D"], objects: int
) -> tuple[Float[np.ndarray, " D"], Float[np.ndarray, " D"]]:
    """Precision and recall after each detection.

    Args:
      hits: whether each finds an object, by falling score.
      objects: number of objects, at least 1.
    """
    found = np.cumsum(hits, dtype=np.float64)
    return found / np.arange(1, len(hits) + 1), found / objects


def average_precision(hits: Bool[np.ndarray, " D"], objects: int, rule: Rule = "area") -> float:
    """The average precision of the detections of one class.

    Source: Everingham et al. 2010, "The Pascal Visual Object Classes Challenge", section 4.2, and
    the development kit of 2010; Lin et al. 2014, "Microsoft COCO", as pycocotools computes it.

    Args:
      hits: whether each finds an object, by falling score.
      objects: number of objects.
      rule: what is averaged.

    Returns:
      From 0 to 1; NaN without objects.

    Example:
      >>> import numpy as np
      >>> from jaxode.detection import average_precision
      >>> hits = np.array([True, False, True])
      >>> [round(average_precision(hits, 2, rule), 4) for rule in ("area", "eleven", "coco")]
      [0.8333, 0.8485, 0.835]
    """
    if objects == 0:
        return float("nan")
    if len(hits) == 0:
        return 0.0
    precision, recall = curve(hits, objects)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if rule == "area":
        return float(np.sum(np.diff(recall, prepend=0.0) * envelope))
    wanted = np.linspace(0, 1, 11 if rule == "eleven" else 101)
    at = np.searchsorted(recall, wanted, side="left")
    return float(np.append(envelope, 0.0)[at].mean())


def average_precision_of_counts(
    hits: Int[np.ndarray, " bins"], misses: Int[np.ndarray, " bins"], objects: int
) -> float:
    """The area below the curve where only the numbers of detections in ranges of score are known.

    Args:
      hits: detections that find an object, by falling range.
      misses: the others.
      objects: number of objects, at least 1.
    """
    found = np.cumsum(hits, dtype=np.float64)
    shown = found + np.cumsum(misses)
    precision = np.divide(found, shown, out=np.zeros_like(found), where=shown > 0)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(found / objects, prepend=0.0) * envelope))
