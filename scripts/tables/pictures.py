"""Curves over the epochs, in panels."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PANELS_IN_A_ROW = 2
COLOURS = 10
STYLES = ("o-", "s--", "^:")
"""Of markers and lines: the next one when the colours are used up."""


@dataclass(frozen=True)
class Curve:
    """Points (epoch, value) under a label."""

    label: str
    points: Sequence[tuple[float, float]]


def draw(
    panels: Mapping[str, Sequence[Curve]], *, x: str = "epoch", logarithmic: bool = False
) -> bytes:
    """PNG of the panels by their titles.

    Curves look alike that have the same place in their panels.
    """
    from matplotlib.backends.backend_agg import (
        FigureCanvasAgg,
    )  # slow to import, and needs no screen
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    across = min(PANELS_IN_A_ROW, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(5.6 * across, 3.9 * down), layout="constrained")
    places = figure.subplots(down, across, squeeze=False).ravel()
    for place in places[len(panels) :]:
        place.axis("off")
    for place, (title, curves) in zip(places, panels.items(), strict=False):
        for number, curve in enumerate(curves):
            epochs, values = zip(*curve.points, strict=True)
            turn, colour = divmod(number, COLOURS)
            style = STYLES[turn % len(STYLES)]
            place.plot(
                epochs,
                values,
                style,
                color=f"C{colour}",
                label=curve.label,
                linewidth=1.7,
                markersize=3,
            )
        if logarithmic:
            place.set_yscale("log")
            for axis in (place.yaxis.set_major_formatter, place.yaxis.set_minor_formatter):
                axis(ScalarFormatter())
        place.set_title(title, fontsize=11, loc="left")
        place.set_xlabel(x)
        place.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
        place.grid(alpha=0.25)
        place.spines[["top", "right"]].set_visible(False)
        place.legend(frameon=False, fontsize=8)
    FigureCanvasAgg(figure)
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=100)
    return target.getvalue()
