"""The confusion matrix, and precision, recall and F1 of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxode import metrics
from jaxode.plots.style import BLUE, GREY, ORANGE, new_figure, to_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NUMBERS = 30
"""Most classes for which numbers are written into the matrix."""


def draw(counts: metrics.Confusion, names: Sequence[str], title: str) -> bytes:
    """PNG of a confusion matrix, and of precision, recall and F1 by class.

    Args:
      counts: [K, K], rows are labels, columns predicted classes; coloured by the share of a row.
      names: of the classes.
      title: above the figure.

    Returns:
      The bytes of a PNG file.
    """
    classes = len(names)
    side = float(np.clip(0.44 * classes + 1.8, 4.6, 14.0))
    figure = new_figure(side + 4.4, side)
    left, right = figure.subplots(1, 2, width_ratios=(side, 2.8), sharey=True)
    _matrix(left, counts, names)
    _scores(right, metrics.scores(counts))
    macro = metrics.macro(counts)
    figure.suptitle(
        f"{title}\naccuracy {metrics.accuracy(counts):.2%}, macro F1 {macro['f1']:.4f}", fontsize=11
    )
    return to_png(figure, dpi=100)


def _matrix(panel: Axes, counts: metrics.Confusion, names: Sequence[str]) -> None:
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    # The square root keeps rare errors visible next to a full diagonal.
    panel.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    size = 8 if len(names) <= MOST_NUMBERS else 4
    places = range(len(names))
    panel.set_xticks(places, names, rotation=90 if max(map(len, names)) > 2 else 0, fontsize=size)
    panel.set_yticks(places, names, fontsize=size)
    panel.set_xlabel("predicted class")
    panel.set_ylabel("label")
    panel.tick_params(length=0)
    if len(names) <= MOST_NUMBERS:
        for row, column in zip(*np.nonzero(counts), strict=True):
            color = "white" if shares[row, column] > 0.4 else "black"
            text = str(counts[row, column])
            panel.text(column, row, text, ha="center", va="center", fontsize=7, color=color)


def _scores(panel: Axes, scores: metrics.Scores) -> None:
    rows = np.arange(len(scores.f1))
    for values, marker, color, name in (
        (scores.precision, "|", ORANGE, "precision"),
        (scores.recall, "x", BLUE, "recall"),
        (scores.f1, "o", GREY, "F1"),
    ):
        panel.plot(values, rows, marker, color=color, label=name, markersize=5, clip_on=False)
    low = min(scores.precision.min(), scores.recall.min())
    panel.set_xlim(np.floor(max(0.0, low - 0.01) * 20) / 20, 1.0)
    panel.grid(alpha=0.25)
    panel.tick_params(labelsize=8, length=0)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.legend(
        frameon=False,
        fontsize=8,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=3,
        columnspacing=1,
    )
