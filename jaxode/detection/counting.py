"""Hits and misses by class and score, which add up over batches, on the device."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxode.detection.boxes import overlaps

BINS = 50
"""Equal ranges of the score."""


def hits(
    detections: Float[Array, "D 6"],
    boxes: Float[Array, "M 4"],
    classes: Int[Array, " M"],
    difficult: Bool[Array, " M"],
    overlap: float = 0.5,
) -> tuple[Bool[Array, " D"], Bool[Array, " D"]]:
    """Which detections of an image find an object by Pascal VOC's rule, and which count at all.

    Args:
      detections: by falling score: box, score, class; class -1 is padding.
      boxes: of the objects.
      classes: of the objects; -1 is padding.
      difficult: objects that need not be found.
      overlap: least intersection over union.
    """
    kinds = detections[:, 5].astype(jnp.int32)
    same = (kinds[:, None] == classes) & (classes >= 0)
    found = jnp.where(same, overlaps(detections[:, :4], boxes), -1)
    nearest, enough = found.argmax(1), found.max(1) >= overlap
    before = jnp.tri(len(kinds), k=-1, dtype=bool)
    taken = jnp.any((nearest[:, None] == nearest) & before & enough, 1)
    counts = (kinds >= 0) & ~(enough & difficult[nearest])
    return enough & ~taken & counts, counts


def counted(
    detections: Float[Array, "D 6"],
    boxes: Float[Array, "M 4"],
    classes: Int[Array, " M"],
    difficult: Bool[Array, " M"],
    kinds: int,
) -> dict[str, Int[Array, "..."]]:
    """Hits and misses [K, BINS] by class and score, and the objects [K], of an image.

    Args:
      detections: by falling score: box, score, class; class -1 is padding.
      boxes: of the objects.
      classes: of the objects; -1 is padding.
      difficult: objects that need not be found.
      kinds: K, number of classes.
    """
    found, counts = hits(detections, boxes, classes, difficult)
    bins = jnp.clip((detections[:, 4] * BINS).astype(jnp.int32), 0, BINS - 1)
    own = detections[:, 5].astype(jnp.int32)
    zeros = jnp.zeros((kinds, BINS), jnp.int32)
    real = (classes >= 0) & ~difficult
    return {
        "hits": zeros.at[own, bins].add(found),
        "misses": zeros.at[own, bins].add(counts & ~found),
        "objects": jnp.zeros(kinds, jnp.int32).at[classes].add(real),
    }
