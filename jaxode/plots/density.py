"""Densities of the plane: a model's and its samples beside the target's points, and on the way."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxode.plots.style import new_panels, to_png


class Panel(NamedTuple):
    """What a panel shows: a density on a square grid, or points."""

    title: str
    values: Float[np.ndarray, "..."]
    """Densities [S, S], or points [N, 2]."""
    grid: bool


def draw(rows: list[list[Panel]], extent: float, title: str) -> bytes:
    """A PNG of panels that all show the square from -extent to extent.

    Args:
      rows: of panels, of equal length.
      extent: half the square's side.
      title: above the figure.
    """
    width = len(rows[0])
    figure, panels = new_panels(len(rows), width, 2.6 * width, 2.8 * len(rows) + 0.3)
    for row, line in zip(panels, rows, strict=True):
        for axes, panel in zip(row, line, strict=True):
            _show(axes, panel, extent)
    figure.suptitle(title, fontsize=11)
    return to_png(figure, shades=128)


def _show(axes: Any, panel: Panel, extent: float) -> None:
    square = (-extent, extent, -extent, extent)
    if panel.grid:
        axes.imshow(panel.values, origin="lower", extent=square, cmap="Blues")
    else:
        edges = np.linspace(-extent, extent, 101)
        counts = np.histogram2d(*panel.values.T[::-1], bins=(edges, edges))[0]
        axes.imshow(counts, origin="lower", extent=square, cmap="Blues")
    axes.set_title(panel.title, fontsize=9, loc="left")
    axes.set(xticks=[], yticks=[])
