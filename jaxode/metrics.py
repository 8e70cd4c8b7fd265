"""Counts over images, and what they say of a classifier.

Whole numbers, so that padding, batching and the number of devices cannot change them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Confusion = np.ndarray
"""Int [K, K]: examples by label (row) and predicted class (column)."""


def confusion(
    logits: Float[Array, "B K"], labels: Int[Array, " B"], weights: Float[Array, " B"]
) -> Int[Array, "K K"]:
    """Examples of weight above 0 by label (row) and predicted class (column): [K, K].

    Args:
      logits: one row an example; the predicted class is that of the largest.
      labels: 0, ..., K - 1.
      weights: 0 is padding.

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
    """Of each class, in [0, 1]: [K]; 0 where there is nothing to divide by.

    `support` counts the class's images.
    """

    precision: Float[np.ndarray, " K"]
    """Share of the predictions of a class that are right."""
    recall: Float[np.ndarray, " K"]
    """Share of a class's examples that are predicted."""
    f1: Float[np.ndarray, " K"]
    """Harmonic mean of the two."""
    support: Int[np.ndarray, " K"]


def scores(counts: Confusion) -> Scores:
    """Precision, recall and F1 of each class, with 0 for a division by zero.

    Source: van Rijsbergen 1979, "Information Retrieval", chapter 7; scikit-learn's zero_division=0.

    Args:
      counts: labels by predicted classes.

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
    """Share of the examples whose predicted class is their label."""
    return float(np.trace(counts) / np.sum(counts))


def macro(counts: Confusion) -> dict[str, float]:
    """Means of precision, recall and F1 over classes that are a label or are predicted."""
    found, present = scores(counts), counts.sum(0) + counts.sum(1) > 0
    return {
        name: float(getattr(found, name)[present].mean()) for name in ("precision", "recall", "f1")
    }


def report(counts: Confusion, names: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy, macro means, each class's scores and the matrix, as JSON values."""
    found = scores(counts)
    by_class = {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "images": int(n)}
        for name, p, r, f, n in zip(names, *found, strict=True)
    }
    return {
        "accuracy": accuracy(counts),
        "macro": macro(counts),
        "by_class": by_class,
        "confusion": np.asarray(counts).tolist(),
    }
