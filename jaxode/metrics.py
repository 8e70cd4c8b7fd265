"""The confusion matrix of a classifier, and scores computed from it.

Counts are integers, so that padding, batches and the number of devices cannot change them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Confusion = Int[np.ndarray, "K K"]
"""Examples by label (row) and predicted class (column)."""


def confusion(
    logits: Float[Array, "B K"], labels: Int[Array, " B"], weights: Float[Array, " B"]
) -> Int[Array, "K K"]:
    """The confusion matrix of a batch.

    Args:
      logits: [B, K]; the predicted class is that of the largest logit.
      labels: [B], 0, …, K - 1.
      weights: [B], 0 for padding.

    Returns:
      [K, K]: examples of weight above 0 by label (row) and predicted class (column), int32.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
      >>> print(confusion(logits, jnp.array([0, 1, 1]), jnp.ones(3)))
      [[1 0]
       [1 1]]
    """
    classes = logits.shape[-1]
    label = jax.nn.one_hot(labels, classes) * (weights > 0)[:, None]
    predicted = jax.nn.one_hot(jnp.argmax(logits, axis=-1), classes)
    # A product rather than a scatter, which devices that share a batch would have to gather for.
    # Exact below 2**24.
    return jnp.einsum("bk,bj->kj", label, predicted).astype(jnp.int32)


class Scores(NamedTuple):
    """Scores of each class, [K] in [0, 1]; 0 for a division by zero."""

    precision: Float[np.ndarray, " K"]
    """Share of the predictions of a class that are correct."""
    recall: Float[np.ndarray, " K"]
    """Share of a class's examples that are predicted as such."""
    f1: Float[np.ndarray, " K"]
    """Harmonic mean of the two."""
    support: Int[np.ndarray, " K"]
    """Number of a class's examples."""


def scores(counts: Confusion) -> Scores:
    """Precision, recall and F1 of each class, with 0 for a division by zero.

    Source: van Rijsbergen 1979, "Information Retrieval", chapter 7; scikit-learn's zero_division=0.

    Args:
      counts: the confusion matrix.

    Example:
      >>> scores(np.array([[1, 0], [1, 1]])).recall
      array([1. , 0.5])
    """
    counts = np.asarray(counts)
    hits, labels, predicted = np.diag(counts), counts.sum(1), counts.sum(0)

    def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)

    return Scores(
        share(hits, predicted), share(hits, labels), share(2 * hits, labels + predicted), labels
    )


def accuracy(counts: Confusion) -> float:
    """Share of the examples whose predicted class is their label, from a confusion matrix."""
    return float(np.trace(counts) / np.sum(counts))


def macro(counts: Confusion) -> dict[str, float]:
    """Macro averages: means over the classes that are a label or are predicted.

    Source: scikit-learn's `precision_recall_fscore_support` with average="macro".

    Args:
      counts: the confusion matrix.

    Returns:
      `precision`, `recall` and `f1`, in [0, 1].
    """
    each, present = scores(counts), counts.sum(0) + counts.sum(1) > 0
    return {
        name: float(getattr(each, name)[present].mean()) for name in ("precision", "recall", "f1")
    }


def report(counts: Confusion, names: tuple[str, ...]) -> dict[str, Any]:
    """All scores of a classifier, as JSON values.

    Args:
      counts: the confusion matrix.
      names: of the K classes.

    Returns:
      `accuracy`, `macro`, `by_class` (scores and number of images by class name) and `confusion`.
    """
    by_class = {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "images": int(n)}
        for name, p, r, f, n in zip(names, *scores(counts), strict=True)
    }
    return {
        "accuracy": accuracy(counts),
        "macro": macro(counts),
        "by_class": by_class,
        "confusion": np.asarray(counts).tolist(),
    }


def auroc(labels: Float[np.ndarray, " N"], scores: Float[np.ndarray, " N"]) -> float:
    """Area under the ROC curve: how likely a positive example scores above a negative one.

    Equal scores count half (the statistic of Mann and Whitney 1947).

    Args:
      labels: 0 or 1 of each example, [N], both at least once.
      scores: higher for what is thought more likely to be 1, [N].

    Raises:
      ValueError: labels of one kind alone.

    Example:
      >>> import numpy as np
      >>> from jaxode.metrics import auroc
      >>> auroc(np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.2, 0.9]))
      0.75
    """
    positive = np.asarray(labels) > 0
    count, others = int(positive.sum()), int((~positive).sum())
    if not count or not others:
        raise ValueError(f"labels must be 0 and 1, each at least once, got {count} of 1")
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[group]  # of equal scores the mean of theirs
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * others))
