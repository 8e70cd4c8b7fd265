"""Series with what a model makes of them, and the ROC curve of a binary outcome."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxode.plots.style import BLUE, GREY, ORANGE, label_axes, new_figure, new_panels, to_png


class Curve(NamedTuple):
    """One panel: observations, and curves through horizontal and vertical numbers.

    Args:
      title: above the panel.
      observed: points [N, 2].
      predicted: points of the model's curve, [M, 2].
      truth: points of the curve without noise, [K, 2], if it is known.
      beyond: number of the model's points from which nothing was observed; None if there are none.
    """

    title: str
    observed: Float[np.ndarray, "N 2"]
    predicted: Float[np.ndarray, "M 2"]
    truth: Float[np.ndarray, "K 2"] | None = None
    beyond: int | None = None


def draw_curves(rows: list[list[Curve]], x: str, y: str, title: str) -> bytes:
    """A PNG of panels.

    Args:
      rows: of panels, of equal length.
      x: name of the horizontal axis.
      y: name of the vertical axis.
      title: above the figure.
    """
    width = len(rows[0])
    figure, panels = new_panels(len(rows), width, 3.0 * width, 2.6 * len(rows) + 0.4)
    for line, curves in zip(panels, rows, strict=True):
        for axes, curve in zip(line, curves, strict=True):
            first = axes is panels[0, 0]
            if curve.truth is not None:
                axes.plot(*curve.truth.T, color=GREY, lw=1, label="truth" if first else None)
            stop = len(curve.predicted) if curve.beyond is None else curve.beyond
            axes.plot(*curve.predicted[:stop].T, color=BLUE, label="model" if first else None)
            if curve.beyond is not None:
                later = curve.predicted[max(stop - 1, 0) :].T
                axes.plot(*later, color=BLUE, ls=":", label="extrapolated" if first else None)
            points = {"color": ORANGE, "s": 8, "zorder": 3}
            axes.scatter(*curve.observed.T, **points, label="observed" if first else None)
            label_axes(axes, curve.title, x, y, legend=first)
    figure.suptitle(title, fontsize=11)
    return to_png(figure)


def draw_roc(
    labels: Float[np.ndarray, " N"], scores: Float[np.ndarray, " N"], area: float, title: str
) -> bytes:
    """A PNG of the ROC curve: true positives by false positives, for every threshold.

    Args:
      labels: 0 or 1 of each example, both at least once.
      scores: higher for what is thought more likely to be 1.
      area: under the curve.
      title: above the figure.
    """
    order = np.argsort(-scores, kind="stable")
    positive = labels[order] > 0
    last_of_equal = np.append(np.diff(scores[order]) != 0, True)
    true = np.append(0.0, np.cumsum(positive)[last_of_equal] / positive.sum())
    false = np.append(0.0, np.cumsum(~positive)[last_of_equal] / (~positive).sum())
    figure = new_figure(4.2, 4.0)
    axes = figure.subplots()
    axes.plot(false, true, color=BLUE, label=f"area {area:.3f}")
    axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", label="chance, 0.5")
    label_axes(axes, title, "false positive rate", "true positive rate")
    return to_png(figure)
