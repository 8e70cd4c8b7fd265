"""Function evaluations of each example's solve by class, with per-sample step sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Shaped

from jaxode.tasks.base import Predictions

SHOWN = 10
"""Number of the most and of the least expensive examples that are shown."""


def by_class(stored: Predictions, names: tuple[str, ...]) -> dict[str, Any]:
    """NFE of an example, summed over blocks.

    Args:
      stored: `nfe` [N, blocks] and `label` [N].
      names: of the classes.

    Returns:
      `mean`, `min`, `max`, and `class_means` by name; None for a class without examples.
    """
    nfe, labels = stored["nfe"].sum(1), stored["label"]
    counts = {name: nfe[labels == k] for k, name in enumerate(names)}
    return {
        "mean": float(nfe.mean()),
        "min": int(nfe.min()),
        "max": int(nfe.max()),
        "class_means": {
            name: float(each.mean()) if len(each) else None for name, each in counts.items()
        },
    }


def extreme_examples(
    stored: Predictions, images: Shaped[np.ndarray, "N H W C"], names: tuple[str, ...]
) -> dict[str, list[tuple[Shaped[np.ndarray, "H W C"], str]]]:
    """Images with the most and with the fewest evaluations.

    Args:
      stored: `nfe` [N, blocks] and `label` [N].
      images: [N, H, W, C].
      names: of the classes.

    Returns:
      At most SHOWN images by title, each with a caption of class and NFE.
    """
    nfe, labels = stored["nfe"].sum(1), stored["label"]
    order = np.argsort(nfe, kind="stable")
    count = min(SHOWN, len(nfe) // 2)
    chosen = {"most evaluations": order[::-1][:count], "fewest evaluations": order[:count]}
    return {
        text: [(images[i], f"{names[labels[i]]}: {nfe[i]}") for i in rows]
        for text, rows in chosen.items()
    }
