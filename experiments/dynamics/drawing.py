"""What the pictures of the small experiments have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxode.plots.style import LIGHT_GREY, label_axes, to_png

SHADES = 96
"""Colours of a picture, those of smoothed edges counted."""


def label_panel(
    panel: Any, title: str, x: str, y: str, legend: str | None = None, columns: int = 3
) -> None:
    """Title and labels; a legend at that place if one is given, or "below" in so many columns."""
    label_axes(panel, title, x, y, grid=False, legend=False)
    if legend == "below":
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "ncols": columns}
        panel.legend(**place, fontsize=9, frameon=False, handlelength=1.6, columnspacing=1.2)
    elif legend is not None:
        panel.legend(loc=legend, fontsize=9, framealpha=0.9, edgecolor="none")


def arrows(
    panel: Any, x: np.ndarray, y: np.ndarray, along_x: np.ndarray, along_y: np.ndarray
) -> None:
    """Directions of a field at points (x, y), all of one length, drawn as the panel's curves."""
    length = np.maximum(np.hypot(along_x, along_y), 1e-12)
    panel.quiver(
        x,
        y,
        along_x / length,
        along_y / length,
        color=LIGHT_GREY,
        angles="xy",
        pivot="mid",
        scale=30,
        width=0.0035,
        zorder=0,
    )


def to_small_png(figure: Any) -> bytes:
    """The figure as a file's contents, in few enough colours to be small."""
    return to_png(figure, dpi=100, shades=SHADES)
