"""What each example's own solve cost, class by class, where step sizes are per sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxode.tasks.base import Predictions

SHOWN = 10
"""How many of the most and of the least expensive examples are shown."""


def by_class(stored: Predictions, names: tuple[str, ...]) -> dict[str, Any]:
    """NFE of an example in all blocks together: mean, least, most, and each class's mean.

    The mean of a class without examples is None.
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
    stored: Predictions, images: np.ndarray, names: tuple[str, ...]
) -> dict[str, list[tuple[np.ndarray, str]]]:
    """Images of the most and of the fewest evaluations, each with its class and NFE as a text."""
    nfe, labels = stored["nfe"].sum(1), stored["label"]
    order = np.argsort(nfe, kind="stable")
    count = min(SHOWN, len(nfe) // 2)
    chosen = {"most evaluations": order[::-1][:count], "fewest evaluations": order[:count]}
    return {
        text: [(images[i], f"{names[labels[i]]}: {nfe[i]}") for i in rows]
        for text, rows in chosen.items()
    }
