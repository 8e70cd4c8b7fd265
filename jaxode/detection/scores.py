"""The scores of a detector over a whole split: average precisions, precision, recall, F1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxode.detection.average_precision import average_precision
from jaxode.detection.matches import Ranking, Truth, ranked

HALF = 0.5
"""Overlap at which Pascal VOC takes an object for found."""

COCO_OVERLAPS = np.linspace(0.5, 0.95, 10)


def detection_scores(
    detections: Float[np.ndarray, "N D 6"], truth: Truth, names: Sequence[str]
) -> dict[str, Any]:
    """Scores of detections.

    Args:
      detections: of each image by falling score: box, score, class; class -1 is padding.
      truth: objects of the same images.
      names: of the classes.

    Returns:
      - `ap50`, `ap50_eleven_points`: mean over classes of the average precision at an overlap of
        0.5, by Pascal VOC's rules.
      - `ap`, `ap75`: COCO's mean over overlaps 0.5, 0.55 … 0.95, and at 0.75.
      - `f1`, `precision`, `recall`, `threshold`: of all classes together, at the score that gives
        the largest F1; overlap 0.5.
      - `classes`: the same of each class, at that score, and `objects`.

      Classes without objects are left out of means, and have no average precision (None).

    Example:
      >>> import numpy as np
      >>> from jaxode.detection import detection_scores
      >>> from jaxode.detection.matches import Truth
      >>> box = [0.0, 0.0, 4.0, 4.0]
      >>> truth = Truth(np.array([[box]]), np.array([[0]]), np.array([[False]]))
      >>> scores = detection_scores(np.array([[[*box, 0.9, 0.0]]]), truth, ["cell"])
      >>> scores["ap50"], scores["f1"], scores["threshold"]
      (1.0, 1.0, 0.9)
    """
    voc = [ranked(detections, truth, kind, np.array([HALF])) for kind in range(len(names))]
    coco = [ranked(detections, truth, kind, COCO_OVERLAPS, coco=True) for kind in range(len(names))]
    at, threshold = best_threshold(voc)
    classes = {
        name: {
            "objects": one.objects,
            "ap50": _precision(one, 0, "area"),
            "ap50_eleven_points": _precision(one, 0, "eleven"),
            **_coco_precisions(other),
            **at_score([one], threshold),
        }
        for name, one, other in zip(names, voc, coco, strict=True)
    }
    averages = ("ap50", "ap50_eleven_points", "ap", "ap75")
    means = {name: _mean([scores[name] for scores in classes.values()]) for name in averages}
    return {**means, **at, "threshold": threshold, "classes": classes}


def _precision(ranking: Ranking, row: int, rule: Any) -> float | None:
    found = average_precision(ranking.hits[row][ranking.counts[row]], ranking.objects, rule)
    return None if ranking.objects == 0 else found


def _coco_precisions(ranking: Ranking) -> dict[str, float | None]:
    each = [_precision(ranking, row, "coco") for row in range(len(COCO_OVERLAPS))]
    return {"ap": _mean(each), "ap75": each[5]}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def at_score(rankings: Sequence[Ranking], threshold: float) -> dict[str, float]:
    """Precision, recall and F1 of the detections of at least a score; 0 where undefined.

    Args:
      rankings: of some classes, which count together.
      threshold: the score.
    """
    taken = [(one.scores >= threshold) & one.counts[0] for one in rankings]
    shown = sum(int(rows.sum()) for rows in taken)
    hits = sum(int(one.hits[0][rows].sum()) for one, rows in zip(rankings, taken, strict=True))
    return from_counts(hits, shown, sum(one.objects for one in rankings))


def from_counts(hits: int, shown: int, objects: int) -> dict[str, float]:
    """Precision, recall and F1; 0 where undefined.

    Args:
      hits: detections that find an object.
      shown: all detections.
      objects: all objects.
    """
    return {
        "precision": hits / shown if shown else 0.0,
        "recall": hits / objects if objects else 0.0,
        "f1": 2 * hits / (shown + objects) if shown + objects else 0.0,
    }


def best_threshold(rankings: Sequence[Ranking]) -> tuple[dict[str, float], float]:
    """Precision, recall and F1 at the score that gives the largest F1, and that score.

    Args:
      rankings: of some classes, which count together.
    """
    scores = np.concatenate([one.scores[one.counts[0]] for one in rankings])
    if not len(scores):
        return from_counts(0, 0, sum(one.objects for one in rankings)), 1.0
    hits = np.concatenate([one.hits[0][one.counts[0]] for one in rankings])
    order = np.argsort(-scores, kind="stable")
    found, objects = np.cumsum(hits[order]), sum(one.objects for one in rankings)
    f1 = 2 * found / (np.arange(1, len(found) + 1) + objects)
    # Of equal scores all are shown or none: only the last of them is a threshold.
    last = np.append(np.diff(scores[order]) != 0, True)
    threshold = float(scores[order][np.where(last, f1, -1).argmax()])
    return at_score(rankings, threshold), threshold
