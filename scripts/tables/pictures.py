"""Curves over the epochs, in panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxode.plots.style import label_axes, new_panels, to_png

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
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    across = min(PANELS_IN_A_ROW, len(panels))
    down = -(-len(panels) // across)
    figure, grid = new_panels(down, across, 5.6 * across, 3.9 * down)
    places = grid.ravel()
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
        label_axes(place, title, x, "")
        place.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    return to_png(figure, dpi=100)
