"""From what a network says of boxes to boxes: proposals of the first stage, and detections."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxode.detection.boxes import Weights, clipped, decoded
from jaxode.detection.nms import kept

SMALLEST_PROPOSAL, SMALLEST_DETECTION = 1e-3, 1e-2
"""Sides in pixels below which a box is left out."""

PLACES = 6
"""Numbers of a detection: four of the box, its score, its class."""


class Proposals(NamedTuple):
    """Boxes that may hold objects, by falling score."""

    boxes: Float[Array, "P 4"]
    real: Bool[Array, " P"]
    """Which there are; the others are padding."""


def large_enough(boxes: Float[Array, "N 4"], side: float) -> Bool[Array, " N"]:
    """Whether both sides of a box have a length of at least `side` pixels."""
    return jnp.all(boxes[:, 2:] - boxes[:, :2] >= side, 1)


def first_rows(keep: Bool[Array, " N"], count: int) -> tuple[Array, Array]:
    """Numbers of the first `count` rows that are kept, and which of these numbers are."""
    rows = jnp.argsort(~keep, stable=True)[:count]
    return rows, keep[rows]


def proposals(
    logits: Float[Array, " N"],
    codes: Float[Array, "N 4"],
    anchors: Float[Array, "N 4"],
    extent: Float[Array, " 2"],
    *,
    before: int,
    after: int,
    threshold: float = 0.7,
) -> Proposals:
    """The boxes that most likely hold objects, without those that overlap better ones.

    Source: Ren et al. 2015, "Faster R-CNN", section 3.3; torchvision's `filter_proposals`.

    Args:
      logits: log-odds of an object by anchor.
      codes: of boxes, relative to the anchors.
      anchors: in pixels.
      extent: height and width of the image.
      before: boxes of highest log-odds that go into the suppression.
      after: at most so many come out of it.
      threshold: of its overlap.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from jaxode.detection import proposals
      >>> anchors = jnp.array([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 4.1], [4.0, 4.0, 8.0, 8.0]])
      >>> propose = jax.jit(lambda *given: proposals(*given, before=3, after=3))
      >>> logits, codes = jnp.array([0.0, 1.0, 2.0]), jnp.zeros((3, 4))
      >>> found = propose(logits, codes, anchors, jnp.array([8.0, 8.0]))
      >>> found.boxes[found.real].round(1).tolist()
      [[4.0, 4.0, 8.0, 8.0], [0.0, 0.0, 4.0, 4.099999904632568]]
    """
    before = min(before, len(logits))
    _, rows = jax.lax.top_k(logits, before)
    boxes = clipped(decoded(codes[rows], anchors[rows]), extent)
    keep = kept(boxes, large_enough(boxes, SMALLEST_PROPOSAL), threshold)
    rows, real = first_rows(keep, min(after, before))
    return Proposals(boxes[rows], real)


def detections(
    logits: Float[Array, "P K"],
    codes: Float[Array, "P K 4"],
    found: Proposals,
    extent: Float[Array, " 2"],
    *,
    weights: Weights,
    score: float = 0.05,
    threshold: float = 0.5,
    candidates: int = 1000,
    count: int = 100,
) -> Float[Array, "count 6"]:
    """The objects that are found in an image.

    Source: torchvision's `postprocess_detections`, which has no limit of `candidates`.

    Args:
      logits: of background and each class.
      codes: of boxes for background and each class, relative to the proposals.
      found: the proposals.
      extent: height and width of the image.
      weights: of the codes.
      score: probability that a detection exceeds.
      threshold: overlap above which the better of two boxes of one class suppresses the other.
      candidates: boxes of highest probability that go into the suppression.
      count: rows of the result.

    Returns:
      By falling score: the box, its score, and its class from 0; then rows of zeros with class -1.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from jaxode.detection import detections
      >>> from jaxode.detection.proposals import Proposals
      >>> found = Proposals(jnp.array([[0.0, 0.0, 4.0, 4.0]]), jnp.array([True]))
      >>> logits, codes = jnp.array([[0.0, 20.0]]), jnp.zeros((1, 2, 4))
      >>> options = {"weights": (10, 10, 5, 5), "count": 1}
      >>> detect = jax.jit(lambda *given: detections(*given, **options))
      >>> detect(logits, codes, found, jnp.array([8.0, 8.0])).tolist()
      [[0.0, 0.0, 4.0, 4.0, 1.0, 0.0]]
    """
    classes = logits.shape[1] - 1
    scores = jax.nn.softmax(logits)[:, 1:]
    scores = jnp.where(found.real[:, None] & (scores > score), scores, -1).reshape(-1)
    candidates = min(candidates, len(scores))
    scores, rows = jax.lax.top_k(scores, candidates)
    place, kind = rows // classes, rows % classes
    boxes = clipped(decoded(codes[place, kind + 1], found.boxes[place], weights), extent)
    real = (scores > 0) & large_enough(boxes, SMALLEST_DETECTION)
    keep = kept(boxes, real, threshold, kind)
    rows, real = first_rows(keep, min(count, candidates))
    kind = kind[rows].astype(boxes.dtype)
    table = jnp.concatenate([boxes[rows], scores[rows, None], kind[:, None]], 1)
    nothing = jnp.zeros(PLACES, boxes.dtype).at[-1].set(-1)
    table = jnp.where(real[:, None], table, nothing)
    missing = count - len(table)
    return jnp.concatenate([table, jnp.tile(nothing, (missing, 1))]) if missing > 0 else table
